//! Transient errors: failures of the system that may be gone at the next start. After one of those systemd starts the
//! service again; with every other only an operator can help.

use std::io;

use nix::errno::Errno;

/// Whether the same attempt may succeed later without intervention: storage that fails now and then, a system that is
/// out of descriptors or memory; but not a file that is missing, forbidden or no file.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        !matches!(
            errno,
            Errno::ENOENT
                | Errno::EACCES
                | Errno::EPERM
                | Errno::EISDIR
                | Errno::ENOTDIR
                | Errno::ELOOP
                | Errno::ENAMETOOLONG
                | Errno::EINVAL
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_failures_and_shortages_are_transient_and_wrong_paths_are_not() {
        for errno in [Errno::EIO, Errno::EMFILE, Errno::ENOMEM, Errno::ENOSPC, Errno::EAGAIN, Errno::ESTALE] {
            assert!(is_transient(&errno.into()), "{errno}");
        }
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::EISDIR, Errno::ENOTDIR, Errno::ELOOP] {
            assert!(!is_transient(&errno.into()), "{errno}");
        }
        assert!(!is_transient(&io::ErrorKind::InvalidData.into()), "not the system's words");
    }
}
