//! Files in sections of `key=value` that start a command: programs of supervisor (supervisord.org, "`[program:x]` Section
//! Values") and entries for a desktop (Desktop Entry Specification).

use super::{command::Started, unit::split_words};

/// What the command starts, with what the other lines of its section say: those before and those behind it.
pub(super) fn started(before: &[&str], command: &str, behind: &[&str]) -> Started {
    let mut started = Started::by_line_behind(&[], command);
    for (key, value) in section(before, behind) {
        match key.as_str() {
            "directory" | "Path" => {
                // What the command itself changes to is relative to it.
                let inner = started.directory.take().unwrap_or_default();
                started.directory = Some(std::path::Path::new(value.trim()).join(inner));
            }
            "environment" => {
                let variables = split_words(&without_commas(&value));
                let variables = variables.iter().filter_map(|word| word.split_once('='));
                let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
                // Those of the command replace them.
                started.environment = variables.chain(started.environment).collect();
            }
            _ => {}
        }
    }
    started
}

/// The settings of the section between two groups of lines.
fn section(before: &[&str], behind: &[&str]) -> Vec<(String, String)> {
    let is_head = |line: &&&str| line.trim_start().starts_with('[');
    let begin = before.iter().rposition(|line| is_head(&line)).map_or(0, |head| head + 1);
    let own = before.get(begin..).unwrap_or_default().iter();
    let lines = own.chain(behind.iter().take_while(|line| !is_head(line)));
    let mut settings: Vec<(String, String)> = Vec::new();
    for line in lines.filter(|line| !line.starts_with([';', '#'])) {
        match (line.starts_with(char::is_whitespace), settings.last_mut(), line.split_once('=')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((key, value))) => settings.push((key.trim().to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    settings
}

/// `A="1",B="2"` with white space in place of commas outside of quotes.
fn without_commas(list: &str) -> String {
    let mut quote = None;
    let letters = list.chars().map(|letter| {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            (',', None) => return ' ',
            _ => {}
        }
        letter
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_same_section_count() {
        let before =
            ["[program:other]", "directory=/other", "", "[program:heart]", "user=pi", "directory=/app"];
        let behind = [
            "autostart=true",
            "environment=A=\"1,2\",",
            "    B='3'",
            "; environment=A=4",
            "[program:last]",
            "environment=A=5",
        ];
        let found = started(&before, "python3 heartbeat_daemon.py -v", &behind);
        assert_eq!(found.script, Some("heartbeat_daemon.py".into()));
        assert_eq!(found.directory, Some("/app".into()));
        assert_eq!(found.arguments, ["-v"]);
        let variables = [("A", "1,2"), ("B", "3")];
        assert_eq!(found.environment, variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let command = started(
            &["[Desktop Entry]", "Path=/app"],
            "sh -c 'cd sub; A=6 python3 h.py'",
            &["environment=A=7"],
        );
        assert_eq!(command.directory, Some("/app/sub".into()));
        assert_eq!(
            command.environment.last(),
            Some(&("A".to_owned(), "6".to_owned())),
            "the command has the last word"
        );
    }
}
