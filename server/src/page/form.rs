//! Bodies of forms: read by one place, with the bounds of a heartbeat, after it is known that the client may send one.

use axum::{body::Body, extract::Request, middleware::Next, response::Response};

use crate::receive;

/// Reads the body before the page does.
pub(super) async fn bounded(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match receive::whole(body).await {
        Ok(body) => next.run(Request::from_parts(head, Body::from(body))).await,
        Err(answer) => *answer,
    }
}
