//! Pages of a large fleet: devices that were heard once, and the time of several pages of their list.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    device::{Load, exchange, request},
    server::{Server, usage},
};

/// Connections over which the devices are announced.
const CONNECTIONS: u64 = 500;
/// Pages of each kind that are timed, and those before, which are not.
const PAGES: usize = 100;
const WARM: usize = 5;

/// Announces `devices` devices, then asks for pages of their list, and prints a table of how long that took.
pub(crate) fn time_pages(devices: u64, config: &str) {
    let server = Server::start(&room_for(devices, config), false);
    let load = Arc::new(Load::new(server.address, None, None, "/heartbeat.php".to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let middle = devices / 200;
    let last = devices.div_ceil(100);
    let pages = [
        ("the first page".to_owned(), String::new()),
        ("sorted by temperature".to_owned(), "?sort=temp&down=1".to_owned()),
        ("sorted by name, from the end".to_owned(), "?sort=name&down=1".to_owned()),
        ("those with a text in them".to_owned(), "?text=7B".to_owned()),
        (format!("page {middle}, sorted by temperature"), format!("?sort=temp&page={middle}")),
        (format!("the last page, {last}"), format!("?page={last}")),
    ];
    println!("| {devices} devices | bytes | p50, p99 ms | ms of a core |");
    println!("|---|---|---|---|");
    runtime.block_on(async {
        announce(&load, devices).await;
        for (name, query) in pages {
            for _ in 0..WARM {
                page(&load, &query, devices).await;
            }
            let before = usage(server.pid()).0;
            let mut times = Vec::with_capacity(PAGES);
            let mut bytes = 0;
            for _ in 0..PAGES {
                let began = Instant::now();
                bytes = page(&load, &query, devices).await;
                times.push(began.elapsed());
            }
            let processor_ms = (usage(server.pid()).0 - before) * 1000.0 / PAGES as f64;
            times.sort_unstable();
            let ms = |percent: usize| {
                let time = times.get(times.len() * percent / 100).copied().unwrap_or(Duration::ZERO);
                time.as_secs_f64() * 1000.0
            };
            println!("| {name} | {bytes} | {:.1}, {:.1} | {processor_ms:.1} |", ms(50), ms(99));
        }
    });
}

/// A configuration for so many devices.
pub(crate) fn room_for(devices: u64, config: &str) -> String {
    format!("{config}\n[receive]\ndevices = {}\n", devices.max(1))
}

/// Sends one heartbeat of each device.
pub(crate) async fn announce(load: &Arc<Load>, devices: u64) {
    let announcing: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let load = Arc::clone(load);
            tokio::spawn(async move {
                let mut stream: Box<dyn crate::device::Stream> =
                    Box::new(TcpStream::connect(load.address).await.expect("a connection"));
                for id in (connection..devices).step_by(usize::try_from(CONNECTIONS).expect("it fits")) {
                    let status = exchange(&mut stream, &request(&load, id, 1)).await;
                    assert_eq!(status, Some(200), "a heartbeat was not acknowledged");
                }
            })
        })
        .collect();
    for task in announcing {
        task.await.expect("no panic");
    }
}

/// Reads a page of the list over a new connection; how many bytes that were.
async fn page(load: &Load, query: &str, devices: u64) -> usize {
    let mut stream = TcpStream::connect(load.address).await.expect("a connection");
    let head = format!("GET /{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await.expect("read");
    let text = String::from_utf8_lossy(&page);
    assert!(text.contains(&format!("<strong>{devices}</strong>")), "the page counts all devices");
    assert!(text.contains("<tr id="), "the page shows some of them");
    page.len()
}
