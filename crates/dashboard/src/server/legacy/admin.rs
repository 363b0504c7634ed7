//! What only those do who run the original: making its first rows, and having old commits measured.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use store::Tx;
use store::legacy::tags::TagRow;
use store::legacy::{bench_results, commits, packages, tags};

use super::answer::Fault;
use super::bench;
use super::call::{Call, Desk};

/// The release that is always there.
const RELEASE: (&str, &str) = ("release-branch.go1.4", "883bc6ed0ea815293fe6309d66f967ea60630e87");
/// So many commits are marked at once.
const MOST: usize = 10_000;

fn text(status: StatusCode, text: String) -> Response {
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, head, text).into_response()
}

fn said(made: Result<String, Fault>) -> Response {
    match made {
        Ok(done) => text(StatusCode::OK, done),
        Err(fault) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("Error: {}", fault.0)),
    }
}

/// `/init`: makes the packages of the configuration that are missing, and writes the release that is always there. Its
/// route lets only administrators through.
pub(super) async fn init(State(desk): State<Desk>) -> Response {
    said(made(&desk).await)
}

async fn made(desk: &Desk) -> Result<String, Fault> {
    let dash = desk.dash.name();
    let mut tx = desk.begin().await?;
    for package in desk.configured() {
        packages::lock(&mut tx, dash, &package.path).await?;
    }
    let (name, hash) = (RELEASE.0.to_owned(), RELEASE.1.to_owned());
    tags::put(&mut tx, dash, &TagRow { kind: "release".into(), name, hash }).await?;
    tx.commit().await?;
    Ok("OK".to_owned())
}

/// `/updatebenchmark`: marks commits, by a JSON array of their hashes, to be measured. Not in production.
pub(super) async fn update_benchmark(State(desk): State<Desk>, request: Request) -> Response {
    let mut call = Call::new(desk, request);
    said(marked(&mut call).await)
}

async fn marked(call: &mut Call) -> Result<String, Fault> {
    call.authenticated()?;
    call.post_only()?;
    if call.desk.dashboard.config().environment().production {
        return Err(Fault::new(
            "commits are marked in development only; a watcher posts them with NeedsBenchmarking",
        ));
    }
    let body = call.body().await?;
    let hashes: Vec<String> =
        serde_json::from_slice(&body).map_err(|error| Fault(format!("decoding Body: json: {error}")))?;
    if hashes.len() > MOST {
        return Err(Fault(format!("more than {MOST} commits")));
    }
    let mut said = String::new();
    let mut tx = call.desk.begin().await?;
    for hash in &hashes {
        let done = mark(&mut tx, call.desk.dash.name(), &hash.replace('\0', "\u{fffd}")).await?;
        said.push_str(&format!("{hash}: {done}\n"));
    }
    tx.commit().await?;
    Ok(said)
}

async fn mark(tx: &mut Tx, dash: &str, hash: &str) -> Result<&'static str, Fault> {
    let Some(mut commit) = commits::get(tx, dash, "", hash).await? else { return Ok("no such commit") };
    if commit.bench {
        return Ok("measured already");
    }
    commit.bench = true;
    commits::put(tx, dash, "", &commit).await?;
    // Whoever has measured it before it was marked has nothing to do again.
    if bench_results::many(tx, dash, &[hash]).await?.is_empty() {
        bench::queue(tx, dash, commit.num).await?;
    }
    Ok("to be measured")
}
