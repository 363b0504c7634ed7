//! A page as an answer: its headers, and a refusal in its shape.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// Nothing of a page comes from elsewhere, and nothing in it is a script or a style.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers with a rendered page.
///
/// # Errors
/// If the template fails, which only writing to it can make it do.
pub fn page(status: StatusCode, template: &impl askama::Template) -> Result<Response, askama::Error> {
    Ok(html(status, template.render()?))
}

#[derive(askama::Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
}

/// Answers with a page of a heading and one paragraph.
#[must_use]
pub fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &Notice { title, text }).unwrap_or_else(|_| status.into_response())
}

/// Answers with HTML that was made already.
#[must_use]
pub fn html(status: StatusCode, text: String) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (status, head, text).into_response()
}
