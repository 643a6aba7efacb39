//! A certificate authority of a test, and the servers that it vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

/// A certificate authority of a test.
#[derive(Debug, Clone)]
pub struct Authority {
    name: String,
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
}

// Certificates are made from constants; that they can be made is shown whenever this runs.
#[allow(clippy::expect_used)]
impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When this machine has no randomness, as everything in this module.
    pub fn new() -> Self {
        Self::named("Authority of a test")
    }

    /// A new one with this name.
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(authority_params(name), key).expect("an authority");
        Self { name: name.to_owned(), issuer: Arc::new(issuer) }
    }

    /// Its certificate, for those who are to trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server for `name`, with a certificate that is valid now.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_in(name, [2020, 2100])
    }

    /// A server for `name`, with a certificate that is valid from the beginning of one year to that of the other.
    pub fn server_in(&self, name: &str, years: [i32; 2]) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years[0], 1, 1);
        params.not_after = date_time_ymd(years[1], 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &**self.issuer).expect("signed");
        server_config(vec![certificate.der().clone()], &key)
    }

    /// A server for `name` that shows, behind its certificate, this authority's as `old` has signed it, valid in the years
    /// given: as a new authority is vouched for until it is known.
    pub fn server_vouched_for(&self, name: &str, old: &Self, years: [i32; 2]) -> Arc<ServerConfig> {
        let mut vouched = authority_params(&self.name);
        vouched.not_before = date_time_ymd(years[0], 1, 1);
        vouched.not_after = date_time_ymd(years[1], 1, 1);
        let vouched = vouched.signed_by(self.issuer.key(), &**old.issuer).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let own = params.signed_by(&key, &**self.issuer).expect("signed");
        server_config(vec![own.der().clone(), vouched.der().clone()], &key)
    }

    /// A server that shows so many certificates of the authority behind its own.
    pub(crate) fn server_with_chain(&self, name: &str, count: usize) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let own = params.signed_by(&key, &**self.issuer).expect("signed");
        let more = std::iter::repeat_n(self.issuer.der().clone(), count);
        server_config(std::iter::once(own.der().clone()).chain(more).collect(), &key)
    }

    /// A server that shows the authority's own certificate.
    pub(crate) fn as_server(&self) -> Arc<ServerConfig> {
        server_config(vec![self.issuer.der().clone()], self.issuer.key())
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::expect_used)]
pub(crate) fn server_config(
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    Arc::new(config)
}
