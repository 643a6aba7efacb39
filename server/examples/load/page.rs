//! The page of a large fleet: devices that were heard once, and the time of the first page of their list.

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
/// Pages that are timed.
const PAGES: usize = 100;

/// Announces `devices` devices, then asks for the first page of their list, and prints how long that took.
pub(crate) fn time_page(devices: u64, config: &str) {
    let server = Server::start(&format!("{config}\n[receive]\ndevices = {}\n", devices.max(1)), false);
    let load = Arc::new(Load::new(server.address, None, None, "/heartbeat.php".to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut times, bytes, processor_ms) = runtime.block_on(async {
        let announcing: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let load = Arc::clone(&load);
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
        let before = usage(server.pid()).0;
        let mut times = Vec::with_capacity(PAGES);
        let mut bytes = 0;
        for _ in 0..PAGES {
            let began = Instant::now();
            let mut stream = TcpStream::connect(load.address).await.expect("a connection");
            let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await.expect("sent");
            let mut page = Vec::new();
            stream.read_to_end(&mut page).await.expect("read");
            times.push(began.elapsed());
            let shown = format!("<strong>{devices}</strong>");
            assert!(String::from_utf8_lossy(&page).contains(&shown), "the page counts all devices");
            bytes = page.len();
        }
        let processor_ms = (usage(server.pid()).0 - before) * 1000.0 / PAGES as f64;
        (times, bytes, processor_ms)
    });
    times.sort_unstable();
    let ms = |percent: usize| {
        let time = times.get(times.len() * percent / 100).copied().unwrap_or(Duration::ZERO);
        time.as_secs_f64() * 1000.0
    };
    println!(
        "{devices} devices, first page of {bytes} bytes: p50 {:.1} ms, p90 {:.1} ms, {processor_ms:.1} ms of a core",
        ms(50),
        ms(90)
    );
}
