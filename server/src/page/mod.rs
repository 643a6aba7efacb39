//! Pages: HTML that works without JavaScript, and a stream of changes for browsers that have it.
//!
//! All pages lie in one directory, and every address on them is relative, so that the server may be anywhere below a
//! proxy. Text of devices is escaped by `maud`; nothing of it is ever part of a script or a style.
//!
//! - [`layout`][]: what all pages have
//! - [`guard`][]: who may see them
//! - [`fleet`], [`device`], [`problems`], [`map`], [`login`][]: the pages
//! - [`form`][]: bodies of forms
//! - [`labels`][]: the form on the page of a device
//! - [`events`][]: changes, once a second
//! - [`chart`][]: a value over time as SVG

mod chart;
mod device;
mod events;
mod fleet;
mod form;
pub(crate) mod guard;
mod labels;
mod layout;
mod login;
mod map;
mod problems;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use maud::Markup;
use serde::Deserialize;

pub(crate) use labels::checked as checked_labels;

use crate::app::App;

/// A part of a page that can be replaced: the id of its element, and the element.
pub(crate) type Part = (String, String);

/// Which device, in an address.
#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    id: String,
}

/// All pages.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let pages = Router::new()
        .route("/", get(fleet::page))
        .route("/device", get(device::page).post(labels::change))
        .route("/problems", get(problems::page))
        .route("/map", get(map::page))
        .route("/events", get(events::stream))
        .route("/logout", post(login::logout))
        .route_layer(middleware::from_fn(form::bounded))
        .route_layer(middleware::from_fn_with_state(Arc::clone(app), guard::people));
    Router::new()
        .merge(pages)
        .route(
            "/login",
            get(login::page)
                .post(login::login)
                .layer(middleware::from_fn(form::bounded))
                .layer(middleware::from_fn_with_state(Arc::clone(app), login::throttled)),
        )
        .route("/style.css", get(|| asset("text/css; charset=utf-8", include_str!("style.css"))))
        .route("/live.js", get(|| asset("text/javascript; charset=utf-8", include_str!("live.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("icon.svg"))))
        .layer(middleware::map_response(secure))
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// A page.
fn html(markup: Markup) -> Response {
    Html(markup.into_string()).into_response()
}

/// A page that says what went wrong.
fn failure(status: StatusCode, title: &str, text: &str) -> Response {
    (
        status,
        Html(
            layout::bare(title, &maud::html! { p { (text) } p { a href="." { "To the fleet" } } })
                .into_string(),
        ),
    )
        .into_response()
}

/// Headers that keep a browser from doing more than it should. Scripts and styles come from files of this server only.
async fn secure(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
