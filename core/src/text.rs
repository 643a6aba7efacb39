//! Text from outside the program, bounded by its size in JSON.

use core::fmt;

use serde::{Serialize, Serializer};

use crate::plausible::Plausible;

/// Text that takes at most `N` bytes inside a JSON string, escapes included, quotes not.
///
/// Text that is too long is cut at a character boundary; invalid UTF-8 becomes U+FFFD. The bound counts escapes, so that the
/// greatest size of a document is known at compile time.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text<const N: usize>(heapless::String<N>);

impl<const N: usize> Text<N> {
    /// Takes as many leading characters of `text` as fit.
    pub fn new(text: &str) -> Self {
        let mut cut = Self::default();
        cut.extend(text, &mut 0);
        cut
    }

    /// Like [`Text::new`], for bytes that may not be UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut cut = Self::default();
        let mut used = 0;
        for chunk in bytes.utf8_chunks() {
            let replaced = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            if !cut.extend(chunk.valid(), &mut used) || !cut.extend(replaced, &mut used) {
                break;
            }
        }
        cut
    }

    /// The text without escapes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends characters while they fit; `used` counts the bytes in JSON so far. False when one did not fit.
    fn extend(&mut self, text: &str, used: &mut usize) -> bool {
        for c in text.chars() {
            let needed = used.saturating_add(escaped_len(c));
            if needed > N || self.0.push(c).is_err() {
                return false;
            }
            *used = needed;
        }
        true
    }
}

impl<const N: usize> Plausible for Text<N> {
    fn plausible(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }
}

/// Writes DEL and the C1 control characters (ECMA-48) in a JSON document out as `\u007F`: `serde-json-core` escapes C0 alone, and
/// a terminal obeys them as well. Takes the document's length, and returns the new one; `None` if it does not fit.
pub(crate) fn escape_controls(buffer: &mut [u8], len: usize) -> Option<usize> {
    let document = buffer.get(..len)?;
    // In UTF-8 a C1 character is 0xC2 and itself, and 0xC2 begins nothing longer.
    let follows = |byte: u8, next: Option<&u8>| byte == 0xc2 && matches!(next, Some(0x80..=0x9f));
    let mut end = len;
    for (index, byte) in document.iter().enumerate() {
        if *byte == 0x7f {
            end = end.checked_add(5)?;
        } else if follows(*byte, document.get(index.saturating_add(1))) {
            end = end.checked_add(4)?;
        }
    }
    if end > buffer.len() {
        return None;
    }
    // From behind, so that nothing is written over before it has been read.
    let (mut read, mut write) = (len, end);
    while read < write {
        read = read.checked_sub(1)?;
        let byte = *buffer.get(read)?;
        let before = read.checked_sub(1).and_then(|before| buffer.get(before)).copied();
        let is_c1 = before.is_some_and(|before| follows(before, Some(&byte)));
        if byte != 0x7f && !is_c1 {
            write = write.checked_sub(1)?;
            *buffer.get_mut(write)? = byte;
            continue;
        }
        if is_c1 {
            read = read.checked_sub(1)?;
        }
        write = write.checked_sub(6)?;
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' - 10 + value };
        let escape = [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)];
        buffer.get_mut(write..)?.iter_mut().zip(escape).for_each(|(place, byte)| *place = byte);
    }
    Some(end)
}

/// Bytes that a character takes inside a JSON string, as `serde-json-core` and [`escape_controls`] escape it.
const fn escaped_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => 6,
        _ => c.len_utf8(),
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for Text<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.as_str());
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        string::{String, ToString},
        vec::Vec,
    };

    fn json<const N: usize>(text: &Text<N>) -> String {
        let mut buffer = [0; 512];
        let len = serde_json_core::to_slice(text, &mut buffer).expect("fits");
        let len = escape_controls(&mut buffer, len).expect("fits");
        String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
    }

    #[test]
    fn text_is_cut_at_a_character_and_counts_escapes() {
        assert_eq!(Text::<4>::new("aé€").as_str(), "aé", "€ needs 3 bytes, 1 is left");
        assert_eq!(json(&Text::<5>::new("a\"\\b")), r#""a\"\\""#);
        assert_eq!(Text::<5>::new("\u{1}").as_str(), "", "an escape is never half-written");
        assert_eq!(json(&Text::<6>::new("\u{1}")), r#""\u0001""#);
        assert_eq!(json(&Text::<6>::new("\u{1f}")), r#""\u001F""#);
    }

    #[test]
    fn del_and_c1_are_escaped_as_c0_is() {
        assert_eq!(
            json(&Text::<64>::new("\u{7f}a\u{80}\u{9f}\u{a0}é\u{1b}")),
            "\"\\u007Fa\\u0080\\u009F\u{a0}é\\u001B\""
        );
        assert_eq!(json(&Text::<5>::new("\u{9b}")), "\"\"", "an escape is never half-written");
        let mut buffer = *b"[\"\x7f\"]  ";
        assert_eq!(escape_controls(&mut buffer, 5), None, "it does not fit");
        assert_eq!(escape_controls(&mut buffer, 9), None, "nor is there so much");
        let mut buffer = *b"[\"\x7f\"]     ";
        assert_eq!((escape_controls(&mut buffer, 5), &buffer), (Some(10), b"[\"\\u007F\"]"));
    }

    #[test]
    fn display_and_debug_show_the_text() {
        let text = Text::<8>::new("é\"");
        assert_eq!((text.to_string().as_str(), std::format!("{text:?}").as_str()), ("é\"", r#""é\"""#));
        assert!(!text.is_empty() && Text::<8>::new("").is_empty());
    }

    #[test]
    fn stops_at_the_first_character_that_does_not_fit() {
        assert_eq!(Text::<3>::new("ab€c").as_str(), "ab");
        assert_eq!(Text::<3>::from_bytes(b"ab\xffc").as_str(), "ab");
    }

    #[test]
    fn invalid_utf8_becomes_the_replacement_character() {
        assert_eq!(Text::<32>::from_bytes(b"caf\xc3\xa9 \xff\xfe!").as_str(), "café \u{fffd}\u{fffd}!");
    }

    proptest! {
        #[test]
        fn json_is_valid_and_within_the_bound(bytes: Vec<u8>, controls in "[\\x00-\\x1f\"\\\\é€]{0,60}") {
            for text in [Text::<40>::from_bytes(&bytes), Text::<40>::new(&controls)] {
                let written = json(&text);
                prop_assert!(written.len() <= 40 + 2, "{} bytes", written.len());
                let escaped: usize = text.as_str().chars().map(escaped_len).sum();
                prop_assert_eq!(written.len(), escaped + 2);
                let read: String = serde_json::from_str(&written).expect("valid JSON");
                prop_assert_eq!(read.as_str(), text.as_str());
            }
        }

        #[test]
        fn text_that_fits_is_kept_whole(text in "[a-zé€ ]{0,13}") {
            let kept = Text::<40>::new(&text);
            prop_assert_eq!(kept.as_str(), text.as_str());
        }
    }
}
