//! Certificates, sessions and proofs of identity.

use rustls::pki_types::pem::PemObject;

use super::*;

#[test]
fn self_signed_certificate_in_ca_file_is_accepted() {
    let pki = Pki::new();
    let address = secured(pki.itself(), |_, stream| answer(stream, OK));
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(device.status(), 200);
}

/// The alert comes after TLS 1.3's handshake: it must not look like a connection that broke with the heartbeat on it.
#[test]
fn demand_for_a_client_certificate_means_that_nothing_arrived() {
    let pki = Pki::new();
    let address = secured(pki.demanding(), |_, stream| answer(stream, OK));
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let refused = device.beat();
    assert_eq!(message(&refused), "the server does not accept this device's certificate");
    assert!(!refused.verdict.may_have_arrived());
}

#[test]
fn client_certificate_opens_a_server_that_demands_one() {
    let pki = Pki::new();
    let address = secured(pki.demanding(), |_, stream| answer(stream, OK));
    let (certificate, key) = pki.device();
    let trust = pki.trust_with(Some((&certificate, &key, 0o600))).expect("loaded");
    assert_eq!(Device::new(&https(address), Some(trust), LONG).status(), 200);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["device-7".to_owned()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::CommonName, "another authority");
    let foreign = params.self_signed(&key).expect("signed").pem();
    let trust = pki.trust_with(Some((&foreign, &key.serialize_pem(), 0o600))).expect("loaded");
    let refused = Device::new(&https(address), Some(trust), LONG).beat();
    assert_eq!(message(&refused), "the server does not accept this device's certificate");
}

#[test]
fn rejects_unusable_client_certificate() {
    let pki = Pki::new();
    let ((certificate, key), (_, other)) = (pki.device(), pki.device());
    for (certificate, key, mode, problem) in [
        (certificate.as_str(), key.as_str(), 0o644, "device.key: others may read this file"),
        (&certificate, &other, 0o600, "device.key: does not fit client_cert"),
        (&certificate, &certificate, 0o600, "device.key: expected a private key in PEM form"),
        (&key, &key, 0o600, "device.pem: expected certificates in PEM form, found none"),
    ] {
        let error = pki.trust_with(Some((certificate, key, mode))).expect_err(problem).to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn rejects_token_that_is_no_token_or_that_others_may_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    let ended = |text: &str, mode| {
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let token = Some(TokenSource::File(path.clone()));
        let headers = headers(&Proof { token, ..Proof::default() }).map_err(|error| error.to_string())?;
        let value = headers.get(AUTHORIZATION).expect("the header");
        assert!(value.is_sensitive(), "it would be logged");
        Ok::<_, String>(value.to_str().expect("text").to_owned())
    };
    assert_eq!(ended("s3cret\n", 0o640).as_deref(), Ok("Bearer s3cret"));
    for (text, mode, problem) in [
        ("s3cret", 0o644, "others may read this file"),
        ("", 0o600, "expected one token"),
        ("s3 cret", 0o600, "expected one token"),
        ("s3\r\ncret", 0o600, "expected one token"),
        ("s3cr\u{e9}t", 0o600, "expected one token"),
    ] {
        let error = ended(text, mode).expect_err(problem);
        assert!(error.contains(problem) && !error.contains("s3"), "{error}");
    }
}

#[test]
fn refused_certificate_does_not_cost_a_handshake_each_time() {
    let (opened, connections) = mpsc::channel();
    let address = secured(Pki::new().server(), move |number, stream| {
        let _ = opened.send(number);
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), Pki::new().trust(), LONG);
    for _ in 0..20 {
        assert_eq!(message(&device.beat()), "the server's certificate was not accepted");
    }
    assert_eq!(connections.try_iter().count(), 3);
}

#[test]
fn new_connection_resumes_the_session() {
    let (opened, kinds) = mpsc::channel();
    let pki = Pki::new();
    let address = secured(pki.server(), move |_, stream| {
        request(stream)?;
        let _ = opened.send(stream.conn.handshake_kind());
        stream.write_all(OK)?;
        stream.conn.send_close_notify();
        stream.flush()
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!([device.status(), device.status()], [200; 2]);
    let kinds: Vec<_> = [(); 2].iter().map(|()| kinds.recv().expect("a connection")).collect();
    assert_eq!(kinds.last(), Some(&Some(HandshakeKind::Resumed)), "{kinds:?}");
}

/// A handshake with these settings for TLS, which reads what the server says after it: tickets, too.
fn handshake(config: &Arc<ClientConfig>, address: SocketAddr) -> Option<HandshakeKind> {
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("usable");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).expect("connected"));
    stream.write_all(b"\r\n\r\n{\"a\":1}").expect("sent");
    stream.read_exact(&mut [0; OK.len()]).expect("a reply");
    stream.conn.handshake_kind()
}

/// Each refusal of a certificate has the authorities read again.
#[test]
fn sessions_are_resumed_over_renewals_of_trust_that_bring_nothing_new() {
    let (pki, other) = (Pki::new(), Pki::new());
    let address = secured(pki.server(), |_, stream| answer(stream, OK));
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), pki.authority.pem()).expect("written");
    let files = TrustFiles { ca_file: Some(file.path().to_owned()), ..TrustFiles::default() };
    let mut trust = Trust::load(files).expect("loaded");
    let renew = |trust: &mut Trust| {
        let (waker, mut wake_ups) = waker::pair().expect("a pair");
        trust.renew(Some(waker.clone()));
        wake_ups.wait();
        trust.take_renewal()
    };
    assert_eq!(handshake(trust.config(), address), Some(HandshakeKind::Full));
    assert!(!renew(&mut trust));
    assert_eq!(handshake(trust.config(), address), Some(HandshakeKind::Resumed));
    // Who is trusted now may not have been trusted when the session began.
    fs::write(file.path(), format!("{}{}", pki.authority.pem(), other.authority.pem())).expect("written");
    assert!(renew(&mut trust));
    assert_eq!(handshake(trust.config(), address), Some(HandshakeKind::Full));
}

