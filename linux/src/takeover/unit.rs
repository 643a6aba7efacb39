//! Unit files of systemd, as far as a take-over needs them: the section `[Service]` of a unit with its drop-ins
//! (systemd.syntax(7), systemd.service(5), systemd.exec(5)), and environment files.

use std::path::Path;

use super::UNIT;

/// Name of this program's executable.
const PROGRAM: &str = "heartbeat-daemon";

/// A setting as it was written, and the file in which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: String,
}

/// What the specifiers of a unit stand for (systemd.unit(5), "Specifiers").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Specifiers {
    /// The unit's name.
    pub(super) unit: String,
    /// The user of the systemd that starts it, which is not the user that it runs as.
    pub(super) user: String,
    /// That user's home.
    pub(super) home: String,
    /// Where that systemd keeps configuration, state, cache, logs and what does not outlive a boot.
    directories: [&'static str; 5],
}

impl Default for Specifiers {
    fn default() -> Self {
        Self::of_the_system(UNIT)
    }
}

impl Specifiers {
    /// Of a unit of the system.
    pub(super) fn of_the_system(unit: &str) -> Self {
        let directories = ["/etc", "/var/lib", "/var/cache", "/var/log", "/run"];
        Self { unit: unit.to_owned(), user: "root".to_owned(), home: "/root".to_owned(), directories }
    }

    /// Of a unit of a user's own systemd. Its directories stay as they are written.
    pub(super) fn of_a_user(unit: &str, user: &str, home: &Path) -> Self {
        let (user, home) = (user.to_owned(), home.display().to_string());
        Self { unit: unit.to_owned(), user, home, directories: ["%E", "%S", "%C", "%L", "%t"] }
    }

    fn value(&self, specifier: char) -> Option<&str> {
        let stem = self.unit.rsplit_once('.').map_or(self.unit.as_str(), |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let [configuration, state, cache, logs, runtime] = self.directories;
        Some(match specifier {
            '%' => "%",
            'n' => &self.unit,
            'N' => stem,
            'p' => prefix,
            // That of a template is not known.
            'i' | 'I' if !instance.is_empty() || !stem.contains('@') => instance,
            'u' => &self.user,
            'h' => &self.home,
            'E' => configuration,
            'S' => state,
            'C' => cache,
            'L' => logs,
            't' => runtime,
            'T' => "/tmp",
            'V' => "/var/tmp",
            _ => return None,
        })
    }

    /// A value with its specifiers. Those that are not known stay.
    fn expanded(&self, text: &str) -> String {
        let mut whole = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let specifier = if letter == '%' { letters.next() } else { None };
            match (specifier, specifier.and_then(|specifier| self.value(specifier))) {
                (_, Some(value)) => whole.push_str(value),
                (specifier, None) => {
                    whole.push(letter);
                    whole.extend(specifier);
                }
            }
        }
        whole
    }
}

/// The section `[Service]` of a unit and its drop-ins, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    assignments: Vec<Assignment>,
    specifiers: Specifiers,
}

impl Unit {
    /// An empty unit whose specifiers stand for this.
    pub(super) const fn with(specifiers: Specifiers) -> Self {
        Self { assignments: Vec::new(), specifiers }
    }

