//! Who a server claims to be.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

use super::{Act, Fault};

const NOT_ACCEPTED: &[&str] = &["the server's certificate was not accepted"];
const NOT_YET_VALID: &[&str] = &["the server's certificate is not valid yet"];
const EXPIRED: &[&str] = &["the server's certificate has expired"];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "expired",
        rows: "N12 C4",
        about: "shows a certificate that has expired",
        expected: EXPIRED,
        asks_for: None,
        act: Act::Certificate(|authority| authority.server_in("localhost", [2020, 2021])),
    },
    Fault {
        name: "not-yet-valid",
        rows: "N12 C3",
        about: "shows a certificate that is not valid yet",
        expected: NOT_YET_VALID,
        asks_for: None,
        act: Act::Certificate(|authority| authority.server_in("localhost", [2099, 2100])),
    },
    Fault {
        name: "wrong-host",
        rows: "N12 N5 N25",
        about: "shows a certificate of another host, as a captive portal does",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|authority| authority.server("elsewhere.example")),
    },
    Fault {
        name: "unknown-authority",
        rows: "N12 N5",
        about: "shows a certificate of an authority that nobody trusts",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_| Authority::new().server("localhost")),
    },
    Fault {
        name: "self-signed",
        rows: "N12",
        about: "shows a certificate that it has signed itself",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_| self_signed()),
    },
    Fault {
        name: "authority-as-server",
        rows: "N12",
        about: "shows the certificate of an authority as its own",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_| Authority::new().as_server()),
    },
];

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
        server_config(certificate.der().clone(), &key)
    }

    /// A server that shows the authority's own certificate.
    fn as_server(&self) -> Arc<ServerConfig> {
        server_config(self.0.der().clone(), self.0.key())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::expect_used)]
fn self_signed() -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    server_config(certificate.der().clone(), &key)
}

#[allow(clippy::expect_used)]
fn server_config(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    Arc::new(config)
}