/// It comes in one record, all of which is decrypted when its beginning is read: nothing more comes to wait for.
#[test]
fn long_head_in_one_record_is_read_to_its_end() {
    let pki = Pki::new();
    let reply = format!("HTTP/1.1 204 No Content\r\nX-Long: {}\r\n\r\n", "x".repeat(6_000));
    let address = secured(pki.server(), move |_, stream| answer(stream, reply.as_bytes()));
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!([device.status(), device.status()], [204; 2]);
}

/// nginx completes the handshake with any certificate and refuses by a status.
#[test]
fn client_certificate_that_a_status_refuses_is_read_again() {
    let pki = Pki::new();
    let ((old, old_key), (new, new_key)) = (pki.device(), pki.device());
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name| dir.path().join(name);
    let write = |certificate: &str, key: &str| {
        fs::write(path("device.pem"), certificate).expect("written");
        fs::write(path("device.key"), key).expect("written");
        fs::set_permissions(path("device.key"), fs::Permissions::from_mode(0o600)).expect("set");
    };
    fs::write(path("ca.pem"), pki.authority.pem()).expect("written");
    write(&old, &old_key);
    let client = ClientCertificate { certificate: path("device.pem"), key: path("device.key") };
    let trust = Trust::load(TrustFiles { ca_file: Some(path("ca.pem")), client: Some(client) });
    let accepted = CertificateDer::from_pem_slice(new.as_bytes()).expect("a certificate");
    let address = secured(pki.demanding(), move |_, stream| {
        loop {
            request(stream)?;
            let is_new = stream.conn.peer_certificates().is_some_and(|shown| shown.contains(&accepted));
            stream.write_all(if is_new {
                OK
            } else {
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            })?;
            stream.flush()?;
        }
    });
    let mut device = Device::new(&https(address), Some(trust.expect("loaded")), LONG);
    write(&new, &new_key);
    // Files are read on a thread of their own.
    let until = Instant::now() + LONG;
    while device.status() != 200 {
        assert!(Instant::now() < until, "the new certificate is never shown");
    }
}
