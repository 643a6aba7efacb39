//! Heartbeats: from a request to the engine, and back as an answer.
//!
//! | answer | means | the agent |
//! |---|---|---|
//! | 200 with `Heartbeat-Accept: delta` | it is in the database, now or already | goes on |
//! | 400, 413, 415, 422 | it is no document of version 1, and says why | backs off, drops it after three refusals |
//! | 409 | it is a delta, and what it refers to is not known here | sends the full document at once |
//! | 401, 403 | the token is missing, wrong or for another device; or a page in a browser sent it | backs off |
//! | 410 | the device was removed | backs off |
//! | 503 with `Retry-After` | too many wait, or the database is away; nothing was stored | comes again, spread |

use std::{sync::Arc, time::Instant};

use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::{
    access::{
        forms,
        secret::{self, below},
        tokens::Refusal,
    },
    app::App,
    deltas::{DeltaError, Start},
    engine::{Verdict, read},
    limits::{BODY_TIMEOUT, COMMIT_TIMEOUT, DOCUMENT_MAX, RETRY_AFTER_MIN, RETRY_AFTER_SPREAD},
    model::document::{Beat, DocumentError},
    refused::Reason,
    store::{TokenRow, TokenUse},
    text::is_plain,
};

/// `POST`, and the deprecated `GET ?params=`.
pub(crate) async fn heartbeat(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> Response {
    let answer = answer(&app, query, request).await;
    if let Some(reason) = answer.extensions().get() {
        app.refused.count(*reason);
    }
    answer
}

/// The answer, with the reason among its extensions if the heartbeat is not taken.
async fn answer(app: &Arc<App>, query: Option<String>, request: Request<Body>) -> Response {
    if forms::is_from_a_page(request.headers()) {
        let why = "heartbeats come from agents, not from pages in a browser";
        return with(Reason::Page, text(StatusCode::FORBIDDEN, why));
    }
    let bearer = bearer(request.headers()).map(str::to_owned);
    let required = app.config.receive.require_token;
    // Before the body: a client without a good token cannot make the server read one.
    let mut allowed = app.tokens.some_device(bearer.as_deref(), required, app.clock.now().at);
    if allowed == Err(Refusal::Unknown) {
        app.look_for_new_tokens().await;
        allowed = app.tokens.some_device(bearer.as_deref(), required, app.clock.now().at);
    }
    if let Err(refusal) = allowed {
        return refuse(refusal);
    }
    let body = match *request.method() {
        Method::GET => match params(query.as_deref().unwrap_or_default()) {
            Some(body) => body,
            None => {
                let why = "GET needs ?params= with the percent-encoded document";
                return with(Reason::Malformed, text(StatusCode::BAD_REQUEST, why));
            }
        },
        _ => match read_body(request).await {
            Ok(body) => body,
            Err(answer) => return *answer,
        },
    };
    let rebuilt = match app.bases.rebuild(&body, bearer.as_deref(), Instant::now()) {
        Ok(rebuilt) => rebuilt,
        Err(error @ DeltaError::UnknownBase) => {
            return with(Reason::UnknownBase, text(StatusCode::CONFLICT, &error.to_string()));
        }
        Err(error) => {
            return with(Reason::Malformed, text(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()));
        }
    };
    let beat = match Beat::parse(rebuilt.as_deref().map_or(&*body, str::as_bytes)) {
        Ok(beat) => beat,
        Err(error) => return with(Reason::Malformed, text(status_of(&error), &error.to_string())),
    };
    let base = beat.sequence.filter(|_| rebuilt.is_none() && !beat.replayed);
    let base = base.map(|sequence| (Start::new(sequence.boot, bearer.as_deref()), sequence.number));
    let base = base.filter(|(start, _)| app.bases.expects(start)).map(|(start, number)| NewBase {
        start,
        number,
        hardware_id: beat.hardware_id.clone(),
        text: beat.text.clone(),
    });
    match app.tokens.device(bearer.as_deref(), &beat.hardware_id, required, app.clock.now().at) {
        Ok(group) => submit(app, beat, group, base).await,
        Err(refusal) => refuse(refusal),
    }
}

/// A full document to which deltas may refer when it has been stored.
struct NewBase {
    start: Start,
    number: u64,
    hardware_id: String,
    text: String,
}

async fn submit(app: &App, beat: Beat, group: Option<String>, base: Option<NewBase>) -> Response {
    let Some(verdict) = app.engine.submit(beat, group) else {
        return with(Reason::Queue, come_again("too many heartbeats wait"));
    };
    match tokio::time::timeout(COMMIT_TIMEOUT, verdict).await {
        Ok(Ok(Verdict::Stored | Verdict::Repeated)) => {
            if let Some(NewBase { start, number, hardware_id, text }) = base {
                app.bases.stored(start, &hardware_id, number, text, Instant::now());
            }
            [(HeaderName::from_static("heartbeat-accept"), "delta")].into_response()
        }
        Ok(Ok(Verdict::Removed)) => with(Reason::Removed, text(StatusCode::GONE, "this device was removed")),
        Ok(Ok(Verdict::Unknown)) if !app.config.receive.new_devices => {
            with(Reason::NewDevice, text(StatusCode::FORBIDDEN, "no new devices are taken"))
        }
        Ok(Ok(Verdict::Unknown)) => {
            let why = format!("receive.devices = {} is reached", app.config.receive.devices);
            with(Reason::DevicesMax, text(StatusCode::FORBIDDEN, &why))
        }
        Ok(Ok(Verdict::Unavailable) | Err(_)) => {
            with(Reason::Database, come_again("the database is not available"))
        }
        Err(_) => with(Reason::DatabaseSlow, come_again("the database is slow")),
    }
}

async fn read_body(request: Request<Body>) -> Result<Vec<u8>, Box<Response>> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or(b"application/json");
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/json") {
        let answer = text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json");
        return Err(Box::new(with(Reason::Malformed, answer)));
    }
    if request.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let answer = text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a body without Content-Encoding");
        return Err(Box::new(with(Reason::Malformed, answer)));
    }
    Ok(whole(request.into_body()).await?.to_vec())
}

