//! Constants of a Python program, read and never executed.
//!
//! Understood are the forms that people write: a literal, several that stand side by side or are added, parentheses, the
//! name of another constant, also in a text with fields, a variable of the environment with a default, the body of a
//! class, and what is imported from a file beside the program. Anything else is not readable: a wrong guess would send a
//! device's heartbeats to another server.

mod expression;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use heartbeat_core::SensorError;

use self::tokens::{Block, Statement, Token};
use super::{Sysroot, read};

/// Files that a program imports and that are read.
const MODULES_MAX: usize = 16;
/// How many constants may each be defined by the next.
const DEPTH_MAX: u32 = 8;

/// A value that can be read without executing anything.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A literal.
    Literal(Literal),
    /// A variable of the environment, and what counts when it is not set.
    Environment {
        /// Name of the variable.
        name: String,
        /// The default, if there is one.
        default: Option<Literal>,
    },
    /// Something that would have to be executed.
    Unreadable,
}

/// An assignment and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) value: Value,
    /// The file, if it is not that of the program.
    pub(super) file: Option<PathBuf>,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// A program in statements, with the files that it imports from its own directory.
#[derive(Debug, Default)]
pub(super) struct Program {
    statements: Vec<Statement>,
    modules: BTreeMap<String, (PathBuf, Program)>,
}

/// What a statement does to a name.
enum Binding<'t> {
    /// Assigns what these tokens say.
    Value(&'t [Token]),
    /// Takes it from another file, in which it has this name.
    Import { module: &'t str, name: &'t str },
    /// Changes it in a way that is not understood.
    Unknown,
}

impl Program {
    /// Reads a program without what it imports.
    pub(super) fn parse(source: &str) -> Self {
        Self { statements: tokens::statements(source), modules: BTreeMap::new() }
    }

    /// Reads a program, and the files beside it that it imports.
    ///
    /// # Errors
    ///
    /// What the system says of the program's own file.
    pub(super) fn load(root: &Sysroot, file: &Path) -> Result<Self, SensorError> {
        let mut program = Self::parse(&read(root, file)?);
        let directory = file.parent().unwrap_or(Path::new("/"));
        let mut names: Vec<&str> =
            program.statements.iter().flat_map(|line| imported(&line.tokens)).collect();
        names.sort_unstable();
        names.dedup();
        let mut modules = BTreeMap::new();
        for name in names.into_iter().take(MODULES_MAX) {
            let file = directory.join(format!("{name}.py"));
            if let Ok(source) = read(root, &file) {
                modules.insert(name.to_owned(), (file, Self::parse(&source)));
            }
        }
        program.modules = modules;
        Ok(program)
    }

    /// The last assignment to a name. One inside a block makes it unreadable, because whether it is executed is not
    /// known.
    pub(super) fn constant(&self, name: &str) -> Option<Constant> {
        self.constant_at(name, 0)
    }

    fn constant_at(&self, name: &str, depth: u32) -> Option<Constant> {
        let bindings = self.bindings(name);
        let is_outside = bindings.iter().any(|(statement, _)| statement.block != Block::Class);
        let is_in_class = bindings.iter().any(|(statement, _)| statement.block == Block::Class);
        let mut found: Option<Constant> = None;
        for (statement, binding) in bindings {
            let is_unclear = statement.block == Block::Other
                || is_outside && is_in_class
                || found.as_ref().is_some_and(|before| before.value == Value::Unreadable);
            let constant = |value| Constant { value, file: None, line: statement.line };
            found = Some(match binding {
                _ if is_unclear || depth > DEPTH_MAX => constant(Value::Unreadable),
                Binding::Value(tokens) => constant(self.value(tokens, depth)),
                Binding::Import { module, name } => {
                    self.imported_constant(module, name, depth).unwrap_or_else(|| constant(Value::Unreadable))
                }
                Binding::Unknown => constant(Value::Unreadable),
            });
        }
        found.or_else(|| self.star_import(name, depth))
    }

    /// A constant of a file that is imported.
    fn imported_constant(&self, module: &str, name: &str, depth: u32) -> Option<Constant> {
        let (file, program) = self.modules.get(module)?;
        let constant = program.constant_at(name, depth + 1)?;
        Some(Constant { file: constant.file.or_else(|| Some(file.clone())), ..constant })
    }

    /// A constant of a file of which all names are imported (`from config import *`).
    fn star_import(&self, name: &str, depth: u32) -> Option<Constant> {
        let stars = self.statements.iter().filter(|statement| statement.block == Block::None);
        let modules = stars.filter_map(|statement| match statement.tokens.as_slice() {
            [from, rest @ .., import, star]
                if from.spelling() == "from" && import.spelling() == "import" && star.is("*") =>
            {
                module_name(rest)
            }
            _ => None,
        });
        modules.filter_map(|module| self.imported_constant(module, name, depth)).next_back()
    }

