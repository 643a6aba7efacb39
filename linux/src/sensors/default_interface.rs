//! `connection.default_interface`: the interface of the preferred default route.

use heartbeat_core::readings::InterfaceName;

use super::{Candidate, Definition, Shared};
use crate::{config::Settings, sources::network};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = InterfaceName;
    type Config = ();
    const NAME: &'static str = "default_interface";
    const KEYS: &'static [&'static str] = &["connection.default_interface"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<InterfaceName>> {
        vec![Candidate::named_part(
            &shared.network,
            |_| "/proc/net/route".to_owned(),
            network::Snapshot::default_interface,
        )]
    }

    fn show(name: &InterfaceName) -> String {
        name.to_string()
    }
}
