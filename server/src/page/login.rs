//! The login.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use axum::{
    Extension, Form,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

use super::{
    failure,
    guard::{self, COOKIE, Visitor, cookie},
    layout,
};
use crate::{
    access::{forms, password, secret, throttle::Throttle},
    app::{App, Peer},
    limits::SESSION_AGE,
};

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub(super) struct To {
    #[serde(default)]
    to: String,
}

/// What the form holds.
#[derive(Debug, Deserialize)]
pub(super) struct Login {
    password: String,
    #[serde(default)]
    to: String,
}

/// The form.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Query(to): Query<To>,
) -> Response {
    match guard::visitor(&app, peer, &headers).await {
        Ok(Visitor::LoggedIn(_) | Visitor::Proxied(_)) => Redirect::to(&destination(&to.to)).into_response(),
        _ => form(StatusCode::OK, &to.to, None),
    }
}

/// Counts tries to log in, before anything of the form is read.
pub(super) async fn throttled(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    if !forms::is_same_site(request.headers()) {
        return failure(StatusCode::FORBIDDEN, "Refused", "This form came from another site.");
    }
    let client = app.client(peer, request.headers());
    if app.throttle.lock().unwrap_or_else(PoisonError::into_inner).allow(client, Instant::now()) {
        return next.run(request).await;
    }
    log::warn!("logins from {client} are refused for a while");
    let mut answer = form(StatusCode::TOO_MANY_REQUESTS, "", Some("Too many tries. Wait half a minute."));
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(Throttle::pause().as_secs()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn form(status: StatusCode, to: &str, wrong: Option<&str>) -> Response {
    let page = layout::bare(
        "Log in",
        &html! {
            form.login method="post" action="login" {
                input type="hidden" name="to" value=(to);
                label for="password" { "Password" }
                input #password type="password" name="password" autocomplete="current-password" required autofocus;
                @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
                button { "Log in" }
            }
        },
    );
    (status, axum::response::Html(page.into_string())).into_response()
}

/// What became of a try to log in.
enum Tried {
    Right,
    Wrong,
    /// Nobody can log in.
    NoPassword,
}

/// Begins a session with this hash if the password is right.
async fn check(app: &Arc<App>, password: String, session: Vec<u8>) -> crate::store::Result<Tried> {
    let Some(hash) = app.admin(|admin| admin.setting(password::SETTING)).await? else {
        return Ok(Tried::NoPassword);
    };
    // Hashing takes a tenth of a second and more: nobody waits for the database meanwhile.
    let right = tokio::task::spawn_blocking(move || password::verify(&password, &hash)).await;
    if !right.unwrap_or(false) {
        return Ok(Tried::Wrong);
    }
    let now = app.clock.now().at;
    let age = i64::try_from(SESSION_AGE.as_millis()).unwrap_or(i64::MAX);
    app.admin(move |admin| admin.add_session(&session, now, now.plus(age))).await?;
    Ok(Tried::Right)
}

/// Takes the form.
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Response {
    let client = app.client(peer, &headers);
    let Ok(_turn) = app.logins.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Ok(secret) = secret::new_secret() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let hash = secret::hash(&secret);
    let checked = check(&app, login.password, hash).await;
    match checked {
        Ok(Tried::Right) => {
            app.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(client);
            let mut answer = Redirect::to(&destination(&login.to)).into_response();
            let secure = if is_https(&app, peer, &headers) { "; Secure" } else { "" };
            let age = SESSION_AGE.as_secs();
            // Without `Path`: that of this page, wherever a proxy has put it.
            let cookie = format!("{COOKIE}={secret}; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Ok(Tried::NoPassword) => {
            let why = "No password is set: `heartbeat-server password` sets one.";
            form(StatusCode::FORBIDDEN, &login.to, Some(why))
        }
        Ok(Tried::Wrong) => {
            log::warn!("wrong password from {client}");
            form(StatusCode::FORBIDDEN, &login.to, Some("That is not the password."))
        }
        Err(_) => failure(StatusCode::SERVICE_UNAVAILABLE, "No database", "The database is not available."),
    }
}

/// What the logout's form holds.
#[derive(Debug, Deserialize)]
pub(super) struct Logout {
    form: String,
}

/// Ends a login.
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(logout): Form<Logout>,
) -> Response {
    if !app.forms.is_right(visitor.login(), &logout.form) {
        return failure(
            StatusCode::FORBIDDEN,
            "Refused",
            "This form is too old. Go back and load the page again.",
        );
    }
    if let Some(secret) = cookie(&headers) {
        let hash = secret::hash(secret);
        if app.admin(move |admin| admin.end_session(&hash)).await.is_err() {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "No database", "The database is not available.");
        }
    }
    let mut answer = Redirect::to("login").into_response();
    let gone = HeaderValue::from_static("heartbeat_login=; HttpOnly; SameSite=Lax; Max-Age=0");
    answer.headers_mut().insert(header::SET_COOKIE, gone);
    answer
}

/// Where to go after the login: a page of this server, and nowhere else.
fn destination(to: &str) -> String {
    let page = to.split('?').next().unwrap_or_default();
    let known = ["device", "problems", "map"].contains(&page) || (page.is_empty() && !to.is_empty());
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic());
    match (known && plain, page.is_empty()) {
        (false, _) => ".".to_owned(),
        // Relative to this page, a mere query would be one of the login.
        (true, true) => format!("./{to}"),
        (true, false) => to.to_owned(),
    }
}

fn is_https(app: &App, peer: Peer, headers: &HeaderMap) -> bool {
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    app.config.tls.is_some() || (forwarded && app.is_proxy(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_only_to_pages_of_this_server() {
        for to in ["device?id=a%20b", "map"] {
            assert_eq!(destination(to), to);
        }
        assert_eq!(destination("?state=late"), "./?state=late", "the fleet, not the login");
        for to in
            ["", "//evil.example", "https://evil.example", "/device", "\\\\evil", "map\r\nX: y", "events"]
        {
            assert_eq!(destination(to), ".", "{to}");
        }
    }
}
