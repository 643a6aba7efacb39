//! Writes JSON (RFC 8259) into a fixed buffer: the whole of it, or nothing that anybody sees.
//!
//! By hand, because the wire is what this crate is about: a document costs less than half of the instructions that a general
//! serializer took for it, and no path to a panic is linked. Each type writes itself; keys stand in the code as they are
//! written, and hence must need no escapes.

/// Longest decimal: sign, 19 digits of an `i64`, the point; or the 20 digits of a `u64`.
pub(crate) const DECIMAL_MAX: usize = 21;

/// A value with a JSON text.
pub(crate) trait ToJson {
    /// Appends the text.
    fn write(&self, json: &mut Json<'_>);
}

/// JSON in the making.
#[derive(Debug)]
pub(crate) struct Json<'b> {
    buffer: &'b mut [u8],
    len: usize,
    overflown: bool,
}

/// The members of an object in the making.
#[derive(Debug)]
pub(crate) struct Members<'j, 'b> {
    json: &'j mut Json<'b>,
    any: bool,
}

impl<'b> Json<'b> {
    /// Nothing yet, in `buffer`.
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0, overflown: false }
    }

    /// Bytes of the text, which begins with the buffer; `None` if it did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.overflown).then_some(self.len)
    }

    /// Appends an object.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Members<'_, 'b>)) {
        self.raw(b"{");
        fill(&mut Members { json: self, any: false });
        self.raw(b"}");
    }

    /// Appends text as a string.
    pub(crate) fn string(&mut self, text: &str) {
        self.raw(b"\"");
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| escape(*byte).is_some()) {
            // In range: it was found there.
            let Some((plain, [special, after @ ..])) = rest.split_at_checked(at) else { break };
            self.raw(plain);
            match escape(*special) {
                Some(Escape::Short(letter)) => self.raw(&[b'\\', letter]),
                _ => self.raw(&[b'\\', b'u', b'0', b'0', hex(special >> 4), hex(special & 0xf)]),
            }
            rest = after;
        }
        self.raw(rest);
        self.raw(b"\"");
    }

    /// Appends `raw * 10^-places` as a number with that many decimals, at most 19.
    pub(crate) fn decimal(&mut self, raw: i64, places: u8) {
        self.raw(decimal(raw < 0, raw.unsigned_abs(), places, &mut [0; DECIMAL_MAX]));
    }

    /// Appends a whole number.
    pub(crate) fn whole(&mut self, number: u64) {
        self.raw(decimal(false, number, 0, &mut [0; DECIMAL_MAX]));
    }

    /// Appends a number as a string of hexadecimal digits, all sixteen.
    pub(crate) fn digits(&mut self, number: u64) {
        self.raw(b"\"");
        for byte in number.to_be_bytes() {
            self.raw(&[hex(byte >> 4), hex(byte & 0xf)]);
        }
        self.raw(b"\"");
    }

    fn raw(&mut self, bytes: &[u8]) {
        let free = self.buffer.get_mut(self.len..).unwrap_or_default();
        match free.split_at_mut_checked(bytes.len()) {
            Some((place, _)) => {
                place.copy_from_slice(bytes);
                // At most the buffer's length.
                self.len = self.len.saturating_add(bytes.len());
            }
            None => self.overflown = true,
        }
    }
}

impl Members<'_, '_> {
    /// Appends a member. `key` is as [`key!`] makes it.
    pub(crate) fn member(&mut self, key: &'static str, value: &impl ToJson) {
        let comma = usize::from(!self.any);
        self.json.raw(key.as_bytes().get(comma..).unwrap_or_default());
        value.write(self.json);
        self.any = true;
    }
}

/// A key with everything around it, so that it is copied at once.
macro_rules! key {
    ($key:literal) => {
        concat!(",\"", $key, "\":")
    };
}
pub(crate) use key;

/// `raw * 10^-places` as decimal text, which ends with the buffer.
pub(crate) fn decimal(negative: bool, raw: u64, places: u8, buffer: &mut [u8; DECIMAL_MAX]) -> &[u8] {
    let mut start = DECIMAL_MAX;
    let mut put_before = |byte| {
        start = start.saturating_sub(1);
        if let Some(place) = buffer.get_mut(start) {
            *place = byte;
        }
    };
    let mut rest = raw;
    let mut digits = 0;
    while rest > 0 || digits <= places {
        if digits == places && places > 0 {
            put_before(b'.');
        }
        // Below ten.
        #[allow(clippy::cast_possible_truncation)]
        put_before(b'0' + (rest % 10) as u8);
        rest /= 10;
        digits += 1;
    }
    if negative {
        put_before(b'-');
    }
    buffer.get(start..).unwrap_or_default()
}

