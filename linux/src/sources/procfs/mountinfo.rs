//! `/proc/self/mountinfo`: whether the root filesystem can be written.

/// Its path.
pub(crate) const PATH: &str = "/proc/self/mountinfo";

/// Whether the filesystem at `/` is read-only; `None` if there is none.
///
/// What counts is the filesystem (the last field), not the mount: the sandbox of the service mounts it read-only for this
/// process alone, while `errors=remount-ro` of ext4 after a fault of the card is a change of the filesystem (proc_pid_mountinfo(5)).
/// Since October 2024 ext4 keeps `rw` there after a fault (d3476f3dad4a in Linux 6.12, and in 5.15, 6.1 and 6.6 of that time),
/// and says `emergency_ro` since April 2025 (6b76715d5e41), `shutdown` later (5855c3519463). A kernel from between does not
/// tell.
pub(crate) fn root_read_only(mountinfo: &[u8]) -> Option<bool> {
    // The last one lies over those before it.
    let line = lines_of_root(mountinfo).last()?;
    let (_, filesystem) = str::from_utf8(line).ok()?.split_once(" - ")?;
    let options = filesystem.split_ascii_whitespace().nth(2)?;
    let is = |wanted: &str| options.split(',').any(|option| option == wanted);
    match (is("ro") || is("emergency_ro") || is("shutdown"), is("rw")) {
        _ if is("ro") && is("rw") => None,
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// The lines of what is mounted at `/`. The others say where people mount what.
pub(crate) fn lines_of_root(mountinfo: &[u8]) -> impl Iterator<Item = &[u8]> {
    mountinfo
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.split(|byte| *byte == b' ').nth(4) == Some(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of a Raspberry Pi 4 with Raspberry Pi OS 12, as the service sees it: its sandbox has mounted `/` read-only for it.
    const SANDBOX: &str = "\
        100 60 179:2 / / ro,nosuid,relatime shared:1 master:1 - ext4 /dev/mmcblk0p2 rw\n\
        101 100 0:6 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=1677584k,mode=755\n\
        140 100 179:1 / /boot/firmware ro,relatime - vfat /dev/mmcblk0p1 ro,fmask=0022\n";

    #[test]
    fn the_filesystem_counts_and_not_how_this_process_sees_it() {
        assert_eq!(root_read_only(SANDBOX.as_bytes()), Some(false));
        let remounted = SANDBOX.replace("mmcblk0p2 rw", "mmcblk0p2 ro,errors=remount-ro");
        assert_eq!(root_read_only(remounted.as_bytes()), Some(true));
    }

    #[test]
    fn a_filesystem_that_gave_up_writing_is_read_only_although_it_says_rw() {
        for mark in ["emergency_ro,errors=remount-ro", "shutdown", "noatime,shutdown"] {
            let fault = SANDBOX.replace("mmcblk0p2 rw", &format!("mmcblk0p2 rw,{mark}"));
            assert_eq!(root_read_only(fault.as_bytes()), Some(true), "{mark}");
        }
        let whole = SANDBOX.replace("mmcblk0p2 rw", "mmcblk0p2 rw,errors=remount-ro");
        assert_eq!(root_read_only(whole.as_bytes()), Some(false), "what it would do is not what it did");
    }

    #[test]
    fn what_is_mounted_last_lies_above() {
        let text = b"1 1 0:2 / / rw - rootfs rootfs ro\n22 1 0:20 / / rw,noatime - overlay overlay rw,lowerdir=/ro\n";
        assert_eq!(root_read_only(text), Some(false));
    }

    #[test]
    fn rejects_what_says_nothing_of_the_root() {
        for bad in [
            "",
            "\n",
            "1 1 0:2 / /home rw - ext4 /dev/sda1 rw\n",
            "1 1 0:2 / / rw - ext4 /dev/sda1\n",
            "1 1 0:2 / / rw\n",
            "1 1 0:2 / / rw - ext4 /dev/sda1 row\n",
            "1 1 0:2 / / rw - ext4 /dev/sda1 ro,rw\n",
        ] {
            assert_eq!(root_read_only(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(root_read_only(b"1 1 0:2 / / rw - ext4 \xff rw\n"), None);
    }

    #[test]
    fn only_the_lines_of_the_root_are_kept() {
        let lines: Vec<_> = lines_of_root(SANDBOX.as_bytes()).collect();
        assert_eq!(lines, [&SANDBOX.as_bytes()[..SANDBOX.find("101").expect("there")]]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = root_read_only(&bytes);
        }
    }
}
