//! One request over HTTP: at most one retry, one deadline, nothing followed, little read.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use ureq::{
    Agent, Body,
    config::{AutoHeaderValue, Config},
    http::{
        Response,
        header::{DATE, RETRY_AFTER},
    },
    tls::TlsConfig,
    unversioned::transport::{Connector, RustlsConnector, TcpConnector},
};

use super::{
    authorities::TrustError,
    classify::classify,
    outcome::{Reply, SendError},
    progress::{Progress, Stage},
    resolver::CachedResolver,
    retry_after, tls,
    traffic::Traffic,
};
use crate::config::{Method, Settings};

/// Bytes of a reply's body that are read to keep its connection usable; what sends more loses it.
const REPLY_MAX: u64 = 16 * 1024;
/// Bytes of a reply's header.
const HEADER_MAX: usize = 8 * 1024;
/// How long a reply's body is waited for to keep its connection usable: it comes with the status, or hardly later.
const REST_MAX: Duration = Duration::from_millis(200);
/// The input buffer must be larger than the header, or a long header is reported as a lost connection.
const BUFFER: usize = HEADER_MAX + 2 * 1024;

/// Time that this side gives up before the agent would, so that its own, more exact reason is reported.
const HEAD_START_MAX: Duration = Duration::from_millis(50);

/// Failures in a row after which the authorities are read again at the latest.
const RENEWAL_MAX: u32 = 128;

/// A client for the configured server, with its connection, its names and its trust.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    settings: Settings,
    resolver: CachedResolver,
    traffic: Traffic,
    progress: Progress,
    /// Times that the server's certificate was refused since it was accepted.
    refused: u32,
}

impl Client {
    /// A client that has not connected yet, asks `resolver` for the server's addresses and counts its bytes in `traffic`.
    ///
    /// # Errors
    ///
    /// When the server is to be verified and there is nobody to trust.
    pub fn new(
        settings: &Settings,
        resolver: &CachedResolver,
        traffic: &Traffic,
    ) -> Result<Self, TrustError> {
        let progress = Progress::default();
        Ok(Self {
            agent: agent(settings, resolver, traffic, &progress)?,
            settings: settings.clone(),
            resolver: resolver.clone(),
            traffic: traffic.clone(),
            progress,
            refused: 0,
        })
    }

    /// How far its latest request got.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Sends one document and waits for the status, which is the answer: what follows it is left to
    /// [`Answer::finish`].
    ///
    /// A kept connection that the server closed in the same moment costs one more attempt, at once and within the
    /// same deadline.
    ///
    /// # Errors
    ///
    /// Why there is no status.
    pub fn exchange(&self, body: &[u8], deadline: Instant) -> Result<Answer, SendError> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        // A beat that waited for its sensors may have less time than usual.
        let first = left(deadline);
        let timeout = Duration::from(self.settings.rhythm.timeout());
        let shortened = first.saturating_add(HEAD_START_MAX) < timeout;
        let mut answer = self.attempt(body, shortened.then(|| before(first)));
        if matches!(answer, Err(SendError::ConnectionLost))
            && self.progress.stage() == Stage::Kept
            && let left = left(deadline)
            && !left.is_zero()
        {
            log::debug!("the server closed the kept connection: once more");
            answer = self.attempt(body, Some(before(left)));
        }
        if !answer.as_ref().is_ok_and(|answer| answer.reply.accepted().is_ok()) {
            self.resolver.suspect();
        }
        answer
    }

    /// One attempt, within the agent's own timeout or within `limit`.
    fn attempt(&self, body: &[u8], limit: Option<Duration>) -> Result<Answer, SendError> {
        self.progress.reset();
        let endpoint = &self.settings.endpoint;
        let response = match self.settings.method {
            Method::Post => {
                let request = self.agent.post(endpoint.uri()).content_type("application/json");
                match limit {
                    Some(_) => request.config().timeout_global(limit).build().send(body),
                    None => request.send(body),
                }
            }
            Method::Get => {
                let request = self.agent.get(endpoint.with_params(body));
                match limit {
                    Some(_) => request.config().timeout_global(limit).build().call(),
                    None => request.call(),
                }
            }
        };
        let response = response.map_err(|error| {
            log::debug!("request failed: {error}");
            classify(&error, self.progress.stage())
        })?;
        let header = |name| Some(response.headers().get(name)?.as_bytes());
        let retry_after = header(RETRY_AFTER).and_then(|asked| retry_after::parse(asked, header(DATE)));
        Ok(Answer { reply: Reply { status: response.status().as_u16(), retry_after }, response })
    }

    /// Takes note of how an exchange ended.
    ///
    /// When the server's certificate is refused, those who are trusted are read again: this program outlives
    /// authorities, and updates of the system bring new ones. At the first failure, the second, the fourth and so on,
    /// then at every 128th, as it may be a captive portal's certificate that is refused.
    pub(super) fn on_end(&mut self, ended: Result<Reply, SendError>) {
        match ended {
            Ok(_) => self.refused = 0,
            Err(SendError::Certificate) => {
                self.refused = self.refused.saturating_add(1);
                if is_renewed_after(self.refused) {
                    self.renew();
                }
            }
            Err(_) => {}
        }
    }

    fn renew(&mut self) {
        match agent(&self.settings, &self.resolver, &self.traffic, &self.progress) {
            Ok(agent) => self.agent = agent,
            Err(error) => log::debug!("those who were trusted before still are: {error}"),
        }
    }
}

