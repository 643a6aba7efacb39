//! Certificate authorities: those of the system, or those of a configured file.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` are not looked at: only the configuration says which server is trusted, so that the
//! same command trusts the same authorities in every shell and as a service. `ca_file` is the way to trust others.

use std::{env, io, path::Path, sync::Once};

use ring::digest;
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use rustls_native_certs::load_certs_from_paths;

use crate::{
    files::{self, Links},
    transient::is_transient,
};

/// Where systems keep all their authorities in one file: Debian and Raspberry Pi OS, Fedora, Alpine.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// Where they are one by one, on a system without such a file.
const DIRECTORY: &str = "/etc/ssl/certs";
/// Variables that change what other programs trust.
const IGNORED: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Whether it has been logged that they are not used.
static SAID: Once = Once::new();
/// Debian's file with all its authorities has a quarter of that.
const SIZE_MAX: u64 = 1024 * 1024;

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
    /// The system has no authorities now. What is there and cannot be read has been logged.
    #[error("no certificate authority is installed on this system: install ca-certificates or set ca_file")]
    Nothing,
}

impl TrustError {
    /// Whether there may be authorities at the next start: what is absent may come, because a volume is mounted later or
    /// a package is being upgraded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Unreadable { source, .. } => {
                source.kind() == io::ErrorKind::NotFound || is_transient(source)
            }
            Self::File { .. } => false,
        }
    }
}

/// What a certificate is recognised by.
pub(super) type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// The SHA-256 of a certificate.
pub(super) fn digest_of(certificate: &CertificateDer<'_>) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    digest
}

/// Certificate authorities. A certificate is not kept once its trust anchor is known: those of a system have 200 kB.
#[derive(Debug)]
pub(super) struct Authorities {
    /// What verifies a server.
    pub(super) roots: RootCertStore,
    /// Of each certificate, also of those that cannot be used; sorted, each of them once.
    pub(super) digests: Vec<Digest>,
}

impl Authorities {
    fn none() -> Self {
        Self { roots: RootCertStore::empty(), digests: Vec::new() }
    }

    /// Takes one more certificate, once.
    fn add(&mut self, certificate: CertificateDer<'_>) -> Result<(), rustls::Error> {
        let digest = digest_of(&certificate);
        let Err(place) = self.digests.binary_search(&digest) else { return Ok(()) };
        self.digests.insert(place, digest);
        self.roots.add(certificate)
    }

    /// Takes one of the system's, of which some may be unusable.
    fn add_usable(&mut self, certificate: CertificateDer<'_>) {
        if let Err(error) = self.add(certificate) {
            log::debug!("a certificate authority cannot be used: {error}");
        }
    }
}

/// The authorities of the system. One that cannot be read may be the one that is needed, or not.
///
/// # Errors
///
/// When there is not a single one.
pub(super) fn from_system() -> Result<Authorities, TrustError> {
    SAID.call_once(|| {
        for name in IGNORED.into_iter().filter(|name| env::var_os(name).is_some()) {
            log::info!(
                "{name} is set and not used: set ca_file to trust other authorities than the system's"
            );
        }
    });
    from_places(&BUNDLES.map(Path::new), Path::new(DIRECTORY))
}

/// The authorities of the first of the `bundles` that has any certificates, or else of a directory.
fn from_places(bundles: &[&Path], directory: &Path) -> Result<Authorities, TrustError> {
    let bundles = bundles.iter().filter(|bundle| bundle.is_file());
    let places = bundles.map(|bundle| from_bundle(bundle));
    let mut errors = Vec::new();
    for (found, in_place) in places.chain([from_directory(directory)]) {
        if !found.digests.is_empty() {
            if let Some(error) = in_place.first() {
                log::warn!("certificate authorities: {error}, {} errors in all", in_place.len());
            }
            return Ok(found);
        }
        errors.extend(in_place);
    }
    for error in errors {
        log::warn!("certificate authorities: {error}");
    }
    Err(TrustError::Nothing)
}

