//! The status page: every machine, every build, and the reason of every wait. Its JSON twin is `/status.json`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use super::{Api, Failure, ask};
use crate::core::{Message, Status};

/// The most waiting builds that the page lists.
const SHOWN: usize = 200;

pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Html<String>, Failure> {
    Ok(Html(render(&ask(&api, Message::Status).await?)))
}

fn render(status: &Status) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Status · Bellwether</title><link rel=stylesheet href=/static/style.css>\
         <main><nav><a href=/>Grid</a> <a href=/status aria-current=page>Status</a></nav><h1>Status</h1>",
    );
    if status.draining {
        page.push_str(
            "<p role=status>The server is going down: what runs is finished, nothing new is started.</p>",
        );
    }
    let _ = write!(
        page,
        "<h2 id=pools>Machines ({})</h2><div class=scroll><table><thead><tr><th scope=col>Machine<th scope=col>Host<th scope=col>Pool<th scope=col>State<th scope=col>Detail</thead><tbody>",
        status.workers.len()
    );
    for worker in &status.workers {
        let reason = worker.reason.as_deref().unwrap_or("");
        let _ = write!(
            page,
            "<tr><th scope=row><code>{}</code><td>{}<td>{}<td>{} {}<td>{}",
            worker.worker,
            escape(&worker.host),
            escape(&worker.pool),
            worker.state,
            escape(reason),
            escape(&worker.detail),
        );
    }
    let _ = write!(
        page,
        "</table></div><h2>Running ({})</h2><div class=scroll><table><thead><tr><th scope=col>Build<th scope=col>Builder<th scope=col>Revision<th scope=col>Machine</thead><tbody>",
        status.running.len()
    );
    for running in &status.running {
        let _ = write!(
            page,
            "<tr><th scope=row><a href=/builds/{id}><code>{id}</code></a><td>{}<td><code>{}</code><td><code>{}</code>",
            escape(&running.builder),
            escape(&short(&running.revision)),
            running.worker,
            id = running.build,
        );
    }
    let _ = write!(
        page,
        "</table></div><h2>Waiting ({})</h2><div class=scroll><table><thead><tr><th scope=col>Build<th scope=col>Builder<th scope=col>Revision<th scope=col>Ahead<th scope=col>Why</thead><tbody>",
        status.queued.len()
    );
    for waiting in status.queued.iter().take(SHOWN) {
        let _ = write!(
            page,
            "<tr><th scope=row><a href=/builds/{id}><code>{id}</code></a><td>{}<td><code>{}</code><td>{}<td>{}",
            escape(&waiting.builder),
            escape(&short(&waiting.revision)),
            waiting.wait.ahead,
            escape(&waiting.reason),
            id = waiting.build,
        );
    }
    page.push_str("</table></div>");
    if status.queued.len() > SHOWN {
        let _ = write!(page, "<p>and {} more</p>", status.queued.len() - SHOWN);
    }
    page.push_str("</main></html>");
    page
}

/// A revision with its commits cut to ten digits.
fn short(revision: &str) -> String {
    let parts = revision.split('+').map(|part| match part.split_once('@') {
        Some((repo, commit)) => format!("{repo}@{}", commit.get(..10).unwrap_or(commit)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Controls and the marks that turn the direction of text would let a name forge its surroundings.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                out.push('\u{fffd}')
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_revisions_short() {
        assert_eq!(escape("<b>\u{202e}x\x1b"), "&lt;b&gt;\u{fffd}x\u{fffd}");
        assert_eq!(
            short(&format!("a@{}+b@{}", "1".repeat(40), "2".repeat(40))),
            "a@1111111111 + b@2222222222"
        );
        assert!(render(&Status::default()).contains("Waiting (0)"));
    }
}
