//! `takeover`: from an older service on this machine. Hidden, because the installation calls it.

use std::{io, path::PathBuf};

use clap::Args;

use super::{Failure, options::Options, print};
use crate::{
    daemon::open_root,
    printable::printable,
    takeover::{Notice, Request, in_our_place, is_replaced, take_over},
};

/// What the person who installs it wants.
#[derive(Debug, Clone, Args)]
pub(super) struct Wishes {
    /// Run the service as this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Show the service this directory, which is in a home
    #[arg(long, value_name = "DIR")]
    show: Vec<PathBuf>,
    /// Change nothing; say what stands in the way of the service
    #[arg(long, conflicts_with_all = ["user", "show"])]
    check: bool,
}

pub(super) fn takeover(options: &Options, wishes: Wishes) -> Result<(), Failure> {
    let root = open_root(&options.sysroot)?;
    if wishes.check {
        let found = in_our_place(&root);
        for sentence in &found {
            print(format_args!("heartbeat-daemon: ATTENTION: {}", printable(sentence)))?;
        }
        if !is_replaced(&root) {
            return Ok(());
        }
        return Err(io::Error::other("another heartbeat service is in the place of this one").into());
    }
    // As people type them. A unit takes only whole paths.
    let whole = |directory: PathBuf| match directory.is_absolute() {
        true => Ok(directory),
        false => directory.canonicalize().or_else(|_| std::path::absolute(&directory)),
    };
    let show = wishes.show.into_iter().map(whole).collect::<io::Result<_>>()?;
    let request = Request { user: wishes.user, show };
    // Each in one line: what files of others say must not look like a line of this program.
    take_over(&root, &request, &mut |notice| {
        // Nowhere to report that the report failed.
        let _ = match notice {
            Notice::Done(text) => print(format_args!("heartbeat-daemon: {}", printable(&text))),
            Notice::Attention(text) => {
                print(format_args!("heartbeat-daemon: ATTENTION: {}", printable(&text)))
            }
        };
    })?;
    Ok(())
}
