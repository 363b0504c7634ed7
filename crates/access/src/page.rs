//! The page to sign in, which needs no script, and what it says where that did not work.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use transport::Viewer;

/// The page to sign in.
#[derive(askama::Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage<'a> {
    /// Who asks.
    pub viewer: &'a Viewer,
    /// Of a link that works once; empty without one.
    pub token: &'a str,
    /// Where one goes on to.
    pub next: &'a str,
    /// Who else knows people.
    pub ways: Vec<Way>,
}

/// Another way to sign in.
pub(crate) struct Way {
    /// Its name.
    pub name: &'static str,
    /// Where it begins.
    pub address: String,
}

impl LoginPage<'_> {
    /// Answers with the page.
    pub(crate) fn shown(&self) -> Response {
        let page = webui::page::page(StatusCode::OK, self);
        secret(page.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
    }
}

/// Says that nobody is signed in, and why.
pub(crate) fn refused(status: StatusCode, why: &str) -> Response {
    secret(webui::page::notice(status, "Not signed in", why))
}

/// The page's address may hold a link's secret: it is told to nobody, and no copy of the page is kept.
fn secret(mut page: Response) -> Response {
    page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
