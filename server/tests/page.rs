//! The pages without a browser: who may see them, what they say without JavaScript, what they never do.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Write};

use common::{Answer, Server, document, eventually};
use serde_json::json;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// The value of the hidden field that guards the forms of a page.
fn form_secret(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("name=\"form\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

fn log_in(server: &Server, password: &str) -> Answer {
    server.request("POST", "/login", FORM, &format!("password={password}&to=map"))
}

fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap();
    format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
}

#[test]
fn an_empty_fleet_says_what_to_do() {
    let page = Server::start().get("/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("No device has reported yet") && page.body.contains("/heartbeat.php"));
}

#[test]
fn the_table_is_complete_without_javascript() {
    let server = Server::start();
    for n in 0..105 {
        let mut beat = document(&format!("pi{n:03}"), 1);
        beat["temp"] = json!(f64::from(n) / 10.0 + 40.0);
        assert_eq!(server.beat(&beat).status, 200);
    }
    let page = server.get("/");
    assert_eq!(page.body.matches("<tr id=").count(), 100);
    assert!(page.body.contains("Page 1 of 2, 105 devices"));
    assert_eq!(server.get("/?page=2").body.matches("<tr id=").count(), 5);
    let hottest = server.get("/?sort=temp&down=1").body;
    assert!(hottest.find("pi104").unwrap() < hottest.find("pi050").unwrap());
    assert_eq!(server.get("/?text=PI00").body.matches("<tr id=").count(), 10);
    assert!(server.get("/?state=offline").body.contains("No device matches"));
    let device = server.get("/device?id=pi007").body;
    for words in
        ["WiFi wlan0: 192.168.1.20, client, network shed", "under-voltage since the boot", "/srv/rec.mp4"]
    {
        assert!(device.contains(words), "{words}");
    }
    assert_eq!(server.get("/device?id=nobody").status, 404);
    assert!(server.get("/map").body.contains("105 of 105 devices report a position"));
    assert!(server.get("/problems").body.contains("What is wrong now"));
}

#[test]
fn every_address_on_a_page_is_relative() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    for path in ["/", "/device?id=pi1", "/map", "/problems", "/login"] {
        let page = server.get(path).body;
        for attribute in ["href=\"/", "src=\"/", "action=\"/", "href=\"http", "src=\"http"] {
            assert!(!page.contains(attribute), "{path} has {attribute}");
        }
    }
}

#[test]
fn text_of_a_device_is_never_html() {
    let server = Server::start();
    let script = "<script>alert(1)</script>";
    let mut beat = document(&format!("{script}'\""), 1);
    beat["app_version"] = json!(script);
    beat["recording_file_path"] = json!(script);
    beat["connection"]["default_interface"] = json!("<img src=x onerror=y>");
    beat["connection"]["wifi"]["ssid"] = json!(script);
    beat["diagnostics"]["x"] = json!(script);
    assert_eq!(server.beat(&beat).status, 200);
    let id: String = format!("{script}'\"").bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in ["/", "/map", "/problems", &format!("/device?id={id}"), "/?text=%3Cscript%3Ealert(1)"] {
        let page = server.get(path);
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img"), "{path}: {}", page.body);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    }
}

#[test]
fn an_open_page_is_for_names_of_this_machine_only() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(common::read_answer(&mut stream).unwrap().status, 403);
}

#[test]
fn an_open_page_is_not_passed_on_by_a_proxy() {
    let server = Server::start();
    // What Apache, Caddy and Traefik send without being told to.
    for header in ["X-Forwarded-For: 192.0.2.1", "Via: 1.1 proxy", "Forwarded: for=192.0.2.1"] {
        for path in ["/", "/events", "/api/v1/devices"] {
            assert_eq!(
                server.request("GET", path, &format!("{header}\r\n"), "").status,
                403,
                "{header} {path}"
            );
        }
    }
    let server = Server::with("[access]\nproxies = [\"192.0.2.1\"]");
    let page = server.get("/");
    assert!(page.status == 403 && page.body.contains("heartbeat-server password"), "{page:?}");
}

#[test]
fn a_password_closes_the_page_and_opens_it() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let (ok, _, error) = server.command(&["password"], "short\n");
    assert!(!ok && error.contains("8 characters"), "{error}");
    assert!(server.command(&["password"], "correct horse\n").0);
    let page = server.get("/device?id=pi1");
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location").unwrap(), "login?to=device%3Fid%3Dpi1");
    for path in ["/events?view=fleet", "/api/v1/devices", "/metrics"] {
        assert_eq!(server.get(path).status, 401, "{path}");
    }
    assert_eq!(log_in(&server, "wrong+horse").status, 403);
    let answer = log_in(&server, "correct+horse");
    assert_eq!((answer.status, answer.header("location").as_deref()), (303, Some("map")));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains("Path"), "{set}");
    let cookie = cookie(&answer);
    let page = server.request("GET", "/", &cookie, "");
    assert_eq!(page.status, 200);
    assert_eq!(server.request("GET", "/api/v1/devices", &cookie, "").status, 200);

    // A logout without the secret of the form, from another site, and right.
    let log_out = |head: &str, secret: &str| {
        server.request("POST", "/logout", &format!("{cookie}{FORM}{head}"), &format!("form={secret}")).status
    };
    assert_eq!(log_out("", "00"), 403);
    assert_eq!(log_out("Sec-Fetch-Site: cross-site\r\n", &form_secret(&page)), 403);
    assert_eq!(log_out("", &form_secret(&page)), 303);
    assert_eq!(server.request("GET", "/", &cookie, "").status, 303);
}