/// Whether the authorities are read again after so many refusals in a row.
const fn is_renewed_after(refused: u32) -> bool {
    refused.is_power_of_two() || refused.is_multiple_of(RENEWAL_MAX)
}

/// The HTTP library's part.
fn agent(
    settings: &Settings,
    resolver: &CachedResolver,
    traffic: &Traffic,
    progress: &Progress,
) -> Result<Agent, TrustError> {
    let tls =
        if settings.endpoint.is_https() { Some(tls::config(settings.ca_file.as_deref())?) } else { None };
    let connector =
        ().chain(progress.mark(Stage::Dialling))
            .chain(TcpConnector::default())
            .chain(traffic.clone())
            .chain(progress.mark(Stage::Handshaking))
            .chain(RustlsConnector::default())
            .chain(progress.mark(Stage::Exchanging));
    let interval = Duration::from(settings.rhythm.interval());
    let timeout = Duration::from(settings.rhythm.timeout());
    Ok(Agent::with_parts(config(interval, timeout, tls), connector, progress.around(resolver.clone())))
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// What of it matters.
    pub reply: Reply,
    response: Response<Body>,
}

impl Answer {
    /// Reads what follows the status, for no other reason than that the connection can be used again; for a moment, and
    /// not much of it.
    pub fn finish(mut self) {
        let mut rest = self.response.body_mut().as_reader().take(REPLY_MAX);
        let _ = std::io::copy(&mut rest, &mut std::io::sink());
    }
}

/// A little less than the agent's own time for a request.
fn before(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).min(HEAD_START_MAX))
}

fn config(interval: Duration, timeout: Duration, tls: Option<TlsConfig>) -> Config {
    // A connection must outlive the gap between beats to be of use; a long idle one is dead behind some NAT.
    let idle = (interval * 2).clamp(Duration::from_secs(15), Duration::from_secs(300));
    let config = Agent::config_builder()
        .timeout_global(Some(before(timeout)))
        .timeout_recv_body(Some(REST_MAX))
        .http_status_as_error(false)
        .max_redirects(0)
        // The environment of a service must not send heartbeats elsewhere.
        .proxy(None)
        .user_agent(concat!("heartbeat-daemon/", env!("CARGO_PKG_VERSION")))
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .max_response_header_size(HEADER_MAX)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(idle);
    match tls {
        Some(tls) => config.tls_config(tls).build(),
        None => config.build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captive_portal_does_not_have_the_authorities_read_at_every_beat() {
        let renewals: Vec<u32> = (1..=512).filter(|refused| is_renewed_after(*refused)).collect();
        assert_eq!(renewals, [1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512]);
    }
}
