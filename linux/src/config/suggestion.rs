//! What an unknown key was probably meant to be.

use strsim::damerau_levenshtein;

/// Longest key that is compared with others. The longest known key has 20 bytes.
const LENGTH_MAX: usize = 64;

/// The known key that is nearest to `unknown`: in the same section or, with the same name, in another. `None` when more
/// than a third of its letters would have to change.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if unknown.len() > LENGTH_MAX {
        return None;
    }
    // As in a flag or an environment variable.
    let unknown = unknown.to_lowercase().replace('-', "_");
    let (distance, _, key) = known
        .into_iter()
        .map(|key| {
            let name = damerau_levenshtein(name_of(&unknown), name_of(key));
            (name, damerau_levenshtein(&unknown, key), key)
        })
        .min()?;
    let limit = (name_of(&unknown).chars().count() / 3).max(1);
    (distance <= limit).then_some(key)
}

/// A dotted key without its section.
fn name_of(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = ["url", "interval", "ca_file", "backlog", "backlog.file", "ups", "ups.bus"];

    #[test]
    fn suggests_the_nearest_key() {
        for (unknown, key) in [
            ("intervall", Some("interval")),
            ("itnerval", Some("interval")),
            ("INTERVAL", Some("interval")),
            ("ca-file", Some("ca_file")),
            ("uri", Some("url")),
            ("backlogs", Some("backlog")),
            ("ups.buss", Some("ups.bus")),
            ("buss", Some("ups.bus")),
            ("file", Some("backlog.file")),
            ("ups.interval", Some("interval")),
            ("interv", Some("interval")),
            ("inter", None),
            ("x", None),
            ("", None),
            ("temperature", None),
        ] {
            assert_eq!(nearest(unknown, KNOWN), key, "{unknown}");
        }
    }

    #[test]
    fn does_not_compare_long_keys() {
        let key = "x".repeat(LENGTH_MAX + 1);
        assert_eq!(nearest(&key, [key.as_str()]), None);
        let key = "x".repeat(LENGTH_MAX);
        assert_eq!(nearest(&key, [key.as_str()]), Some(key.as_str()));
    }
}