/// Reads a body to its end: of a document's length at most, and not for ever.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Box<Response>> {
    if body.size_hint().lower() > DOCUMENT_MAX as u64 {
        return Err(Box::new(closing(StatusCode::PAYLOAD_TOO_LARGE, &DocumentError::TooLarge.to_string())));
    }
    let body = Limited::new(body, DOCUMENT_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Box::new(closing(StatusCode::PAYLOAD_TOO_LARGE, &DocumentError::TooLarge.to_string())))
        }
        Ok(Err(_)) => Err(Box::new(closing(StatusCode::BAD_REQUEST, "the body did not arrive"))),
        Err(_) => Err(Box::new(closing(StatusCode::REQUEST_TIMEOUT, "the body took too long"))),
    }
}

/// The document in `params=`.
fn params(query: &str) -> Option<Vec<u8>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("params="))?;
    Some(percent_decode_str(&value.replace('+', " ")).collect())
}

fn status_of(error: &DocumentError) -> StatusCode {
    match error {
        DocumentError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        DocumentError::NotUtf8 | DocumentError::NotJson(_) => StatusCode::BAD_REQUEST,
        DocumentError::NotVersion1(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or("");
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    // Another scheme counts as an unknown token, not as a missing one.
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// The answer to a token that is not good for this.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Wrong => StatusCode::FORBIDDEN,
        Refusal::Missing | Refusal::Unknown | Refusal::Expired => StatusCode::UNAUTHORIZED,
    };
    let reason = match refusal {
        Refusal::Missing => Reason::TokenMissing,
        Refusal::Unknown => Reason::TokenUnknown,
        Refusal::Expired => Reason::TokenExpired,
        Refusal::Wrong => Reason::TokenWrong,
    };
    let mut answer = with(reason, text(status, &refusal.to_string()));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// 503, with a time that differs from device to device, so that a fleet comes back evenly.
fn come_again(why: &str) -> Response {
    let seconds = RETRY_AFTER_MIN + below(RETRY_AFTER_SPREAD + 1);
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// The answer to what is not taken, with the reason for those who count.
fn with(reason: Reason, mut answer: Response) -> Response {
    answer.extensions_mut().insert(reason);
    answer
}

fn text(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// An answer after which the rest of the request is not read.
fn closing(status: StatusCode, why: &str) -> Response {
    let reason = if status == StatusCode::PAYLOAD_TOO_LARGE { Reason::Malformed } else { Reason::Body };
    let mut answer = with(reason, text(status, why));
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What `POST /api/v1/enrol` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolment {
    hardwareid: String,
}

/// Makes a token for a device: `POST {"hardwareid": "..."}` with an enrolment token.
///
/// A device that has a token already must use that one; an operator who wants another revokes it first.
pub(crate) async fn enrol(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let bearer = bearer(request.headers()).map(str::to_owned);
    let now = app.clock.now().at;
    let mut allowed = app.tokens.enrol(bearer.as_deref(), now);
    if allowed == Err(Refusal::Unknown) {
        app.look_for_new_tokens().await;
        allowed = app.tokens.enrol(bearer.as_deref(), now);
    }
    let group = match allowed {
        Ok(group) => group,
        Err(refusal) => return refuse(refusal),
    };
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(answer) => return *answer,
    };
    let enrolment: Enrolment = match serde_json::from_slice(&body) {
        Ok(enrolment) => enrolment,
        Err(error) => return text(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let id = enrolment.hardwareid;
    let longest = heartbeat_core::limits::HARDWARE_ID_MAX;
    if id.trim().is_empty() || id.chars().count() > longest || !id.chars().all(is_plain) {
        return text(
            StatusCode::UNPROCESSABLE_ENTITY,
            "hardwareid has 1 to 64 characters, and no control characters",
        );
    }
    // Whoever may enrol into one group takes over no device of another one.
    let other = read(&app.fleet)
        .find(&id)
        .is_some_and(|device| device.labels.group.is_some() && device.labels.group != group);
    if other {
        return text(StatusCode::CONFLICT, "this device is in another group; an operator makes its token");
    }
    let Ok(secret) = secret::new_secret() else { return come_again("no randomness") };
    let row = TokenRow {
        id: 0,
        hash: secret::hash(&secret),
        purpose: TokenUse::Device(id.clone()),
        group,
        created_at: now,
        expires_at: None,
    };
    match app.admin(move |admin| admin.enrol(&id, &row)).await {
        Ok(true) => {}
        Ok(false) => return text(StatusCode::CONFLICT, "this device has a token already"),
        Err(_) => return come_again("the database is not available"),
    }
    app.reload().await;
    let answer = serde_json::json!({ "token": secret }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn params_are_decoded() {
        assert_eq!(params("a=1&params=%7B%22x%22%3A+1%7D&b=2").unwrap(), b"{\"x\": 1}");
        assert_eq!(params("param=x"), None);
        assert_eq!(params(""), None);
    }

    #[test]
    fn another_scheme_is_not_no_token() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(with("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(with("Basic abc"), Some(String::new()));
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn retry_after_is_spread_within_what_the_agent_honours() {
        let seconds: HashSet<u64> = (0..1000)
            .map(|_| {
                let answer = come_again("");
                answer.headers().get(header::RETRY_AFTER).unwrap().to_str().unwrap().parse().unwrap()
            })
            .collect();
        assert!(
            seconds.iter().all(|seconds| (5..=(RETRY_AFTER_MIN + RETRY_AFTER_SPREAD)).contains(seconds)),
            "{seconds:?}"
        );
        assert!(seconds.len() > 40, "{} different times", seconds.len());
    }
}
