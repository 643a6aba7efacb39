//! What earlier connections taught: which address worked, which did not, how far away the server is, and how long a
//! connection may be idle before a NAT on the way forgets it.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// Shortest and longest time before another address is tried as well (RFC 8305, section 5).
const STAGGER_MIN: Duration = Duration::from_millis(250);
const STAGGER_MAX: Duration = Duration::from_secs(2);
/// Addresses whose failure is remembered.
const FAILED_MAX: usize = 32;
/// No NAT forgets a connection that was idle for less than this.
const IDLE_SUSPECT_MIN: Duration = Duration::from_secs(10);
/// Connections that were silent after they had been idle, each followed by success on a new one, before a limit is set.
const STRIKES_BEFORE_LIMIT: u8 = 2;
/// How long a limit lasts: the network may have changed.
const IDLE_LIMIT_LASTS: Duration = Duration::from_secs(6 * 3600);

/// The memory of one server's connections.
#[derive(Debug, Default)]
pub(super) struct Book {
    good: Option<SocketAddr>,
    /// Oldest failure first.
    failed: Vec<SocketAddr>,
    connect_time: Option<Duration>,
    reply_time: Duration,
    idle: IdleLimit,
}

/// How long a connection may be idle.
#[derive(Debug, Default)]
struct IdleLimit {
    /// A connection was silent after it had been idle for this long. The next connection shows whether that was the
    /// cause.
    suspect: Option<Duration>,
    /// Idle times that proved too long.
    strikes: u8,
    shortest: Option<Duration>,
    limit: Option<(Duration, Instant)>,
}

impl Book {
    /// The addresses in the order in which they are to be tried: the one that worked last, then the families in turn,
    /// then what failed, what failed longest ago first.
    pub(super) fn order(&self, addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
        let all = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
        let fresh = all.clone().filter(|address| !self.failed.contains(address));
        let first_family = self.good.is_none_or(|good| good.is_ipv4());
        let (mut first, mut second): (Vec<_>, Vec<_>) =
            fresh.partition(|address| address.is_ipv4() == first_family);
        if let Some(place) = first.iter().position(|address| Some(*address) == self.good) {
            first.swap(0, place);
        }
        let mut order = Vec::with_capacity(addresses.len());
        first.reverse();
        second.reverse();
        while let Some(address) = first.pop().or_else(|| second.pop()) {
            order.push(address);
            order.extend(second.pop());
        }
        order.extend(self.failed.iter().filter(|failed| all.clone().any(|address| address == **failed)));
        order
    }

    /// How long to wait for an address before the next is tried as well.
    pub(super) fn stagger(&self) -> Duration {
        (self.connect_time.unwrap_or_default() * 2).clamp(STAGGER_MIN, STAGGER_MAX)
    }

    /// A connection to `address` stands, `took` after the attempt began: one round trip, if nothing was lost.
    pub(super) fn connected(&mut self, took: Duration) {
        self.connect_time = Some(took);
    }

    /// The latest status came this long after its request, or did not come in that time.
    pub(super) fn replied_after(&mut self, took: Duration) {
        self.reply_time = took;
    }

    /// How long the latest request took; zero before there was one.
    pub(super) fn reply_time(&self) -> Duration {
        self.reply_time
    }

    /// `address` worked.
    pub(super) fn worked(&mut self, address: SocketAddr) {
        self.failed.retain(|failed| *failed != address);
        self.good = Some(address);
    }

    /// `address` did not answer, or not as it should.
    pub(super) fn failed(&mut self, address: SocketAddr) {
        self.failed.retain(|failed| *failed != address);
        if self.failed.len() >= FAILED_MAX {
            self.failed.remove(0);
        }
        self.failed.push(address);
        self.good = self.good.filter(|good| *good != address);
    }

    /// A connection that had been idle for this long was silent when it was used again.
    pub(super) fn silent_after(&mut self, idle_for: Duration) {
        self.idle.suspect = (idle_for >= IDLE_SUSPECT_MIN).then_some(idle_for);
    }

