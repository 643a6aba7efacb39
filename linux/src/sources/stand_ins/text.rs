//! What is private in texts and paths, found by the marks around it and by its form.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use super::{Private, StandIns, is_shared};

impl StandIns {
    /// A file's content with everything replaced that its path or its text marks as private.
    pub(crate) fn content(&mut self, path: &Path, content: &[u8]) -> Vec<u8> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "machine-id" {
            return self.words(content, |names, word| match word.len() {
                32 if !is_shared(word) => names.machine_id(word),
                _ => word.to_owned(),
            });
        }
        if name.contains("serial") {
            return self.words(content, Self::serial);
        }
        if path.extension().is_some_and(|extension| extension == "pid") {
            return self.pidfile(name, content);
        }
        self.text(content)
    }

    /// `PID`, `PID:PATH` of a recording, or `PID:USER:DOMAIN:TRACK`.
    fn pidfile(&mut self, name: &str, content: &[u8]) -> Vec<u8> {
        let Some(colon) = content.iter().position(|byte| *byte == b':') else { return content.to_vec() };
        let (pid, details) = content.split_at(colon + 1);
        let details = String::from_utf8_lossy(details);
        let line_end = if details.ends_with('\n') { "\n" } else { "" };
        let details = details.trim_end_matches('\n');
        let stand_in = if name.contains("record") {
            self.recording(Path::new(details)).display().to_string()
        } else {
            let parts = details
                .split(':')
                .map(|part| self.give(Private::Account, part, |number| format!("account-{number}")));
            parts.collect::<Vec<_>>().join(":")
        };
        [pid, stand_in.as_bytes(), line_end.as_bytes()].concat()
    }

    /// Text with every address in it replaced, and what stands behind `Serial:` or `...SERIAL...=`.
    pub(crate) fn text(&mut self, text: &[u8]) -> Vec<u8> {
        let mut replaced = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let value = str::from_utf8(line).ok().and_then(|line| {
                let (key, value) = line.split_once([':', '='])?;
                let key = key.trim().to_ascii_lowercase();
                let is_serial = key == "serial" || key.contains("serial_") || key.ends_with("_serial");
                is_serial.then_some(value)
            });
            match value {
                Some(value) => {
                    replaced.extend_from_slice(line.get(..line.len() - value.len()).unwrap_or_default());
                    replaced.extend_from_slice(&self.words(value.as_bytes(), Self::serial));
                }
                None => replaced.extend_from_slice(&self.words(line, Self::address)),
            }
        }
        replaced
    }

    /// Replaces words: what stands between anything but letters, digits, colons and points.
    fn words(&mut self, text: &[u8], replace: impl Fn(&mut Self, &str) -> String) -> Vec<u8> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.');
        let mut replaced = Vec::with_capacity(text.len());
        for part in text.chunk_by(|a, b| is_word(a) == is_word(b)) {
            match str::from_utf8(part) {
                Ok(word) if part.first().is_some_and(is_word) => {
                    replaced.extend_from_slice(replace(self, word).as_bytes());
                }
                _ => replaced.extend_from_slice(part),
            }
        }
        replaced
    }

    /// A word that may be an address, or an interface's name that holds one.
    fn address(&mut self, word: &str) -> String {
        // "::" is an address, "wlan0:" a word with a colon behind it.
        let core = if word.ends_with("::") { word } else { word.trim_end_matches([':', '.']) };
        let tail = word.get(core.len()..).unwrap_or_default();
        if let Ok(ip) = core.parse() {
            return format!("{}{tail}", self.ip(ip));
        }
        if let Some((host, port)) = core.split_once(':')
            && let Ok(ip) = host.parse::<Ipv4Addr>()
        {
            return format!("{}:{port}{tail}", self.ip(ip.into()));
        }
        if is_mac(core) {
            return format!("{}{tail}", self.mac(core));
        }
        match core.split_at_checked(3) {
            // As systemd names an interface by its address: enxb827eb000005.
            Some((prefix @ ("enx" | "wlx" | "wwx"), digits)) => match with_colons(digits) {
                Some(mac) => format!("{prefix}{}{tail}", self.mac(&mac).replace(':', "")),
                None => word.to_owned(),
            },
            _ => word.to_owned(),
        }
    }

    /// A path whose parts may hold an address.
    pub(crate) fn path(&mut self, path: &Path) -> PathBuf {
        match path.to_str() {
            Some(path) => String::from_utf8_lossy(&self.text(path.as_bytes())).into_owned().into(),
            None => path.to_owned(),
        }
    }
}

