//! Unit files of systemd, as far as a take-over needs them: the section `[Service]` of a unit with its drop-ins
//! (systemd.syntax(7), systemd.service(5), systemd.exec(5)), and environment files.

use std::path::Path;

/// Name of this program's executable.
const PROGRAM: &str = "heartbeat-daemon";

/// A setting as it was written, and the file in which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: String,
}

/// The section `[Service]` of a unit and its drop-ins, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit(Vec<Assignment>);

impl Unit {
    /// Adds what a unit file or a drop-in says.
    pub(super) fn add(&mut self, text: &str, origin: &str) {
        let mut in_service = false;
        for line in logical_lines(text) {
            if line.starts_with('[') {
                in_service = line == "[Service]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| in_service) {
                self.0.push(Assignment {
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                    origin: origin.to_owned(),
                });
            }
        }
    }

    /// A unit from one file.
    pub(super) fn parse(text: &str, origin: &str) -> Self {
        let mut unit = Self::default();
        unit.add(text, origin);
        unit
    }

    /// All values of a setting that is a list: an empty one discards those before it.
    pub(super) fn list(&self, key: &str) -> Vec<&Assignment> {
        let all: Vec<_> = self.0.iter().filter(|assignment| assignment.key == key).collect();
        let start =
            all.iter().rposition(|assignment| assignment.value.is_empty()).map_or(0, |empty| empty + 1);
        all.into_iter().skip(start).collect()
    }

    /// The value of a setting that has one: the last. `None` when it is empty.
    pub(super) fn last(&self, key: &str) -> Option<&Assignment> {
        self.0.iter().rfind(|assignment| assignment.key == key).filter(|last| !last.value.is_empty())
    }

    /// The command that is started, without the characters before it that systemd takes for itself.
    pub(super) fn command(&self) -> Vec<String> {
        let Some(start) = self.list("ExecStart").first().copied() else { return Vec::new() };
        let mut words = split_words(&start.value);
        if let Some(program) = words.first_mut() {
            *program = program.trim_start_matches(['-', '@', ':', '+', '!', '|']).to_owned();
        }
        words
    }

    /// Whether the command is this program, wherever it is installed.
    pub(super) fn is_ours(&self) -> bool {
        self.command()
            .first()
            .is_some_and(|program| Path::new(program).file_name().is_some_and(|name| name == PROGRAM))
    }
}

/// Lines without comments, each with what a backslash at its end continues.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        // Comments may stand between the parts of a line.
        if line.starts_with(['#', ';']) || (line.is_empty() && open.is_none()) {
            continue;
        }
        let mut whole = open.take().unwrap_or_default();
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                whole.push(' ');
                open = Some(whole);
            }
            None => {
                whole.push_str(line);
                lines.push(whole);
            }
        }
    }
    lines.extend(open);
    lines
}

/// Splits a value at white space. Quotes keep a word together; a backslash escapes as in C. `%%` is a percent sign.
pub(super) fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            ('\\', _) => word.get_or_insert_default().extend(escaped(&mut letters)),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| word.replace("%%", "%")).collect()
}

/// What follows a backslash.
fn escaped(letters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match letters.next()? {
        'n' => '\n',
        't' => '\t',
        's' => ' ',
        other => other,
    })
}

/// The variables of an environment file (`EnvironmentFile=` in systemd.exec(5)).
pub(super) fn environment_file(text: &str) -> Vec<(String, String)> {
    let variables = logical_lines(text).into_iter().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), unquoted(value.trim())))
    });
    variables.collect()
}

/// A value as a shell reads it, but for expansion.
fn unquoted(value: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => plain.extend(letters.next()),
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_section_service_only() {
        let unit = Unit::parse("[Unit]\nUser=a\n[Service]\n# User=b\nUser = pi\n[Install]\nUser=c\n", "u");
        assert_eq!(unit.last("User").map(|user| user.value.as_str()), Some("pi"));
    }

    #[test]
    fn joins_continued_lines_around_comments() {
        let unit = Unit::parse("[Service]\nExecStart=/usr/bin/python3 \\\n# why\n  -u x.py\n", "u");
        assert_eq!(unit.command(), ["/usr/bin/python3", "-u", "x.py"]);
    }

    #[test]
    fn drop_in_replaces_the_command() {
        let mut unit = Unit::parse("[Service]\nExecStart=/usr/bin/heartbeat-daemon run\n", "u");
        assert!(unit.is_ours());
        unit.add(
            "[Service]\nExecStart=\nExecStart=-/usr/bin/python3 '/home/pi/my app/h.py'\n",
            "override.conf",
        );
        assert_eq!(unit.command(), ["/usr/bin/python3", "/home/pi/my app/h.py"]);
        assert!(!unit.is_ours());
    }

    #[test]
    fn recognises_this_program_by_name() {
        for (command, ours) in [
            ("heartbeat-daemon run", true),
            ("/usr/local/bin/heartbeat-daemon", true),
            ("-@/usr/bin/heartbeat-daemon x", true),
            ("/usr/bin/python3 /home/pi/heartbeat_daemon.py", false),
            ("/home/pi/heartbeat-daemon.sh", false),
            ("", false),
        ] {
            assert_eq!(
                Unit::parse(&format!("[Service]\nExecStart={command}\n"), "u").is_ours(),
                ours,
                "{command}"
            );
        }
    }

    #[test]
    fn splits_words_as_systemd_does() {
        assert_eq!(
            split_words(r#"A=1 "B=two words" 'C="x"' D=a\sb E=50%%"#),
            ["A=1", "B=two words", "C=\"x\"", "D=a b", "E=50%"]
        );
        assert_eq!(split_words(r#""unbalanced x"#), ["unbalanced x"]);
        assert_eq!(split_words("''"), [""]);
    }

    #[test]
    fn reads_environment_files() {
        let text = "# c\n; d\nHEARTBEAT_URL=\"https://a/b?c=\\\"1\\\"\"\nREQUEST_TIMEOUT = 1.5 \nX='a\\b'\nY=a\\\n b\nno value\n";
        let expected = [
            ("HEARTBEAT_URL", "https://a/b?c=\"1\""),
            ("REQUEST_TIMEOUT", "1.5"),
            ("X", "a\\b"),
            ("Y", "a b"),
        ];
        assert_eq!(environment_file(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, unit in "(\\[Service\\]\n|ExecStart=|Environment=|[\"'\\\\ %=a\n]){0,40}") {
            for text in [text, unit] {
                let unit = Unit::parse(&text, "u");
                let _ = (unit.command(), unit.is_ours(), environment_file(&text), split_words(&text));
            }
        }
    }
}
