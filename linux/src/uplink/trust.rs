//! The trust anchors: the system's certificate authorities, or those of a configured file; and how they are renewed
//! while the program runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ring::digest;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    authorities::{self, Authorities, Digest, TrustError, digest_of},
    verifier::FileVerifier,
};
use crate::{
    config::ClientCertificate,
    files::{self, Links},
    waker::Waker,
};

/// Certificate chains and keys have some kilobytes.
const PEM_MAX: u64 = 256 * 1024;

/// Where certificates are read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrustFiles {
    /// The authorities; `None` for the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// What this device proves itself with.
    pub(super) client: Option<ClientCertificate>,
}

/// Settings for TLS, with the fingerprint of the certificates that they trust.
#[derive(Debug)]
struct Loaded {
    config: Arc<ClientConfig>,
    fingerprint: Digest,
}

/// The settings for TLS in use. TLS resumes sessions only within one of them, so there is a new one only when the
/// certificates have changed.
#[derive(Debug)]
pub(super) struct Trust {
    files: TrustFiles,
    loaded: Loaded,
    /// What a renewal found.
    renewed: Arc<Mutex<Option<Loaded>>>,
    /// A renewal is under way.
    is_renewing: Arc<AtomicBool>,
}

impl Trust {
    /// Trusts `ca_file`, or the system's authorities, and proves this device's identity.
    ///
    /// # Errors
    ///
    /// When there is not a single usable certificate authority, or when the client certificate cannot be used.
    pub(super) fn load(files: TrustFiles) -> Result<Self, TrustError> {
        Ok(Self { loaded: load(&files)?, files, renewed: Arc::default(), is_renewing: Arc::default() })
    }

    /// The settings for the next connection.
    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.loaded.config
    }

    /// Whether `other` trusts the same certificates in the same way.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.files == other.files && self.loaded.fingerprint == other.loaded.fingerprint
    }

    /// Reads the authorities again, on a thread of its own, because a disk may hang; wakes `waker` when they have changed.
    /// Does nothing while that is under way.
    pub(super) fn renew(&self, waker: Option<Waker>) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (files, old) = (self.files.clone(), self.loaded.fingerprint);
        let (renewed, is_renewing) = (Arc::clone(&self.renewed), Arc::clone(&self.is_renewing));
        let renew = move || {
            match load(&files) {
                Ok(loaded) if loaded.fingerprint != old => {
                    log::info!("the certificates have changed and were read again");
                    *renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
                }
                Ok(_) => {}
                Err(error) => log::debug!("the authorities that were trusted before still are: {error}"),
            }
            is_renewing.store(false, Ordering::Release);
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        if let Err(error) = thread::Builder::new().name("authorities".to_owned()).spawn(renew) {
            log::debug!("cannot start a thread to read the authorities: {error}");
            self.is_renewing.store(false, Ordering::Release);
        }
    }

    /// Whether this device shows a certificate.
    pub(super) fn has_client_certificate(&self) -> bool {
        self.files.client.is_some()
    }

    /// Takes over what a renewal found. True when there is something new.
    pub(super) fn take_renewal(&mut self) -> bool {
        match self.renewed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(loaded) => {
                self.loaded = loaded;
                true
            }
            None => false,
        }
    }
}

fn load(files: &TrustFiles) -> Result<Loaded, TrustError> {
    let ca_file = files.ca_file.as_deref();
    let Authorities { roots, digests } = match ca_file {
        Some(path) => authorities::from_file(path)?,
        None => authorities::from_system()?,
    };
    if roots.is_empty() {
        return Err(TrustError::Nothing);
    }
    let client = files.client.as_ref().map(client_certificate).transpose()?;
    let shown = client.iter().flat_map(|(chain, _)| chain);
    let fingerprint = fingerprint(digests.iter().copied().chain(shown.map(digest_of)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    // Both versions are always there.
    let Ok(builder) = builder.with_safe_default_protocol_versions() else { return Err(TrustError::Nothing) };
    let builder = match ca_file {
        None => builder.with_root_certificates(roots),
        Some(_) => {
            let Ok(verifier) = FileVerifier::new(roots, digests, provider) else {
                return Err(TrustError::Nothing);
            };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let config = match (client, &files.client) {
        (Some((chain, key)), Some(files)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| refused(&files.key, format!("does not fit client_cert: {error}")))?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Loaded { config: Arc::new(config), fingerprint })
}

/// The chain that this device shows, and its private key, from files of PEM.
fn client_certificate(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TrustError> {
    let (chain, _) = files::read(&files.certificate, PEM_MAX, Links::Follow)
        .map_err(|error| unreadable(&files.certificate, error))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(refused(&files.certificate, "expected certificates in PEM form, found none".to_owned()));
    }
    let key = files::read_secret(&files.key, PEM_MAX).map_err(|error| unreadable(&files.key, error))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| refused(&files.key, "expected a private key in PEM form".to_owned()))?;
    Ok((chain, key))
}

fn refused(path: &Path, problem: String) -> TrustError {
    TrustError::File { path: path.display().to_string(), problem }
}

fn unreadable(path: &Path, source: io::Error) -> TrustError {
    TrustError::Unreadable { path: path.display().to_string(), source }
}

/// The same for the same certificates in any order.
fn fingerprint(certificates: impl Iterator<Item = Digest>) -> Digest {
    let mut sorted: Vec<Digest> = certificates.collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut context = digest::Context::new(&digest::SHA256);
    sorted.iter().for_each(|digest| context.update(digest));
    let mut fingerprint = Digest::default();
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waker;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::fs;

    fn authority() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").pem()
    }

    #[test]
    fn settings_are_renewed_only_when_the_file_has_changed() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (one, other) = (authority(), authority());
        fs::write(file.path(), &one).expect("written");
        let mut trust =
            Trust::load(TrustFiles { ca_file: Some(file.path().to_owned()), ..TrustFiles::default() })
                .expect("loaded");
        let before = Arc::clone(trust.config());
        let mut renew = |content: &str| {
            fs::write(file.path(), content).expect("written");
            let (waker, mut wake_ups) = waker::pair().expect("a pair");
            trust.renew(Some(waker.clone()));
            wake_ups.wait();
            (trust.take_renewal(), Arc::clone(trust.config()))
        };
        for unchanged in [one.clone(), "no certificates".to_owned(), format!("# a comment\n{one}{one}")] {
            let (is_new, config) = renew(&unchanged);
            assert!(!is_new && Arc::ptr_eq(&config, &before), "sessions would be lost");
        }
        let (is_new, config) = renew(&format!("{one}{other}"));
        assert!(is_new && !Arc::ptr_eq(&config, &before));
    }
}
