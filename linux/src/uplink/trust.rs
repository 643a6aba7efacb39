//! Whom to trust: the system's certificate authorities, or those of a configured file; and how they are renewed while the
//! program runs.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ring::digest;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

use super::{
    authorities::{self, TrustError},
    verifier::FileVerifier,
};
use crate::waker::Waker;

/// What a set of certificates is recognised by.
type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

/// Settings for TLS, with the fingerprint of the certificates that they trust.
#[derive(Debug)]
struct Loaded {
    config: Arc<ClientConfig>,
    fingerprint: Fingerprint,
}

/// The settings for TLS in use. TLS resumes sessions only within one of them, so there is a new one only when the
/// certificates have changed.
#[derive(Debug)]
pub(super) struct Trust {
    ca_file: Option<PathBuf>,
    loaded: Loaded,
    /// What a renewal found.
    renewed: Arc<Mutex<Option<Loaded>>>,
    /// A renewal is under way.
    is_renewing: Arc<AtomicBool>,
}

impl Trust {
    /// Trusts `ca_file`, or the system's authorities.
    ///
    /// # Errors
    ///
    /// When there is not a single usable certificate authority.
    pub(super) fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        Ok(Self {
            ca_file: ca_file.map(Path::to_owned),
            loaded: load(ca_file)?,
            renewed: Arc::default(),
            is_renewing: Arc::default(),
        })
    }

    /// The settings for the next connection.
    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.loaded.config
    }

    /// Whether `other` trusts the same certificates in the same way.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.ca_file == other.ca_file && self.loaded.fingerprint == other.loaded.fingerprint
    }

    /// Reads the authorities again, on a thread of its own, because a disk may hang; wakes `waker` when they have changed.
    /// Does nothing while that is under way.
    pub(super) fn renew(&self, waker: Option<Waker>) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (ca_file, old) = (self.ca_file.clone(), self.loaded.fingerprint);
        let (renewed, is_renewing) = (Arc::clone(&self.renewed), Arc::clone(&self.is_renewing));
        let renew = move || {
            match load(ca_file.as_deref()) {
                Ok(loaded) if loaded.fingerprint != old => {
                    log::info!("the certificate authorities have changed and were read again");
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

fn load(ca_file: Option<&Path>) -> Result<Loaded, TrustError> {
    let certificates = match ca_file {
        Some(path) => authorities::from_file(path)?,
        None => authorities::from_system()?,
    };
    let fingerprint = fingerprint(&certificates);
    let mut roots = RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err(TrustError::Nothing);
    }
    if unusable > 0 {
        log::debug!("{unusable} certificate authorities cannot be used");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    // Both versions are always there.
    let Ok(builder) = builder.with_safe_default_protocol_versions() else { return Err(TrustError::Nothing) };
    let builder = match ca_file {
        None => builder.with_root_certificates(roots),
        Some(_) => {
            let Ok(verifier) = FileVerifier::new(roots, certificates, provider) else {
                return Err(TrustError::Nothing);
            };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(Loaded { config: Arc::new(builder.with_no_client_auth()), fingerprint })
}

/// The same for the same certificates in any order.
fn fingerprint(certificates: &[CertificateDer<'_>]) -> Fingerprint {
    let mut sorted: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut context = digest::Context::new(&digest::SHA256);
    for certificate in sorted {
        context.update(certificate);
    }
    let mut fingerprint = Fingerprint::default();
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
        let mut trust = Trust::load(Some(file.path())).expect("loaded");
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
