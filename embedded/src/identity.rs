//! The hardware id: this processor has no serial number, so that one is written into its flash when the board is made.

/// Behind what `board.x` gives to the program.
const ADDRESS: usize = 0x0003_fff0;
const LEN: usize = 16;

/// Up to 16 visible ASCII characters; what follows the last of them is 0 or 0xff. `None` where nothing was written.
pub(crate) fn read() -> Option<&'static str> {
    // SAFETY: flash, which nothing writes while this runs.
    let bytes = unsafe { core::slice::from_raw_parts(ADDRESS as *const u8, LEN) };
    let len = bytes.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    let id = bytes.get(..len).filter(|id| !id.is_empty())?;
    str::from_utf8(id).ok()
}

/// Where in the interval the board's heartbeats lie: boards that start in the same moment must not send in the same moment for
/// ever, and there is no source of random numbers here. FNV-1a with the finish of MurmurHash3, as the upper bits count.
pub(crate) fn phase(id: &str) -> u32 {
    let hash =
        id.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
