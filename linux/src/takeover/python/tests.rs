//! Programs as people write them.

use std::path::Path;

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
    assert_eq!(value("URL = .5"), Some(Value::Literal(Literal::Number(0.5))));
    assert_eq!(value("URL = -2"), Some(Value::Literal(Literal::Number(-2.0))));
    assert_eq!(value("URL = float('2')"), text("2"));
    assert_eq!(value("A = 1; URL = 'x'"), text("x"));
    assert_eq!(value("URL = f'no braces'"), text("no braces"));
    assert_eq!(value("\u{feff}URL = 'x'"), text("x"));
    assert_eq!(value("URL = 'x'\r\nURL2 = 'y'\r\n"), text("x"));
    assert_eq!(value("URL = (\r\n  'x'\r\n)\r\n"), text("x"));
    assert_eq!(value("URL = 'x' \\\r\n 'y'\r\n"), text("xy"));
    assert_eq!(value("URL: Final[str] = 'x'"), text("x"));
    assert_eq!(value("URL = 60 * 5"), Some(Value::Literal(Literal::Number(300.0))));
    assert_eq!(value("URL = f'{{x}}'"), text("{x}"));
}

#[test]
fn puts_constants_together() {
    assert_eq!(value("HOST = 'a'\nURL = 'https://' + HOST + '/'"), text("https://a/"));
    assert_eq!(value("HOST = 'a'\nPORT = 8443\nURL = f'https://{HOST}:{PORT}/'"), text("https://a:8443/"));
    assert_eq!(value("URL = ('a') + ('b')"), text("ab"));
    assert_eq!(value("DEFAULT = 'a'\nURL = DEFAULT\n"), text("a"));
    let environment = environment("U", Some(Literal::Text("a".to_owned())));
    assert_eq!(value("DEFAULT = 'a'\nURL = os.getenv('U', DEFAULT)\n"), environment);
    assert_eq!(value("ASKED = os.getenv('U', 'a')\nURL = ASKED\n"), environment);
    assert_eq!(value("ASKED = os.getenv('U', 'a')\nURL = ASKED + '/'\n"), Some(Value::Unreadable));
}

#[test]
fn reads_the_body_of_a_class() {
    let source = "class Config(object):\n    \"\"\"About.\"\"\"\n\n    # where\n    URL: str = 'a'\n    def f(self):\n        pass\n\nx = 1\n";
    assert_eq!(value(source), text("a"));
    assert_eq!(value("class A:\n    class B:\n        URL = 'a'\n"), text("a"));
}

#[test]
fn reads_what_is_imported_from_a_file_beside_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("config.py", "SERVER = 'https://a/'\nURL = SERVER\nHIDDEN = 1\n");
    let root = Sysroot::new(dir.path()).expect("opened");
    for source in [
        "from config import URL",
        "from config import (HIDDEN,\n  SERVER as URL)",
        "from .config import URL",
        "from config import *",
        "import config\nURL = config.SERVER",
        "import os, config\nURL = config.URL",
    ] {
        write("h.py", source);
        let found = Program::load(&root, Path::new("/h.py")).expect("read").constant("URL");
        let found = found.unwrap_or_else(|| panic!("{source}"));
        assert_eq!(Some(found.value), text("https://a/"), "{source}");
        if source.starts_with("from") {
            assert_eq!((found.file, found.line > 0), (Some("/config.py".into()), true), "{source}");
        }
    }
    write("h.py", "from config import *\nURL = 'mine'\n");
    let found = Program::load(&root, Path::new("/h.py")).expect("read");
    assert_eq!(found.constant("URL").map(|constant| constant.value), text("mine"));
    assert_eq!(found.constant("NONE"), None);
    write("h.py", "from config import OTHER as URL\n");
    let found = Program::load(&root, Path::new("/h.py")).expect("read").constant("URL");
    assert_eq!(found.map(|constant| constant.value), Some(Value::Unreadable));
}

/// What `URL` is in a program beside which these files are.
fn value_beside(files: &[(&str, &str)], source: &str) -> Option<Value> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files.iter().chain(&[("h.py", source)]) {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("created");
        std::fs::write(file, text).expect("written");
    }
    let root = Sysroot::new(dir.path()).expect("opened");
    Program::load(&root, Path::new("/h.py")).expect("read").constant("URL").map(|constant| constant.value)
}

