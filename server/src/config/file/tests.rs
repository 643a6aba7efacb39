//! Every kind of mistake, with the exact text.

use proptest::prelude::*;

use super::*;

fn mistakes(text: &[u8]) -> String {
    let told = |mistake: &Mistake| format!("{}: {}", mistake.line, mistake.text);
    parse(text).unwrap_err().iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_mistake_is_told_with_its_line_its_key_what_was_found_and_what_is_expected() {
    const HERE: &str = "listen, state, connections, [postgres], [receive], [tls], [access], [retention], [expect], \
                        [alerts], [groups.NAME] or [channels.NAME]";
    const ADDRESS: &str = "expected an IP address with a port, such as \"127.0.0.1:8080\"";
    for (text, expected) in [
        // What is no TOML.
        (
            "\nlisten = 0.0.0.0:80",
            "2: not TOML: invalid float, found \"listen = 0.0.0.0:80\"; a text needs quotes",
        ),
        ("listen = \"a", "1: not TOML: invalid basic string, expected `\"`, found \"listen = \"a\""),
        ("state = \"/a\"\nstate = \"/b\"", "2: not TOML: duplicate key, found \"state = \"/b\"\""),
        // Keys that are not known, or not there.
        ("\nlisen = 1", &format!("2: lisen: unknown here; expected {HERE}")),
        ("require_token = true", "1: require_token: unknown here; it belongs below [receive]"),
        (
            "[receive]\nlisten = \"127.0.0.1:80\"",
            "2: receive.listen: unknown here; it belongs above the first [section]",
        ),
        (
            "[alerts]\ngather = 5",
            "2: alerts.gather: unknown here; expected gather_s, pause_s or give_up_hours",
        ),
        (
            "[channels.me]\nkind = \"slack\"\nurl = \"http://x\"\ntoken_file = \"/t\"",
            "4: channels.me.token_file: unknown here; expected kind or url",
        ),
        ("url = \"http://x\"", &format!("1: url: unknown here; expected {HERE}")),
        (
            "[channels.me]\nkind = \"slack\"\nurl = \"http://x\"\nrequire_token = true",
            "4: channels.me.require_token: unknown here; it belongs below [receive]",
        ),
        ("\"\\u001b[2J\" = 1", &format!("1: \u{fffd}[2J: unknown here; expected {HERE}")),
        (
            "[tls]\nkey = \"/k\"",
            "1: tls.certificate: expected the path of a file in quotes, found nothing: it must be set",
        ),
        (
            "[channels.me]\nurl = \"http://x\"",
            "1: channels.me.kind: expected \"json\", \"ntfy\", \"slack\" or \"mail\", found nothing: it must be set",
        ),
        // Sections.
        ("tls = 5", "1: tls: expected a section [tls], found 5"),
        ("[[receive]]\nlinger_ms = 5", "1: receive: expected a section [receive], found the list [a table]"),
        ("channels = []", "1: channels: expected a section [channels.NAME], found an empty list"),
        ("[groups]\nnorth = true", "2: groups.north: expected a section [groups.NAME], found true"),
        ("[listen]\nport = 5", &format!("1: listen: {ADDRESS}, found a table")),
        // Values of another kind.
        ("listen = 5", &format!("1: listen: {ADDRESS}, found 5")),
        ("listen = \"localhost\"", &format!("1: listen: {ADDRESS}, found the text \"localhost\"")),
        ("listen = \"\u{202e}\"", &format!("1: listen: {ADDRESS}, found the text \"\u{fffd}\"")),
        (
            "state = 2024-01-01",
            "1: state: expected the path of a directory in quotes, found the date 2024-01-01",
        ),
        ("state = \"\"", "1: state: expected the path of a directory in quotes, found the text \"\""),
        (
            "connections = \"many\"",
            "1: connections: expected a whole number of connections from 10 to 1000000, found the text \"many\"",
        ),
        (
            "connections = 99999999999999999999",
            "1: connections: expected a whole number of connections from 10 to 1000000, found a number of more than 64 bits",
        ),
        (
            "[receive]\npaths = \"/a\"",
            "2: receive.paths: expected a list of paths such as [\"/heartbeat.php\"], found the text \"/a\"",
        ),
        (
            "[receive]\npaths = []",
            "2: receive.paths: expected a list of paths such as [\"/heartbeat.php\"], found an empty list",
        ),
        (
            "[receive]\npaths = [\"/a\", 5, []]",
            "2: receive.paths: expected a list of paths such as [\"/heartbeat.php\"], found the list [\"/a\", 5, a list]",
        ),
        ("[receive]\nrequire_token = 1", "2: receive.require_token: expected true or false, found 1"),
        (
            "[receive]\nrequire_token = \"yes\"",
            "2: receive.require_token: expected true or false, found the text \"yes\"",
        ),
        (
            "[access]\nproxies = [\"proxy\"]",
            "2: access.proxies: expected a list of IP addresses such as [\"127.0.0.1\"], found the list [\"proxy\"]",
        ),
        (
            "[channels.me]\nkind = \"pigeon\"\nurl = \"x\"",
            "2: channels.me.kind: expected \"json\", \"ntfy\", \"slack\" or \"mail\", found the text \"pigeon\"",
        ),
        (
            "[channels.me]\nkind = \"slack\"\nurl = \"ftp://x\"",
            "3: channels.me.url: expected an address in quotes that begins with http:// or https://, found the text \"ftp://x\"",
        ),
        (
            "[channels.me]\nkind = \"mail\"\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nto = []",
            "5: channels.me.to: expected a list of mail addresses such as [\"me@example.org\"], found an empty list",
        ),
        // Numbers out of their range.
        (
            "[receive]\nlinger_ms = -1",
            "2: receive.linger_ms: expected a whole number of milliseconds from 0 to 1000, found -1",
        ),
        (
            "[retention]\nbeats_hours = 1.5",
            "2: retention.beats_hours: expected a whole number of hours from 1 to 8784, found 1.5",
        ),
        (
            "[expect]\ntemp_high = 500",
            "2: expect.temp_high: expected a number of degrees Celsius from 0 to 125, found 500",
        ),
        (
            "[expect]\ninterval_s = nan",
            "2: expect.interval_s: expected a number of seconds from 0.05 to 86400, found nan",
        ),
        (
            "[groups.north]\nmissed = 0",
            "2: groups.north.missed: expected a whole number of heartbeats from 1 to 1000, found 0",
        ),
        // What several values make wrong.
        (
            "[receive]\npaths = [\"heartbeat\"]",
            "2: receive.paths: expected letters, digits and /._- after a /, found \"heartbeat\"",
        ),
        ("[receive]\npaths = [\"/a\", \"/a\"]", "2: receive.paths: expected each path once, found \"/a\""),
        (
            "[receive]\npaths = [\"/metrics\"]",
            "2: receive.paths: expected a path that is no page of the server, found \"/metrics\"",
        ),
        (
            "[access]\nproxy_header = \"X-User\"",
            "2: access.proxy_header: expected access.proxies beside it: other clients could send that header",
        ),
        (
            "[access]\nproxy_header = \"X User\"",
            "2: access.proxy_header: expected the name of a header, found \"X User\"",
        ),
        (
            "[postgres]\nurl = \"postgresql://hb:secret@127.0.0.1/hb\"",
            "2: postgres.url: expected no password here: put it into a file, postgres.password_file",
        ),
        // Several at once.
        (
            "[receive]\nrequire_token = 1\nnew_devices = 0",
            "2: receive.require_token: expected true or false, found 1\n\
             3: receive.new_devices: expected true or false, found 0",
        ),
    ] {
        assert_eq!(mistakes(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(mistakes(b"\n\xff"), "2: expected UTF-8 text, found other bytes");
    let long = mistakes(format!("listen = \"{}\"", "x".repeat(1000)).as_bytes());
    assert!(long.len() < 200 && long.ends_with("xxx...\""), "{long}");
}

#[test]
fn the_file_is_named_and_read_to_a_limit() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "listen = 5\n".repeat(2)).unwrap();
    let error = load(file.path(), true).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2: not TOML: duplicate key", file.path().display())), "{error}");
    std::fs::write(file.path(), "#".repeat(2 << 20)).unwrap();
    let error = load(file.path(), true).unwrap_err().to_string();
    assert!(error.ends_with(": larger than 1048576 bytes"), "{error}");
    let missing = file.path().with_extension("missing");
    assert!(load(&missing, false).is_ok());
    assert!(matches!(load(&missing, true), Err(ConfigError::Unreadable { .. })));
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_in_plain_words(
        text in "((listen|state|tls|receive|paths|channels|groups|kind|x)[=.]?[\"0-9naj.{}\\[\\]\n-]{0,9}){0,9}",
    ) {
        for mistake in parse(text.as_bytes()).err().into_iter().flatten() {
            prop_assert!(!mistake.text.chars().any(char::is_control), "{:?}", mistake);
            for word in ["u16", "u64", "usize", "invalid type", "variant", "missing field", "Option"] {
                prop_assert!(!mistake.text.contains(word), "{:?}", mistake);
            }
        }
    }
}
