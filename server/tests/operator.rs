//! What an operator does on the command line: checks a configuration, sends a test message, stops the server.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use common::{Server, document, program};

fn run(config: &str, directory: &Path, arguments: &[&str]) -> Output {
    let file = directory.join("config.toml");
    fs::write(&file, format!("state = {:?}\n{config}", directory.join("state"))).unwrap();
    Command::new(program()).args(["--config", file.to_str().unwrap()]).args(arguments).output().unwrap()
}

#[test]
fn check_config_names_everything_that_a_start_would_refuse_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = r#"
        listen = "0.0.0.0:0"
        [tls]
        certificate = "/nowhere/certificate.pem"
        key = "/nowhere/key.pem"
        [channels.a]
        kind = "json"
        url = "https://example.org/hook"
        token_file = "/nowhere/token"
        [channels.b]
        kind = "ntfy"
        url = "https://"
        [channels.c]
        kind = "mail"
        smtp = "smtps://user@mail.example.org"
        from = "no address"
        to = ["me@example.org"]
        [channels.d]
        kind = "mail"
        smtp = "smtp://mail.example.org?tls=odd"
        from = "a@example.org"
        to = ["me@example.org"]"#;
    let output = run(config, directory.path(), &["check-config"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    for words in [
        "/nowhere/certificate.pem",
        "receive.require_token",
        "a password",
        "channels.a: /nowhere/token",
        "channels.b: \"https://\" is not an address",
        "channels.c: \"no address\"",
        "channels.d: ",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!directory.path().join("state").exists(), "nothing is made");
    let good = run(
        "[channels.a]\nkind = \"slack\"\nurl = \"https://example.org/x\"",
        directory.path(),
        &["check-config"],
    );
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let postgres = "[postgres]\nurl = \"postgresql://hb@127.0.0.1:1/hb\"";
    assert_eq!(run(postgres, directory.path(), &["check-config"]).status.code(), Some(78));
}

/// What the user of the service may not read, whatever root may.
#[test]
fn check_config_of_root_names_what_the_service_may_not_read() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o777);
    let path = |name: &str| directory.path().join(name);
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("chain"), issued.cert.pem()).unwrap();
    fs::write(path("key"), issued.signing_key.serialize_pem()).unwrap();
    fs::create_dir(path("closed")).unwrap();
    fs::write(path("closed/token"), "token").unwrap();
    for (name, bits) in [("chain", 0o644), ("key", 0o600), ("closed", 0o700), ("closed/token", 0o644)] {
        mode(&path(name), bits);
    }
    let config = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n[channels.a]\nkind = \"json\"\nurl = \"http://127.0.0.1:1/\"\n\
         token_file = {:?}",
        path("chain"),
        path("key"),
        path("closed/token")
    );
    let check = |user: &str| {
        let output = run(&config, directory.path(), &["check-config", "--user", user]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, said, error) = check("nobody");
    let wrong = format!(
        "heartbeat-server: tls.key: the user nobody may not read {}: owner root, group root, mode 600\n\
         heartbeat-server: channels.a.token_file: the user nobody may not enter {}: owner root, group root, mode 700\n",
        path("key").display(),
        path("closed").display()
    );
    assert_eq!((status, error), (Some(78), wrong));
    assert!(said.contains("checked as the user nobody\n"), "{said}");
    let (status, said, error) = check("no-such-user");
    assert_eq!(status, Some(0), "{error}");
    assert!(said.contains("there is no user no-such-user, so this was checked as root"), "{said}");
    mode(&path("key"), 0o644);
    mode(&path("closed"), 0o755);
    assert_eq!(check("nobody").0, Some(0));
}

#[test]
fn no_command_but_run_makes_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let (state, target) = (directory.path().join("state"), directory.path().join("copy"));
    let file = state.join("heartbeat.db");
    let commands: [&[&str]; 9] = [
        &["token", "add"],
        &["token", "list"],
        &["token", "revoke", "1"],
        &["device", "list"],
        &["device", "set", "pi1", "--name", "shed"],
        &["device", "remove", "pi1"],
        &["device", "purge", "pi1"],
        &["device", "restore", "pi1"],
        &["backup", target.to_str().unwrap()],
    ];
    let missing = format!(
        "heartbeat-server: there is no database {}; the server makes it at its first start\n",
        file.display()
    );
    for command in commands {
        let output = run("", directory.path(), command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), missing, "{command:?}");
        assert!(output.stdout.is_empty() && !state.exists() && !target.exists(), "{command:?}");
    }
    // What a crash of the file system may leave is no database either.
    fs::create_dir(&state).unwrap();
    fs::write(&file, "").unwrap();
    assert_eq!(String::from_utf8(run("", directory.path(), &["token", "add"]).stderr).unwrap(), missing);
}

