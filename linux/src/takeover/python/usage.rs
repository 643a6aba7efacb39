//! Whether a program sends to its constant, and nowhere else.
//!
//! People change where a program sends in its constant, in the call that sends, or anywhere between. So the published
//! address says nothing by itself: it counts where the program sends with it as the published program does, and has
//! nothing else that could send or that could change the constant. What is not understood is a doubt.

use std::fmt;

use super::{
    Program, TOKENS_MAX, assigned,
    imports::import_of,
    tokens::{Block, Part, Statement, Token},
};

/// What can send without a name of `requests`, and what can change any name or run any text.
const OTHER_MEANS: [&str; 26] = [
    "HTTPConnection",
    "HTTPSConnection",
    "HTTPAdapter",
    "URLopener",
    "__dict__",
    "__import__",
    "aiohttp",
    "create_connection",
    "eval",
    "exec",
    "execfile",
    "globals",
    "httplib2",
    "httpx",
    "importlib",
    "locals",
    "paho",
    "pycurl",
    "runpy",
    "sendall",
    "sendto",
    "setattr",
    "urllib3",
    "urlopen",
    "urlretrieve",
    "vars",
];
/// Programs that send, as a word of a command.
const SENDING_PROGRAMS: [&str; 4] = ["curl", "wget", "nc", "mosquitto_pub"];
/// Functions of `requests` that send.
const SENDING: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "request"];
/// Addresses of this machine: the published program passes commands on to the application there.
const OWN: [&str; 4] = ["http://localhost", "http://127.0.0.1", "https://localhost", "https://127.0.0.1"];
/// What only shows a value.
const SHOWING: [&str; 4] = ["print", "logger", "logging", "log"];

/// Why the constant may not be where the program sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Doubt {
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Where a call sends.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Constant,
    OwnMachine,
    Other,
}

impl Program {
    /// Why it is not certain that the program sends to this constant, whose value is this address, and nowhere else.
    pub(in super::super) fn doubt(&self, name: &str, address: &str) -> Option<Doubt> {
        let found = self.statements.iter().find_map(|statement| {
            let what = self.doubt_of(statement, name, address)?;
            Some(Doubt { line: Some(statement.line), what })
        });
        let is_shadowed = || self.modules.contains_key("requests") || self.unread.contains("requests");
        let whole = |what: &str| Doubt { line: None, what: what.to_owned() };
        found.or_else(|| is_shadowed().then(|| whole("requests.py is beside the program"))).or_else(|| {
            let sends = |statement: &Statement| {
                calls(&statement.tokens).any(|call| self.target(call, name) == Target::Constant)
            };
            (!self.statements.iter().any(sends)).then(|| whole("no line of the program sends to it"))
        })
    }

    /// A line that certainly sends, and not to this constant or to this machine.
    pub(in super::super) fn sends_elsewhere(&self, name: &str) -> Option<usize> {
        let is_elsewhere = |statement: &&Statement| {
            statement.tokens.len() <= TOKENS_MAX
                && calls(&statement.tokens).any(|call| self.target(call, name) == Target::Other)
        };
        self.statements.iter().find(is_elsewhere).map(|statement| statement.line)
    }

    fn doubt_of(&self, statement: &Statement, name: &str, address: &str) -> Option<String> {
        let tokens = statement.tokens.as_slice();
        if tokens.len() > TOKENS_MAX {
            return Some("is too long to be read".to_owned());
        }
        // A text that stands alone is a comment.
        if tokens.iter().all(|token| matches!(token, Token::Text(_))) {
            return None;
        }
        if let Some(other) = tokens.iter().find(|token| OTHER_MEANS.contains(&token.spelling())) {
            return Some(format!("has {}", other.spelling()));
        }
        if calls(tokens).any(|call| self.target(call, name) == Target::Other) {
            return Some("sends to something else".to_owned());
        }
        if let Some(problem) = changes_requests(tokens) {
            return Some(problem.to_owned());
        }
        let is_definition = defines(tokens, name);
        let texts = tokens.iter().filter(|_| !is_definition).flat_map(texts);
        for text in texts {
            if text.contains("://") && !address.starts_with(text) && !is_own(text) {
                return Some("has another address".to_owned());
            }
            let mut words = text.split_whitespace().filter_map(|word| word.rsplit('/').next());
            if text == name || words.any(|word| SENDING_PROGRAMS.contains(&word)) {
                return Some(format!("has the text {text:?}"));
            }
        }
        if is_definition || SHOWING.contains(&tokens.first()?.spelling()) && !tokens.iter().any(is_assignment)
        {
            return None;
        }
        let uses = tokens.iter().filter(|token| names(token, name)).count();
        let sent = calls(tokens).filter(|call| self.target(call, name) == Target::Constant).count();
        (uses != sent).then(|| format!("uses {name} in another way"))
    }

