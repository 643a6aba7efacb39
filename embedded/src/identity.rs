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

/// The phase of the board's grid, from a hash of its id, because the board has no random numbers: boards that start at the same
/// time must not send at the same time. FNV-1a with the finish of MurmurHash3, because the upper bits count.
pub(crate) fn phase(id: &str) -> u32 {
    let hash =
        id.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
