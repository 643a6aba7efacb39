//! Text of devices where it is not HTML: lines of messages, of the log, of a terminal.

/// Text on one line: control characters, which could begin another line or tell a terminal what to do, and those that
/// turn the direction of writing, become U+FFFD.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Whether a character may be part of an id.
pub(crate) fn is_plain(c: char) -> bool {
    // Line and paragraph separators; embeddings, overrides and isolates of the direction.
    !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_line() {
        for text in ["a\nb", "a\0b", "a\x1bb", "a\u{9b}b", "a\u{2028}b", "a\u{202e}b"] {
            assert_eq!(one_line(text), "a\u{fffd}b", "{text:?}");
        }
        assert_eq!(one_line("heiß, 83.2 °C 🔥"), "heiß, 83.2 °C 🔥");
    }
}
