//! How far a request got. Whether a failure is on this side of the server or on its own depends on it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The name is being resolved, or a kept connection is in use.
    NotDialled,
    /// A new connection is being made.
    Dialling,
    /// The new connection stands; TLS or HTTP follow.
    Connected,
}

/// The stage of the latest request, shared with the connectors that reach it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// A new request begins.
    pub(super) fn reset(&self) {
        self.set(Stage::NotDialled);
    }

    pub(super) fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::NotDialled,
            1 => Stage::Dialling,
            _ => Stage::Connected,
        }
    }

    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    /// A link for the chain of connectors that records when it is passed.
    pub(super) fn mark(&self, stage: Stage) -> Mark {
        Mark { progress: self.clone(), stage }
    }
}

/// Records that a request has come this far, and changes nothing.
#[derive(Debug)]
pub(super) struct Mark {
    progress: Progress,
    stage: Stage,
}

impl<In: Transport> Connector<In> for Mark {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.progress.set(self.stage);
        Ok(chained)
    }
}
