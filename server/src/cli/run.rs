//! The server itself: puts everything together, runs it, and takes it apart in order.

use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use axum::{Router, routing::get};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{Failure, commands};
use crate::{
    access::{
        forms::{self, FormKey},
        password, secret,
    },
    api,
    app::{App, Parts},
    clock::Clock,
    config::Config,
    delivery,
    engine::{Engine, Handle, Rules, lease::Lease, run as engine_thread},
    limits::{QUEUE_MAX, REFUSED_EVERY},
    page, receive,
    refused::{Counts, Refused},
    serve::{serve, tls::Acceptor},
    store::Admin,
};

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(config: Config) -> Result<(), Failure> {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let announce = |address| {
        // For a person, and for a program that let the system choose the port.
        writeln!(io::stdout(), "{scheme}://{address}/")?;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        Ok(())
    };
    let signalled = || {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        })
    };
    run_until(config, announce, signalled)
}

/// Runs until what `stopped` makes ends. Calls `announce` with its address when it listens, after `stopped`: who has read
/// the address may end it.
///
/// # Errors
/// Why it could not start, or what ended it.
pub(crate) fn run_until<F: Future<Output = ()>>(
    config: Config,
    announce: impl FnOnce(SocketAddr) -> io::Result<()>,
    stopped: impl FnOnce() -> io::Result<F>,
) -> Result<(), Failure> {
    let database = config.database()?;
    let _held = database.hold()?;
    let mut store = database.open()?;
    config.check_public(Some(store.setting(password::SETTING)?.is_some()))?;
    if !config.access.proxies.is_empty() && !config.receive.require_token {
        log::warn!("receive.require_token is not set: all whom the proxy lets through may send heartbeats");
    }
    for (name, channel) in &config.channels {
        if let Some(problem) = delivery::problem(channel) {
            // Heartbeats are worth more than messages: it starts, and tries again with each message.
            log::error!("channels.{name}: {problem}");
        }
    }
    // The same for all processes on this database: a form may be sent to another one than the page came from.
    let secret = secret::new_secret().map_err(Failure::Other)?;
    let forms = FormKey::new(&store.setting_or(forms::SETTING, &secret)?);
    raise_descriptors(config.connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let acceptor = config.tls.clone().map(Acceptor::new).transpose();
    // Not a wrong configuration: key and chain may be in the middle of being renewed, or on a volume that comes later.
    let acceptor = acceptor.map_err(|error| Failure::Other(format!("tls: {error}")))?.map(Arc::new);
    let listener = runtime
        .block_on(TcpListener::bind(config.listen))
        .map_err(|error| Failure::Other(format!("{}: {error}", config.listen)))?;

    let (sender, commands) = sync_channel(QUEUE_MAX);
    let handle = Handle::new(sender);
    let tokens = commands::no_tokens();
    let lease = Lease::default();
    let messages = delivery::start(config.channels.clone(), handle.clone(), lease.clone())?;
    let clock = Arc::new(Clock::new(store.time()?));
    let engine = Engine::new(store, Rules::of(&config), clock.now(), Arc::clone(&tokens), messages, lease)?;
    let fleet = engine.fleet();
    let linger = Duration::from_millis(config.receive.linger_ms);
    let (thread, engine_ended) = engine_thread::start(engine, commands, linger, Arc::clone(&clock))?;

    let (stop, stopping) = watch::channel(false);
    let readers = database.readers();
    let admin: Box<dyn Admin + Send> = database.open()?;
    let app = App::new(Parts {
        config,
        clock,
        fleet,
        tokens,
        engine: handle.clone(),
        forms,
        stopping,
        readers,
        admin,
    });
    let app = Arc::new(app);

    runtime.block_on(async {
        let stopped = stopped()?;
        let address = listener.local_addr()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        log::info!("listens on {scheme}://{address}/");
        announce(address)?;
        if let Some(acceptor) = &acceptor {
            tokio::spawn(Arc::clone(acceptor).renew());
        }
        let serving = tokio::spawn(serve(
            listener,
            acceptor,
            routes(&app),
            app.config.connections,
            Arc::clone(&app.refused),
            app.stopping.clone(),
        ));
        tokio::spawn(tell_refused(Arc::clone(&app.refused)));
        tokio::select! {
            () = stopped => {}
            // Half a server is worse than none: who started it may start it again.
            _ = engine_ended => log::error!("nothing can be stored any more"),
        }
        log::info!("stops");
        let _ = stop.send(true);
        let _ = serving.await;
        Ok::<_, io::Error>(())
    })?;
    // What is being answered has been; now what has been committed is all there is.
    handle.stop();
    if thread.join().is_err() {
        return Err(Failure::Other("the engine ended with a panic".to_owned()));
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// Says once a minute what was refused, for ever.
async fn tell_refused(refused: Arc<Refused>) {
    let mut told = Counts::default();
    loop {
        tokio::time::sleep(REFUSED_EVERY).await;
        if let Some(news) = refused.news(&mut told) {
            log::warn!("refused within a minute: {news}");
        }
    }
}

/// Each connection is a descriptor; the usual limit of 1024 is only the one that a process begins with.
fn raise_descriptors(connections: usize) {
    let wanted = connections as u64 + 100;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).is_err() {
        log::warn!("the limit of {soft} open files stays");
    }
    if hard < wanted {
        log::warn!("connections = {connections} needs {wanted} open files, and this process may have {hard}");
    }
}

fn routes(app: &Arc<App>) -> Router {
    let mut heartbeats = Router::new();
    for path in &app.config.receive.paths {
        heartbeats = heartbeats.route(path, get(receive::heartbeat).post(receive::heartbeat));
    }
    Router::new()
        .merge(heartbeats)
        .merge(api::routes(app))
        .merge(page::routes(app))
        .with_state(Arc::clone(app))
}
