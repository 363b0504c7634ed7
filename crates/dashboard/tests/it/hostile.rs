//! Texts from outside that try to be more than text: in commits, names, branches, output, and results of tests.

use dashboard::api::{BranchUpdate, BuildReport, Cause, CommitInfo, Outcome, TestKind, TestResult, Wait};

use crate::fixture::{Fixture, attempt_id, build_id, commit, done, hash, line, report, revision};

/// Markup, a script, escapes of a terminal (colour, title, link, clipboard), marks that turn text around, a NUL, and a
/// word that never ends.
const EVIL: &str = "<img src=x onerror=alert(1)></title><script>alert(2)</script>\" onmouseover=\"alert(3)' & \
    \u{1b}[31mred\u{1b}]0;title\u{7}\u{1b}]8;;javascript:alert(4)\u{1b}\\link\u{1b}]52;c;aGk=\u{7} \
    \u{202e}gnp.exe\u{2066}\u{200b} {{ 7*7 }} \0end";

async fn told(on: &Fixture) {
    let evil = format!("{EVIL} {}", "W".repeat(5000));
    on.push("one", "main", &[2, 1]).await;
    let commits = vec![CommitInfo {
        author_name: evil.clone(),
        author_email: Some(evil.clone()),
        message: format!("{evil}\n\n{evil}"),
        ..commit(3, Some(2))
    }];
    let head = Some(hash(3));
    let first_parent = vec![hash(3), hash(2)];
    let update = BranchUpdate { head, first_parent, commits, ..line("main", &[2]) };
    on.client.put_branch("one", "main", &update).await.unwrap();
    // A name of a branch has no control characters, and may have all the rest.
    let branch: String = EVIL.chars().filter(|c| !c.is_control()).collect();
    on.client.put_branch("one", &branch, &line("x", &[1])).await.unwrap();
    let log = format!("test <b>x</b>\u{202e}::y ... FAILED\n{evil}\nerror: {EVIL}\n");
    on.log(&attempt_id(1), &build_id(1), &[log.as_bytes()]).await;
    let tests = vec![TestResult {
        id: evil.clone(),
        variant: EVIL.into(),
        kind: TestKind::Test,
        outcome: "failed".into(),
        message: Some(evil.clone()),
        ..TestResult::default()
    }];
    on.client.put_tests(&attempt_id(1), 1, tests).await.unwrap();
    on.client.log_finish(&attempt_id(1), 1).await.unwrap();
    let mut failed = BuildReport {
        cause: Some(Cause { kind: EVIL.into(), detail: evil.clone() }),
        trigger: Some(EVIL.into()),
        ..done(report(1, "a", &revision("one@3")), Outcome::Failed, 65)
    };
    failed.attempts[0].warnings = vec![evil.clone()];
    failed.attempts[0].worker = Some(EVIL.into());
    failed.attempts[0].spans[0].name = EVIL.into();
    failed.attempts[0].spans[0].detail = evil.clone();
    failed.attempts[0].inputs.insert(EVIL.into(), EVIL.into());
    on.client.put_build(&failed).await.unwrap();
    let wait = Some(Wait { reason: evil, ..Wait::default() });
    on.client.put_build(&BuildReport { wait, ..report(2, "b", &revision("one@3")) }).await.unwrap();
}

pub(crate) async fn nothing_from_outside_is_more_than_text(on: Fixture) {
    told(&on).await;
    let (red, waiting) = (build_id(1), build_id(2));
    let failure = on.client.failure(&red).await.unwrap().unwrap();
    let query = transport::segment(EVIL);
    for path in [
        "/".to_owned(),
        "/grid?state=failed".into(),
        format!("/grid?builder={query}&author={query}"),
        format!("/grid?state={query}"),
        format!("/grid?branch={query}"),
        "/builds".into(),
        format!("/builds?builder={query}"),
        format!("/builds/{red}"),
        format!("/builds/{waiting}"),
        format!("/builds/{red}/log?q={query}"),
        format!("/builds/{red}/log?line=1"),
        format!("/builds/{query}"),
        "/builders/a".into(),
        format!("/builders/{query}"),
        format!("/commits/one/{}", hash(3)),
        "/failures".into(),
        format!("/failures?repo={query}"),
        format!("/failures/{}", failure.signature.unwrap()),
        "/statistics?days=90".into(),
        format!("/statistics/days?builder={query}"),
        "/statistics/days?days=90".into(),
        format!("/statistics/machines?machine={query}"),
        "/statistics/machines?days=90".into(),
        format!("/tests?repo=one&builder=a&id={query}"),
        format!("/tests?repo=one&id={query}&cursor={query}"),
        format!("/tests/find?repo=one&q={query}&cursor={query}"),
        "/tests/find?repo=one".into(),
        format!("/tests/grid?repo=one&builder=a&branch={query}"),
        "/tests/grid?repo=one&builder=a".into(),
        format!("/builds/{red}/tests"),
        format!("/builds/{red}/tests?q={query}&outcome={query}"),
    ] {
        let text = on.text(&path).await;
        assert!(text.starts_with("<!doctype html>"), "{path}: {text}");
        for part in ["<img", "<b>", "<script>", " onmouseover=\"", " 49 ", "\u{1b}", "\0", "\u{7}"] {
            // What stands between tags and in attributes is escaped, so these can't be there as such.
            assert!(!text.contains(part), "{part:?} in {path}: {text}");
        }
        let turned = text.contains(['\u{202e}', '\u{2066}', '\u{200b}']);
        assert!(!turned, "{path}: {text}");
        // Everything that opens is known: no text made a tag.
        for (at, _) in text.match_indices('<') {
            let tag: String = text[at + 1..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "!/".contains(*c))
                .collect();
            assert!(TAGS.contains(&tag.trim_start_matches('/')), "<{tag} in {path}: {text}");
        }
    }
    let page = on.text(&format!("/builds/{red}")).await;
    assert!(page.contains("⟦U+202E⟧") && page.contains("<span class=\"sf1\">red"), "{page}");
    let page = on.text(&format!("/commits/one/{}", hash(3))).await;
    assert!(page.contains("␛[31mred") && page.contains("⟦U+202E⟧gnp.exe"), "{page}");
}

const TAGS: &[&str] = &[
    "!doctype", "html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "ul", "li",
    "main", "h1", "h2", "h3", "p", "small", "span", "div", "form", "label", "input", "select", "option",
    "optgroup", "button", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "bdi", "dl", "dt",
    "dd", "details", "summary", "section", "time", "figure", "svg", "text", "rect", "line", "polyline",
    "progress", "strong",
];
