//! Whom to trust: the system's certificate authorities, or those of a configured file.

use std::{path::Path, sync::Arc};

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::authorities::{self, TrustError};

/// The TLS settings for a server that is verified against `ca_file`, or against the system's trust store.
///
/// # Errors
///
/// When there is not a single usable certificate authority.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, TrustError> {
    let certificates = match ca_file {
        Some(path) => authorities::from_file(path)?,
        None => authorities::from_system()?,
    };
    let roots: Vec<_> = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}