#[test]
fn a_password_is_set_in_a_database_that_is_there_only() {
    let server = Server::start();
    let elsewhere = server.directory.path().join("elsewhere");
    let flag = ["--state", elsewhere.to_str().unwrap(), "password"];
    let (ok, said, error) = server.command(&flag, "correct horse\n");
    assert!(!ok && said.is_empty() && error.contains("there is no database"), "{said}{error}");
    assert!(!elsewhere.exists());
    assert!(server.command(&["password"], "correct horse\n").0);
}

#[test]
fn check_config_may_run_beside_the_server() {
    let server = Server::start();
    let (ok, out, error) = server.command(&["check-config"], "");
    assert!(ok && out.ends_with("messages to nobody\nno mistakes found\n"), "{out}{error}");
}

#[test]
fn test_message_says_of_each_channel_what_it_answered() {
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = sink.local_addr().unwrap();
    let taken = thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in ["204 No Content", "403 Forbidden"] {
            let (mut stream, _) = sink.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
            heads.push((head, String::from_utf8(body).unwrap()));
        }
        heads
    });
    // One by its name, which the C library looks up.
    let port = address.port();
    let config = format!(
        "[channels.a]\nkind = \"ntfy\"\nurl = \"http://{address}/topic\"\n[channels.b]\nkind = \"slack\"\n\
         url = \"http://localhost:{port}/b\"\n[channels.c]\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/\""
    );
    let directory = tempfile::tempdir().unwrap();
    let output = run(&config, directory.path(), &["test-message"]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "two did not arrive");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..2], ["a: delivered", "b: not delivered: answered 403"]);
    assert!(lines[2].starts_with("c: not delivered: "), "{out}");
    let heads = taken.join().unwrap();
    assert!(heads[0].1.starts_with("test message\nheartbeat-server sends its alerts here"), "{}", heads[0].1);
    let unknown = run(&config, directory.path(), &["test-message", "z"]);
    assert_eq!(unknown.status.code(), Some(78));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("no [channels.z], only a, b, c"));
}

#[test]
fn sigterm_right_after_the_address_ends_it_in_order() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--state", directory.path().join("state").to_str().unwrap()])
            .args(["--config", "/dev/null"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_purged_device_is_gone_and_stays_refused() {
    let server = Server::start();
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    let (ok, _, error) = server.command(&["device", "purge", "pi1"], "");
    assert!(!ok && error.contains("`device remove` comes first"), "{error}");
    assert!(server.command(&["device", "remove", "pi1"], "").0);
    assert!(server.command(&["device", "purge", "pi1"], "").0);
    common::eventually("what is stored is deleted", || server.stored("pi1") == 0);
    assert_eq!(server.beat(&document("pi1", 2)).status, 410);
}

#[test]
fn an_expired_token_is_told_to_its_holder_only() {
    let server = Server::with("[receive]\nrequire_token = true");
    let secret = server.token(&["--group", "north", "--expires", "1m"]);
    assert_eq!(server.beat_with(&document("pi1", 1), Some(&secret)).status, 200);
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database
        .execute_batch(
            "UPDATE token SET expires_at = 1; UPDATE setting SET value = value + 1 WHERE key = 'revision'",
        )
        .unwrap();
    common::eventually("the token has expired", || {
        server.beat_with(&document("pi1", 2), Some(&secret)).status == 401
    });
    let expired = server.beat_with(&document("pi1", 2), Some(&secret));
    assert_eq!(expired.body.trim(), "this token has expired");
    let other = if secret.starts_with('a') { 'b' } else { 'a' };
    let guessed = server.beat_with(&document("pi1", 2), Some(&format!("{other}{}", &secret[1..])));
    assert_eq!((guessed.status, guessed.body.trim()), (401, "this token is not known, or was revoked"));
}
