//! What a command starts: the Python program in it, and what it sets for that. The command is that of a unit, of a process,
//! or a line for a shell (of `sh -c`, cron or `rc.local`). It is read and never executed: what a shell would compute stays
//! as it is written, and is then no file.

use std::path::{Path, PathBuf};

/// Commands inside commands (`su -c 'sh -c ...'`).
pub(super) const DEPTH_MAX: u32 = 4;
pub(super) const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "su", "runuser"];

/// Words of a shell before a command.
const KEYWORDS: [&str; 10] = ["!", "do", "elif", "else", "if", "then", "time", "until", "while", "{"];

/// What was found in a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// The program, as it is named.
    pub(super) script: Option<PathBuf>,
    /// The directory that the command changes to first.
    pub(super) directory: Option<PathBuf>,
    /// The variables that the command sets.
    pub(super) environment: Vec<(String, String)>,
    /// Whether the program sees these variables only.
    pub(super) is_environment_cleared: bool,
    /// The program's arguments.
    pub(super) arguments: Vec<String>,
}

impl Started {
    /// By a command in words.
    pub(super) fn by(words: &[String]) -> Self {
        let mut started = Self::default();
        started.command(words, 0);
        started
    }

    /// By a line for a shell that stands behind others: what those prepare counts for it, too.
    pub(super) fn by_line_behind(lines: &[&str], line: &str) -> Self {
        let mut started = Self::default();
        for words in lines.iter().flat_map(|line| shell_commands(line)) {
            // A directory is only looked at. What is assigned under a condition may not be.
            if let Some([cd, directory, ..]) = behind_keywords(&words).filter(|rest| rest.len() < words.len())
            {
                if cd == "cd" {
                    started.change_to(Some(directory));
                }
                continue;
            }
            match words.first().map(String::as_str) {
                Some("cd") => started.change_to(words.get(1)),
                Some("export") => started.export(&words),
                // Of a shell, only what is exported reaches the program; but a path may be put together from it.
                _ if words.iter().all(|word| assignment(word).is_some()) => started.export(&words),
                _ => {}
            }
        }
        started.line(line, 0);
        started
    }

    fn export(&mut self, words: &[String]) {
        self.environment.extend(words.iter().filter_map(|word| assignment(word)));
    }

    fn line(&mut self, line: &str, depth: u32) {
        if depth == DEPTH_MAX {
            return;
        }
        for words in shell_commands(line) {
            if self.script.is_some() {
                return;
            }
            let words = behind_keywords(&words).unwrap_or_default();
            match words.first().map(String::as_str) {
                Some("cd") => self.change_to(words.get(1)),
                Some("export") => self.export(words),
                _ => self.command(words, depth),
            }
        }
    }

    fn change_to(&mut self, directory: Option<&String>) {
        if let Some(directory) = directory {
            self.directory = Some(self.directory.take().unwrap_or_default().join(directory));
        }
    }

    fn command(&mut self, words: &[String], depth: u32) {
        let mut before: Vec<&str> = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let last = before.last().copied().unwrap_or_default();
            let is_option = last.starts_with('-') || last.starts_with('+');
            let has_program = |names: &[&str]| before.iter().any(|word| names.contains(&name(word)));
            let is_python = before.iter().any(|word| name(word).starts_with("python"));
            let takes_line = has_program(&SHELLS) || has_program(&["env"]);
            if is_option && word.contains(char::is_whitespace) && takes_line && !is_python {
                self.line(word, depth + 1);
                if self.script.is_some() {
                    return;
                }
            } else if is_python && last == "-m" {
                self.script = Some(format!("{}.py", word.replace('.', "/")).into());
            } else if word.ends_with(".py") {
                self.script = Some(word.into());
            } else if let Some(variable) = assignment(word).filter(|_| !is_python) {
                self.environment.push(variable);
            } else if has_program(&["env"]) && !is_python {
                self.env_option(last, word);
            }
            if self.script.is_some() {
                self.arguments = words.take_while(|word| !is_redirection(word)).cloned().collect();
                return;
            }
            before.push(word);
        }
    }

    /// An option of `env` (env(1)), or the word after one.
    fn env_option(&mut self, before: &str, word: &str) {
        match (before, word) {
            (_, "-" | "-i" | "--ignore-environment") => self.is_environment_cleared = true,
            ("-u", name) => self.environment.push((name.to_owned(), String::new())),
            ("-C", directory) => self.directory = Some(directory.into()),
            _ => {
                if let Some(name) = word.strip_prefix("--unset=") {
                    self.environment.push((name.to_owned(), String::new()));
                } else if let Some(directory) = word.strip_prefix("--chdir=") {
                    self.directory = Some(directory.into());
                }
            }
        }
    }
}

