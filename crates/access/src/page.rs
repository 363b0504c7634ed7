//! The page to sign in: plain HTML that needs no script.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

/// Nothing of the page comes from elsewhere, and its address, which may hold a link's secret, is told to nobody.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Writes a page around what is in its middle.
pub(crate) fn page(status: StatusCode, middle: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Sign in · Bellwether</title>\
         <link rel=\"stylesheet\" href=\"/assets/{}/style.css\"></head><body><header class=\"top\"><a class=\"brand\" href=\"/\">Bellwether</a></header>\
         <main>{middle}</main></body></html>",
        webui::assets::VERSION
    );
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, head, text).into_response()
}

/// Makes a text harmless in HTML, in and outside of attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}
