//! `sample`: one heartbeat, which is not sent.

use super::{Failure, options::Options, print};
use crate::daemon::{identity, open_root, sample_once};

pub(super) fn sample(options: &Options) -> Result<(), Failure> {
    let settings = options.settings()?;
    let root = open_root(&options.sysroot)?;
    let identity = identity(&settings, &root)?;
    let body = sample_once(&settings, root, identity)?;
    print(String::from_utf8_lossy(&body))?;
    Ok(())
}
