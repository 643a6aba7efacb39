//! `sample` and `send`: one heartbeat.

use std::time::Instant;

use heartbeat_core::Reply;

use super::{Failure, options::Options, print};
use crate::{
    daemon::{StartError, identity, open_root, sample_once},
    uplink::{Client, Traffic},
};

pub(super) fn sample(options: &Options) -> Result<(), Failure> {
    let settings = options.settings()?;
    let root = open_root(&options.sysroot)?;
    let identity = identity(&settings, &root)?;
    let body = sample_once(&settings, root, identity)?;
    print(String::from_utf8_lossy(&body))?;
    Ok(())
}

pub(super) fn send(options: &Options) -> Result<(), Failure> {
    let settings = options.settings()?;
    let root = open_root(&options.sysroot)?;
    let identity = identity(&settings, &root)?;
    let client = Client::new(&settings, &Traffic::default()).map_err(StartError::from)?;
    let body = sample_once(&settings, root, identity)?;
    let began = Instant::now();
    let status = client.send_once(&body).and_then(Reply::accepted).map_err(Failure::NotDelivered)?;
    print(format_args!(
        "delivered: {} bytes to {}, status {status}, {} ms",
        body.len(),
        settings.endpoint.without_query(),
        began.elapsed().as_millis()
    ))?;
    Ok(())
}