/// A command without the keywords before it (POSIX.1-2024, Shell Command Language 2.4).
fn behind_keywords(words: &[String]) -> Option<&[String]> {
    let start = words.iter().position(|word| !KEYWORDS.contains(&word.as_str()))?;
    words.get(start..)
}

/// The name of the program that a word names.
pub(super) fn name(word: &str) -> &str {
    Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// `NAME=value`.
pub(super) fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    (is_name && begins).then(|| (name.to_owned(), value.to_owned()))
}

fn is_redirection(word: &str) -> bool {
    word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '&').starts_with(['>', '<'])
}

/// The simple commands of a line for a shell, in words (POSIX.1-2024, Shell Command Language 2.3).
pub(super) fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    let mut end = |word: &mut Option<String>, is_last: bool| {
        if let Some(command) = commands.last_mut() {
            command.extend(word.take());
        }
        if is_last {
            commands.push(Vec::new());
        }
    };
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (_, Some(_)) => word.get_or_insert_default().push(letter),
            ('#', None) if word.is_none() => {
                letters.by_ref().find(|letter| *letter == '\n');
                end(&mut word, true);
            }
            // `2>&1` is a part of a word.
            ('&', None) if word.as_ref().is_some_and(|word| word.ends_with(['>', '<'])) => {
                word.get_or_insert_default().push(letter);
            }
            (';' | '&' | '|' | '\n' | '(' | ')', None) => end(&mut word, true),
            (_, None) if letter.is_whitespace() => end(&mut word, false),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    end(&mut word, true);
    commands.retain(|command| !command.is_empty());
    commands
}

