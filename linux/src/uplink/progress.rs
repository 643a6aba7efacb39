//! How far a request got. Whether a failure is on this side of the server or on its own depends on it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{ConnectionDetails, Connector, NextTimeout, Transport},
    },
};

use super::outcome::SendError;

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A kept connection is in use.
    Kept,
    /// The name is being resolved.
    Resolving,
    /// A new connection is being made.
    Dialling,
    /// The new connection stands; if it is to be secured, the peers are agreeing on it.
    Handshaking,
    /// The new connection can be used: the request is on its way.
    Exchanging,
}

impl Stage {
    /// What a request that has no end is waiting for.
    pub(super) const fn waiting_for(self) -> SendError {
        match self {
            Self::Resolving => SendError::Name,
            Self::Dialling => SendError::ConnectTimeout,
            Self::Handshaking => SendError::HandshakeTimeout,
            Self::Kept | Self::Exchanging => SendError::Timeout,
        }
    }
}

/// The stage of the latest request, shared with the connectors that reach it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// A new request begins.
    pub(super) fn reset(&self) {
        self.set(Stage::Kept);
    }

    pub(super) fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Kept,
            1 => Stage::Resolving,
            2 => Stage::Dialling,
            3 => Stage::Handshaking,
            _ => Stage::Exchanging,
        }
    }

    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    /// `resolver`, recording when it is asked and when it has answered.
    pub(super) fn around<R: Resolver>(&self, resolver: R) -> Tracked<R> {
        Tracked { progress: self.clone(), resolver }
    }

    /// A link for the chain of connectors that records when it is passed.
    pub(super) fn mark(&self, stage: Stage) -> Mark {
        Mark { progress: self.clone(), stage }
    }
}

/// A resolver during whose work the request is [`Stage::Resolving`].
#[derive(Debug)]
pub(super) struct Tracked<R> {
    progress: Progress,
    resolver: R,
}

impl<R: Resolver> Resolver for Tracked<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.progress.set(Stage::Resolving);
        let found = self.resolver.resolve(uri, config, timeout)?;
        self.progress.set(Stage::Kept);
        Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_end_is_blamed_on_what_it_waits_for() {
        let progress = Progress::default();
        let waiting_for = |stage| {
            progress.set(stage);
            progress.stage().waiting_for()
        };
        assert_eq!(waiting_for(Stage::Resolving), SendError::Name);
        assert_eq!(waiting_for(Stage::Dialling), SendError::ConnectTimeout);
        assert_eq!(waiting_for(Stage::Handshaking), SendError::HandshakeTimeout);
        assert_eq!(waiting_for(Stage::Exchanging), SendError::Timeout);
        progress.reset();
        assert_eq!(progress.stage().waiting_for(), SendError::Timeout, "a kept connection");
    }
}
