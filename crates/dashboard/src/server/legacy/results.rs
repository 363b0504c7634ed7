//! Results, where a build can be watched, and forgetting results.

use std::time::Duration;

use serde_json::json;
use store::Micros;
use store::legacy::building::Building;
use store::legacy::results::{NewResult, ResultRow};
use store::legacy::{building as watched, commits, packages, results};

use super::answer::{Fault, NO_ENTITY, Outcome, null};
use super::call::Call;
use super::input::Input;
use super::{gojson, logs, notify};

/// What a builder must say it speaks.
const BUILDER_VERSION: i64 = 1;
/// So long it is believed that a build can be watched.
const WATCHED: Duration = Duration::from_secs(15 * 60);
/// How many commits results are cleared of.
const CLEARED: u32 = 30;

/// `/result`
pub(super) async fn result(mut call: Call) -> Outcome {
    call.post_only()?;
    let version = call.number("version");
    if version != BUILDER_VERSION {
        return Err(Fault(format!(
            "rejecting POST from builder; need version {BUILDER_VERSION} instead of {version}"
        )));
    }
    let body = call.body().await?;
    let decoding = |fault: Fault| fault.within("decoding Body");
    let input = Input::read(&body).map_err(decoding)?;
    let package = input.text("PackagePath").map_err(decoding)?;
    let now = Micros::now();
    let mut new = posted(&input, now).map_err(decoding)?;
    call.speaks_for(&new.row.builder)?;
    if new.row.hash.is_empty() {
        return Call::refuse("validating Result: invalid Hash");
    }
    if !package.is_empty() && new.row.go_hash.is_empty() {
        return Call::refuse("validating Result: invalid GoHash");
    }
    let log = input.bytes("Log").map_err(decoding)?;
    if !log.is_empty() {
        new.row.log_hash = logs::put(&call.desk, log).await.map_err(|fault| fault.within("putting Log"))?;
    }
    let dash = call.desk.dash.name();
    let mut tx = call.desk.begin().await?;
    call.desk.package(&package).map_err(|fault| fault.within("GetPackage"))?;
    packages::lock(&mut tx, dash, &package).await?;
    let Some(commit) = commits::get(&mut tx, dash, &package, &new.row.hash).await? else {
        return Err(Fault(format!("AddResult: getting Commit: {NO_ENTITY}")));
    };
    results::put(&mut tx, dash, &package, &new).await?;
    if package.is_empty() && new.row.go_hash.is_empty() {
        notify::after(&mut tx, dash, &commit, &new.row, now).await?;
    }
    tx.commit().await?;
    null()
}

fn posted(input: &Input, now: Micros) -> Result<NewResult, Fault> {
    let row = ResultRow {
        hash: input.text("Hash")?,
        builder: input.text("Builder")?,
        go_hash: input.text("GoHash")?,
        ok: input.truth("OK")?,
        log_hash: input.text("LogHash")?,
        seq: 0,
    };
    Ok(NewResult { row, run_time_ns: input.number("RunTime")?, time: now })
}

/// `/building`
pub(super) async fn building(call: Call) -> Outcome {
    call.post_only()?;
    let (hash, go_hash, builder) = (call.form("hash"), call.form("gohash"), call.form("builder"));
    let key = format!("building|{hash}|{go_hash}|{builder}");
    let now = Micros::now();
    let mut tx = call.desk.begin().await?;
    let of = Building { hash, go_hash, builder };
    watched::put(&mut tx, call.desk.dash.name(), of, call.form("url"), now + WATCHED, now).await?;
    tx.commit().await?;
    Ok(gojson::compact(&json!({ "key": key })))
}

/// `/clear-results`
pub(super) async fn clear(call: Call) -> Outcome {
    call.post_only()?;
    let builder = call.form("builder");
    if builder.is_empty() {
        return Call::refuse("must specify a builder");
    }
    let only: Vec<&str> = call.form("hash").split(',').filter(|hash| !hash.is_empty()).collect();
    let dash = call.desk.dash.name();
    let mut tx = call.desk.begin().await?;
    for commit in commits::newest(&mut tx, dash, "", "", CLEARED, 0).await? {
        if only.is_empty() || only.contains(&commit.hash.as_str()) {
            results::clear(&mut tx, dash, "", &commit.hash, builder).await?;
        }
    }
    tx.commit().await?;
    null()
}
