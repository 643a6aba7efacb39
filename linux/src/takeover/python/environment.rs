//! Whether a program writes to its own environment: what it asks for may then be there although no unit sets it, or be
//! something else than what the unit sets.

use super::{Program, Statement, TOKENS_MAX, tokens::Token};

/// What puts variables into the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Writer {
    /// How it does that, for people.
    pub(in super::super) name: &'static str,
    /// Whether it replaces variables that are there already.
    pub(in super::super) replaces: bool,
}

impl Program {
    /// What puts a variable into the environment, in the program or in a file that it imports. Where and when it does so,
    /// and with what, would have to be executed to be known. Of several, one that replaces variables.
    pub(in super::super) fn environment_writer(&self, variable: &str) -> Option<Writer> {
        let is_readable = |statement: &&Statement| statement.tokens.len() <= TOKENS_MAX;
        // What is too long may do anything.
        let is_long = !self.statements.iter().all(|statement| is_readable(&statement));
        let long = is_long.then_some(Writer { name: "a line that is too long to be read", replaces: true });
        let own = self
            .statements
            .iter()
            .filter(is_readable)
            .flat_map(|statement| writers(&statement.tokens, variable));
        let others = self.modules.values().filter_map(|(_, module)| module.environment_writer(variable));
        own.chain(others)
            .chain(long)
            .reduce(|found, next| if next.replaces && !found.replaces { next } else { found })
    }
}

fn writers(tokens: &[Token], variable: &str) -> impl Iterator<Item = Writer> {
    (0..tokens.len()).filter_map(move |start| writer(tokens.get(start..)?, variable))
}

/// What is written where these tokens begin.
fn writer(tokens: &[Token], variable: &str) -> Option<Writer> {
    let adds = |name| Some(Writer { name, replaces: false });
    let replaces = |name| Some(Writer { name, replaces: true });
    let is_other =
        |written: Option<&Token>| matches!(written, Some(Token::Text(Some(name))) if name != variable);
    let [first, rest @ ..] = tokens else { return None };
    match (first.spelling(), rest) {
        // Without that argument, what is there already stays.
        ("load_dotenv", arguments) if arguments.iter().any(|token| token.spelling() == "override") => {
            replaces("load_dotenv")
        }
        ("load_dotenv", _) => adds("load_dotenv"),
        ("putenv", _) => adds("os.putenv"),
        ("environ", [dot, method, arguments @ ..]) if dot.is(".") => match method.spelling() {
            "update" => replaces("os.environ.update"),
            "setdefault" if !is_other(arguments.get(1)) => adds("os.environ.setdefault"),
            _ => None,
        },
        ("environ", [merged, ..]) if merged.is("|=") => replaces("os.environ |="),
        ("environ", [open, inside @ ..]) if open.is("[") => {
            let end = closing(inside)?;
            let behind = inside.get(end + 1..)?;
            // `if os.environ["A"]: x = 1` is no assignment to it.
            let is_assigned = !behind.first()?.is(":") && super::assigned(behind).is_some();
            let is_other = end == 1 && is_other(inside.first());
            if is_assigned && !is_other { replaces("os.environ[...] =") } else { None }
        }
        _ => None,
    }
}

/// Where the bracket is closed in which these tokens begin.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 1_u32;
    tokens.iter().position(|token| {
        depth += u32::from(token.is("["));
        depth -= u32::from(token.is("]"));
        depth == 0
    })
}