#[test]
fn a_login_survives_a_restart_and_ends_with_a_new_password() {
    let mut server = Server::start();
    assert!(server.command(&["password"], "correct horse\n").0);
    let cookie = cookie(&log_in(&server, "correct+horse"));
    server.kill();
    server.restart();
    assert_eq!(server.request("GET", "/", &cookie, "").status, 200);
    let (_, said, _) = server.command(&["password"], "another horse\n");
    assert_eq!(said, "the password is set and in effect at once; 1 login has ended\n");
    assert_eq!(server.request("GET", "/", &cookie, "").status, 303);
    let (_, said, _) = server.command(&["password"], "another horse\n");
    assert!(said.ends_with("; 0 logins have ended\n"), "{said}");
}

#[test]
fn guessing_is_slowed_down() {
    let server = Server::start();
    assert!(server.command(&["password"], "correct horse\n").0);
    let statuses: Vec<_> = (0..7).map(|_| log_in(&server, "guess+guess").status).collect();
    assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429]);
    let answer = log_in(&server, "correct+horse");
    assert_eq!(answer.status, 429, "the right one too, so that nothing is learned");
    assert!(answer.header("retry-after").is_some());
    // Devices are not concerned.
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
}

#[test]
fn labels_are_changed_by_the_form_and_only_by_it() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let page = server.get("/device?id=pi1");
    let post = |secret: &str, fields: &str| {
        server.request("POST", "/device?id=pi1", FORM, &format!("form={secret}&{fields}")).status
    };
    assert_eq!(post("00", "name=shed&action=save"), 403);
    let secret = form_secret(&page);
    assert_eq!(post(&secret, "name=shed&group=north&tags=roof+cam&action=save"), 303);
    let device = server.get("/api/v1/devices/pi1").json();
    assert_eq!((&device["name"], &device["group"]), (&json!("shed"), &json!("north")));
    assert_eq!(device["tags"], json!(["roof", "cam"]));
    assert_eq!(server.get("/?group=north&tag=cam").body.matches("<tr id=").count(), 1);
    assert_eq!(post(&secret, &format!("name={}&action=save", "x".repeat(65))), 422);
    assert_eq!(post(&secret, "action=remove"), 303);
    assert_eq!(server.beat(&document("pi1", 2)).status, 410, "at once");
    assert_eq!(post(&secret, "action=restore"), 303);
    assert_eq!(server.beat(&document("pi1", 3)).status, 200);
}

#[test]
fn only_a_trusted_proxy_may_name_the_visitor() {
    let config = "[access]\nproxy_header = \"X-Remote-User\"\nproxies = [\"127.0.0.1\"]";
    let server = Server::with(config);
    assert_eq!(server.get("/").status, 403);
    assert_eq!(server.request("GET", "/", "X-Remote-User: alice\r\n", "").status, 200);
    let elsewhere = Server::with(&config.replace("127.0.0.1", "192.0.2.1"));
    assert_eq!(elsewhere.request("GET", "/", "X-Remote-User: alice\r\n", "").status, 403);
}

#[test]
fn a_reading_token_opens_the_api_and_not_the_page() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    assert!(server.command(&["password"], "correct horse\n").0);
    let token = format!("Authorization: Bearer {}\r\n", server.token(&["--read"]));
    assert_eq!(server.request("GET", "/metrics", &token, "").status, 200, "at once");
    assert_eq!(server.request("GET", "/api/v1/devices", &token, "").json()["total"], 1);
    assert_eq!(server.request("GET", "/", &token, "").status, 303);
}

#[test]
fn a_stream_sends_what_changes_and_only_that() {
    let server = Server::start();
    for id in ["pi1", "pi2", "pi3"] {
        server.beat(&document(id, 1));
    }
    let mut stream = server.connect();
    stream.write_all(b"GET /events?view=fleet HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut next = || -> serde_json::Value {
        let data = lines.find_map(|line| Some(line.strip_prefix("data: ")?.to_owned())).unwrap();
        serde_json::from_str(&data).unwrap()
    };
    let first = next();
    let ids = |event: &serde_json::Value| -> Vec<String> {
        event["parts"].as_array().unwrap().iter().map(|part| part[0].as_str().unwrap().to_owned()).collect()
    };
    assert!(ids(&first).contains(&"table".to_owned()) && ids(&first).contains(&"counts".to_owned()));
    let mut changed = document("pi2", 2);
    changed["temp"] = json!(61.5);
    server.beat(&changed);
    let second = loop {
        let event = next();
        if !ids(&event).is_empty() {
            break event;
        }
    };
    assert_eq!(second["parts"].as_array().unwrap().len(), 1, "{second}");
    assert!(second["parts"][0][1].as_str().unwrap().contains("61.5"));
}