/// Six bytes, two digits each, that are not all zero or all one.
fn is_mac(word: &str) -> bool {
    let bytes: Option<Vec<u8>> = word
        .split(':')
        .map(|byte| {
            let digits = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(byte, 16).ok().filter(|_| digits)
        })
        .collect();
    bytes.is_some_and(|bytes| bytes.len() == 6 && bytes.iter().any(|byte| !matches!(byte, 0 | 0xff)))
}

/// `b827eb000005` as `b8:27:eb:00:00:05`.
fn with_colons(digits: &str) -> Option<String> {
    let is_whole = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| str::from_utf8(pair).ok());
    is_whole.then(|| {
        pairs.fold(String::new(), |mut mac, pair| {
            let colon = if mac.is_empty() { "" } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(mac, "{colon}{pair}");
            mac
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn names() -> StandIns {
        StandIns::new(Path::new("/run/app/tmp"))
    }

    fn text(names: &mut StandIns, text: &str) -> String {
        String::from_utf8(names.text(text.as_bytes())).expect("text")
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        let mut names = names();
        assert_eq!(
            text(&mut names, "wlan0: DC:A6:32:00:00:01, dc:a6:32:00:00:01."),
            "wlan0: 00:00:5e:00:53:01, 00:00:5e:00:53:01."
        );
        assert_eq!(text(&mut names, "02:a6:32:00:00:01"), "02:00:5e:00:53:02", "locally administered");
        assert_eq!(
            text(&mut names, "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff"),
            "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff"
        );
        assert_eq!(
            text(&mut names, "http://10.0.0.1:80/ 10.0.0.0/24"),
            "http://192.0.2.101:80/ 192.0.2.102/24"
        );
        assert_eq!(
            text(&mut names, "via 2a02::1: up; ::/0; 12:30:45"),
            "via 2001:db8::67: up; ::/0; 12:30:45"
        );
        assert_eq!(
            text(&mut names, "enxdca632000001 wlxdca632000001 abcdca632000001"),
            "enx00005e005301 wlx00005e005301 abcdca632000001"
        );
        assert_eq!(text(&mut names, "enxdca63200000 6.12.34+rpt 1.2.3"), "enxdca63200000 6.12.34+rpt 1.2.3");
        assert_eq!(
            text(&mut names, "POWER_SUPPLY_SERIAL_NUMBER=AB12CD34\nserial_id=12\nNAME=x"),
            "POWER_SUPPLY_SERIAL_NUMBER=10000001\nserial_id=12\nNAME=x"
        );
        assert_eq!(names.path(Path::new("/sys/enxdca632000001/x")), Path::new("/sys/enx00005e005301/x"));
    }

    proptest! {
        #[test]
        fn no_address_survives_in_any_text(before in "[a-z0-9 :.=\n-]{0,12}[ =\n]|", v4: [u8; 4], v6: [u16; 8], mac: [u8; 6], after in "|[ ,/\n%].{0,12}") {
            let v4 = Ipv4Addr::from([v4[0] | 0x01, v4[1], v4[2], v4[3]]);
            let v6 = Ipv6Addr::from(v6);
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            prop_assume!(!v4.is_loopback() && !v4.is_broadcast() && !v4.is_multicast() && is_mac(&mac));
            prop_assume!(!v6.is_multicast() && !v6.is_unspecified() && !v6.is_loopback());
            for secret in [v4.to_string(), v6.to_string(), mac] {
                let mut names = names();
                let replaced = text(&mut names, &format!("{before}{secret}{after}"));
                prop_assert!(!replaced.contains(&secret), "{secret}: {replaced}");
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut names = names();
            for path in ["/etc/machine-id", "/sys/serial_number", "/tmp/record.pid", "/tmp/x.pid", "/proc/cpuinfo"] {
                let _ = names.content(Path::new(path), &bytes);
            }
        }
    }
}
