//! `run`: heartbeats until stopped.

use std::{sync::Arc, time::Duration};

use super::{Failure, options::Options};
use crate::{
    daemon::{Daemon, Instance, hardware_id, keep_hardware_id, open_root, random_phase},
    logging,
    service::Service,
};

/// How long another daemon is looked for. Answers come at once, unless storage hangs.
const CLAIM_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(options: Options) -> Result<(), Failure> {
    let options = Arc::new(options);
    if let Err(error) = logging::detach() {
        log::warn!("log lines may be waited for: {error}");
    }
    let mut settings = options.settings()?;
    settings.rhythm = settings.rhythm.with_phase(random_phase());
    let root = open_root(&options.sysroot)?;
    // Held until the end.
    let instance = Instance::claim_within(CLAIM_MAX, &settings, &hardware_id(&settings, &root)?)?;
    keep_hardware_id(&settings, &root);
    let mut service = Service::new(&settings, instance.publishes_in());
    let mut daemon = Daemon::start(&settings, root)?;
    let rhythm = settings.rhythm;
    log::info!(
        "sending a heartbeat every {} s to {}",
        std::time::Duration::from(rhythm.interval()).as_secs_f64(),
        settings.endpoint.without_query()
    );
    let reload = move || match options.settings() {
        Ok(settings) => Some(settings),
        Err(error) => {
            log::error!("the new configuration cannot be used, the old one stays: {error}");
            None
        }
    };
    let ended = daemon.run(reload, &mut service);
    service.finish();
    ended?;
    let stats = daemon.stats();
    log::info!("stopped: {} heartbeats delivered, {} failed", stats.delivered, stats.failed);
    let (backlog, counts) = (daemon.backlog(), daemon.backlog().counts());
    if counts.queued > 0 {
        log::info!(
            "of those that were not, {} were delivered late, {} given up, {} wait",
            counts.replayed,
            counts.dropped,
            backlog.len()
        );
    }
    Ok(())
}
