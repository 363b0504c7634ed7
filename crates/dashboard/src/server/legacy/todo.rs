//! What a builder is to do next.

use std::collections::HashSet;

use serde::Serialize;
use store::Reader;
use store::legacy::commits::CommitRow;
use store::legacy::{commits, results};

use super::answer::{Fault, Outcome, null};
use super::call::{Call, Desk};
use super::commits::{Shown, shown, tip};
use super::{bench, gojson};

/// How many commits back work is looked for.
const HORIZON: u32 = 30;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Todo<'a> {
    kind: &'a str,
    data: Shown,
}

/// `/todo`
pub(super) async fn todo(call: Call) -> Outcome {
    if call.is_revoked() {
        return Call::refuse("builder key revoked; no work given");
    }
    let (builder, package) = (call.form("builder"), call.form("packagePath"));
    for kind in call.all("kind") {
        let found = match kind {
            "build-go-commit" => {
                next(&call.desk, builder, "", "").await?.map(|commit| ("", commit, Vec::new()))
            }
            "build-package" => next(&call.desk, builder, package, call.form("goHash"))
                .await?
                .map(|commit| (package, commit, Vec::new())),
            "benchmark-go-commit" => {
                bench::next(&call.desk, builder).await?.map(|(commit, done)| ("", commit, done))
            }
            _ => None,
        };
        if let Some((package, commit, done)) = found {
            return Ok(gojson::compact(&Todo { kind, data: shown(package, commit, Some(done)) }));
        }
    }
    null()
}

async fn next(desk: &Desk, builder: &str, path: &str, go_hash: &str) -> Result<Option<CommitRow>, Fault> {
    desk.package(path)?;
    let dash = desk.dash.name();
    let mut reader = desk.dashboard.db().read().await?;
    let newest = commits::newest(&mut reader, dash, path, "", HORIZON, 0).await?;
    let hashes: Vec<&str> = newest.iter().map(|commit| commit.hash.as_str()).collect();
    let done: HashSet<String> = results::of(&mut reader, dash, path, &hashes)
        .await?
        .into_iter()
        .filter(|result| result.builder == builder && result.go_hash == go_hash)
        .map(|result| result.hash)
        .collect();
    if let Some(commit) = newest.into_iter().find(|commit| !done.contains(&commit.hash)) {
        return Ok(Some(commit));
    }
    if path.is_empty() { again_at_tip(desk, &mut reader, builder).await } else { Ok(None) }
}

/// The tip once more, so that the builder goes on with the packages that are not built against it.
async fn again_at_tip(desk: &Desk, reader: &mut Reader, builder: &str) -> Result<Option<CommitRow>, Fault> {
    let dash = desk.dash.name();
    let tip = tip(reader, dash).await?;
    if results::get(reader, dash, "", &tip.hash, builder, "").await?.is_some_and(|result| !result.ok) {
        return Ok(None);
    }
    for package in desk.configured().into_iter().filter(|package| package.kind == "subrepo") {
        let Some(latest) = commits::latest(reader, dash, &package.path).await? else { continue };
        if results::get(reader, dash, &package.path, &latest.hash, builder, &tip.hash).await?.is_none() {
            return Ok(Some(tip));
        }
    }
    Ok(None)
}