    /// A heartbeat was answered over a new connection (`None`), or over one that had been idle for this long.
    pub(super) fn answered_after(&mut self, idle_for: Option<Duration>, now: Instant) {
        let limit = &mut self.idle;
        match (idle_for, limit.suspect.take()) {
            (None, Some(suspect)) => {
                limit.strikes = limit.strikes.saturating_add(1);
                let shortest = limit.shortest.map_or(suspect, |shortest| shortest.min(suspect));
                limit.shortest = Some(shortest);
                if limit.strikes >= STRIKES_BEFORE_LIMIT {
                    limit.limit = Some((shortest / 4 * 3, now));
                    log::debug!("connections that were idle for {shortest:?} were forgotten on the way");
                }
            }
            // A connection has survived that idle time: no NAT on the way forgets it so soon.
            (Some(idle_for), _) if limit.shortest.is_some_and(|shortest| idle_for >= shortest) => {
                *limit = IdleLimit::default();
            }
            _ => {}
        }
    }

    /// The longest idle time after which a connection is used again; `None` if none was ever too long.
    pub(super) fn idle_max(&self, now: Instant) -> Option<Duration> {
        let (limit, since) = self.idle.limit?;
        (now.saturating_duration_since(since) < IDLE_LIMIT_LASTS).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn order(book: &Book, texts: &[&str]) -> Vec<String> {
        book.order(&addresses(texts), 443).iter().map(|address| address.ip().to_string()).collect()
    }

    fn at(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().expect("an address"), 443)
    }

    #[test]
    fn families_take_turns() {
        let book = Book::default();
        let known = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];
        assert_eq!(order(&book, &known), ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(order(&book, &["2001:db8::1", "2001:db8::2"]), ["2001:db8::1", "2001:db8::2"]);
    }

    #[test]
    fn good_address_is_first_and_failed_ones_are_last() {
        let mut book = Book::default();
        let known = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];
        book.worked(at("2001:db8::2"));
        book.failed(at("192.0.2.1"));
        book.failed(at("2001:db8::1"));
        assert_eq!(order(&book, &known), ["2001:db8::2", "192.0.2.2", "192.0.2.1", "2001:db8::1"]);
        book.failed(at("2001:db8::2"));
        book.worked(at("192.0.2.1"));
        assert_eq!(order(&book, &known), ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(order(&book, &["192.0.2.9"]), ["192.0.2.9"], "a name that moved");
    }

    #[test]
    fn memory_of_failures_is_bounded() {
        let mut book = Book::default();
        for last in 0..=255 {
            book.failed(SocketAddr::from(([192, 0, 2, last], 443)));
        }
        assert_eq!(book.failed.len(), FAILED_MAX);
        assert_eq!(book.failed.last(), Some(&at("192.0.2.255")));
    }

    #[test]
    fn stagger_follows_the_round_trip() {
        let mut book = Book::default();
        let mut after = |millis| {
            book.connected(Duration::from_millis(millis));
            book.stagger().as_millis()
        };
        assert_eq!([after(1), after(300), after(5_000)], [250, 600, 2_000]);
    }

    #[test]
    fn connection_that_a_nat_forgets_is_not_used_after_that_time() {
        let (mut book, now) = (Book::default(), Instant::now());
        let minute = Duration::from_secs(60);
        book.silent_after(minute);
        book.answered_after(None, now);
        assert_eq!(book.idle_max(now), None, "once may be chance");
        book.silent_after(minute);
        book.answered_after(None, now);
        assert_eq!(book.idle_max(now), Some(Duration::from_secs(45)));
        assert_eq!(book.idle_max(now + IDLE_LIMIT_LASTS), None, "the network may have changed");
        book.answered_after(Some(minute), now);
        assert_eq!(book.idle_max(now), None, "an idle time of that length was survived");
    }

    #[test]
    fn slow_server_is_not_taken_for_a_nat() {
        let (mut book, now) = (Book::default(), Instant::now());
        for _ in 0..5 {
            book.silent_after(Duration::from_secs(5));
            book.answered_after(None, now);
        }
        assert_eq!(book.idle_max(now), None);
    }
}
