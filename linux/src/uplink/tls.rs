//! Whom to trust: the system's certificate authorities, or those of a configured file.

use std::{io, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::transient::is_transient;

/// Why no certificate authority can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not PEM, or holds what is no certificate authority.
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

impl TrustError {
    /// Whether the same file may be usable at the next start.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if is_transient(source))
    }
}

/// The TLS settings for a server that is verified against `ca_file`, or against the system's trust store.
///
/// # Errors
///
/// When there is not a single usable certificate authority.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, TrustError> {
    let authorities = match ca_file {
        Some(path) => from_file(path)?,
        None => from_system()?,
    };
    let roots: Vec<_> = authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

/// The certificates of the system. One that cannot be read may be the one that is needed, or not.
fn from_system() -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() {
        let unreadable = loaded.errors.into_iter().find_map(|error| match error.kind {
            rustls_native_certs::ErrorKind::Io { inner, path } => {
                Some(TrustError::Unreadable { path: path.display().to_string(), source: inner })
            }
            _ => None,
        });
        return Err(unreadable.unwrap_or(TrustError::Nothing));
    }
    if let Some(error) = loaded.errors.first() {
        log::warn!("certificate authorities: {error}, {} troubles in all", loaded.errors.len());
    }
    Ok(loaded.certs)
}

/// The certificates of a PEM file, each of which must be usable: the HTTP library would ignore a bad one silently.
fn from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let refused = |problem: String| TrustError::File { path: path.display().to_string(), problem };
    let failed = |error| match error {
        pem::Error::Io(source) => TrustError::Unreadable { path: path.display().to_string(), source },
        error => refused(error.to_string()),
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
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
        assert_eq!(error, "/nonexistent: No such file or directory (os error 2)");
    }
}
