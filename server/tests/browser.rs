//! The pages in a real browser: Debian's `chromium` and `chromium-driver`. What it sees is kept as pictures in
//! `target/screenshots`, to be looked at.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Server, document, eventually};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;

/// A browser with its driver. Dropping it ends both.
struct Browser {
    driver: Child,
    address: String,
}

impl Browser {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver; Debian: apt-get install chromium chromium-driver");
        Self { driver, address: format!("http://127.0.0.1:{port}") }
    }

    async fn client(&self, dark: bool) -> Client {
        let mut arguments = vec!["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        if dark {
            arguments.push("--force-dark-mode");
        }
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let deadline = Instant::now() + common::PATIENCE;
        loop {
            let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            let connected =
                builder.capabilities(capabilities.as_object().unwrap().clone()).connect(&self.address).await;
            match connected {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < deadline, "no browser: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

async fn picture(client: &Client, name: &str) {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.png")), client.screenshot().await.unwrap()).unwrap();
}

async fn text(client: &Client, css: &str) -> String {
    match client.find(Locator::Css(css)).await {
        Ok(element) => element.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Waits until the text of an element contains `part`.
async fn shows(client: &Client, css: &str, part: &str) {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let text = text(client, css).await;
        if text.contains(part) {
            return;
        }
        assert!(Instant::now() < deadline, "{css} shows {text:?}, not {part:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn open(client: &Client, server: &Server, path: &str) {
    client.goto(&format!("http://{}/{path}", server.address)).await.unwrap();
}

/// A small fleet with something of everything.
fn fleet(server: &Server) {
    for n in 0..30u32 {
        let mut beat = document(&format!("10000000a1b2{n:04x}"), 1);
        beat["temp"] = json!(45.0 + f64::from(n) * 0.7);
        beat["cpu"] = json!(5.0 + f64::from(n) * 2.0);
        beat["streaming_active"] = json!(n % 3 == 0);
        beat["recording_active"] = json!(n % 4 == 0);
        beat["connection"]["gps"]["latitude"] = json!(36.0 + f64::from(n % 7) * 3.1);
        beat["connection"]["gps"]["longitude"] = json!(-9.0 + f64::from(n % 6) * 6.3);
        beat["diagnostics"]["throttled"] = json!(if n == 5 { 0x5_0001 } else { 0 });
        assert_eq!(server.beat(&beat).status, 200);
    }
    for (n, (name, group)) in
        [("shed-north", "north"), ("pier-2", "harbour"), ("tower", "north")].iter().enumerate()
    {
        let id = format!("10000000a1b2{n:04x}");
        let (ok, _, error) = server
            .command(&["device", "set", &id, "--name", name, "--group", group, "--tags", "cam roof"], "");
        assert!(ok, "{error}");
    }
    eventually("labels are known", || server.get("/api/v1/devices?group=harbour").json()["total"] == 1);
}

#[test]
#[ignore = "needs chromium: server/check"]
fn pages_live_in_a_browser() {
    let browser = Browser::start();
    let mut server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = browser.client(false).await;
        client.set_window_size(1300, 900).await.unwrap();
        open(&client, &server, "").await;
        shows(&client, ".empty", "No device has reported yet").await;
        picture(&client, "1-empty").await;

        // The first device appears without a reload, and so does a change of it.
        fleet(&server);
        shows(&client, ".counts", "30").await;
        shows(&client, "table.fleet", "shed-north").await;
        let mut beat = document("10000000a1b20001", 2);
        beat["temp"] = json!(66.6);
        server.beat(&beat);
        shows(&client, "table.fleet", "66.6").await;
        shows(&client, "#live", "Live").await;
        picture(&client, "2-fleet").await;

        // Sorted by a click, filtered by a form.
        client.find(Locator::LinkText("Temperature")).await.unwrap().click().await.unwrap();
        shows(&client, "tbody tr:first-child", "66.6").await;
        let search = client.find(Locator::Css("input[type=search]")).await.unwrap();
        search.send_keys("tower").await.unwrap();
        client.find(Locator::Css(".filters button")).await.unwrap().click().await.unwrap();
        shows(&client, "tbody", "tower").await;
        assert_eq!(client.find_all(Locator::Css("tbody tr")).await.unwrap().len(), 1);

        // A device, by keyboard: the link has the focus, and Enter opens it.
        let link = client.find(Locator::LinkText("tower")).await.unwrap();
        link.send_keys("\u{e007}").await.unwrap();
        shows(&client, "h1", "tower").await;
        shows(&client, "#device", "shed").await;
        beat["hardwareid"] = json!("10000000a1b20002");
        beat["mem"] = json!(77.7);
        server.beat(&beat);
        shows(&client, "#device", "77.7").await;
        shows(&client, "#charts", "hour").await;
        picture(&client, "3-device").await;

        open(&client, &server, "map").await;
        shows(&client, "#map", "30 of 30 devices").await;
        picture(&client, "4-map").await;
        open(&client, &server, "problems").await;
        shows(&client, "#live", "Live").await;
        shows(&client, "#problems", "No alert is raised").await;
        picture(&client, "5-problems").await;

        // A phone: nothing is wider than the screen.
        client.set_window_size(500, 900).await.unwrap();
        open(&client, &server, "").await;
        shows(&client, "#live", "Live").await;
        let width = "return [document.documentElement.scrollWidth, window.innerWidth]";
        let widths = client.execute(width, Vec::new()).await.unwrap();
        assert!(widths[0].as_i64() <= widths[1].as_i64(), "{widths}");
        picture(&client, "6-phone").await;

        // The server goes: the page says so, and finds it again.
        let address = server.address;
        server.kill();
        shows(&client, "#live", "Not connected").await;
        picture(&client, "7-disconnected").await;
        server.restart_at(address);
        shows(&client, "#live", "Live").await;
        client.close().await.unwrap();

        // Dark, with a login.
        assert!(server.command(&["password"], "correct horse\n").0);
        let client = browser.client(true).await;
        open(&client, &server, "map").await;
        shows(&client, "label", "Password").await;
        picture(&client, "8-login").await;
        client.find(Locator::Css("#password")).await.unwrap().send_keys("correct horse").await.unwrap();
        client.find(Locator::Css("button")).await.unwrap().click().await.unwrap();
        shows(&client, "h1", "Map").await;
        let dark =
            client.execute("return matchMedia('(prefers-color-scheme: dark)').matches", Vec::new()).await;
        assert_eq!(dark.unwrap(), true);
        open(&client, &server, "").await;
        shows(&client, "table.fleet", "tower").await;
        picture(&client, "9-dark").await;
        client.close().await.unwrap();
    });
}

/// Waits until what a script returns is `expected`.
async fn returns(client: &Client, script: &str, expected: serde_json::Value) {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let found = client.execute(script, vec![]).await.unwrap_or_default();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{script}: {found}, not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: server/check"]
async fn page_is_live_again_when_it_comes_back_and_leads_to_the_login_when_that_has_ended() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let browser = Browser::start();
    let client = browser.client(false).await;
    open(&client, &server, "").await;
    shows(&client, "#live", "Live").await;
    let beat = |number: u64, temp: f64| {
        let mut beat = document("pi1", number);
        beat["temp"] = json!(temp);
        assert_eq!(server.beat(&beat).status, 200);
    };
    // As a browser does it that keeps pages: what comes meanwhile is shown after the return.
    let event =
        |name: &str| format!("dispatchEvent(new PageTransitionEvent('{name}', {{ persisted: true }}))");
    client.execute(&event("pagehide"), vec![]).await.unwrap();
    returns(&client, "return source", json!(null)).await;
    beat(2, 51.5);
    client.execute(&event("pageshow"), vec![]).await.unwrap();
    shows(&client, "table", "51.5").await;
    // A page that nobody sees gives up its connection, and takes it again.
    let hide = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {hidden} }});
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    client.execute(&hide(true), vec![]).await.unwrap();
    returns(&client, "return source", json!(null)).await;
    beat(3, 52.5);
    client.execute(&hide(false), vec![]).await.unwrap();
    shows(&client, "table", "52.5").await;
    // Now a login is needed: the page does not go on saying that it is not connected.
    assert!(server.command(&["password"], "correct horse\n").0);
    shows(&client, "label", "Password").await;
    client.close().await.unwrap();
}
