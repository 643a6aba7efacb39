//! Failures of the system that may be gone at the next start: with those the service is started again. With the others
//! only an operator can help.

use std::io;

use nix::errno::Errno;

/// Whether the same attempt may succeed later without anybody's help: storage that fails now and then, a system that is
/// out of descriptors or memory; but not a file that is missing, forbidden or no file.
pub(crate) fn may_pass(error: &io::Error) -> bool {
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
    fn what_storage_and_shortage_do_may_pass_and_what_people_did_does_not() {
        for errno in [Errno::EIO, Errno::EMFILE, Errno::ENOMEM, Errno::ENOSPC, Errno::EAGAIN, Errno::ESTALE] {
            assert!(may_pass(&errno.into()), "{errno}");
        }
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::EISDIR, Errno::ENOTDIR, Errno::ELOOP] {
            assert!(!may_pass(&errno.into()), "{errno}");
        }
        assert!(!may_pass(&io::ErrorKind::InvalidData.into()), "not the system's words");
    }
}
