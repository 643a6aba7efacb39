//! Bytes that go over the network: what a metered connection is billed for, but for the headers of TCP and IP.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Bytes so far, encryption included. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes sent since the program began.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Bytes received since the program began.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU64, bytes: usize) {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A link for the chain of connectors that counts what passes it.
impl<In: Transport> Connector<In> for Traffic {
    type Out = Metered<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Metered<In>>, ureq::Error> {
        Ok(chained.map(|inner| Metered { inner, traffic: self.clone() }))
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Metered<T> {
    inner: T,
    traffic: Traffic,
}

impl<T: Transport> Transport for Metered<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.inner.transmit_output(amount, timeout)?;
        Traffic::count(&self.traffic.0.sent, amount);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let before = self.inner.buffers().input().len();
        let result = self.inner.await_input(timeout);
        let after = self.inner.buffers().input().len();
        Traffic::count(&self.traffic.0.received, after.saturating_sub(before));
        result
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
