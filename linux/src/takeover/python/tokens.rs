//! A Python program as statements of tokens (The Python Language Reference, 2: Lexical analysis), as far as constants
//! need it: what is not understood becomes a token that no constant has.

use std::{iter::Peekable, str::Chars};

/// A part of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// A number; not a number when it is written in a way that is not understood.
    Number(f64),
    /// A text; `None` when it is more than a plain one (bytes, fields to be filled in, rare escapes).
    Text(Option<String>),
    /// An operator or a bracket.
    Symbol(String),
}

impl Token {
    /// Whether this is the symbol.
    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(own) if own == symbol)
    }

    /// A name or symbol as it was written; of anything else, what is in no name.
    pub(super) fn spelling(&self) -> &str {
        match self {
            Self::Name(text) | Self::Symbol(text) => text,
            Self::Number(_) | Self::Text(_) => "?",
        }
    }
}

/// A simple statement, or the head of a compound one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// Its line, from 1.
    pub(super) line: usize,
    /// Whether it stands in a block.
    pub(super) indented: bool,
    /// Its tokens.
    pub(super) tokens: Vec<Token>,
}

/// Splits a program into statements.
pub(super) fn statements(source: &str) -> Vec<Statement> {
    let mut reader = Reader { rest: source.trim_start_matches('\u{feff}').chars().peekable(), line: 1 };
    let mut statements = Vec::new();
    while reader.rest.peek().is_some() {
        reader.logical_line(&mut statements);
    }
    statements
}

struct Reader<'s> {
    rest: Peekable<Chars<'s>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        self.line += usize::from(letter == '\n');
        Some(letter)
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(letter) = self.rest.peek().copied().filter(|letter| wanted(*letter)) {
            taken.push(letter);
            self.next();
        }
        taken
    }

    /// Reads to the end of a line outside of brackets, with all statements in it.
    fn logical_line(&mut self, statements: &mut Vec<Statement>) {
        let indented = !self.take_while(|letter| letter == ' ' || letter == '\t').is_empty();
        let mut statement = Statement { line: self.line, indented, tokens: Vec::new() };
        let mut depth = 0_usize;
        while let Some(letter) = self.rest.peek().copied() {
            match letter {
                '\n' if depth == 0 => {
                    self.next();
                    break;
                }
                '#' => drop(self.take_while(|letter| letter != '\n')),
                '\\' => {
                    self.next();
                    // The line goes on.
                    self.take_while(|letter| letter == '\r');
                    if self.rest.peek() == Some(&'\n') {
                        self.next();
                    }
                }
                ';' if depth == 0 => {
                    self.next();
                    let next = Statement { line: self.line, indented, tokens: Vec::new() };
                    statements.push(std::mem::replace(&mut statement, next));
                }
                _ if letter.is_whitespace() => drop(self.next()),
                _ => {
                    let token = self.token(letter);
                    if ["(", "[", "{"].iter().any(|open| token.is(open)) {
                        depth += 1;
                    } else if [")", "]", "}"].iter().any(|close| token.is(close)) {
                        depth = depth.saturating_sub(1);
                    }
                    statement.tokens.push(token);
                }
            }
        }
        statements.push(statement);
    }

    fn token(&mut self, first: char) -> Token {
        if first == '"' || first == '\'' {
            return Token::Text(self.text(""));
        }
        if first.is_ascii_digit() {
            let digits =
                self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '.' || letter == '_');
            return Token::Number(digits.replace('_', "").parse().unwrap_or(f64::NAN));
        }
        if first.is_alphanumeric() || first == '_' {
            let name = self.take_while(|letter| letter.is_alphanumeric() || letter == '_');
            return match self.rest.peek() {
                Some('"' | '\'') if name.len() <= 2 => Token::Text(self.text(&name)),
                _ => Token::Name(name),
            };
        }
        self.next();
        let mut symbol = String::from(first);
        if "+-*/%<>!&|^@=:".contains(first) && self.rest.peek() == Some(&'=') {
            symbol.extend(self.next());
        }
        Token::Symbol(symbol)
    }

    /// A text from its opening quotes on. `None` when it is more than a plain one.
    fn text(&mut self, prefix: &str) -> Option<String> {
        let quote = self.next()?;
        let mut quotes = 1;
        while quotes < 3 && self.rest.peek() == Some(&quote) {
            self.next();
            quotes += 1;
        }
        if quotes == 2 {
            return plain(prefix, Some(String::new()));
        }
        let raw = prefix.contains(['r', 'R']);
        let mut value = Some(String::new());
        let mut closing = 0;
        loop {
            let letter = self.next()?;
            if letter == quote {
                closing += 1;
                if closing == quotes {
                    return plain(prefix, value);
                }
                continue;
            }
            // Quotes that did not close it.
            let quotes_inside = quote.to_string().repeat(std::mem::take(&mut closing));
            value = value.map(|value| value + &quotes_inside);
            match letter {
                '\n' if quotes == 1 => return None,
                '\\' => {
                    let next = self.next()?;
                    let piece = if raw { Some(format!("\\{next}")) } else { self.escape(next) };
                    value = value.zip(piece).map(|(value, piece)| value + &piece);
                }
                _ => {
                    value = value.map(|mut value| {
                        value.push(letter);
                        value
                    })
                }
            }
        }
    }

    /// What an escape stands for; `None` for the rare ones.
    fn escape(&mut self, letter: char) -> Option<String> {
        match letter {
            '\n' => Some(String::new()),
            '\\' | '\'' | '"' => Some(letter.to_string()),
            'n' => Some("\n".to_owned()),
            't' => Some("\t".to_owned()),
            'x' => {
                let digits: String = [self.next()?, self.next()?].iter().collect();
                u8::from_str_radix(&digits, 16).ok().map(|byte| char::from(byte).to_string())
            }
            _ => None,
        }
    }
}

/// A text with its prefix: bytes are none, nor is one with fields that are filled in.
fn plain(prefix: &str, value: Option<String>) -> Option<String> {
    let formatted = prefix.contains(['f', 'F', 't', 'T']);
    let understood = prefix.chars().all(|letter| "rRuUfF".contains(letter));
    value.filter(|value| understood && !(formatted && value.contains(['{', '}'])))
}