    /// All that happens to a name, in the order of the program.
    fn bindings(&self, name: &str) -> Vec<(&Statement, Binding<'_>)> {
        let bindings = self.statements.iter().filter_map(|statement| {
            let binding = match statement.tokens.as_slice() {
                [Token::Name(target), rest @ ..] if target == name && assigned(rest).is_some() => {
                    Binding::Value(assigned(rest)?)
                }
                tokens => {
                    import_of(tokens, name).or_else(|| is_bound(tokens, name).then_some(Binding::Unknown))?
                }
            };
            Some((statement, binding))
        });
        bindings.collect()
    }

    /// What a name stands for in another constant: only one that is assigned once, because its value may have been another
    /// one at that place.
    fn named(&self, name: &str, depth: u32) -> Value {
        match self.bindings(name).as_slice() {
            [] | [_] => {
                self.constant_at(name, depth + 1).map_or(Value::Unreadable, |constant| constant.value)
            }
            _ => Value::Unreadable,
        }
    }
}

/// What a statement assigns, without its target: `= value` or `: type = value`. Of `+= value`, nothing readable.
fn assigned(rest: &[Token]) -> Option<&[Token]> {
    match rest {
        [Token::Symbol(symbol), value @ ..] if symbol == "=" => Some(value),
        [Token::Symbol(symbol), kind @ ..] if symbol == ":" => {
            let equals = kind.iter().position(|token| *token == Token::Symbol("=".to_owned()))?;
            kind.get(equals + 1..)
        }
        [Token::Symbol(symbol), ..]
            if symbol.len() == 2 && symbol.ends_with('=') && !"=!<>:".contains(symbol.get(..1)?) =>
        {
            Some(&[])
        }
        _ => None,
    }
}

/// Whether a statement gives the name a value among others: `NAME, other = ...`, `other = NAME = ...`, `if x: NAME = ...`,
/// `(NAME := ...)`. An argument (`f(NAME=...)`) and an attribute (`x.NAME = ...`) are other things.
fn is_bound(tokens: &[Token], name: &str) -> bool {
    let mut depth = 0_i64;
    let mut is_target = false;
    let mut before: Option<&Token> = None;
    for token in tokens {
        depth += i64::from(["(", "[", "{"].iter().any(|open| token.is(open)));
        depth -= i64::from([")", "]", "}"].iter().any(|close| token.is(close)));
        if *token == Token::Name(name.to_owned()) && !before.is_some_and(|before| before.is(".")) {
            is_target |= depth == 0;
        } else if (token.is("=") && depth == 0 && is_target)
            || (token.is(":=") && before.is_some_and(|before| before.spelling() == name))
        {
            return true;
        } else if !matches!(token, Token::Name(_)) && !token.is(",") && depth == 0 {
            // What stands between a name and the equals sign makes it part of an expression.
            is_target = false;
        }
        before = Some(token);
    }
    false
}

/// The module of `from MODULE import`, also of one with a dot before it, which is beside the program as well.
fn module_name(tokens: &[Token]) -> Option<&str> {
    match tokens {
        [Token::Name(module)] => Some(module),
        [dot, Token::Name(module)] if dot.is(".") => Some(module),
        _ => None,
    }
}

/// The modules that a statement imports.
fn imported(tokens: &[Token]) -> Vec<&str> {
    let position = |word: &str| tokens.iter().position(|token| token.spelling() == word);
    match tokens.first().map(Token::spelling) {
        Some("from") => {
            let module = position("import").and_then(|import| tokens.get(1..import)).and_then(module_name);
            module.into_iter().collect()
        }
        // `import a, b`: names with dots are no files beside the program, and are not found.
        Some("import") => {
            let names = tokens.iter().skip(1).filter_map(|token| match token {
                Token::Name(name) => Some(name.as_str()),
                _ => None,
            });
            names.collect()
        }
        _ => Vec::new(),
    }
}

/// `from MODULE import ..., NAME, ... as NAME`, if that gives the name a value.
fn import_of<'t>(tokens: &'t [Token], name: &str) -> Option<Binding<'t>> {
    let [from, rest @ ..] = tokens else { return None };
    let import =
        rest.iter().position(|token| token.spelling() == "import").filter(|_| from.spelling() == "from")?;
    let names = rest.get(import + 1..)?;
    let entries = names.split(|token| token.is(",")).map(|entry| {
        entry.iter().filter(|token| !token.is("(") && !token.is(")")).map(Token::spelling).collect::<Vec<_>>()
    });
    let original = entries.into_iter().find_map(|entry| match entry.as_slice() {
        [own] if *own == name => Some(*own),
        [original, "as", own] if *own == name => Some(*original),
        _ => None,
    })?;
    Some(match module_name(rest.get(..import)?) {
        Some(module) => Binding::Import { module, name: original },
        None => Binding::Unknown,
    })
}

#[cfg(test)]
mod tests;
