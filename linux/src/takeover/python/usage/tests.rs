//! Programs that send to their constant, and those that may not.

use super::*;
use proptest::prelude::*;

const ADDRESS: &str = "https://published.example/h.php";

/// As the published program has it: it sends from a function inside a function, and passes commands on to the application.
const PUBLISHED: &str = "\"\"\"Sends to https://elsewhere.example/ in a comment.\"\"\"\n\
    import requests\n\
    try:\n    from utils import get_id\nexcept ImportError as e:\n    print(f\"no utils: {e}\")\n\
    URL = 'https://published.example/h.php'\n\
    def control():\n    response = requests.post(\n        'http://localhost:80/gps-control',\n        json={'action': 'start'},\n    )\n\
    \x20   result = response.json().get('status', 'x')\n\
    def send():\n    def later():\n        try:\n            response = requests.post(\n                URL,\n                json=data,\n\
    \x20               timeout=2.0,\n                headers={'Content-Type': 'application/json'}\n            )\n\
    \x20           logger.info(f\"sent to {URL}: {response.status_code:3d}\")\n\
    \x20       except requests.exceptions.RequestException as e:\n            pass\n";

fn doubt(source: &str) -> Option<String> {
    Program::parse(source).doubt("URL", ADDRESS).map(|doubt| doubt.to_string())
}

#[test]
fn published_program_is_certain() {
    assert_eq!(doubt(PUBLISHED), None);
    assert_eq!(Program::parse(PUBLISHED).sends_elsewhere("URL"), None);
}

#[test]
fn other_ways_to_send_to_the_constant_are_certain() {
    for call in [
        "requests.post(URL, json=x)",
        "requests.post(url=URL)",
        "requests.get(URL)",
        "requests.request('POST', URL, json=x)",
        "s = requests.Session()\ns.post(URL, json=x)",
        "print('to', URL)\nrequests.post(URL)",
    ] {
        assert_eq!(doubt(&format!("import requests\nURL = '{ADDRESS}'\n{call}\n")), None, "{call}");
    }
    let class = format!("class Config:\n    URL = '{ADDRESS}'\nrequests.post(Config.URL)\n");
    assert_eq!(doubt(&class), None);
}

#[test]
fn any_edit_that_may_send_elsewhere_is_a_doubt() {
    // In place of the address in the call, of another line, or beside everything.
    for (from, to, expected) in [
        ("                URL,", "                'https://own.example/hb',", "sends to something else"),
        ("                URL,", "                URL.replace('a', 'b'),", "sends to something else"),
        ("                URL,", "                f'{URL}?x',", "sends to something else"),
        ("                URL,", "                OTHER,", "sends to something else"),
        ("                URL,", "                other.URL,", "sends to something else"),
        ("'http://localhost:80/gps-control'", "'http://localhost.example/'", "sends to something else"),
        (
            "'http://localhost:80/gps-control'",
            "'http://localhost:80@own.example/'",
            "sends to something else",
        ),
        ("'http://localhost:80/gps-control'", "f'http://{host}:80/'", "sends to something else"),
        ("import requests", "import requests as r", "gives parts of requests other names"),
        ("import requests", "from requests import post", "gives parts of requests other names"),
        ("import requests", "from os import environ\nrequests.post = mine", "uses requests in another way"),
        ("import requests", "send = requests.post", "uses requests in another way"),
        ("import requests", "getattr(requests, 'post')(x)", "uses requests in another way"),
        ("def control", "url = os.environ.get('MY_URL', URL)\ndef control", "uses URL in another way"),
        ("def control", "for URL in ['a']: pass\ndef control", "uses URL in another way"),
        ("def send()", "def send(URL)", "uses URL in another way"),
        ("def send():", "def send():\n    global URL", "uses URL in another way"),
        ("def control", "globals()['URL'] = 'a'\ndef control", "has globals"),
        ("def control", "exec(open('x').read())\ndef control", "has exec"),
        ("def control", "config['URL'] = 'a'\ndef control", "has the text \"URL\""),
        ("def control", "urlopen('x')\ndef control", "has urlopen"),
        (
            "def control",
            "subprocess.run(['/usr/bin/curl', x])\ndef control",
            "has the text \"/usr/bin/curl\"",
        ),
        ("def control", "X = 'https://own.example/'\ndef control", "has another address"),
        ("def control", "X = f'{scheme}://own.example/'\ndef control", "has another address"),
    ] {
        assert!(PUBLISHED.contains(from), "{from}");
        let found = doubt(&PUBLISHED.replacen(from, to, 1));
        assert!(found.as_ref().is_some_and(|found| found.ends_with(expected)), "{to}: {found:?}");
    }
    assert_eq!(doubt(&format!("URL = '{ADDRESS}'\n")), Some("no line of the program sends to it".to_owned()));
    let long = format!("{PUBLISHED}x = [{}]\n", "1, ".repeat(TOKENS_MAX));
    assert!(doubt(&long).is_some_and(|doubt| doubt.ends_with("is too long to be read")));
}

#[test]
fn calls_to_something_else_are_found_with_their_line() {
    let line = |source: &str| Program::parse(source).sends_elsewhere("URL");
    assert_eq!(line("URL = 'a'\nrequests.post('https://own.example/')"), Some(2));
    assert_eq!(line("URL = 'a'\nrequests.post(URL)\nd.get('x')\nq.put(x)"), None);
}

/// The work must stay small, whoever has written the program.
#[test]
fn long_programs_are_answered_at_once() {
    for source in [
        format!("URL = {}'a'{}", "(".repeat(300_000), ")".repeat(300_000)),
        format!("URL = 5{}", "*5".repeat(200_000)),
        format!("x = {}", "requests.post(".repeat(60_000)),
        format!("x = {}", "load_dotenv ".repeat(60_000)),
        // Each constant is made of many of the next.
        (0..9)
            .map(|n| format!("A{n} = A{}{}\n", n + 1, format!(" + A{}", n + 1).repeat(300)))
            .collect::<String>()
            + "A9 = 'a'\nURL = A0\n",
    ] {
        let program = Program::parse(&source);
        let _ = (program.doubt("URL", ADDRESS), program.sends_elsewhere("URL"));
        let _ = program.environment_writer("URL");
        if let Some(constant) = program.constant("URL") {
            assert_eq!(constant.value, super::super::Value::Unreadable);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(
        text: String,
        code in "(URL|=|requests|\\.|post|request|import |from |environ|\\(|\\)|,|'http://localhost:8/'|f'\\{URL\\}'|class A:|\n| ){0,40}",
    ) {
        for source in [text, code] {
            let program = Program::parse(&source);
            let _ = (program.doubt("URL", ADDRESS), program.sends_elsewhere("URL"));
        }
    }
}