enum Escape {
    /// A backslash and this.
    Short(u8),
    /// `\u00` and two digits.
    Unicode,
}

const fn escape(byte: u8) -> Option<Escape> {
    match byte {
        b'"' | b'\\' => Some(Escape::Short(byte)),
        0x08 => Some(Escape::Short(b'b')),
        b'\t' => Some(Escape::Short(b't')),
        b'\n' => Some(Escape::Short(b'n')),
        0x0c => Some(Escape::Short(b'f')),
        b'\r' => Some(Escape::Short(b'r')),
        0..=0x1f => Some(Escape::Unicode),
        _ => None,
    }
}

/// Bytes that a character takes inside a string.
pub(crate) const fn escaped_len(c: char) -> usize {
    if !c.is_ascii() {
        return c.len_utf8();
    }
    match escape(c as u8) {
        None => 1,
        Some(Escape::Short(_)) => 2,
        Some(Escape::Unicode) => 6,
    }
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, json: &mut Json<'_>) {
        match self {
            Some(value) => value.write(json),
            None => json.raw(b"null"),
        }
    }
}

impl<T: ToJson> ToJson for &T {
    fn write(&self, json: &mut Json<'_>) {
        (*self).write(json);
    }
}

impl ToJson for bool {
    fn write(&self, json: &mut Json<'_>) {
        json.raw(if *self { b"true" } else { b"false" });
    }
}

impl ToJson for str {
    fn write(&self, json: &mut Json<'_>) {
        json.string(self);
    }
}

macro_rules! whole_numbers {
    ($($unsigned:ty),*) => {
        $(impl ToJson for $unsigned {
            fn write(&self, json: &mut Json<'_>) {
                json.whole(u64::from(*self));
            }
        })*
    };
}

whole_numbers!(u8, u16, u32, u64);

impl ToJson for i16 {
    fn write(&self, json: &mut Json<'_>) {
        json.decimal(i64::from(*self), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        borrow::ToOwned,
        string::{String, ToString},
    };

    fn text(value: &(impl ToJson + ?Sized)) -> String {
        let mut buffer = [0; 1_000];
        let mut json = Json::new(&mut buffer);
        value.write(&mut json);
        let len = json.finish().expect("fits");
        String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
    }

    struct Pair(u8, Option<bool>);

    impl ToJson for Pair {
        fn write(&self, json: &mut Json<'_>) {
            json.object(|members| {
                members.member(key!("a"), &self.0);
                members.member(key!("b"), &self.1);
            });
        }
    }

    #[test]
    fn objects_have_their_members_in_order() {
        assert_eq!(text(&Pair(255, None)), r#"{"a":255,"b":null}"#);
        assert_eq!(text(&Some(Pair(0, Some(true)))), r#"{"a":0,"b":true}"#);
        let mut buffer = [0; 4];
        let mut json = Json::new(&mut buffer);
        json.object(|_| {});
        assert_eq!(json.finish(), Some(2));
    }

    #[test]
    fn what_does_not_fit_is_refused_even_if_its_end_would() {
        let mut buffer = [0; 17];
        let mut json = Json::new(&mut buffer);
        Pair(255, None).write(&mut json);
        assert_eq!(json.finish(), None);
        let mut json = Json::new(&mut buffer[..3]);
        json.string("long");
        json.whole(1);
        assert_eq!(json.finish(), None);
    }

    #[test]
    fn escapes_are_the_shortest() {
        assert_eq!(
            text("\"\\\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}é"),
            r#""\"\\\b\t\n\f\r\u0000\u001f"#.to_owned() + "\u{7f}é\""
        );
    }

    proptest! {
        #[test]
        fn strings_are_what_a_reader_reads(any: String, controls in "[\\x00-\\x1f\"\\\\é€]{0,60}") {
            for string in [any, controls] {
                let written = text(string.as_str());
                prop_assert_eq!(serde_json::from_str::<String>(&written).expect("valid JSON"), string.as_str());
                let escaped: usize = string.chars().map(escaped_len).sum();
                prop_assert_eq!(written.len(), escaped + 2);
            }
        }

        #[test]
        fn numbers_are_those_of_the_library(number: u64, signed: i16) {
            prop_assert_eq!(text(&number), number.to_string());
            prop_assert_eq!(text(&signed), signed.to_string());
        }
    }
}