/// A text with the variables that are known put in place of `$NAME` and `${NAME}`. Others stay.
pub(super) fn expanded(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((name, behind)) => (name, behind),
            None => {
                let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        match value(name) {
            Some(value) => {
                whole.push_str(&value);
                rest = behind;
            }
            None => {
                whole.push('$');
                rest = after;
            }
        }
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by(command: &str) -> Started {
        Started::by(&super::super::unit::split_words(command))
    }

    /// The program, the directory, the variables and the arguments in one text.
    fn shown(started: &Started) -> String {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
        let variables: Vec<_> =
            started.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let all = [
            path(&started.directory),
            path(&started.script),
            variables.join(","),
            started.arguments.join(","),
        ];
        all.join("|")
    }

    #[test]
    fn finds_the_program_in_every_form_of_a_command() {
        for (command, expected) in [
            ("/usr/bin/python3 /home/pi/h.py", "|/home/pi/h.py||"),
            ("/usr/bin/python3 -u '/home/pi/my app/h.py' --debug", "|/home/pi/my app/h.py||--debug"),
            ("/home/pi/venv/bin/python h.py", "|h.py||"),
            ("/home/pi/h.py", "|/home/pi/h.py||"),
            ("/usr/bin/python3 -m heartbeat_daemon -v", "|heartbeat_daemon.py||-v"),
            ("/usr/bin/python3 -m app.heartbeat_daemon", "|app/heartbeat_daemon.py||"),
            ("/usr/bin/env python3 h.py", "|h.py||"),
            ("/usr/bin/env A=1 'B=x y' python3 -u h.py C=2", "|h.py|A=1,B=x y|C=2"),
            ("/usr/bin/env -u A python3 h.py", "|h.py|A=|"),
            ("/usr/bin/env --unset=A --chdir=/d python3 h.py", "/d|h.py|A=|"),
            ("/usr/bin/env -C /d python3 h.py", "/d|h.py||"),
            ("/usr/bin/env -S 'A=1 python3 h.py'", "|h.py|A=1|"),
            ("/bin/sh -c 'cd /home/pi/app && python3 h.py'", "/home/pi/app|h.py||"),
            (
                "/bin/bash -lc '. venv/bin/activate; cd /a; cd b; exec python3 h.py --x >>/l 2>&1 &'",
                "/a/b|h.py||--x",
            ),
            ("/bin/bash -c 'export A=1 B=2; C=3 python3 /a/h.py | tee /log'", "|/a/h.py|A=1,B=2,C=3|"),
            ("/bin/sh -c \"cd '/my app' && python3 h.py\"", "/my app|h.py||"),
            ("/bin/su pi -c \"/bin/sh -c 'cd /a; python3 h.py'\"", "/a|h.py||"),
            ("/usr/bin/sudo -u pi nice -n 5 python3 h.py", "|h.py||"),
            ("/home/pi/start.sh", "|||"),
            ("/usr/bin/python3 -c 'import x'", "|||"),
            ("", "|||"),
        ] {
            assert_eq!(shown(&by(command)), expected, "{command}");
        }
        assert!(by("/usr/bin/env -i A=1 python3 h.py").is_environment_cleared);
        assert!(!by("/usr/bin/env A=1 python3 h.py").is_environment_cleared);
    }

    #[test]
    fn finds_the_program_in_lines_for_a_shell() {
        for (line, expected) in [
            ("sleep 30 && A=1 python3 /a/h.py >/dev/null 2>&1", "|/a/h.py|A=1|"),
            ("if [ -d /a ]; then cd /a; python3 h.py & fi", "/a|h.py||"),
            ("while :; do cd /a && ! python3 h.py; done", "/a|h.py||"),
            ("{ cd /a; python3 h.py; }", "/a|h.py||"),
            ("(cd /a && python3 h.py) &", "/a|h.py||"),
            ("su - pi -c 'cd /a && python3 h.py' # not /b/h.py", "/a|h.py||"),
            ("# python3 /a/h.py", "|||"),
            ("echo \"a;b\" c\\ d; python3 h.py", "|h.py||"),
            ("sh -c 'sh -c \"sh -c \\'sh -c \\\"python3 h.py\\\"\\'\"'", "|||"),
        ] {
            assert_eq!(shown(&Started::by_line_behind(&[], line)), expected, "{line}");
        }
    }

    #[test]
    fn lines_before_it_prepare_it() {
        let started = |lines: &[&str]| {
            let (line, before) = lines.split_last().expect("a line");
            shown(&Started::by_line_behind(before, line))
        };
        assert_eq!(started(&["cd /a || exit 1", "python3 h.py &"]), "/a|h.py||");
        assert_eq!(
            started(&["A=1", "export B='x y' C=3; D=4", "if x; then E=5; fi", "F=6 ./other", "python3 h.py"]),
            "|h.py|A=1,B=x y,C=3,D=4|"
        );
        assert_eq!(started(&["if [ -d /a ]; then cd /a", "python3 h.py &"]), "/a|h.py||");
        assert_eq!(started(&["# A=1", "python3 /x/other.py", "echo A=1", "python3 h.py"]), "|h.py||");
    }

    #[test]
    fn puts_known_variables_in_place_of_their_names() {
        let value = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(expanded("$A/${A}y/$AB/${B}/$", value), "x/xy/$AB/${B}/$");
        assert_eq!(expanded("none", value), "none");
        assert_eq!(expanded("${A", value), "${A");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, line in "(sh |-c |'|\"|\\\\|cd |;|&|>|#|env |-u |A=|h\\.py|python3 |\\$|\\{|\\}| ){0,40}") {
            for text in [text, line] {
                let _ = (by(&text), Started::by_line_behind(&[&text], &text), expanded(&text, |_| None));
            }
        }
    }
}
