//! One heartbeat over HTTP: at most one retry, one deadline, no redirects, and only the beginning of the reply is read.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use heartbeat_core::{payload::BODY_MAX, uplink::Wire};
use ureq::{
    Agent, Body, RequestBuilder,
    config::{AutoHeaderValue, Config},
    http::{
        HeaderMap, HeaderValue, Response,
        header::{AUTHORIZATION, DATE, RETRY_AFTER},
    },
};

use super::{
    authorities::TrustError,
    beat::{Beat, Limits},
    connection::BODY_READ_MAX,
    connector::{Lender, NoResolver},
    failure::{Cause, Failure, Stage},
    link::Link,
    outcome::{Reply, asks_for_full},
    retry_after,
    steps::Step,
    strikes::Strikes,
    target::Target,
    traffic::Traffic,
    trust::{Trust, TrustFiles},
};
use crate::{
    config::{Endpoint, Method, Proof, Proxy, Settings, TokenSource, is_header_value},
    files,
    waker::{self, WakeUps, Waker},
};

/// How long a reply's body is waited for to keep its connection usable: it comes with the status, or hardly later.
const BODY_TIMEOUT: Duration = Duration::from_millis(200);
/// Bytes of a reply's head as it reaches the library.
const HEADER_MAX: usize = 2 * 1024;
/// Room for a request's head beside its URL and its document.
const OUTPUT: usize = 2 * 1024;
/// Bytes of a file with a token: common servers take 8 KiB for a whole head.
const TOKEN_MAX: u64 = 4 * 1024;
/// Bytes of a document's byte in a URL.
const ESCAPED: usize = 3;
/// A server's word that a request did not come in time.
const REQUEST_TIMEOUT: u16 = 408;
/// Limits of how long a connection is kept idle.
const IDLE: std::ops::RangeInclusive<Duration> = Duration::from_secs(15)..=Duration::from_secs(300);

/// A configured server, and the trust anchors that verify it.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    method: Method,
    timeout: Duration,
    limits: Limits,
    proxy: Option<Proxy>,
    headers: HeaderMap,
    trust: Option<Trust>,
    traffic: Traffic,
}

impl Client {
    /// A client that counts its bytes in `traffic`. Nothing is connected until there is something to send.
    ///
    /// # Errors
    ///
    /// When the server is to be verified and no certificate authority is usable, or when a proof of identity cannot be
    /// read.
    pub fn new(settings: &Settings, traffic: &Traffic) -> Result<Self, TrustError> {
        let is_https = settings.endpoint.is_https();
        let files = TrustFiles {
            ca_file: settings.ca_file.clone(),
            client: settings.proof.client_certificate.clone(),
        };
        let trust = is_https.then(|| Trust::load(files)).transpose()?;
        let interval = Duration::from(settings.rhythm.interval());
        let idle = (interval * 2).clamp(*IDLE.start(), *IDLE.end());
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            method: settings.method,
            timeout: settings.rhythm.timeout().into(),
            limits: Limits { connect: settings.connect_timeout.into(), idle, interval },
            proxy: settings.proxy.clone(),
            headers: headers(&settings.proof)?,
            trust,
            traffic: traffic.clone(),
        })
    }

    /// Sends one document, and makes the connection for it. Takes as long as both may take.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn send_once(self, body: &[u8]) -> io::Result<Story> {
        let (waker, wake_ups) = waker::pair()?;
        let now = Instant::now();
        let beat = Beat {
            began: now,
            until: now + self.limits.connect + self.timeout,
            timeout: self.timeout,
            generation: 1,
        };
        let mut sender = Sender::new(self, waker, wake_ups);
        let steps = sender.lender().link().keep_steps();
        let answer = sender.exchange(Form { body, delta: None }, beat);
        let took = now.elapsed();
        let ended = answer.as_ref().map(|answer| answer.reply).map_err(Failure::clone);
        sender.finish(answer);
        Ok(Story { ended, took, steps: steps.take(now) })
    }
}

/// How one document was sent.
#[derive(Debug)]
pub struct Story {
    /// The answer, or why there is none.
    pub ended: Result<Reply, Failure>,
    /// How long it took.
    pub took: Duration,
    /// What happened, each with the time since the beginning.
    pub steps: Vec<(Duration, Step)>,
}

/// A heartbeat to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'d> {
    /// The full document.
    pub(super) body: &'d [u8],
    /// What has changed, and the number of the only connection over which that is understood.
    pub(super) delta: Option<(&'d [u8], u64)>,
}