/// What the stream at `path` sends, part after part: id and HTML.
fn parts_of(server: &Server, path: &str) -> impl Iterator<Item = (String, String)> + use<> {
    let mut stream = server.connect();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
    // A stream says every 10 s that it is there.
    let deadline = std::time::Instant::now() + 2 * common::PATIENCE;
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let lines = lines.take_while(move |_| std::time::Instant::now() < deadline);
    let events =
        lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok());
    events.flat_map(|event| {
        let parts = event["parts"].as_array().unwrap().clone();
        parts.into_iter().map(|part| {
            let text = |n: usize| part[n].as_str().unwrap().to_owned();
            (text(0), text(1))
        })
    })
}

#[test]
fn a_change_between_two_drawings_of_the_map_is_drawn() {
    // Nothing else changes: no device becomes late.
    let server = Server::with("[expect]\ninterval_s = 600\noffline_after_s = 3600");
    server.beat(&document("pi1", 1));
    let mut maps = parts_of(&server, "/events?view=map").filter(|(id, _)| id == "map");
    assert!(maps.next().unwrap().1.contains("1 of 1 devices"));
    server.beat(&document("pi2", 1));
    assert!(maps.next().unwrap().1.contains("2 of 2 devices"));
}

#[test]
fn events_are_parts_of_the_stream() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let mut happened = parts_of(&server, "/events?view=problems").filter(|(id, _)| id == "happened");
    assert!(happened.next().unwrap().1.contains("heard for the first time"));
    let mut of_device = parts_of(&server, "/events?view=device&id=pi1");
    assert!(of_device.any(|(id, html)| id == "events" && html.contains("heard for the first time")));
    let mut of_device = parts_of(&server, "/events?view=device&id=pi1");
    assert!(of_device.any(|(id, html)| id == "starts" && html.contains("<td class=\"number\">1</td>")));
    let page = server.get("/device?id=pi1").body;
    for id in ["charts", "starts", "events"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[test]
fn a_login_without_a_password_says_so() {
    let answer = log_in(&Server::start(), "guess");
    assert!(answer.status == 403 && answer.body.contains("No password is set"), "{answer:?}");
}

#[test]
fn there_are_places_for_a_bounded_number_of_viewers() {
    let server = Server::start();
    let open: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET /events?view=fleet HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert!(line.contains("200"), "{line}");
            stream
        })
        .collect();
    assert_eq!(server.get("/events?view=fleet").status, 503);
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    drop(open);
    eventually("places come back", || {
        let mut stream = server.connect();
        stream.write_all(b"GET /events?view=fleet HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.contains("200")
    });
}

/// The head of a login of which nothing follows.
fn begin_login(server: &Server, length: usize) -> std::net::TcpStream {
    let mut stream = server.connect();
    let head =
        format!("POST /login HTTP/1.1\r\nHost: {}\r\n{FORM}Content-Length: {length}\r\n\r\n", server.address);
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_login_is_refused_before_its_form_is_read() {
    let server = Server::start();
    server.command(&["password"], "correct horse\n");
    let slow = common::read_answer(&mut begin_login(&server, 20)).unwrap();
    assert_eq!(slow.status, 408);
    // Quicker than one in 30 s is allowed again.
    let large = || common::read_answer(&mut begin_login(&server, 8193)).unwrap().status;
    let statuses: Vec<_> = (0..30).map(|_| large()).take_while(|status| *status != 429).collect();
    assert!(!statuses.is_empty() && statuses.len() < 30, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status == 413), "{statuses:?}");
}

#[test]
fn a_login_from_a_filtered_list_leads_to_that_list() {
    let server = Server::start();
    server.command(&["password"], "correct horse\n");
    let answer = server.request("POST", "/login", FORM, "password=correct+horse&to=%3Fstate%3Dlate");
    assert_eq!(answer.header("location").as_deref(), Some("./?state=late"));
    let again = server.request("GET", "/login?to=map", &cookie(&answer), "");
    assert_eq!((again.status, again.header("location").as_deref()), (303, Some("map")));
}

#[test]
fn a_new_password_ends_open_streams() {
    let server = Server::start();
    server.command(&["password"], "correct horse\n");
    let cookie = cookie(&log_in(&server, "correct+horse"));
    let mut stream = server.connect();
    let request = format!("GET /events?view=fleet HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n", server.address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("data:")), "it has begun");
    server.command(&["password"], "another horse\n");
    // The stream ends; otherwise the last line is an error after the longest time that is waited for.
    eventually("the stream has ended", || lines.next().is_none_or(|line| line.unwrap() == "0"));
}
