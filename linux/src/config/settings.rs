//! Settings for the program, checked.

use std::path::PathBuf;

use heartbeat_core::{
    Config,
    limits::{LATE_PER_INTERVAL_DEFAULT, TIMEOUT_DEFAULT},
    time::Duration,
};

use super::{
    Endpoint, Layers, Method, Proxy, ProxyKind, SettingsError, UpsConfig, VersionSource,
    proof::{ClientCertificate, Proof, TokenSource},
    raw::{RawSettings, Wire},
    types::{AbsolutePath, Seconds, Whole},
};

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where heartbeats go.
    pub endpoint: Endpoint,
    /// How they are sent.
    pub method: Method,
    /// How often, and how long a request may take.
    pub rhythm: Config,
    /// The file that keeps a second instance away.
    pub pidfile: Option<PathBuf>,
    /// The file that keeps heartbeats that were not delivered over a restart.
    pub backlog_file: Option<PathBuf>,
    /// Certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to make.
    pub connect_timeout: Duration,
    /// The proxy through which the server is reached.
    pub proxy: Option<Proxy>,
    /// What this device proves its identity with.
    pub proof: Proof,
    /// A path on the filesystem whose space is reported.
    pub disk_path: PathBuf,
    /// Overrides the board's own id.
    pub hardware_id: Option<String>,
    /// Where the streaming application's `/tmp` is for this process.
    pub app_tmp: PathBuf,
    /// Where the version of the streaming application comes from.
    pub app_version: VersionSource,
    /// The supply with a battery that the board stands on.
    pub ups: Option<UpsConfig>,
}

impl Settings {
    /// Checks what was given.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Refused`] for the first value that cannot be used.
    pub fn new(layers: &Layers) -> Result<Self, SettingsError> {
        check(layers).map(|(settings, _)| settings)
    }

    /// What the operator should know although it can be used.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.endpoint.is_https() && !self.endpoint.is_loopback() {
            warnings
                .push("the url is http: heartbeats travel unencrypted and can be read and forged".to_owned());
        }
        warnings
    }
}

/// Checks what was given. Returns also the settings as they would have to be written: with the defaults that follow from
/// other settings, and without what has no effect.
pub(super) fn check(layers: &Layers) -> Result<(Settings, RawSettings), SettingsError> {
    let mut raw = layers.raw()?;
    let settings = Settings {
        rhythm: rhythm(layers, &mut raw)?,
        ups: raw.ups.complete().map_err(|(key, problem)| layers.refuse(&format!("ups.{key}"), &problem))?,
        app_version: app_version(&mut raw),
        endpoint: raw.url.clone(),
        method: raw.method.0,
        pidfile: Some(&raw.pidfile).filter(|path| !path.is_empty()).map(PathBuf::from),
        backlog_file: raw.backlog.file.clone().map(|path| path.0),
        ca_file: raw.ca_file.as_ref().map(PathBuf::from),
        connect_timeout: raw.connect_timeout.0,
        proxy: proxy(layers, &raw)?,
        proof: proof(layers, &raw)?,
        disk_path: raw.disk_path.0.clone(),
        hardware_id: raw.hardware_id.clone().map(|id| id.0),
        app_tmp: raw.app_tmp.0.clone(),
    };
    Ok((settings, raw))
}

fn rhythm(layers: &Layers, raw: &mut RawSettings) -> Result<Config, SettingsError> {
    let interval = raw.interval;
    let timeout = *raw.timeout.get_or_insert(Seconds(TIMEOUT_DEFAULT.min(interval.0)));
    // The range of the interval was checked before.
    let rhythm = Config::new(interval.0, timeout.0).map_err(|_| {
        layers.refuse(
            "timeout",
            &format!(
                "expected at most the interval of {} seconds ({}), found {}",
                interval.number(),
                layers.origin("interval"),
                timeout.number()
            ),
        )
    })?;
    let (beats, per_interval) = backlog(layers, raw)?;
    Ok(rhythm
        .with_backoff_cap(raw.backoff_cap.0)
        .with_backlog(beats, per_interval)
        .with_diagnostics(raw.diagnostics)
        .with_sequence(raw.sequence)
        .with_deltas(deltas(layers, raw)?))
}

