//! A certificate authority of a test, and the servers that it vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

/// A certificate authority of a test.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

// Certificates are made from constants; that they can be made is shown whenever this runs.
#[allow(clippy::expect_used)]
impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When this machine has no randomness, as everything in this module.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its certificate, for those who are to trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
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
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        server_config(vec![certificate.der().clone()], &key)
    }

    /// A server that shows so many certificates of the authority behind its own.
    pub(crate) fn server_with_chain(&self, count: usize) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let own = params.signed_by(&key, &self.0).expect("signed");
        let more = std::iter::repeat_n(self.0.der().clone(), count);
        server_config(std::iter::once(own.der().clone()).chain(more).collect(), &key)
    }

    /// A server that shows the authority's own certificate.
    pub(crate) fn as_server(&self) -> Arc<ServerConfig> {
        server_config(vec![self.0.der().clone()], self.0.key())
    }
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
