//! Lists on a terminal: each column as wide as its widest entry.

use std::io::{self, Write};

/// Writes rows, of which the first has the names of the columns. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// Those of the output.
pub(super) fn write<const COLUMNS: usize>(
    out: &mut impl Write,
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let entries = rows.iter().filter_map(|row| row.get(column));
        entries.map(|entry| entry.chars().count()).max().unwrap_or(0)
    });
    for row in rows {
        let mut line = String::new();
        for (entry, width) in row.iter().zip(widths) {
            line.push_str(&format!("{entry:<width$}  "));
        }
        match writeln!(out, "{}", line.trim_end()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let rows = [["id", "name", "tags"], ["pi1", "", ""], ["x", "heiß", "a b"]];
        let mut out = Vec::new();
        write(&mut out, &rows.map(|row| row.map(str::to_owned))).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "id   name  tags\npi1\nx    heiß  a b\n");
    }

    #[test]
    fn a_reader_that_goes_ends_the_list() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(write(&mut Gone, &[["id".to_owned()]]).is_ok());
    }
}
