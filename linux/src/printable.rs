//! Text from devices, servers and files, made harmless for a terminal: it neither controls the terminal nor changes how
//! the text around it reads.

use std::borrow::Cow;

/// `text` with every harmful character written out as JSON does, `\u001b`: a network's name may hold any. In a string of a
/// JSON document the result means the same.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// As [`printable`], for text of several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_harmful(character) && character != '\n')
}

/// Whether a character is a control character (C0, DEL and C1, ECMA-48), ends a line, or reverses the direction of what
/// follows (Unicode Standard Annex 9), so that a line seems to say something else.
pub(crate) fn is_harmful(character: char) -> bool {
    let is_line_end = matches!(character, '\u{2028}' | '\u{2029}');
    let is_direction = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || is_line_end || is_direction
}

fn escaped(text: &str, is_harmful: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            harmless.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            harmless.push(character);
        }
    }
    harmless.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_harmful_characters_out_and_nothing_else() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}31m\r\n\tß𝄞\u{a0}";
        assert_eq!(printable(text), "a\\u001b[2J\\u007f\\u009b31m\\u000d\\u000a\\u0009ß𝄞\u{a0}");
        assert_eq!(printable_lines(text), "a\\u001b[2J\\u007f\\u009b31m\\u000d\n\\u0009ß𝄞\u{a0}");
        assert_eq!(
            printable("a\u{202e}b\u{2066}c\u{200f}\u{61c}\u{2028}"),
            "a\\u202eb\\u2066c\\u200f\\u061c\\u2028"
        );
        // What stands beside them is text: hyphens, joiners of emoji, Arabic, a byte order mark.
        let text = "\u{2027}\u{202f}\u{200d}\u{2065}\u{206a}\u{645}\u{feff}";
        assert_eq!(printable(text), text);
        assert!(matches!(printable("wlan0, 48.8 °C"), Cow::Borrowed(_)));
    }

    #[test]
    fn keeps_the_meaning_of_a_json_document() {
        let document = serde_json::json!({ "ssid": "\u{7f}\u{9b}31m\u{0}" });
        let printed = printable(&document.to_string()).into_owned();
        assert!(!printed.contains(char::is_control));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).expect("JSON"), document);
    }
}
