//! All sensors of a device, as a table: adding one is one line here and its method in [`Hal`].

use super::{log_budget::LogBudget, reading::Reading};
use crate::{
    hal::Hal,
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    readings::{Activity, Cellular, DiskSpace, Ethernet, Memory, Position, Throttled, Ups, Uptime, Wifi},
    text::Text,
    time::Instant,
    units::{Celsius, Rpm, Watts},
};

macro_rules! sensors {
    ($($method:ident: $value:ty, $label:literal;)*) => {
        /// The last answers of the sensors, named as the methods of [`Hal`] that they ask.
        #[derive(Debug)]
        pub(super) struct Sensors {
            $(pub(super) $method: Reading<$value>,)*
        }

        impl Default for Sensors {
            fn default() -> Self {
                Self { $($method: Reading::new(),)* }
            }
        }

        impl Sensors {
            /// Asks every sensor anew.
            pub(super) fn ask(&mut self) {
                $(self.$method.ask();)*
            }

            /// The beat goes out without those that have not answered.
            pub(super) fn give_up(&mut self) {
                $(self.$method.give_up();)*
            }

            /// Polls every sensor that owes an answer; true when there is no point in waiting any longer.
            pub(super) fn poll(&mut self, now: Instant, hal: &mut impl Hal, log: &mut LogBudget) -> bool {
                let mut complete = true;
                $(complete &= self.$method.poll(now, $label, log, || hal.$method());)*
                complete
            }
        }
    };
}

sensors! {
    memory: Memory, "memory";
    temperature: Celsius, "temperature";
    power: Watts, "power";
    fan: Rpm, "fan";
    disk: DiskSpace, "disk";
    default_interface: Text<INTERFACE_MAX>, "default route";
    ethernet: Ethernet, "ethernet";
    wifi: Wifi, "wifi";
    cellular: Cellular, "4g";
    position: Position, "gps";
    app_version: Text<APP_VERSION_MAX>, "application version";
    activity: Activity, "application activity";
    uptime: Uptime, "uptime";
    throttled: Throttled, "throttling";
    ups: Ups, "ups";
}
