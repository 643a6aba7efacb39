//! The buffer of the document that is being sent, or was sent last.

use crate::payload::BODY_MAX;

/// One document.
#[derive(Debug)]
pub(super) struct Body {
    bytes: [u8; BODY_MAX],
    len: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self { bytes: [0; BODY_MAX], len: 0 }
    }
}

impl Body {
    /// Replaces the document by what `write` puts into the buffer, of which it returns the length; `None` leaves none.
    pub(super) fn replace(
        &mut self,
        write: impl FnOnce(&mut [u8; BODY_MAX]) -> Option<usize>,
    ) -> Option<&[u8]> {
        let written = write(&mut self.bytes);
        self.len = written.unwrap_or(0);
        written.map(|_| self.document())
    }

    /// The document; empty if there is none.
    pub(super) fn document(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_no_document() {
        let mut body = Body::default();
        assert_eq!(body.document(), b"");
        let document = body.replace(|buffer| {
            buffer[..2].copy_from_slice(b"{}");
            Some(2)
        });
        assert_eq!(document, Some(&b"{}"[..]));
        assert_eq!(body.document(), b"{}");
        assert_eq!(body.replace(|_| None), None);
        assert_eq!(body.document(), b"");
    }
}