#[test]
fn star_import_counts_where_it_stands() {
    let files = [("local.py", "URL = 'b'\n"), ("empty.py", "OTHER = 1\n"), ("other/__init__.py", "")];
    for (source, expected) in [
        ("URL = 'a'\nfrom local import *\n", text("b")),
        ("URL = 'a'\nfrom .local import *\n", text("b")),
        ("from local import *\nURL = 'a'\n", text("a")),
        ("URL = 'a'\nfrom empty import *\n", text("a")),
        ("URL = 'a'\nfrom math import *\nfrom os.path import *\n", text("a")),
        ("URL = 'a'\ntry:\n    from none import *\nexcept ImportError:\n    pass\n", text("a")),
        ("try:\n    from local import *\nexcept ImportError:\n    pass\nURL = 'a'\n", text("a")),
        ("from other import *\nURL = 'a'\n", text("a")),
        (
            "URL = 'a'\ntry:\n    from local import *\nexcept ImportError:\n    pass\n",
            Some(Value::Unreadable),
        ),
        ("URL = 'a'\ntry: from local import *\nexcept ImportError: pass\n", Some(Value::Unreadable)),
        ("URL = 'a'\ntry: from local import URL\nexcept ImportError: pass\n", Some(Value::Unreadable)),
        ("URL = 'a'\nfrom .none import *\n", Some(Value::Unreadable)),
        ("URL = 'a'\nfrom . import *\n", Some(Value::Unreadable)),
        ("URL = 'a'\nfrom other import *\n", Some(Value::Unreadable)),
        ("BASE = 'a'\nfrom other import *\nURL = BASE\n", Some(Value::Unreadable)),
    ] {
        assert_eq!(value_beside(&files, source), expected, "{source}");
    }
    assert_eq!(
        value_beside(&[("a/b.py", "")], "URL = 'a'\nfrom a.b import *\n"),
        Some(Value::Unreadable),
        "a file of a directory"
    );
    let both = [("local.py", "URL = 'b'\n"), ("local/__init__.py", "URL = 'c'\n")];
    assert_eq!(
        value_beside(&both, "from local import *\n"),
        Some(Value::Unreadable),
        "a package comes first"
    );
    let many: String = (0..20).map(|number| format!("import a{number}\n")).collect();
    let files: Vec<_> = (0..20).map(|number| (format!("a{number}.py"), String::new())).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("local.py", "URL = 'b'\n"));
    let source = format!("URL = 'a'\n{many}from local import *\n");
    assert_eq!(value_beside(&files, &source), Some(Value::Unreadable), "too many to read");
}

#[test]
fn star_import_of_an_imported_file_is_not_ignored() {
    let config = |text| ("config.py", text);
    let local = ("local.py", "URL = 'b'\n");
    for source in ["from config import URL\n", "from config import *\n", "import config\nURL = config.URL\n"]
    {
        let found = value_beside(&[config("URL = 'a'\nfrom local import *\n"), local], source);
        assert_eq!(found, Some(Value::Unreadable), "{source}");
        let found = value_beside(&[config("URL = 'a'\nfrom math import *\n"), local], source);
        assert_eq!(found, text("a"), "{source}");
        let found = value_beside(&[config("from local import *\nURL = 'a'\n"), local], source);
        assert_eq!(found, text("a"), "{source}");
    }
    let found = value_beside(&[config("from local import *\n"), local], "URL = 'a'\nfrom config import *\n");
    assert_eq!(found, Some(Value::Unreadable));
}

