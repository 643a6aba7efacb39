//! Whether a program writes to its own environment: what it asks for may then be there although no unit sets it.

use super::{Program, tokens::Token};

impl Program {
    /// What puts variables into the environment, in the program or in a file that it imports. Where and when it does so,
    /// and with what, would have to be executed to be known.
    pub(in super::super) fn environment_writer(&self) -> Option<&'static str> {
        let own = self.statements.iter().find_map(|statement| writer(&statement.tokens));
        own.or_else(|| self.modules.values().find_map(|(_, module)| module.environment_writer()))
    }
}

fn writer(tokens: &[Token]) -> Option<&'static str> {
    (0..tokens.len()).find_map(|start| {
        let [first, rest @ ..] = tokens.get(start..)? else { return None };
        match (first.spelling(), rest) {
            ("load_dotenv", _) => Some("load_dotenv"),
            ("putenv", _) => Some("os.putenv"),
            ("environ", [dot, method, ..]) if dot.is(".") => match method.spelling() {
                "update" => Some("os.environ.update"),
                "setdefault" => Some("os.environ.setdefault"),
                _ => None,
            },
            ("environ", [merged, ..]) if merged.is("|=") => Some("os.environ |="),
            ("environ", [open, inside @ ..]) if open.is("[") => {
                let behind = inside.get(closing(inside)? + 1..)?;
                // `if os.environ["A"]: x = 1` is no assignment to it.
                let is_assigned = !behind.first()?.is(":") && super::assigned(behind).is_some();
                is_assigned.then_some("os.environ[...] =")
            }
            _ => None,
        }
    })
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
