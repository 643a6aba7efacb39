//! Arbitrary devices, for the agent's tests.

use heartbeat_core::{Sensor, SensorError, time::Duration};
use heartbeat_sim::{
    fake::FakeDevice,
    faults::{FaultyHal, SensorFault},
};
use proptest::prelude::*;

fn fault() -> impl Strategy<Value = Option<SensorFault>> {
    let error = prop_oneof![
        Just(SensorError::Absent),
        Just(SensorError::Denied),
        Just(SensorError::Io),
        Just(SensorError::Invalid)
    ];
    prop_oneof![
        4 => Just(None),
        2 => (0u64..9_000_000).prop_map(|micros| Some(SensorFault::Slow(Duration::from_micros(micros)))),
        1 => error.prop_map(|error| Some(SensorFault::Fails(error))),
        1 => Just(Some(SensorFault::Hangs)),
        1 => Just(Some(SensorFault::Implausible)),
    ]
}

/// Any device: every sensor answers anything, late, never, or fails.
pub(crate) fn any_device() -> impl Strategy<Value = FaultyHal<FakeDevice>> {
    (any::<u64>(), prop::collection::vec(fault(), Sensor::COUNT)).prop_map(|(seed, faults)| {
        let mut device = FaultyHal::new(FakeDevice::drawn(seed));
        for (sensor, fault) in Sensor::ALL.into_iter().zip(faults) {
            device.set(sensor, fault);
        }
        device
    })
}