#[test]
fn finds_what_writes_to_the_environment() {
    let found =
        |source| Program::parse(source).environment_writer("A").map(|found| (found.name, found.replaces));
    for (source, expected) in [
        ("from dotenv import load_dotenv\nload_dotenv()", Some(("load_dotenv", false))),
        ("from dotenv import load_dotenv\nload_dotenv(override=True)", Some(("load_dotenv", true))),
        ("if x: dotenv.load_dotenv(override=True)", Some(("load_dotenv", true))),
        ("os.putenv('A', 'b')", Some(("os.putenv", false))),
        ("os.environ.update(read())", Some(("os.environ.update", true))),
        ("environ.setdefault('A', 'b')", Some(("os.environ.setdefault", false))),
        ("environ.setdefault(name, 'b')", Some(("os.environ.setdefault", false))),
        ("environ.setdefault('B', 'b')", None),
        ("os.environ |= {'A': 'b'}", Some(("os.environ |=", true))),
        ("for key in x: os.environ[names[key]] = x[key]", Some(("os.environ[...] =", true))),
        ("os.environ['A'] += 'b'", Some(("os.environ[...] =", true))),
        ("os.environ['B' + x] = 'b'", Some(("os.environ[...] =", true))),
        ("os.environ['B'] = 'b'", None),
        ("os.environ['B'] = 'b'\nos.environ['A'] = 'b'", Some(("os.environ[...] =", true))),
        ("URL = os.environ['A']", None),
        ("if os.environ['A']: x = 1", None),
        ("if os.environ['A'] == 'b': x = 1", None),
        ("x = os.environ.get('A')", None),
        ("# load_dotenv()", None),
        ("os.environ[", None),
        ("environ", None),
    ] {
        assert_eq!(found(source), expected, "{source}");
    }
}

#[test]
fn reads_variables_of_the_environment() {
    let default = Some(Literal::Text("d".to_owned()));
    assert_eq!(value("URL = os.environ.get('U', 'd')"), environment("U", default.clone()));
    assert_eq!(value("URL = os.getenv('U')"), environment("U", None));
    assert_eq!(value("URL = os.environ['U']"), environment("U", None));
    assert_eq!(value("URL = os.environ.get('U', None)"), environment("U", None));
    assert_eq!(value("URL = os.environ.get(\n  'U',\n  default='d',\n)"), environment("U", default.clone()));
    assert_eq!(value("URL = os.getenv('U', load())"), environment("U", None), "it may be set");
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
        "URL = 'a' + 5",
        "URL = 'a' * 5",
        "URL = 60 * x",
        "URL = f'{host()}'",
        "URL = f'{host!r}'",
        "URL = f'{}'",
        "URL = URL",
        "URL = f'{URL}'",
        "A = URL\nURL = A",
        "HOST = 'a'\nHOST = 'b'\nURL = f'https://{HOST}/'",
        "if x:\n    HOST = 'a'\nURL = HOST",
        "URL = 'a'\nURL, B = 'b', 'c'",
        "URL = 'a'\nB = URL = 'b'",
        "URL = 'a'\nif x: URL = 'b'",
        "URL = 'a'\nprint((URL := 'b'))",
        "class A:\n    URL = 'a'\nURL = 'b'",
        "class Dev:\n    URL = 'a'\nclass Prod:\n    URL = 'b'\nused = Dev",
        "class A:\n    URL = 'a'\n    class B:\n        URL = 'b'",
        "class A:\n    def f(self):\n        URL = 'a'",
        "class A:\n    if x:\n        URL = 'a'",
        "from config import URL",
        "from .. import URL",
        "from a.b import URL",
        "URL = config.URL",
        "URL = 'ht\u{fffd}tps'",
        "URL = '\\N{DEGREE SIGN}'",
        "URL = 'a'\nURL += 'b'",
        "URL = 'a'\nif x:\n    URL = 'b'\n",
        "if x:\n    URL = 'b'\nURL = 'a'",
        "URL = other = 'a'",
        "URL = os.getenv(NAME)",
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
        "x.URL = 'a'",
        "if URL: x = 1",
        "f(a, URL='b')",
        "x = URL",
        "x[URL] = 1",
        "from URL import x",
        "from x import y",
        "from x import URL as y",
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
        Some(Constant { value: Value::Literal(Literal::Text("b".to_owned())), file: None, line: 5 })
    );
}

proptest! {
    #[test]
    fn any_text_is_survived(
        text: String,
        code in "(URL|=|from |import |\\*|environ|:|os\\.getenv|\\(|\\)|\\[|\\]|or|'|\"\"\"|\\\\|#|f'|0x|1e|\n| |,|\\{){0,40}",
    ) {
        for source in [text, code] {
            let _ = Program::parse(&source).constant("URL");
        }
    }
}
