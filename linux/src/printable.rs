//! Text from devices, servers and files, made harmless for a terminal.

use std::borrow::Cow;

/// `text` with every control character (C0, DEL and C1, ECMA-48) written out as JSON does, `\u001b`: a network's name may
/// hold any. In a string of a JSON document the result means the same.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, char::is_control)
}

/// As [`printable`], for text of several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character.is_control() && character != '\n')
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
    fn writes_control_characters_out_and_nothing_else() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}31m\r\n\tß𝄞\u{a0}";
        assert_eq!(printable(text), "a\\u001b[2J\\u007f\\u009b31m\\u000d\\u000a\\u0009ß𝄞\u{a0}");
        assert_eq!(printable_lines(text), "a\\u001b[2J\\u007f\\u009b31m\\u000d\n\\u0009ß𝄞\u{a0}");
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
