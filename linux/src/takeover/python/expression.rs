//! What an expression gives, if that can be said without executing it.

use super::{
    Literal, Program, Value,
    tokens::{Part, Token},
};

impl Program {
    /// The value of an expression. `depth` counts the constants that lead to it.
    pub(super) fn value(&self, tokens: &[Token], depth: u32) -> Value {
        if let Some(inside) = in_parentheses(tokens) {
            return self.value(inside, depth);
        }
        match tokens {
            [Token::Name(name)] => self.named(name, depth),
            // `config.NAME`.
            [Token::Name(module), dot, Token::Name(name)] if dot.is(".") => self
                .imported_constant(module, name, depth)
                .map_or(Value::Unreadable, |constant| constant.value),
            [Token::Name(conversion), rest @ ..]
                if ["float", "int", "str"].contains(&conversion.as_str()) =>
            {
                in_parentheses(rest).map_or(Value::Unreadable, |inside| self.value(inside, depth))
            }
            _ => self
                .literal(tokens, depth)
                .map(Value::Literal)
                .or_else(|| self.environment(tokens, depth))
                .unwrap_or(Value::Unreadable),
        }
    }

    /// A value that does not depend on the environment.
    fn literal(&self, tokens: &[Token], depth: u32) -> Option<Literal> {
        match tokens {
            [] => None,
            [Token::Number(number)] => Some(Literal::Number(*number)),
            [minus, Token::Number(number)] if minus.is("-") => Some(Literal::Number(-number)),
            [Token::Number(number), times, rest @ ..] if times.is("*") => match self.literal(rest, depth)? {
                Literal::Number(other) => Some(Literal::Number(number * other)),
                Literal::Text(_) => None,
            },
            _ if tokens.iter().any(|token| token.is("+")) => {
                let parts = tokens.split(|token| token.is("+")).map(|part| match self.value(part, depth) {
                    Value::Literal(Literal::Text(text)) => Some(text),
                    _ => None,
                });
                parts.collect::<Option<String>>().map(Literal::Text)
            }
            _ => {
                let parts = tokens.iter().map(|token| match token {
                    Token::Text(text) => text.clone(),
                    Token::Template(parts) => self.filled_in(parts, depth),
                    _ => None,
                });
                parts.collect::<Option<String>>().map(Literal::Text)
            }
        }
    }

    /// A text with the values of its fields. Numbers may be written in several ways, so only texts are filled in.
    fn filled_in(&self, parts: &[Part], depth: u32) -> Option<String> {
        let values = parts.iter().map(|part| match part {
            Part::Plain(text) => Some(text.clone()),
            Part::Field(name) => match self.named(name, depth) {
                Value::Literal(Literal::Text(text)) => Some(text),
                Value::Literal(Literal::Number(number)) if number.fract() == 0.0 => Some(number.to_string()),
                _ => None,
            },
        });
        values.collect()
    }

    /// `os.environ.get("NAME", default)`, `os.getenv("NAME", default)`, `os.environ["NAME"]`, and the first two with
    /// `or default` behind them. A default that cannot be read is none: it does not count while the variable is set.
    fn environment(&self, tokens: &[Token], depth: u32) -> Option<Value> {
        let default_of = |tokens: &[Token]| match self.value(tokens, depth) {
            Value::Literal(literal) => Some(literal),
            _ => None,
        };
        if let Some(or) = tokens.iter().position(|token| *token == Token::Name("or".to_owned())) {
            let (asked, default) = (tokens.get(..or)?, tokens.get(or + 1..)?);
            return match self.environment(asked, depth)? {
                Value::Environment { name, default: None } => {
                    Some(Value::Environment { name, default: default_of(default) })
                }
                _ => None,
            };
        }
        let start = tokens.iter().position(|token| token.is("(") || token.is("["))?;
        let callee: String = tokens.get(..start)?.iter().map(Token::spelling).collect();
        let arguments = tokens.get(start + 1..tokens.len().checked_sub(1)?)?;
        let last = tokens.last()?;
        let call = last.is(")")
            && ["os.environ.get", "environ.get", "os.getenv", "getenv"].contains(&callee.as_str());
        let index = last.is("]") && ["os.environ", "environ"].contains(&callee.as_str());
        let [Token::Text(Some(name)), rest @ ..] = arguments else { return None };
        let default = match rest {
            [] => None,
            [comma] if call && comma.is(",") => None,
            [comma, default @ ..] if call && comma.is(",") => {
                // `default=` as the argument is named, and a comma behind it.
                let default = default.strip_suffix(&[Token::Symbol(",".to_owned())]).unwrap_or(default);
                match default {
                    [Token::Name(argument), equals, default @ ..]
                        if argument == "default" && equals.is("=") =>
                    {
                        default_of(default)
                    }
                    default => default_of(default),
                }
            }
            _ => return None,
        };
        (call || index).then(|| Value::Environment { name: name.clone(), default })
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