/// Whether what has changed is sent instead of full documents.
fn deltas(layers: &Layers, raw: &RawSettings) -> Result<bool, SettingsError> {
    if raw.wire.0 == Wire::Full {
        return Ok(false);
    }
    if raw.method.0 == Method::Get {
        return Err(layers.refuse("wire", "`delta` needs method = \"post\""));
    }
    if !raw.sequence {
        return Err(
            layers.refuse("wire", "`delta` needs sequence = true: it refers to documents by their number")
        );
    }
    Ok(true)
}

/// What this device proves its identity with. The environment's token replaces that of a file.
fn proof(layers: &Layers, raw: &RawSettings) -> Result<Proof, SettingsError> {
    let token = match (&raw.token, &raw.token_file) {
        (Some(token), _) => Some(TokenSource::Given(token.clone())),
        (None, Some(AbsolutePath(path))) => Some(TokenSource::File(path.clone())),
        (None, None) => None,
    };
    let client_certificate = match (&raw.client_cert, &raw.client_key) {
        (Some(AbsolutePath(certificate)), Some(AbsolutePath(key))) => {
            Some(ClientCertificate { certificate: certificate.clone(), key: key.clone() })
        }
        (None, None) => None,
        (Some(_), None) => return Err(layers.refuse("client_cert", "needs client_key beside it")),
        (None, Some(_)) => return Err(layers.refuse("client_key", "needs client_cert beside it")),
    };
    let proof = Proof { headers: raw.headers.pairs(), token, client_certificate };
    proof.check(&raw.url).map_err(|(key, problem)| layers.refuse(key, problem))?;
    Ok(proof)
}

/// The proxy, if it can name the server.
fn proxy(layers: &Layers, raw: &RawSettings) -> Result<Option<Proxy>, SettingsError> {
    let host = raw.url.uri().host().unwrap_or_default();
    match &raw.proxy {
        // The length of a name is one byte (RFC 1928, section 5).
        Some(Proxy { kind: ProxyKind::Socks5, .. }) if u8::try_from(host.len()).is_err() => {
            Err(layers.refuse("proxy", "the host of the url is longer than SOCKS can name"))
        }
        proxy => Ok(proxy.clone()),
    }
}

/// How many heartbeats are kept, and how many of them are sent in an interval.
fn backlog(layers: &Layers, raw: &mut RawSettings) -> Result<(u16, u8), SettingsError> {
    let backlog = &mut raw.backlog;
    if backlog.beats.is_none() {
        for (key, given) in [
            ("backlog.per_interval", backlog.per_interval.is_some()),
            ("backlog.file", backlog.file.is_some()),
        ] {
            if given {
                return Err(layers.refuse(key, "needs backlog.beats beside it"));
            }
        }
    }
    let beats = backlog.beats.get_or_insert(Whole(0)).0;
    let per_interval = backlog.per_interval.unwrap_or(Whole(LATE_PER_INTERVAL_DEFAULT.into()));
    if beats > 0 {
        backlog.per_interval = Some(per_interval);
    }
    Ok((beats, per_interval.byte()))
}

/// The most definite of what was given; the others have no effect.
fn app_version(raw: &mut RawSettings) -> VersionSource {
    if raw.app_version.is_some() {
        raw.app_version_file = None;
    }
    if raw.app_version.is_some() || raw.app_version_file.is_some() {
        raw.app_dir = None;
    }
    match (raw.app_version.clone(), raw.app_version_file.clone(), raw.app_dir.clone()) {
        (Some(version), _, _) => VersionSource::Fixed(version),
        (_, Some(AbsolutePath(path)), _) => VersionSource::File(path),
        (_, _, Some(AbsolutePath(path))) => VersionSource::Folder(path),
        _ => VersionSource::Unknown,
    }
}
