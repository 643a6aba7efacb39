//! Proofs of identity and proxies: what goes together, and what is never shown.

use super::*;

#[test]
fn accepts_proofs_of_identity_over_https() {
    let settings = Settings::new(&file(
        "connect_timeout = 3\ntoken_file = '/t'\nclient_cert = '/c'\nclient_key = '/k'\nheaders = { X-Site = '7' }\n",
    ))
    .expect("settings");
    assert_eq!(settings.connect_timeout.as_millis(), 3_000);
    let [(name, value)] = settings.proof.headers.as_slice() else { panic!("one header") };
    assert_eq!((name.as_str(), value.as_bytes(), value.is_sensitive()), ("x-site", &b"7"[..], true));
    assert!(matches!(settings.proof.token, Some(TokenSource::File(path)) if path == Path::new("/t")));
    let client = settings.proof.client_certificate.expect("a certificate");
    assert_eq!((client.certificate.as_path(), client.key.as_path()), (Path::new("/c"), Path::new("/k")));
}

#[test]
fn rejects_proofs_that_would_leak_or_contradict_each_other() {
    let http = "url = 'http://192.0.2.1/'\n";
    for (text, problem) in [
        (format!("{http}token_file = '/t'"), "c.toml:2: token_file: needs an https url"),
        (
            format!("{http}headers = {{ Cookie = 'x' }}"),
            "c.toml:2: headers: a proof of identity needs an https",
        ),
        (format!("{http}client_cert = '/c'\nclient_key = '/k'"), "c.toml:2: client_cert: needs an https url"),
        ("client_cert = '/c'".to_owned(), "client_cert: needs client_key beside it"),
        ("client_key = '/k'".to_owned(), "client_key: needs client_cert beside it"),
        ("token_file = '/t'\nheaders = { authorization = 'x' }".to_owned(), "token_file: sets Authorization"),
        ("token_file = 't'".to_owned(), "expected an absolute path"),
        ("token = 't'".to_owned(), "unknown key `token`"),
        ("headers = { Host = 'x' }".to_owned(), "headers: Host is set by the program"),
        ("headers = { 'a b' = 'x' }".to_owned(), "headers: expected the name of a header, found \"a b\""),
        (r#"headers = { a = "s3cret\u007f" }"#.to_owned(), "headers: a: expected visible ASCII"),
        ("headers = { a = ' s3cret' }".to_owned(), "headers: a: expected visible ASCII"),
        (format!("headers = {{ a = '{}' }}", "x".repeat(4096)), "headers: expected at most 4096 bytes"),
        ("connect_timeout = 0.09".to_owned(), "connect_timeout: expected from 0.1 to 300 seconds"),
    ] {
        let found = refused_file(&text);
        assert!(found.contains(problem) && !found.contains("s3cret"), "{text}: {found}");
    }
    for text in ["headers = { X-Site = '7' }", "url = 'http://127.0.0.1/'\ntoken_file = '/t'"] {
        Settings::new(&file(text)).expect(text);
    }
    Settings::new(&file(&format!("{http}headers = {{ X-Site = '7' }}"))).expect("no proof of identity");
}

#[test]
fn secrets_are_not_shown() {
    let mut layers = file("headers = { X-Key = 's3cret' }\n");
    layers.add_environment(|name| (name == "HEARTBEAT_TOKEN").then(|| "s3cret".to_owned()));
    let shown: Vec<_> = layers.in_use().expect("settings").iter().map(ToString::to_string).collect();
    let shown = shown.join("\n");
    assert!(shown.contains("headers.X-Key = \"(not shown)\""), "{shown}");
    let settings = Settings::new(&layers).expect("settings");
    assert!(!format!("{shown}{settings:?}").contains("s3cret"));
    assert!(matches!(settings.proof.token, Some(TokenSource::Given(token)) if token.reveal() == "s3cret"));
}

#[test]
fn rejects_file_with_headers_that_others_may_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "headers = { X-Key = 's3cret' }\n").expect("written");
    let read = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        Layers::default().add_file(&ConfigFile::Named(path.clone()))
    };
    let error = read(0o644).expect_err("refused").to_string();
    assert!(error.contains("config.toml:1: headers: others may read this file"), "{error}");
    read(0o640).expect("read");
}

#[test]
fn rejects_file_with_a_proxy_password_that_others_may_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    let read = |proxy: &str, mode| {
        std::fs::write(&path, format!("proxy = '{proxy}'\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let mut layers = Layers::default();
        layers.add_file(&ConfigFile::Named(path.clone())).map(|_| layers)
    };
    let error = read("http://u:s3cret@p:1", 0o644).expect_err("refused").to_string();
    assert!(error.contains("config.toml:1: proxy: others may read this file"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
    read("http://p:1", 0o644).expect("there is no password in it");
    let layers = read("http://u:s3cret@p:1", 0o640).expect("read");
    let entries = layers.in_use().expect("usable");
    let shown = entries.iter().find(|entry| entry.key == "proxy").expect("it is set").to_string();
    assert!(shown.starts_with("proxy = \"http://(not shown)@p:1\""), "{shown}");
}

#[test]
fn rejects_server_that_socks_cannot_name() {
    let settings = |proxy: &str, length| {
        let mut layers = Layers::default();
        let text = format!("url = 'https://{}/'\nproxy = '{proxy}'\n", "a".repeat(length));
        layers.add_text(Path::new("c.toml"), &text).expect("usable by itself");
        Settings::new(&layers).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(settings("socks5://p:1", 255), Ok(()));
    assert_eq!(settings("http://p:1", 256), Ok(()));
    let error = settings("socks5://p:1", 256).expect_err("refused");
    assert_eq!(error, "c.toml:2: proxy: the host of the url is longer than SOCKS can name");
}
