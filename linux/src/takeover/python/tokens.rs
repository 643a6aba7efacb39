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
    /// A text; `None` when it is more than a plain one (bytes, fields with expressions, rare escapes).
    Text(Option<String>),
    /// A text with fields that are names (`f"https://{HOST}/"`).
    Template(Vec<Part>),
    /// An operator or a bracket.
    Symbol(String),
}

/// A part of a text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is.
    Plain(String),
    /// The value of a name.
    Field(String),
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// In no block: it is executed.
    None,
    /// In the body of a class, which is executed, too: that of the class whose head is in this line.
    Class(usize),
    /// In another block: whether it is executed is not known.
    Other,
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
            Self::Number(_) | Self::Text(_) | Self::Template(_) => "?",
        }
    }
}

/// A simple statement, or the head of a compound one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// Its line, from 1.
    pub(super) line: usize,
    /// Where it stands.
    pub(super) block: Block,
    /// Its tokens.
    pub(super) tokens: Vec<Token>,
}

/// Splits a program into statements.
pub(super) fn statements(source: &str) -> Vec<Statement> {
    let rest = source.trim_start_matches('\u{feff}').chars().peekable();
    let mut reader = Reader { rest, line: 1, heads: Vec::new() };
    let mut statements = Vec::new();
    while reader.rest.peek().is_some() {
        reader.logical_line(&mut statements);
    }
    statements
}

struct Reader<'s> {
    rest: Peekable<Chars<'s>>,
    line: usize,
    /// The heads of the blocks that are open: how far each is indented, and its line if it is that of a class.
    heads: Vec<(usize, Option<usize>)>,
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
        let indent = self.take_while(|letter| letter == ' ' || letter == '\t').len();
        let first = statements.len();
        let mut statement = Statement { line: self.line, block: Block::None, tokens: Vec::new() };
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
                    let next = Statement { line: self.line, block: Block::None, tokens: Vec::new() };
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
        let line = statements.get_mut(first..).unwrap_or_default();
        if line.iter().all(|statement| statement.tokens.is_empty()) {
            return;
        }
        let block = self.block(indent);
        let opens = line.last().and_then(|last| last.tokens.last()).is_some_and(|last| last.is(":"));
        if opens {
            let first = line.first();
            let class =
                first.filter(|first| first.tokens.first().is_some_and(|head| head.spelling() == "class"));
            self.heads.push((indent, class.map(|class| class.line)));
        }
        for statement in line {
            statement.block = block;
        }
    }

    /// The block of a line that is indented so far. Closes those that have ended before it.
    fn block(&mut self, indent: usize) -> Block {
        while self.heads.last().is_some_and(|(head, _)| *head >= indent) {
            self.heads.pop();
        }
        match self.heads.as_slice() {
            [] if indent == 0 => Block::None,
            [.., (_, Some(class))] if self.heads.iter().all(|(_, class)| class.is_some()) => {
                Block::Class(*class)
            }
            _ => Block::Other,
        }
    }

    fn token(&mut self, first: char) -> Token {
        if first == '"' || first == '\'' {
            return text_token("", self.text(""));
        }
        let is_digit = |letter: Option<&char>| letter.is_some_and(char::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && is_digit(self.rest.clone().nth(1).as_ref())) {
            let digits =
                self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '.' || letter == '_');
            return Token::Number(digits.replace('_', "").parse().unwrap_or(f64::NAN));
        }
        if first.is_alphanumeric() || first == '_' {
            let name = self.take_while(|letter| letter.is_alphanumeric() || letter == '_');
            return match self.rest.peek() {
                Some('"' | '\'') if name.len() <= 2 => text_token(&name, self.text(&name)),
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
            return Some(String::new());
        }
        let raw = prefix.contains(['r', 'R']);
        let mut value = Some(String::new());
        let mut closing = 0;
        loop {
            let letter = self.next()?;
            if letter == quote {
                closing += 1;
                if closing == quotes {
                    return value;
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

/// A text with its prefix: bytes are none. What was not UTF-8 is not known.
fn text_token(prefix: &str, value: Option<String>) -> Token {
    let understood = prefix.chars().all(|letter| "rRuUfF".contains(letter));
    let known = value.filter(|value| understood && !value.contains(char::REPLACEMENT_CHARACTER));
    match known {
        Some(value) if prefix.contains(['f', 'F']) && value.contains(['{', '}']) => {
            template(&value).map_or(Token::Text(None), Token::Template)
        }
        known => Token::Text(known),
    }
}

/// The parts of a text with fields, if all of them are names.
fn template(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => plain.extend(letters.next()),
            '{' => {
                let name: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
                let is_name = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
                parts.push(Part::Plain(std::mem::take(&mut plain)));
                parts.push(Part::Field(Some(name).filter(|name| is_name && !name.is_empty())?));
            }
            '}' => return None,
            _ => plain.push(letter),
        }
    }
    parts.push(Part::Plain(plain));
    Some(parts)
}