    /// Adds what a unit file or a drop-in says.
    pub(super) fn add(&mut self, text: &str, origin: &str) {
        let mut in_service = false;
        for line in logical_lines(text) {
            if line.starts_with('[') {
                in_service = line == "[Service]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| in_service) {
                self.assignments.push(Assignment {
                    key: key.trim().to_owned(),
                    value: self.specifiers.expanded(value.trim()),
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
        let all: Vec<_> = self.assignments.iter().filter(|assignment| assignment.key == key).collect();
        let start =
            all.iter().rposition(|assignment| assignment.value.is_empty()).map_or(0, |empty| empty + 1);
        all.into_iter().skip(start).collect()
    }

    /// The value of a setting that has one: the last. `None` when it is empty.
    pub(super) fn last(&self, key: &str) -> Option<&Assignment> {
        self.assignments
            .iter()
            .rfind(|assignment| assignment.key == key)
            .filter(|last| !last.value.is_empty())
    }

    /// The commands that are started, without the characters before them that systemd takes for itself, and without the name
    /// that a program is given instead of its own.
    pub(super) fn commands(&self) -> Vec<Vec<String>> {
        let words_of = |start: &Assignment| {
            let mut words = split_words(&start.value);
            let program = words.first_mut()?;
            let bare = program.trim_start_matches(['-', '@', ':', '+', '!', '|']).to_owned();
            let is_renamed = program.strip_suffix(bare.as_str()).is_some_and(|prefix| prefix.contains('@'));
            *program = bare;
            if is_renamed && words.len() > 1 {
                words.remove(1);
            }
            Some(words)
        };
        self.list("ExecStart").into_iter().filter_map(words_of).collect()
    }

    /// Whether all commands are this program, wherever it is installed.
    pub(super) fn is_ours(&self) -> bool {
        let commands = self.commands();
        let is_ours = |command: &Vec<String>| {
            let program = command.first().and_then(|program| Path::new(program).file_name());
            program.is_some_and(|name| name == PROGRAM)
        };
        !commands.is_empty() && commands.iter().all(is_ours)
    }
}

/// Lines without comments, each with what a backslash at its end continues.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
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

/// Splits a value at white space. Quotes keep a word together; a backslash escapes as in C.
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
    words
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
        assert_eq!(unit.commands(), [["/usr/bin/python3", "-u", "x.py"]]);
    }

    #[test]
    fn drop_in_replaces_the_command() {
        let mut unit = Unit::parse("[Service]\nExecStart=/usr/bin/heartbeat-daemon run\n", "u");
        assert!(unit.is_ours());
        unit.add(
            "[Service]\nExecStart=\nExecStart=-/usr/bin/python3 '/home/pi/my app/h.py'\n",
            "override.conf",
        );
        assert_eq!(unit.commands(), [["/usr/bin/python3", "/home/pi/my app/h.py"]]);
        assert!(!unit.is_ours());
    }

    #[test]
    fn takes_what_systemd_keeps_from_commands() {
        let commands = |start: &str| Unit::parse(&format!("[Service]\nExecStart={start}\n"), "u").commands();
        assert_eq!(commands("@/usr/bin/python3 heart.py /a/h.py"), [["/usr/bin/python3", "/a/h.py"]]);
        assert_eq!(commands("-+/usr/bin/python3 /a/h.py"), [["/usr/bin/python3", "/a/h.py"]]);
        assert_eq!(
            commands("/bin/mkdir /x\nExecStart=-/a/h.py"),
            [vec!["/bin/mkdir", "/x"], vec!["/a/h.py"]]
        );
        assert_eq!(commands("@"), [[""]]);
        assert_eq!(commands("/a/h.py\nExecStart="), [[""; 0]; 0]);
    }

    #[test]
    fn puts_what_specifiers_stand_for() {
        let expand = |specifiers: Specifiers, text: &str| {
            let mut unit = Unit::with(specifiers);
            unit.add(&format!("[Service]\nX={text}\n"), "u");
            unit.last("X").map(|last| last.value.clone()).unwrap_or_default()
        };
        let system = Specifiers::default();
        assert_eq!(
            expand(system.clone(), "%h/%u/%E/%t/%T/100%%/%n"),
            "/root/root//etc//run//tmp/100%/heartbeat-daemon.service"
        );
        assert_eq!(expand(system, "a%i-%p-%N-%z-%"), "a-heartbeat-daemon-heartbeat-daemon-%z-%");
        let instance = Specifiers::of_the_system("h@pi.service");
        assert_eq!(expand(instance, "/home/%i/%p"), "/home/pi/h");
        assert_eq!(expand(Specifiers::of_the_system("h@.service"), "/home/%i"), "/home/%i", "a template");
        let user = Specifiers::of_a_user("h.service", "pi", Path::new("/home/pi"));
        assert_eq!(expand(user, "%h/%u/%t"), "/home/pi/pi/%t");
    }

    #[test]
    fn recognises_this_program_by_name() {
        for (command, ours) in [
            ("heartbeat-daemon run", true),
            ("/usr/local/bin/heartbeat-daemon", true),
            ("-@/usr/bin/heartbeat-daemon x", true),
            ("/usr/bin/heartbeat-daemon run\nExecStart=/bin/true", false),
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
            split_words(r#"A=1 "B=two words" 'C="x"' D=a\sb E=50%"#),
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
                let _ = (unit.commands(), unit.is_ours(), environment_file(&text), split_words(&text));
            }
        }
    }
}
