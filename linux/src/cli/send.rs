//! `send`: one heartbeat, and the whole story of it.

use std::fmt::Write as _;

use super::{Failure, options::Options, print, service_settings::warn_of_differences};
use crate::{
    config::{Settings, TokenSource},
    daemon::{StartError, identity, open_root, sample_once},
    page::Page,
    uplink::{self, Client, Step, Story, Traffic},
};

/// Width of the names of rows: `  0.012 s  connect  `.
const NAMES: usize = 20;

pub(super) fn send(options: &Options) -> Result<(), Failure> {
    let settings = options.settings()?;
    warn_of_differences(options);
    let root = open_root(&options.sysroot)?;
    let identity = identity(&settings, &root)?;
    let client = Client::new(&settings, &Traffic::default()).map_err(StartError::from)?;
    let body = sample_once(&settings, root, identity)?;
    print(setup(options, &settings).trim_end())?;
    let story = client.send_once(&body)?;
    print(told(&story).trim_end())?;
    let outcome = uplink::outcome(&story.ended);
    if !outcome.verdict.is_accepted() {
        // The agent's detail is cut to what it keeps.
        let why = story.ended.map_or_else(|failure| failure.to_string(), |_| outcome.detail.to_string());
        return Err(Failure::NotDelivered(why));
    }
    print(format_args!(
        "delivered: {} bytes to {}, {}, {} ms",
        body.len(),
        settings.endpoint.without_query(),
        outcome.detail,
        story.took.as_millis()
    ))?;
    Ok(())
}

/// What is sent with, without secrets.
fn setup(options: &Options, settings: &Settings) -> String {
    let mut page = Page::new([NAMES, 0]);
    let path = options.config_path();
    let state = if path.exists() { "" } else { ": not there, the defaults apply" };
    page.row("settings", &format!("{}{state}", path.display()), "");
    page.row("server", settings.endpoint.without_query(), "");
    if let Some(proxy) = &settings.proxy {
        page.row("proxy", &proxy.to_string(), "");
    }
    if settings.endpoint.is_https() {
        let trusted = settings.ca_file.as_ref().map(|path| path.display().to_string());
        page.row("trusted", trusted.as_deref().unwrap_or("the authorities of this system"), "");
    }
    let proofs = proofs(settings);
    if !proofs.is_empty() {
        page.row("proofs", &proofs, "");
    }
    let seconds = |time| std::time::Duration::from(time).as_secs_f64();
    let limits = [settings.rhythm.timeout(), settings.connect_timeout].map(seconds);
    page.row("limits", &format!("{} s for the answer, {} s for the connection", limits[0], limits[1]), "");
    page.to_string()
}

/// What this device proves its identity with, by its places and names.
fn proofs(settings: &Settings) -> String {
    let proof = &settings.proof;
    let token = match &proof.token {
        Some(TokenSource::File(path)) => Some(format!("token of {}", path.display())),
        Some(TokenSource::Given(_)) => Some("token of the environment".to_owned()),
        None => None,
    };
    let certificate =
        proof.client_certificate.as_ref().map(|files| format!("certificate {}", files.certificate.display()));
    let headers = proof.headers.iter().map(|(name, _)| format!("header {name}"));
    token.into_iter().chain(certificate).chain(headers).collect::<Vec<_>>().join(", ")
}

/// The steps, and what to do.
fn told(story: &Story) -> String {
    let mut page = Page::new([NAMES, 0]);
    let mut name = String::new();
    for (at, step) in &story.steps {
        name.clear();
        // Writing to a string cannot fail.
        let _ = write!(name, "{:>7.3} s  {}", at.as_secs_f64(), step.name());
        page.row(&name, &step.to_string(), "");
    }
    // An address that failed is among the steps already.
    if let Err(failure) = &story.ended
        && !matches!(story.steps.last(), Some((_, Step::Failed(_))))
    {
        page.row(&format!("{:>7.3} s  failed", story.took.as_secs_f64()), &failure.to_string(), "");
    }
    if let Some(advice) = uplink::first_thing_to_do(&story.ended) {
        page.row("what to do first", advice, "");
    }
    page.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Layers,
        uplink::{Cause, Reply, Stage},
    };
    use std::{path::Path, time::Duration};

    #[test]
    fn story_has_times_and_advice_in_80_columns_and_is_harmless() {
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:443".parse().expect("an address");
        let ms = Duration::from_millis;
        let story = Story {
            ended: Err(uplink::Failure::new(Stage::Handshake, Cause::Certificate)),
            took: ms(80),
            steps: vec![
                (ms(0), Step::Lookup("a\u{1b}[2J.example".to_owned())),
                (ms(12), Step::Connecting(address)),
                (ms(12_045), Step::Connected(address, ms(33))),
            ],
        };
        let told = told(&story);
        assert_eq!(
            told,
            "  0.000 s  name     looking up a\\u001b[2J.example\n\
             \u{20} 0.012 s  connect  connecting to IPv6\n\
             \u{20}                   [2001:db8:1111:2222:3333:4444:5555:6666]:443\n\
             \u{20}12.045 s  connect  connected to IPv6\n\
             \u{20}                   [2001:db8:1111:2222:3333:4444:5555:6666]:443 after 33 ms\n\
             \u{20} 0.080 s  failed   the server's certificate was not accepted\n\
             what to do first    set ca_file to the server's authority; on a foreign network,\n\
             \u{20}                   log in to it first\n"
        );
        assert!(told.lines().all(|line| line.chars().count() <= 80));
        let delivered = Story { ended: Ok(Reply::new(204)), took: ms(1), steps: Vec::new() };
        assert_eq!(super::told(&delivered), "");
    }

    #[test]
    fn setup_names_what_is_used_and_no_secret() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        let text = "url = 'https://a.example/h?key=s3cret'\nproxy = 'http://u:s3cret@p:1'\nca_file = '/ca.pem'\n\
                    token_file = '/t'\n";
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
        let arguments = ["x".as_ref(), "--config".as_ref(), path.as_os_str()];
        let options = <super::super::Cli as clap::Parser>::try_parse_from(arguments).expect("flags").options;
        let settings = options.settings().expect("usable");
        let shown = setup(&options, &settings);
        let rows: Vec<_> =
            shown.lines().filter(|line| !line.starts_with("settings") && !line.contains("toml")).collect();
        assert_eq!(
            rows,
            [
                "server              https://a.example/h",
                "proxy               http://(not shown)@p:1",
                "trusted             /ca.pem",
                "proofs              token of /t",
                "limits              2 s for the answer, 15 s for the connection",
            ]
        );
    }

    #[test]
    fn proofs_are_named_and_not_shown() {
        let mut layers = Layers::default();
        let text =
            "token_file = '/t'\nclient_cert = '/c'\nclient_key = '/k'\nheaders = { X-Site = 's3cret' }\n";
        layers.add_text(Path::new("c.toml"), text).expect("usable");
        let settings = Settings::new(&layers).expect("usable");
        assert_eq!(proofs(&settings), "token of /t, certificate /c, header x-site");
    }
}
