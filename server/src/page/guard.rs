//! Who may see pages and read the API.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::failure;
use crate::{
    access::{forms, password, secret, tokens::Refusal},
    app::{App, Peer},
    receive,
};

/// Name of the cookie that holds a login.
pub(super) const COOKIE: &str = "heartbeat_login";

/// Who is looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Any user of this machine: no password is set, and no proxy is known of.
    Open,
    /// A user whom a proxy has authenticated.
    Proxied(String),
    /// A user who has logged in: the secret of the cookie.
    LoggedIn(String),
    /// A program with a token that may read.
    Program,
}

impl Visitor {
    /// What the secret of this visitor's forms is made from.
    pub(crate) fn login(&self) -> &str {
        match self {
            Self::Open | Self::Program => "",
            Self::Proxied(login) | Self::LoggedIn(login) => login,
        }
    }
}

/// Why access is denied.
pub(super) enum Stranger {
    /// A login would help.
    LogIn,
    Refused(&'static str),
    Unavailable,
}

/// Lets authenticated people in, and redirects others to the login.
pub(crate) async fn people(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let visitor = match visitor(&app, peer, request.headers()).await {
        Ok(visitor) => visitor,
        Err(Stranger::LogIn)
            if [Method::GET, Method::HEAD].contains(request.method())
                && request.uri().path() != "/events" =>
        {
            let to = request.uri().path_and_query().map_or("", |to| to.as_str()).trim_start_matches('/');
            let to = utf8_percent_encode(to, NON_ALPHANUMERIC);
            return Redirect::to(&format!("login?to={to}")).into_response();
        }
        Err(Stranger::LogIn) => return StatusCode::UNAUTHORIZED.into_response(),
        Err(Stranger::Refused(why)) => return failure(StatusCode::FORBIDDEN, "Not for you", why),
        Err(Stranger::Unavailable) => {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "No database", "The database is not available.");
        }
    };
    if request.method() == Method::POST && !forms::is_same_site(request.headers()) {
        return failure(StatusCode::FORBIDDEN, "Refused", "This form came from another site.");
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// Lets programs with a token in, and authenticated people.
pub(crate) async fn programs(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let visitor = match receive::bearer(request.headers()) {
        Some(bearer) => {
            let mut allowed = app.tokens.read(bearer, app.clock.now().at);
            if allowed == Err(Refusal::Unknown) {
                app.look_for_new_tokens().await;
                allowed = app.tokens.read(bearer, app.clock.now().at);
            }
            match allowed {
                Ok(()) => Visitor::Program,
                Err(refusal) => return receive::refuse(refusal),
            }
        }
        None => match visitor(&app, peer, request.headers()).await {
            Ok(visitor) => visitor,
            Err(Stranger::LogIn) => return receive::refuse(Refusal::Missing),
            Err(Stranger::Refused(why)) => {
                return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
            }
            Err(Stranger::Unavailable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    };
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// Who sends a request with these headers.
pub(super) async fn visitor(app: &Arc<App>, peer: Peer, headers: &HeaderMap) -> Result<Visitor, Stranger> {
    let header = app.config.access.proxy_header.as_deref();
    if let Some(name) = header
        && app.is_proxy(peer)
        && let Some(login) =
            headers.get(name).and_then(|login| login.to_str().ok()).filter(|login| !login.is_empty())
    {
        return Ok(Visitor::Proxied(login.to_owned()));
    }
    let cookie = cookie(headers).map(str::to_owned);
    let hash = cookie.as_deref().map(secret::hash);
    let now = app.clock.now().at;
    let (password, valid) = app
        .admin(move |admin| {
            let password = admin.setting(password::SETTING)?.is_some();
            let valid = match hash {
                Some(hash) if password => admin.has_session(&hash, now)?,
                _ => false,
            };
            Ok((password, valid))
        })
        .await
        .map_err(|_| Stranger::Unavailable)?;
    match cookie {
        Some(cookie) if valid => Ok(Visitor::LoggedIn(cookie)),
        _ if password => Err(Stranger::LogIn),
        _ if header.is_some() => Err(Stranger::Refused("The proxy has not said who you are.")),
        _ if forms::is_passed_on(headers) || !app.config.access.proxies.is_empty() => Err(Stranger::Refused(
            "No password is set, so this page is for this machine only, and a proxy may pass it on to everybody: set a \
             password with `heartbeat-server password`.",
        )),
        _ if !forms::is_local_name(headers) => Err(Stranger::Refused(
            "No password is set, so this page is for this machine only: open it as http://127.0.0.1, or set a password \
             with `heartbeat-server password`.",
        )),
        _ => Ok(Visitor::Open),
    }
}

/// The login in the cookies of a request.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value))
}