/// What a file of many certificates holds, and what is wrong with it; one certificate in memory at a time.
fn from_bundle(path: &Path) -> (Authorities, Vec<String>) {
    let (mut found, mut errors) = (Authorities::none(), Vec::new());
    let certificates = match CertificateDer::pem_file_iter(path) {
        Ok(certificates) => certificates,
        Err(error) => return (found, vec![format!("{}: {error}", path.display())]),
    };
    for certificate in certificates {
        match certificate {
            Ok(certificate) => found.add_usable(certificate),
            Err(error) => errors.push(format!("{}: {error}", path.display())),
        }
    }
    (found, errors)
}

fn from_directory(path: &Path) -> (Authorities, Vec<String>) {
    let mut found = Authorities::none();
    let loaded = load_certs_from_paths(None, Some(path));
    loaded.certs.into_iter().for_each(|certificate| found.add_usable(certificate));
    (found, loaded.errors.iter().map(ToString::to_string).collect())
}

/// The authorities of a PEM file, each of which must be usable: the TLS library would ignore a bad one silently.
///
/// # Errors
///
/// When there is not a single one, or an unusable one.
pub(super) fn from_file(path: &Path) -> Result<Authorities, TrustError> {
    let refused = |problem: String| TrustError::File { path: path.display().to_string(), problem };
    let (bytes, _) = files::read(path, SIZE_MAX, Links::Follow)
        .map_err(|source| TrustError::Unreadable { path: path.display().to_string(), source })?;
    let mut found = Authorities::none();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error: pem::Error| refused(error.to_string()))?;
        found.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if found.digests.is_empty() {
        return Err(refused("expected certificates in PEM form, found none".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    fn problem(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), content).expect("written");
        let error = from_file(file.path()).expect_err("refused");
        assert!(!error.is_transient(), "{error}");
        error.to_string().replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn files_without_authorities_are_refused() {
        assert_eq!(problem(b""), "FILE: expected certificates in PEM form, found none");
        assert_eq!(problem(b"\xff\x00\x01"), "FILE: expected certificates in PEM form, found none");
        let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(problem(garbage).starts_with("FILE: invalid peer certificate"), "{}", problem(garbage));
        assert_eq!(problem(&vec![b'x'; 2 << 20]), "FILE: larger than 1048576 bytes");
    }

    #[test]
    fn a_ca_file_that_is_no_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).expect("made");
        for (path, found) in
            [(fifo.as_path(), "a FIFO"), (dir.path(), "a directory"), (Path::new("/dev/zero"), "a device")]
        {
            let error = from_file(path).expect_err("refused");
            assert!(!error.is_transient());
            let expected = format!("{}: expected a regular file, found {found}", path.display());
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn absent_authorities_may_come() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = from_file(&dir.path().join("none")).expect_err("absent");
        assert!(
            error.is_transient() && error.to_string().ends_with("No such file or directory (os error 2)")
        );

        let (bundle, certs) = (dir.path().join("bundle"), dir.path().join("certs"));
        let absent = |places: &[&Path]| {
            from_places(places, &certs).is_err_and(|error| matches!(error, TrustError::Nothing))
        };
        assert!(absent(&[&bundle]), "nothing is there");
        fs::create_dir(&certs).expect("created");
        assert!(absent(&[&bundle]), "an empty directory");
        fs::write(&bundle, "").expect("written");
        assert!(absent(&[&bundle]), "a bundle that is being written");
        assert!(TrustError::Nothing.is_transient());
    }

    #[test]
    fn the_first_place_with_authorities_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let (bundle, certs) = (dir.path().join("bundle"), dir.path().join("certs"));
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        fs::create_dir(&certs).expect("created");
        fs::write(certs.join("one.pem"), pem("AAAA")).expect("written");
        fs::write(&bundle, "").expect("written");
        let found = || from_places(&[&dir.path().join("none"), &bundle], &certs).expect("one").digests;
        assert_eq!(found(), [digest_of(&CertificateDer::from(vec![0, 0, 0]))]);
        fs::write(&bundle, pem("////") + &pem("////") + &pem("!")).expect("written");
        assert_eq!(found(), [digest_of(&CertificateDer::from(vec![0xff, 0xff, 0xff]))]);
    }
}
