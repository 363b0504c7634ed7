//! Which pages are looked at.

use anyhow::{Context, Result};
use serde::Serialize;
use testkit::request;

use super::servers::{Kind, Site};

/// Pages that differ most from one another: what a change must pass.
pub(super) const CI: [&str; 9] =
    ["grid", "build-failed", "log", "failures", "statistics", "tree-set", "audit", "login", "status"];

/// A page.
#[derive(Serialize)]
pub(super) struct Page {
    pub(super) name: &'static str,
    /// The server.
    base: String,
    path: String,
    status: u16,
    /// Whether somebody is signed in.
    signed_in: bool,
}

/// Whether somebody is signed in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Stranger,
    Admin,
}

/// The pages of a server, with a build in each of the states that look different.
pub(super) fn pages(site: &Site) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut add = |name, path: String, status, who: As| {
        let signed_in = who == As::Admin;
        if !signed_in || site.token.is_some() {
            pages.push(Page { name, base: site.base(), path, status, signed_in });
        }
    };
    let both = site.kind == Kind::Known;
    if both || site.kind == Kind::Demonstration {
        history(site, &mut add)?;
    }
    if both || site.kind == Kind::AtWork {
        add("status", "/status".into(), 200, As::Stranger);
        add("builders", "/builders".into(), 200, As::Stranger);
        add("tries", "/tries".into(), 200, As::Stranger);
        add("bisections", "/bisections".into(), 200, As::Stranger);
    }
    if site.kind == Kind::AtWork {
        add("maintner", "/maintner".into(), 200, As::Stranger);
        add("hooks", "/hooks".into(), 200, As::Stranger);
    }
    Ok(pages)
}

fn history(site: &Site, add: &mut impl FnMut(&'static str, String, u16, As)) -> Result<()> {
    use As::{Admin, Stranger};
    let json = |path: &str| -> Result<serde_json::Value> {
        let token = site.token.as_deref();
        request(site.address, "GET", path, token, None)?.json().with_context(|| format!("reading {path}"))
    };
    add("grid", "/".into(), 200, Stranger);
    add("grid-failed", "/grid?state=failed".into(), 200, Stranger);
    add("builds", "/builds".into(), 200, Stranger);
    for (name, query) in [
        ("build-ok", "outcome=ok"),
        ("build-failed", "outcome=failed"),
        ("build-infra", "outcome=infra_failed"),
        ("build-running", "state=running"),
        ("build-waiting", "state=queued"),
    ] {
        let list = json(&format!("/api/v1/builds?{query}&limit=1"))?;
        let Some(build) = list["builds"][0]["id"].as_str() else { continue };
        // Who is signed in sees the forms.
        add(name, format!("/builds/{build}"), 200, if name == "build-ok" { Admin } else { Stranger });
        if name == "build-failed" {
            add("log", format!("/builds/{build}/log?line=1&q=FAIL"), 200, Stranger);
            let commit = list["builds"][0]["revision"].as_str().unwrap_or_default();
            let (repo, commit) =
                commit.split('+').next().and_then(|one| one.split_once('@')).unwrap_or_default();
            add("commit", format!("/commits/{repo}/{commit}"), 200, Stranger);
            let builder = list["builds"][0]["builder"].as_str().unwrap_or_default();
            add("builder", format!("/builders/{builder}"), 200, Stranger);
            let signature = json(&format!("/api/v1/builds/{build}"))?["failure"]["signature"].clone();
            if let Some(signature) = signature.as_str() {
                add("failure", format!("/failures/{signature}"), 200, Stranger);
            }
        }
    }
    add("failures", "/failures".into(), 200, Stranger);
    add("statistics", "/statistics".into(), 200, Stranger);
    add("statistics-days", "/statistics/days".into(), 200, Stranger);
    add("statistics-machines", "/statistics/machines".into(), 200, Stranger);
    add("outbox", "/outbox".into(), 200, Admin);
    add("trees", "/tree".into(), 200, Stranger);
    let trees = json("/tree.json")?;
    let trees = trees["trees"].as_array().map_or(&[][..], Vec::as_slice);
    let path = |tree: &serde_json::Value| {
        // The demonstration's names need no escaping; another server's are looked at where they don't.
        let (repo, branch) = (tree["repo"].as_str()?, tree["branch"].as_str()?);
        let plain = branch.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        plain.then(|| format!("/tree/{repo}/{branch}"))
    };
    if let Some(path) = trees.iter().find(|tree| tree["owner"].is_null()).and_then(path) {
        add("tree", path, 200, Stranger);
    }
    if let Some(path) = trees.iter().find(|tree| tree["owner"].is_string()).and_then(path) {
        add("tree-set", path, 200, Admin);
    }
    add("audit", "/audit".into(), 200, Admin);
    add("login", "/login".into(), 200, Stranger);
    add("signed-in", "/login".into(), 200, Admin);
    add("missing", "/builds/none".into(), 404, Stranger);
    Ok(())
}