/// Sends documents over one link.
#[derive(Debug)]
pub(super) struct Sender {
    agent: Agent,
    lender: Lender,
    endpoint: Endpoint,
    method: Method,
    timeout: Duration,
    headers: HeaderMap,
    strikes: Strikes,
}

impl Sender {
    /// For the uplink's thread, which `waker` wakes through `wake_ups`.
    pub(super) fn new(client: Client, waker: Waker, wake_ups: WakeUps) -> Self {
        let Client { endpoint, method, timeout, limits, proxy, headers, trust, traffic } = client;
        let target = Target::new(&endpoint, proxy.as_ref());
        let link = Link::new(target, limits, trust, traffic, waker, wake_ups);
        let lender = Lender::new(link);
        let agent = agent(&lender, &endpoint, method, &headers);
        Self { agent, lender, endpoint, method, timeout, headers, strikes: Strikes::default() }
    }

    /// Goes on with another client.
    pub(super) fn replace(&mut self, client: Client) {
        let Client { endpoint, method, timeout, limits, proxy, headers, trust, traffic: _ } = client;
        self.lender.link().reconfigure(Target::new(&endpoint, proxy.as_ref()), limits, trust);
        self.agent = agent(&self.lender, &endpoint, method, &headers);
        (self.endpoint, self.method, self.timeout, self.headers) = (endpoint, method, timeout, headers);
    }

    /// The link.
    pub(super) fn lender(&self) -> &Lender {
        &self.lender
    }

    /// How long a request on a connection that stands may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends one document and waits for the status, which is the answer: what follows it is left to [`Self::finish`].
    ///
    /// A connection that had been idle and that the server gave up in the same moment costs one more attempt, at once and
    /// within the same deadline. So does a delta that the server does not understand.
    ///
    /// # Errors
    ///
    /// Why there is no status.
    pub(super) fn exchange(&mut self, form: Form<'_>, beat: Beat) -> Result<Answer, Failure> {
        self.lender.link().begin(beat);
        let Form { body, delta } = form;
        let delta = delta.filter(|_| self.method == Method::Post);
        let answer = delta.and_then(|(delta, over)| self.attempt_delta(delta, over));
        let mut answer = answer.unwrap_or_else(|| self.attempt(body));
        let used = self.lender.link().used();
        if used.was_kept && Instant::now() < beat.until {
            match &answer {
                Err(Failure { cause: Cause::Lost, stage: Stage::Exchange, .. }) if !used.was_answered => {
                    log::debug!("the server closed the kept connection: once more");
                    // The server may have taken the first one, whatever becomes of the second.
                    self.lender.link().repeat();
                    answer = self.attempt(body).map_err(|failure| failure.after_sending(true));
                }
                // The server's notice that the connection was idle for too long has crossed with the request (RFC 9110,
                // section 15.5.9).
                Ok(Answer { reply: Reply { status: REQUEST_TIMEOUT, .. }, .. }) => {
                    log::debug!("the server gave the kept connection up (408): once more");
                    drop(answer);
                    answer = self.attempt(body);
                }
                Ok(_) | Err(_) => {}
            }
        }
        let is_proxied = self.lender.link().is_proxied();
        let answer = answer.map_err(|failure| failure.through_proxy(is_proxied));
        // A cancelled request is not logged, because its outcome is no longer needed.
        if let Some(failure) = answer.as_ref().err().filter(|failure| failure.cause != Cause::Cancelled) {
            log::debug!("request failed: {failure}");
        }
        answer
    }

    /// Sends the shorter form, over this connection; `None` if the full document must be sent instead.
    fn attempt_delta(&mut self, delta: &[u8], over: u64) -> Option<Result<Answer, Failure>> {
        self.lender.link().take_only(over);
        // The server knows the agent by the full document.
        let request = self.agent.post(self.endpoint.uri()).config().user_agent(AutoHeaderValue::None).build();
        let request = self.with_headers(request.content_type("application/json")).send(delta);
        let answer = match self.answer(request, true) {
            Ok(answer) if asks_for_full(answer.reply.status) => {
                log::debug!("the server does not understand the delta ({})", answer.reply.status);
                answer.drain();
                self.strikes.not_understood(over);
                None
            }
            Ok(answer) => {
                self.strikes.taken(over);
                Some(Ok(answer))
            }
            Err(_) if self.lender.link().used().began.is_none() => None,
            Err(failure) => Some(Err(failure)),
        };
        self.lender.link().take_any(answer.is_none());
        answer
    }

