//! Rows of a name, a value and where it is from, for a terminal of 80 columns.

use std::fmt;

use textwrap::{Options, WordSplitter};

use crate::printable::printable;

/// Columns of the narrowest terminal that people use.
const WIDTH: usize = 80;

/// Rows for people. Any text in them is harmless for a terminal.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    name_width: usize,
    value_width: usize,
}

impl Page {
    /// An empty page; the widths are those of the columns of names and of values.
    pub(crate) const fn new([name_width, value_width]: [usize; 2]) -> Self {
        Self { text: String::new(), name_width, value_width }
    }

    /// Adds a row. Where not all of it fits in one line, `from` has lines of its own.
    pub(crate) fn row(&mut self, name: &str, value: &str, from: &str) {
        let [name, value, from] = [name, value, from].map(printable);
        let (name_width, value_width) = (self.name_width, self.value_width);
        let line = format!("{name:<name_width$}{value:<value_width$}{from}");
        let is_apart = from.is_empty() || value.chars().count() < value_width;
        if is_apart && line.trim_end().chars().count() <= WIDTH {
            self.line(line.trim_end());
            return;
        }
        self.wrapped(&format!("{name:<name_width$}"), &value);
        if !from.is_empty() {
            self.note(&format!("from {from}"));
        }
    }

    /// Adds lines that belong to the row before.
    pub(crate) fn note(&mut self, text: &str) {
        self.wrapped(&" ".repeat(self.name_width), &printable(text));
    }

    /// Adds an empty line.
    pub(crate) fn gap(&mut self) {
        self.line("");
    }

    fn wrapped(&mut self, first_indent: &str, text: &str) {
        let indent = " ".repeat(self.name_width);
        let options = Options::new(WIDTH)
            .initial_indent(first_indent)
            .subsequent_indent(&indent)
            // A path is not taken apart at its hyphens.
            .word_splitter(WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.line(line.trim_end());
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_what_does_not_fit_in_80_columns() {
        let mut page = Page::new([10, 12]);
        page.row("temp", "48.8 °C", "/sys/class/thermal/thermal_zone0/temp");
        page.row("disk", "percent 52.1, used_gb 131.2", "statvfs /");
        let long = format!("/{}", "x".repeat(100));
        page.row("file", "1", &long);
        page.note("nothing to do");
        let expected = format!(
            "temp      48.8 °C     /sys/class/thermal/thermal_zone0/temp\n\
             disk      percent 52.1, used_gb 131.2\n\
             \u{20}         from statvfs /\n\
             file      1\n\
             \u{20}         from\n\
             \u{20}         {}\n\
             \u{20}         {}\n\
             \u{20}         nothing to do\n",
            &long[..70],
            &long[70..],
        );
        assert_eq!(page.to_string(), expected);
        assert!(page.to_string().lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn no_cell_reaches_the_terminal_with_control_characters() {
        let mut page = Page::new([4, 4]);
        page.row("\u{1b}", "\n\u{9b}", "\r");
        page.note("\u{7f}");
        assert!(!page.to_string().contains(|c: char| c.is_control() && c != '\n'), "{page}");
        assert!(page.to_string().contains("\\u000a"), "{page}");
    }
}
