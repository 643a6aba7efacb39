//! Certificates for people: who issued one and until when, and TLS errors in words that say what to do.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rustls::{CertificateError, OtherError, pki_types::UnixTime};
use x509_cert::{Certificate, der::Decode};

const DAY_S: u64 = 86_400;
/// Characters of an issuer's name that are shown.
const ISSUER_MAX: usize = 200;

/// Who issued a certificate, and how long it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    issuer: String,
    not_after: Duration,
    /// At which time it was looked at.
    now: UnixTime,
}

impl Issued {
    /// Of a certificate in DER; `None` if it cannot be read.
    pub(super) fn of(der: &[u8], now: UnixTime) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
        Some(Self {
            issuer: certificate.issuer.to_string().chars().take(ISSUER_MAX).collect(),
            not_after: certificate.validity.not_after.to_unix_duration(),
            now,
        })
    }
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.not_after.as_secs().saturating_sub(self.now.as_secs()) / DAY_S;
        let until = date(UnixTime::since_unix_epoch(self.not_after));
        write!(f, "certificate issued by {}, valid until {until}, {left} days from now", self.issuer)
    }
}

/// An error of the TLS library, for people.
pub(super) fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_words(error),
        rustls::Error::NoCertificatesPresented => "the server presented no certificate".to_owned(),
        rustls::Error::AlertReceived(alert) => format!("the server sent the alert {alert:?}"),
        other => other.to_string(),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("expired on {}; this device's clock says {}", date(*not_after), date(*time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("not valid before {}; this device's clock says {}", date(*not_before), date(*time))
        }
        CertificateError::UnknownIssuer => {
            "its issuer is not trusted: not among the system's authorities, or not in ca_file".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            format!("it has no subjectAltName, which must contain {}", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let shown: Vec<_> = presented.iter().take(4).map(String::as_str).collect();
            format!("it is for {}, not for {}", shown.join(", "), expected.to_str())
        }
        CertificateError::BadSignature => "its signature is wrong".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its key or signature is of a kind that is not supported: P-256, P-384, Ed25519 or RSA from 2048 bits are"
                .to_owned()
        }
        CertificateError::Other(other) => other_words(other),
        other => other.to_string(),
    }
}

fn other_words(OtherError(error): &OtherError) -> String {
    match error.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::CaUsedAsEndEntity) => {
            "it is an authority's own certificate; set ca_file to exactly this certificate to accept it"
                .to_owned()
        }
        Some(error) => format!("{error:?}"),
        None => error.to_string(),
    }
}

/// The day and time of this instant, in UTC.
fn date(time: UnixTime) -> String {
    let secs = i64::try_from(time.as_secs()).ok();
    secs.and_then(|secs| Timestamp::from_second(secs).ok())
        .map_or_else(|| format!("second {}", time.as_secs()), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    fn invalid(error: CertificateError) -> String {
        words(&rustls::Error::InvalidCertificate(error))
    }

    #[test]
    fn issuer_and_expiry_are_read_from_a_certificate() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, "An Authority");
        params.not_after = rcgen::date_time_ymd(2033, 5, 18);
        let certificate = params.self_signed(&key).expect("signed");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(2_000_000_000 - 86_400 * 7));
        let issued = Issued::of(certificate.der(), now).expect("readable");
        assert_eq!(
            issued.to_string(),
            "certificate issued by CN=An Authority, valid until 2033-05-18T00:00:00Z, 6 days from now"
        );
        assert_eq!(Issued::of(b"no certificate", now), None);
        assert!(Issued { not_after: Duration::ZERO, ..issued }.to_string().ends_with(", 0 days from now"));
    }

    #[test]
    fn dates_and_names_are_readable() {
        let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
        assert_eq!(
            invalid(CertificateError::NotValidYetContext { time: at(0), not_before: at(1_700_000_000) }),
            "not valid before 2023-11-14T22:13:20Z; this device's clock says 1970-01-01T00:00:00Z"
        );
        assert_eq!(
            invalid(CertificateError::ExpiredContext { time: at(u64::MAX), not_after: at(0) }),
            format!("expired on 1970-01-01T00:00:00Z; this device's clock says second {}", u64::MAX)
        );
        let expected = ServerName::try_from("b.example").expect("a name");
        let named =
            |presented| CertificateError::NotValidForNameContext { expected: expected.clone(), presented };
        assert_eq!(
            invalid(named(vec!["DnsName(\"a.example\")".to_owned()])),
            "it is for DnsName(\"a.example\"), not for b.example"
        );
        assert_eq!(invalid(named(Vec::new())), "it has no subjectAltName, which must contain b.example");
    }

    #[test]
    fn authority_used_as_server_is_explained() {
        let error = OtherError(std::sync::Arc::new(webpki::Error::CaUsedAsEndEntity));
        assert!(invalid(CertificateError::Other(error)).contains("set ca_file to exactly this certificate"));
    }
}