    fn attempt(&self, body: &[u8]) -> Result<Answer, Failure> {
        let response = match self.method {
            Method::Post => {
                let request = self.agent.post(self.endpoint.uri()).content_type("application/json");
                self.with_headers(request).send(body)
            }
            Method::Get => self.with_headers(self.agent.get(self.endpoint.with_params(body))).call(),
        };
        self.answer(response, false)
    }

    fn answer(
        &self,
        response: Result<Response<Body>, ureq::Error>,
        was_delta: bool,
    ) -> Result<Answer, Failure> {
        let response = response.map_err(failure)?;
        let header = |name| Some(response.headers().get(name)?.as_bytes());
        let retry_after = header(RETRY_AFTER).and_then(|asked| retry_after::parse(asked, header(DATE)));
        let link = self.lender.link();
        let understands_deltas = Some(link.connection())
            .filter(|connection| link.used().understands_deltas && self.strikes.allow(*connection));
        let wire = Wire { understands_deltas, was_delta };
        let address = link.server_address();
        drop(link);
        let reply = Reply { status: response.status().as_u16(), retry_after, address, wire };
        Ok(Answer { reply, response })
    }

    fn with_headers<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Reads what follows the status, for no other reason than that the connection can be used again; for a moment, and not
    /// much of it. Then takes note of how it ended.
    pub(super) fn finish(&mut self, answer: Result<Answer, Failure>) {
        match answer {
            Ok(answer) => {
                let status = answer.reply.status;
                answer.drain();
                self.lender.link().conclude(Ok(status));
            }
            Err(failure) => self.lender.link().conclude(Err(&failure)),
        }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// What of it matters.
    pub(super) reply: Reply,
    response: Response<Body>,
}

impl Answer {
    /// Reads what follows the status.
    fn drain(mut self) {
        let mut rest = self.response.body_mut().as_reader().take(BODY_READ_MAX);
        let _ = io::copy(&mut rest, &mut io::sink());
    }
}

/// What the library says, of which our own failures are the most.
fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Other(error) => match error.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(error) => Failure::new(Stage::Exchange, Cause::Protocol).because(error.to_string()),
        },
        ureq::Error::Io(error) => Failure::io(Stage::Exchange, &error).after_sending(true),
        error => {
            Failure::new(Stage::Exchange, Cause::Protocol).because(error.to_string()).after_sending(true)
        }
    }
}

/// The configured headers, and the token. The library and its log treat their values as secrets.
fn headers(proof: &Proof) -> Result<HeaderMap, TrustError> {
    let mut headers: HeaderMap = proof.headers.iter().cloned().collect();
    if let Some(source) = &proof.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token(source)?))
            .map_err(|_| refused(source, "expected one token of visible ASCII characters"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn token(source: &TokenSource) -> Result<String, TrustError> {
    let token = match source {
        TokenSource::Given(token) => token.reveal().trim().to_owned(),
        TokenSource::File(path) => {
            let bytes = files::read_secret(path, TOKEN_MAX)
                .map_err(|source| TrustError::Unreadable { path: path.display().to_string(), source })?;
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }
    };
    if token.is_empty() || token.contains(' ') || !is_header_value(&token) {
        return Err(refused(source, "expected one token of visible ASCII characters"));
    }
    Ok(token)
}

fn refused(source: &TokenSource, problem: &str) -> TrustError {
    let path = match source {
        TokenSource::File(path) => path.display().to_string(),
        TokenSource::Given(_) => "the token".to_owned(),
    };
    TrustError::File { path, problem: problem.to_owned() }
}

/// The HTTP library's part. The link enforces the timeouts.
fn agent(lender: &Lender, endpoint: &Endpoint, method: Method, headers: &HeaderMap) -> Agent {
    // A line of a header has a colon, a space, CR and LF.
    let own: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let in_url = if method == Method::Get { BODY_MAX * ESCAPED } else { 0 };
    let config: Config = Agent::config_builder()
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        // The environment of a service must not send heartbeats elsewhere.
        .proxy(None)
        .user_agent(concat!("heartbeat-daemon/", env!("CARGO_PKG_VERSION")))
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .max_response_header_size(HEADER_MAX)
        .output_buffer_size(OUTPUT + endpoint.to_string().len() + in_url + own)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .build();
    Agent::with_parts(config, lender.clone(), NoResolver)
}

#[cfg(test)]
mod tests;
