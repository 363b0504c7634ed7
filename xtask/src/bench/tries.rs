//! How soon after a vote the first machine works on a change, and a change's answer is known.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use testkit::{File, NoteDb, Server, wait_for};

use super::Args;

const PROJECT: &str =
    "[builder.tests]\nrecipe = \"check\"\ntry = true\n\n[recipe.check]\nrun = \"sh ./check.sh\"\n";
/// A change is tried by then.
const LIMIT: Duration = Duration::from_secs(60);
/// Votes, one after another.
const VOTES: u32 = 30;

/// From one moment to another, milliseconds.
fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

/// A moment that the server tells.
fn moment(value: &Value) -> Result<Timestamp> {
    value.as_str().with_context(|| format!("{value} is no time"))?.parse().context("a time")
}

pub(super) fn section(args: &Args) -> Result<String> {
    let dir = tempfile::Builder::new().prefix("bw-tries-").tempdir()?;
    let at = dir.path().join("one");
    let files = [("bellwether.toml", File::Text(PROJECT)), ("check.sh", File::Text("true\n"))];
    let mut reviews = NoteDb::create(&at, &files)?;
    let mut uploaded = Vec::new();
    for number in 1..=VOTES {
        let check = format!("true # {number}\n");
        let files = [("check.sh", File::Text(check.as_str()))];
        uploaded.push(reviews.upload((number, 1), "main", &format!("Change {number}"), &files)?);
    }
    let at = toml::Value::from(at.to_str().context("the folder's name is not UTF-8")?);
    let config = format!(
        "[host.local]\ncapacity = 2\ntrust = \"untrusted-ok\"\nisolation = \"namespaces\"\n\n\
         [repo.one]\nurl = {at}\nhorizon = 1\nchanges = \"localhost/one\"\n\n\
         [maintnerd]\ngit = {{ project = \"localhost/one\", url = {at}, changes = true, every = \"1s\" }}\n"
    );
    let server = Server::configured(args.server(&["--features", "full"])?, dir.path(), &config)?;
    let mut columns: [Vec<f64>; 4] = Default::default();
    for change in &uploaded {
        let voted = Timestamp::now();
        reviews.vote(change, 8, "Run-TryBot", 1)?;
        let path = format!("/api/v1/tries?review=localhost/one~{}", change.number);
        let id = wait_for("the run to be over", LIMIT, || {
            let list = server.request("GET", &path, None, None)?.json()?;
            let run = &list["tries"][0];
            Ok((run["state"] == "passed").then(|| run["id"].as_str().map(str::to_owned)).flatten())
        })?;
        let run = server.request("GET", &format!("/api/v1/tries/{id}"), None, None)?.json()?;
        let (began, ended) = (moment(&run["began"])?, moment(&run["ended"])?);
        let started = moment(&run["builds"][0]["started"])?;
        let of =
            [between(voted, began), between(began, started), between(voted, started), between(voted, ended)];
        columns.iter_mut().zip(of).for_each(|(column, ms)| column.push(ms));
    }
    ensure!(columns.iter().all(|column| column.len() == VOTES as usize), "not all were tried");
    let mut text = format!(
        "A repository as a Gerrit keeps it, asked each second; {VOTES} changes that are voted for one after another, each of one build of \
         `true` on a confined local machine of its own, which is started for it.\n\n| from | p50 | p95 |\n|---|---|---|\n"
    );
    let names = [
        "vote → run begun",
        "run begun → first machine at work",
        "vote → first machine at work",
        "vote → answer known",
    ];
    for (name, mut column) in names.iter().zip(columns) {
        column.sort_by(f64::total_cmp);
        let at = |share: usize| column[(column.len() * share / 100).min(column.len() - 1)];
        text.push_str(&format!("| {name} | {:.0} ms | {:.0} ms |\n", at(50), at(95)));
    }
    Ok(text)
}