    fn target(&self, arguments: &[Token], name: &str) -> Target {
        let end = first_argument_end(arguments);
        let argument = match arguments.get(..end).unwrap_or_default() {
            [Token::Name(keyword), equals, value @ ..] if keyword == "url" && equals.is("=") => value,
            value => value,
        };
        match argument {
            [Token::Name(own)] if own == name => Target::Constant,
            [Token::Name(_), dot, Token::Name(own)]
                if dot.is(".") && own == name && self.is_of_a_class(name) =>
            {
                Target::Constant
            }
            // Of a text with fields, what it begins with.
            [text] if texts(text).first().is_some_and(|text| is_own(text)) => Target::OwnMachine,
            _ => Target::Other,
        }
    }

    fn is_of_a_class(&self, name: &str) -> bool {
        let mut definitions = self.statements.iter().filter(|statement| defines(&statement.tokens, name));
        definitions.any(|statement| matches!(statement.block, Block::Class(_)))
    }
}

/// The arguments of each call that sends, from the first on.
fn calls(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    (0..tokens.len()).filter_map(move |start| {
        let [module, dot, function, open, arguments @ ..] = tokens.get(start..)? else { return None };
        let is_call = dot.is(".") && open.is("(");
        let sends = match function.spelling() {
            // Of a session, too.
            "post" | "request" => true,
            // A dictionary and a queue have others with these names.
            function => module.spelling() == "requests" && SENDING.contains(&function),
        };
        if !is_call || !sends {
            return None;
        }
        // The method comes first.
        let method = if function.spelling() == "request" { first_argument_end(arguments) + 1 } else { 0 };
        Some(arguments.get(method..).unwrap_or_default())
    })
}

/// Where the first argument ends.
fn first_argument_end(arguments: &[Token]) -> usize {
    let mut depth = 0_i64;
    let end = arguments.iter().position(|token| {
        let is_end = depth == 0 && (token.is(",") || token.is(")"));
        depth += i64::from(["(", "[", "{"].iter().any(|open| token.is(open)));
        depth -= i64::from([")", "]", "}"].iter().any(|close| token.is(close)));
        is_end
    });
    end.unwrap_or(arguments.len())
}

/// What a statement does to `requests` beside calling it: afterwards its calls may send elsewhere, or have another name.
fn changes_requests(tokens: &[Token]) -> Option<&'static str> {
    let spelled: Vec<_> = tokens.iter().map(Token::spelling).collect();
    if let Some(import) = spelled.iter().position(|word| *word == "import") {
        let before = spelled.get(..import).unwrap_or_default();
        let behind = spelled.get(import + 1..).unwrap_or_default();
        let takes_parts = before.ends_with(&["from", "requests"]) && !behind.contains(&"exceptions");
        let renames = behind.windows(2).any(|pair| pair == ["requests", "as"]);
        return (takes_parts || renames).then_some("gives parts of requests other names");
    }
    let is_changed = (0..spelled.len()).any(|at| match spelled.get(at..).unwrap_or_default() {
        ["requests", ".", function, next, ..] if SENDING.contains(function) => *next != "(",
        ["requests", ".", function] => SENDING.contains(function),
        ["requests", ".", ..] => false,
        ["requests", ..] => at.checked_sub(1).and_then(|before| spelled.get(before)) != Some(&"."),
        [".", "post", next, ..] => *next != "(",
        [".", "post"] => true,
        _ => false,
    });
    is_changed.then_some("uses requests in another way")
}

/// Whether a statement gives the name its value in a way that is read.
fn defines(tokens: &[Token], name: &str) -> bool {
    let is_assigned =
        matches!(tokens, [Token::Name(target), rest @ ..] if target == name && assigned(rest).is_some());
    is_assigned || import_of(tokens, name).is_some()
}

/// Whether a token names the constant.
fn names(token: &Token, name: &str) -> bool {
    match token {
        Token::Name(own) => own == name,
        Token::Template(parts) => {
            parts.iter().any(|part| matches!(part, Part::Field(field) if field == name))
        }
        _ => false,
    }
}

fn is_assignment(token: &Token) -> bool {
    token.is(":=")
}

/// The texts in a token, without the fields between them.
fn texts(token: &Token) -> Vec<&str> {
    match token {
        Token::Text(text) => text.as_deref().into_iter().collect(),
        Token::Template(parts) => {
            let parts = parts.iter().filter_map(|part| match part {
                Part::Plain(text) => Some(text.as_str()),
                Part::Field(_) => None,
            });
            parts.collect()
        }
        _ => Vec::new(),
    }
}

/// Whether an address is this machine's. What stands before an `@` is no host.
fn is_own(text: &str) -> bool {
    let rest = OWN.iter().find_map(|own| text.strip_prefix(own));
    rest.is_some_and(|rest| rest.starts_with([':', '/']) && !rest.contains('@'))
}

#[cfg(test)]
mod tests;
