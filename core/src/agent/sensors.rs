//! The agent's reading of each sensor, made from the table in [`hal`](crate::hal).

use super::reading::Reading;
use crate::{for_each_sensor, hal::Hal, time::Instant};

macro_rules! sensors {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// The latest readings, named as the methods of [`Hal`].
        #[derive(Debug, Default)]
        pub(super) struct Sensors {
            $(pub(super) $method: Reading<$value>,)*
        }

        impl Sensors {
            /// Asks every sensor.
            pub(super) fn ask(&mut self) {
                $(self.$method.ask();)*
            }

            /// The beat goes out without the pending sensors.
            pub(super) fn give_up(&mut self) {
                $(self.$method.give_up();)*
            }

            /// Polls every pending sensor; true when the beat need not wait any longer.
            pub(super) fn poll(&mut self, now: Instant, hal: &mut impl Hal) -> bool {
                let mut complete = true;
                $(complete &= self.$method.poll(now, $label, || hal.$method());)*
                complete
            }
        }
    };
}

for_each_sensor!(sensors);
