//! Whom to trust: the system's certificate authorities, or those of a configured file.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Why no certificate authority can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be read or is not PEM.
    #[error("{path}: {problem}")]
    File {
        /// Path of the file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The system has no trust store.
    #[error("no certificate authority is installed on this system: install ca-certificates or set ca_file")]
    Nothing,
}

/// The TLS settings for a server that is verified against `ca_file`, or against the system's trust store.
///
/// # Errors
///
/// When there is not a single usable certificate authority.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, TrustError> {
    let authorities = match ca_file {
        Some(path) => from_file(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    if authorities.is_empty() {
        return Err(TrustError::Nothing);
    }
    let roots: Vec<_> = authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

/// The certificates of a PEM file, each of which must be usable: the HTTP library would ignore a bad one silently.
fn from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let refused = |problem: String| TrustError::File { path: path.display().to_string(), problem };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| refused(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(error.to_string()))?;
    for certificate in &certificates {
        let mut store = RootCertStore::empty();
        store.add(certificate.clone()).map_err(|error| refused(error.to_string()))?;
    }
    if certificates.is_empty() {
        return Err(refused("expected certificates in PEM form, found none".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn problem(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), content).expect("written");
        let error = config(Some(file.path())).expect_err("refused").to_string();
        error.replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn files_without_authorities_are_refused() {
        assert_eq!(problem(b""), "FILE: expected certificates in PEM form, found none");
        assert_eq!(problem(b"\xff\x00\x01"), "FILE: expected certificates in PEM form, found none");
        let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(problem(garbage).starts_with("FILE: invalid peer certificate"), "{}", problem(garbage));
        let error = config(Some(Path::new("/nonexistent"))).expect_err("refused").to_string();
        assert!(error.starts_with("/nonexistent: "), "{error}");
    }
}
