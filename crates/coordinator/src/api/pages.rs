//! The status page: every machine, every build, and the reason of every wait. Its JSON twin is `/status.json`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use store::Micros;
use transport::Viewer;

use super::{Api, Failure, shown_status};
use crate::core::Status;

/// The most waiting builds that the page lists.
const SHOWN: usize = 200;

/// What the page may do: look as it should.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn status(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
) -> Result<impl IntoResponse, Failure> {
    let page = Html(render(&shown_status(&api, &viewer).await?));
    Ok(([(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], page))
}

fn render(status: &Status) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>Status · Bellwether</title><link rel=stylesheet href=/assets/style.css>\
         <header><a href=/>Bellwether</a> <a href=/status aria-current=page>status</a></header>\
         <main><h1>Status</h1>",
    );
    if status.draining {
        page.push_str(
            "<p role=status>The server is going down: what runs is finished, nothing new is started.</p>",
        );
    }
    if !status.blocked.is_empty() {
        table(&mut page, "blocked", "Blocked repositories", status.blocked.len(), &["Repository", "Why"]);
        for blocked in &status.blocked {
            let _ = write!(
                page,
                "<tr><th scope=row>{}<td><pre>{}</pre>",
                escape(&blocked.repo),
                blocked.reason.lines().map(escape).collect::<Vec<_>>().join("\n")
            );
        }
        page.push_str("</table></div>");
    }
    table(
        &mut page,
        "pools",
        "Machines",
        status.workers.len(),
        &["Machine", "Host", "Pool", "Detail", "State"],
    );
    for worker in &status.workers {
        let reason = worker.reason.as_deref().unwrap_or("");
        let _ = write!(
            page,
            "<tr><th scope=row><code>{}</code><td>{}<td>{}<td>{}<td>{} {}",
            worker.worker,
            escape(&worker.host),
            escape(&worker.pool),
            escape(&worker.detail),
            worker.state,
            escape(reason),
        );
    }
    page.push_str("</table></div>");
    table(
        &mut page,
        "running",
        "Running",
        status.running.len(),
        &["Build", "Builder", "Machine", "Revision"],
    );
    for running in &status.running {
        let _ = write!(
            page,
            "<tr><th scope=row><a href=/builds/{id}><code>{id}</code></a><td>{}<td><code>{}</code><td><code>{}</code>",
            escape(&running.builder),
            running.worker,
            escape(&short(&running.revision)),
            id = running.build,
        );
    }
    page.push_str("</table></div>");
    table(
        &mut page,
        "waiting",
        "Waiting",
        status.queued.len(),
        &["Build", "Builder", "Revision", "Ahead", "Expected start", "Why"],
    );
    for waiting in status.queued.iter().take(SHOWN) {
        let _ = write!(
            page,
            "<tr><th scope=row><a href=/builds/{id}><code>{id}</code></a><td>{}<td><code>{}</code><td>{}<td>{}<td>{}",
            escape(&waiting.builder),
            escape(&short(&waiting.revision)),
            waiting.wait.ahead,
            waiting.expected_start.map_or_else(|| "–".to_owned(), moment),
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

/// A time, to the second.
fn moment(time: Micros) -> String {
    let time = jiff::Timestamp::from_microsecond(time.0).unwrap_or_default();
    format!("<time datetime={time:.0}>{time:.0}</time>")
}

/// The beginning of a table: its name, how many rows it has, its columns.
fn table(page: &mut String, id: &str, name: &str, rows: usize, columns: &[&str]) {
    let _ = write!(page, "<h2 id={id}>{name} ({rows})</h2><div class=scroll><table class=told>");
    if rows > 0 {
        let _ = write!(page, "<thead><tr><th scope=col>{}</thead>", columns.join("<th scope=col>"));
    }
    page.push_str("<tbody>");
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
        let reason = "a <bad> file\nline 2".to_owned();
        let blocked = vec![crate::core::BlockedRepo { repo: "r".into(), reason }];
        let page = render(&Status { blocked, ..Status::default() });
        assert!(page.contains("<pre>a &lt;bad&gt; file\nline 2</pre>"), "{page}");
        let page = render(&Status::default());
        assert!(page.contains("Waiting (0)") && page.contains("/assets/style.css"), "{page}");
    }
}
