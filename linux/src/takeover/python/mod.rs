//! Constants of a Python program, read and never executed.
//!
//! Understood are the forms that people write: a literal, several that stand side by side or are added, parentheses, the
//! name of another constant, also in a text with fields, a variable of the environment with a default, the body of a
//! class, and what is imported from a file beside the program. Anything else is not readable: a wrong guess would send a
//! device's heartbeats to another server. Whether the program sends to what the constant says is another question
//! (`usage`).

mod environment;
mod expression;
mod imports;
mod tokens;
mod usage;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use self::tokens::{Block, Statement, Token};
pub(super) use self::{environment::Writer, usage::Doubt};
use super::{Sysroot, read};

/// How many constants may each be defined by the next.
const DEPTH_MAX: u32 = 8;
/// Tokens of a statement that is looked at. Root reads what others write: the work must stay small.
const TOKENS_MAX: usize = 1000;
/// Assignments that are looked at for one constant.
const STEPS_MAX: u32 = 200;

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
    /// Modules that it imports, that are beside it, and that were not read.
    unread: BTreeSet<String>,
    /// How many assignments may still be looked at for a constant.
    steps: Cell<u32>,
}

/// What a statement does to a name.
enum Binding<'t> {
    /// Assigns what these tokens say.
    Value(&'t [Token]),
    /// Takes it from another file, in which it has this name.
    Import { module: &'t str, name: &'t str },
    /// Takes it from a file of which all names are imported (`from config import *`); `None` if what that file does to
    /// the name is not known.
    Star(Option<&'t str>),
    /// Changes it in a way that is not understood.
    Unknown,
}

impl Program {
    /// The last assignment to a name. One inside a block makes it unreadable, because whether it is executed is not
    /// known.
    pub(super) fn constant(&self, name: &str) -> Option<Constant> {
        let all = self.modules.values().map(|(_, module)| module).chain([self]);
        all.for_each(|program| program.steps.set(STEPS_MAX));
        self.constant_at(name, 0)
    }

    /// Counts a step.
    fn may_go_on(&self) -> bool {
        let left = self.steps.get().checked_sub(1);
        self.steps.set(left.unwrap_or(0));
        left.is_some()
    }

    fn constant_at(&self, name: &str, depth: u32) -> Option<Constant> {
        let bindings = self.bindings(name);
        // Which of several classes is used is not known.
        let places: BTreeSet<_> = bindings.iter().map(|(statement, _)| class_of(statement)).collect();
        let is_ambiguous = places.len() > 1;
        let mut found: Option<Constant> = None;
        let mut is_lost = false;
        for (statement, binding) in bindings {
            let is_unclear = statement.block == Block::Other || is_ambiguous || is_lost;
            let is_star = matches!(binding, Binding::Star(_));
            let constant = |value| Constant { value, file: None, line: statement.line };
            let imported = |module, name| self.imported_constant(module, name, depth);
            let now = match binding {
                _ if is_unclear || depth > DEPTH_MAX || !self.may_go_on() => None,
                Binding::Value(tokens) if tokens.len() > TOKENS_MAX => None,
                Binding::Value(tokens) => Some(constant(self.value(tokens, depth))),
                Binding::Import { module, name } => imported(module, name),
                Binding::Star(module) => module.and_then(|module| imported(module, name)),
                Binding::Unknown => None,
            };
            let now = now.unwrap_or_else(|| constant(Value::Unreadable));
            // An assignment behind a star import replaces what that brought.
            is_lost |= !is_star && now.value == Value::Unreadable;
            found = Some(now);
        }
        found
    }

    /// A constant of a file that is imported.
    fn imported_constant(&self, module: &str, name: &str, depth: u32) -> Option<Constant> {
        let (file, program) = self.modules.get(module)?;
        let constant = program.constant_at(name, depth + 1)?;
        Some(Constant { file: constant.file.or_else(|| Some(file.clone())), ..constant })
    }

    /// All that happens to a name, in the order of the program.
    fn bindings(&self, name: &str) -> Vec<(&Statement, Binding<'_>)> {
        let bindings = self.statements.iter().filter_map(|statement| {
            let binding = match statement.tokens.as_slice() {
                [Token::Name(target), rest @ ..] if target == name && assigned(rest).is_some() => {
                    Binding::Value(assigned(rest)?)
                }
                tokens => imports::import_of(tokens, name)
                    .or_else(|| self.star_import(tokens, name))
                    .or_else(|| is_bound(tokens, name).then_some(Binding::Unknown))?,
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

/// The class in whose body a statement stands.
fn class_of(statement: &Statement) -> Option<usize> {
    match statement.block {
        Block::Class(head) => Some(head),
        Block::None | Block::Other => None,
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

#[cfg(test)]
mod tests;
