//! `sample` and `send`: one heartbeat.

use std::time::Instant;

use super::{Failure, options::Options, print};
use crate::{
    daemon::{StartError, identity, open_root, sample_once},
    uplink::{self, Client, Traffic},
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
    let ended = client.send_once(&body);
    let outcome = uplink::outcome(&ended);
    if !outcome.verdict.is_accepted() {
        // The agent's detail is cut to what it keeps.
        let why = ended.map_or_else(|failure| failure.to_string(), |_| outcome.detail.to_string());
        return Err(Failure::NotDelivered(why));
    }
    print(format_args!(
        "delivered: {} bytes to {}, {}, {} ms",
        body.len(),
        settings.endpoint.without_query(),
        outcome.detail,
        began.elapsed().as_millis()
    ))?;
    Ok(())
}
