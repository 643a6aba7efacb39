//! Which servers are trusted when `ca_file` holds the server's own certificate, as `openssl req -x509` makes it.
//!
//! Such a certificate says of itself that it is an authority, and `webpki` refuses an authority as a server
//! (`CaUsedAsEndEntity`), although it is in the file of trusted certificates. Here a server is also accepted when it
//! presents a certificate of the file, by its SHA-256, and that certificate is valid now and for the server's name.
//! That the server has its key is shown by the handshake's signature, as with any other certificate.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use webpki::{EndEntityCert, KeyUsage};

use super::authorities::{Digest, digest_of};

/// Accepts what the certificates of a file have signed, and those certificates themselves.
#[derive(Debug)]
pub(super) struct FileVerifier {
    inner: Arc<WebPkiServerVerifier>,
    /// Of the certificates, sorted.
    digests: Vec<Digest>,
    provider: Arc<CryptoProvider>,
}

impl FileVerifier {
    /// `roots` are the certificates with these `digests`, which are sorted, as trust anchors.
    ///
    /// # Errors
    ///
    /// When there is no certificate.
    pub(super) fn new(
        roots: RootCertStore,
        digests: Vec<Digest>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(Self { inner, digests, provider })
    }

    /// Whether this certificate is one of the file and valid now. `webpki` checks the time before it looks for the
    /// issuer. Without trust anchors, a usable certificate that is valid now fails with one of these two errors.
    fn is_of_the_file(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        if self.digests.binary_search(&digest_of(certificate)).is_err() {
            return false;
        }
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        matches!(
            certificate.verify_for_usage(algorithms, &[], &[], now, usage, None, None),
            Err(webpki::Error::CaUsedAsEndEntity | webpki::Error::UnknownIssuer)
        )
    }
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(rustls::Error::InvalidCertificate(_)) if self.is_of_the_file(end_entity, now) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    use rustls::CertificateError;
    use std::time::Duration;

    /// 2023-11-14, 2035-05-18.
    const THEN: u64 = 1_700_000_000;
    const LATER: u64 = 2_063_000_000;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// As `openssl req -x509 -addext subjectAltName=DNS:server.example` makes it.
    fn self_signed_authority() -> CertificateDer<'static> {
        let mut params = params("server.example");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").der().clone()
    }

    fn verifier(certificates: &[CertificateDer<'static>]) -> FileVerifier {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.clone()).expect("usable");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut digests: Vec<Digest> = certificates.iter().map(digest_of).collect();
        digests.sort_unstable();
        FileVerifier::new(roots, digests, provider).expect("not empty")
    }

    fn check(
        trusted: &[CertificateDer<'static>],
        shown: &CertificateDer<'static>,
        name: &str,
        now: u64,
    ) -> Result<(), rustls::Error> {
        let name = ServerName::try_from(name).expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier(trusted).verify_server_cert(shown, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn accepts_the_certificate_of_the_file() {
        let certificate = self_signed_authority();
        assert_eq!(check(std::slice::from_ref(&certificate), &certificate, "server.example", THEN), Ok(()));
    }

    #[test]
    fn accepts_a_server_certificate_of_the_file_whose_issuer_is_not_in_it() {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params("issuer.example"), key).expect("an issuer");
        let key = KeyPair::generate().expect("a key");
        let server = params("server.example").signed_by(&key, &issuer).expect("signed").der().clone();
        assert_eq!(check(std::slice::from_ref(&server), &server, "server.example", THEN), Ok(()));
    }

    #[test]
    fn rejects_it_for_another_name() {
        let certificate = self_signed_authority();
        let refused = check(std::slice::from_ref(&certificate), &certificate, "other.example", THEN);
        assert!(
            matches!(
                refused,
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
            ),
            "{refused:?}"
        );
    }

    #[test]
    fn rejects_it_at_another_time() {
        let certificate = self_signed_authority();
        let refused = check(std::slice::from_ref(&certificate), &certificate, "server.example", LATER);
        assert!(
            matches!(
                refused,
                Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
            ),
            "{refused:?}"
        );
        let early = check(std::slice::from_ref(&certificate), &certificate, "server.example", 0);
        assert!(
            matches!(
                early,
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }))
            ),
            "{early:?}"
        );
    }

    #[test]
    fn rejects_another_certificate_that_looks_the_same() {
        let (trusted, shown) = (self_signed_authority(), self_signed_authority());
        assert!(check(&[trusted], &shown, "server.example", THEN).is_err());
    }
}
