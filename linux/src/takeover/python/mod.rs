//! Constants of a Python program, read and never executed.
//!
//! Understood are the forms that people write: a literal, several that stand side by side, parentheses, and a variable
//! of the environment with a default. Anything else is not readable: a wrong guess would send a device's heartbeats to
//! another server.

mod tokens;

use std::fmt;

use self::tokens::{Statement, Token};

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

/// An assignment and its line, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// A program, in statements.
#[derive(Debug)]
pub(super) struct Program(Vec<Statement>);

impl Program {
    /// Reads a program.
    pub(super) fn parse(source: &str) -> Self {
        Self(tokens::statements(source))
    }

    /// The last assignment to a name. One inside a block makes it unreadable, because whether it is executed is not
    /// known.
    pub(super) fn constant(&self, name: &str) -> Option<Constant> {
        let assignments = self.0.iter().filter_map(|statement| {
            let [Token::Name(target), rest @ ..] = statement.tokens.as_slice() else { return None };
            Some((statement, assigned(rest).filter(|_| target == name)?))
        });
        let mut found: Option<Constant> = None;
        for (statement, value) in assignments {
            let unreadable =
                statement.indented || found.is_some_and(|before| before.value == Value::Unreadable);
            let value = if unreadable { Value::Unreadable } else { expression(value) };
            found = Some(Constant { value, line: statement.line });
        }
        found
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

fn expression(tokens: &[Token]) -> Value {
    if let Some(inside) = in_parentheses(tokens) {
        return expression(inside);
    }
    if let Some(literal) = literal(tokens) {
        return Value::Literal(literal);
    }
    match tokens {
        [Token::Name(conversion), rest @ ..] if ["float", "int", "str"].contains(&conversion.as_str()) => {
            in_parentheses(rest).map_or(Value::Unreadable, expression)
        }
        _ => environment(tokens).unwrap_or(Value::Unreadable),
    }
}

fn in_parentheses(tokens: &[Token]) -> Option<&[Token]> {
    match tokens {
        [first, inside @ .., last] if first.is("(") && last.is(")") && balanced(inside) => Some(inside),
        _ => None,
    }
}

/// Whether the parentheses among these are pairs, so that those around them are one.
fn balanced(tokens: &[Token]) -> bool {
    let mut depth = 0_i64;
    tokens.iter().all(|token| {
        depth += i64::from(token.is("(")) - i64::from(token.is(")"));
        depth >= 0
    }) && depth == 0
}

fn literal(tokens: &[Token]) -> Option<Literal> {
    match tokens {
        [Token::Number(number)] => Some(Literal::Number(*number)),
        [minus, Token::Number(number)] if minus.is("-") => Some(Literal::Number(-number)),
        [_, ..] => {
            let parts = tokens.iter().map(|token| match token {
                Token::Text(text) => text.clone(),
                _ => None,
            });
            parts.collect::<Option<String>>().map(Literal::Text)
        }
        [] => None,
    }
}

/// `os.environ.get("NAME", default)`, `os.getenv("NAME", default)`, `os.environ["NAME"]`, and the first two with
/// `or default` behind them.
fn environment(tokens: &[Token]) -> Option<Value> {
    if let Some(or) = tokens.iter().position(|token| *token == Token::Name("or".to_owned())) {
        let (asked, default) = (tokens.get(..or)?, tokens.get(or + 1..)?);
        return match environment(asked)? {
            Value::Environment { name, default: None } => {
                Some(Value::Environment { name, default: Some(literal(default)?) })
            }
            _ => None,
        };
    }
    let start = tokens.iter().position(|token| token.is("(") || token.is("["))?;
    let callee: String = tokens.get(..start)?.iter().map(Token::spelling).collect();
    let arguments = tokens.get(start + 1..tokens.len().checked_sub(1)?)?;
    let last = tokens.last()?;
    let call =
        last.is(")") && ["os.environ.get", "environ.get", "os.getenv", "getenv"].contains(&callee.as_str());
    let index = last.is("]") && ["os.environ", "environ"].contains(&callee.as_str());
    let [Token::Text(Some(name)), rest @ ..] = arguments else { return None };
    let default = match rest {
        [] => None,
        [comma, default @ ..] if call && comma.is(",") => Some(literal(default)?),
        _ => return None,
    };
    (call || index).then(|| Value::Environment { name: name.clone(), default })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(source: &str) -> Option<Value> {
        Program::parse(source).constant("URL").map(|constant| constant.value)
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Literal(Literal::Text(text.to_owned())))
    }

    fn environment(name: &str, default: Option<Literal>) -> Option<Value> {
        Some(Value::Environment { name: name.to_owned(), default })
    }

    #[test]
    fn reads_literals() {
        assert_eq!(value("URL = \"https://a/\"  # where\n"), text("https://a/"));
        assert_eq!(value("URL='https://a/#x'"), text("https://a/#x"));
        assert_eq!(value("URL: str = r'a\\b'"), text("a\\b"));
        assert_eq!(value("URL = (\n    'https://a'  # one\n    '/b'\n)\n"), text("https://a/b"));
        assert_eq!(value("URL = 'https://a' \\\n  '/b'\n"), text("https://a/b"));
        assert_eq!(value("URL = '''a'''"), text("a"));
        assert_eq!(value("URL = 'it\\'s \\x41'"), text("it's A"));
        assert_eq!(value("URL = 1_000.5"), Some(Value::Literal(Literal::Number(1000.5))));
        assert_eq!(value("URL = -2"), Some(Value::Literal(Literal::Number(-2.0))));
        assert_eq!(value("URL = float('2')"), text("2"));
        assert_eq!(value("A = 1; URL = 'x'"), text("x"));
        assert_eq!(value("URL = f'no braces'"), text("no braces"));
        assert_eq!(value("\u{feff}URL = 'x'"), text("x"));
    }

    #[test]
    fn reads_variables_of_the_environment() {
        let default = Some(Literal::Text("d".to_owned()));
        assert_eq!(value("URL = os.environ.get('U', 'd')"), environment("U", default.clone()));
        assert_eq!(value("URL = os.getenv('U')"), environment("U", None));
        assert_eq!(value("URL = os.environ['U']"), environment("U", None));
        assert_eq!(value("URL = getenv('U') or 'd'"), environment("U", default));
        assert_eq!(value("URL = float(os.getenv('U', 2.0))"), environment("U", Some(Literal::Number(2.0))));
    }

    #[test]
    fn guesses_nothing() {
        for source in [
            "URL = BASE + '/x'",
            "URL = f'https://{host}/'",
            "URL = 'https://%s/' % host",
            "URL = 'https://{}/'.format(host)",
            "URL = b'x'",
            "URL = load()",
            "URL = 60 * 5",
            "URL = ('a') + ('b')",
            "URL = '\\N{DEGREE SIGN}'",
            "URL = 'a'\nURL += 'b'",
            "URL = 'a'\nif x:\n    URL = 'b'\n",
            "if x:\n    URL = 'b'\nURL = 'a'",
            "URL = other = 'a'",
            "URL = os.getenv(NAME)",
            "URL = os.getenv('U', DEFAULT)",
            "URL = json.loads('1')",
            "URL =",
        ] {
            assert_eq!(value(source), Some(Value::Unreadable), "{source}");
        }
    }

    #[test]
    fn ignores_what_is_no_assignment() {
        for source in [
            "# URL = 'a'",
            "\"\"\"\nURL = 'a'\n\"\"\"\n",
            "x = '''\nURL = 'a'\n'''",
            "URL == 'a'",
            "print(URL)",
            "URLS = 'a'",
            "f(\nURL = 'a'\n)",
            "URL: str",
            "",
        ] {
            assert_eq!(value(source), None, "{source}");
        }
    }

    #[test]
    fn takes_the_last_assignment_with_its_line() {
        let constant = Program::parse("'''\n'''\nURL = 'a'\n\nURL = 'b'\n").constant("URL");
        assert_eq!(
            constant,
            Some(Constant { value: Value::Literal(Literal::Text("b".to_owned())), line: 5 })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(
            text: String,
            code in "(URL|=|os\\.getenv|\\(|\\)|\\[|\\]|or|'|\"\"\"|\\\\|#|f'|0x|1e|\n| |,|\\{){0,40}",
        ) {
            for source in [text, code] {
                let _ = Program::parse(&source).constant("URL");
            }
        }
    }
}
