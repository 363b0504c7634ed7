//! What a second machine is worth to the tests of real projects, and what a chunk of tests costs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::{File, GitRepo, Server};

use super::Args;
use super::ended::Ended;
use crate::fixture::unpack;
use crate::{metadata, process, setup};

/// A build ends by then.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// So many chunks of nothing.
const CHUNKS: usize = 64;

/// A project: its repository, its component, the heading of its recipe in docs/sharding.md and what that one calls itself.
const PROJECTS: [(&str, &str, &str, &str); 3] = [
    ("sync", "sync-v0.24.0", "`go test`", "module"),
    ("mod", "mod-v0.42.0", "`go test`", "module"),
    ("strsim", "strsim-0.11.1", "`cargo test`", "crate"),
];

/// The recipe under a heading of docs/sharding.md.
fn recipe(heading: &str) -> Result<String> {
    let page = std::fs::read_to_string(metadata::root().join("docs/sharding.md"))?;
    let section = page.split_once(&format!("\n### {heading}\n")).map(|(_, section)| section);
    let block = section.and_then(|section| section.split("```toml\n").nth(1)?.split("```").next());
    Ok(block
        .with_context(|| format!("docs/sharding.md has no recipe for {heading}"))?
        .replace("CRATE", "strsim"))
}

fn told(program: &str, arguments: &[&str]) -> Result<String> {
    let said = process::output(Command::new(program).args(arguments), Duration::from_secs(60))?;
    Ok(said.trim().to_owned())
}

fn config(repos: &Path, rounds: usize) -> Result<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    // As on machines that keep their build cache; and nothing is taken from it that a test said before.
    let cargo = PathBuf::from(told("rustc", &["--print", "sysroot"])?).join("bin");
    let path = format!("{}:{}", cargo.display(), std::env::var("PATH").context("PATH")?);
    let env = format!(
        "{{ GOCACHE = {}, GOFLAGS = \"-mod=mod -count=1 -short\", GOPROXY = \"off\", GOTOOLCHAIN = \"local\", \
         CARGO_NET_OFFLINE = \"true\", PATH = {} }}",
        quoted(&told("go", &["env", "GOCACHE"])?),
        quoted(&path),
    );
    let mut text = "[host.local]\ncapacity = 2\ntrust = \"trusted\"\nenv_pass = [\"PATH\"]\n".to_owned();
    let mut repo = |name: &str| {
        let url = quoted(&repos.join(name).to_string_lossy());
        text.push_str(&format!("\n[repo.{name}]\nurl = {url}\n"));
    };
    PROJECTS.iter().for_each(|(name, ..)| repo(name));
    repo("nothing");
    let mut builder = |name: &str, of: &str, recipe: &str, helpers: u32| {
        text.push_str(&format!(
            "\n[builder.{name}]\nhost = \"local\"\nrecipe = \"{recipe}\"\nrepos = [\"{of}\"]\npost_submit = false\ntry = true\n\
             helpers = {helpers}\nenv = {env}\n"
        ));
    };
    // A build of a commit on a builder is there once, so each round has builders of its own; times are known by builder, so that
    // one is asked again and again.
    for (name, _, _, recipe) in PROJECTS {
        builder(&format!("{name}-one"), name, recipe, 0);
        builder(&format!("{name}-two"), name, recipe, 1);
    }
    for round in 0..rounds {
        builder(&format!("nothing-{round}"), "nothing", "nothing", 1);
    }
    text.push_str(&format!("\n[recipe.nothing]\nlist = \"seq {CHUNKS}\"\nrun = \": {{tests}}\"\n"));
    for heading in ["`go test`", "`cargo test`"] {
        text.push_str(&format!("\n{}", recipe(heading)?));
    }
    Ok(text)
}

/// A build's report, once it is done.
fn built(server: &Server, token: &str, repo: &str, rev: &str, builder: &str) -> Result<Value> {
    let body = json!({"repo": repo, "rev": rev, "builder": builder});
    let answer = server.request("POST", "/api/v1/builds", Some(token), Some(&body))?.json()?;
    let id = answer["id"].as_str().with_context(|| format!("no id in {answer}"))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = server.request("GET", &format!("/api/v1/builds/{id}"), Some(token), None)?;
        let build = if answer.status == 404 { json!(null) } else { answer.json()? };
        if build["state"] == "done" {
            if build["outcome"] != "ok" {
                let log = server.request("GET", &format!("/api/v1/builds/{id}/log"), Some(token), None)?;
                bail!("build {id} ended: {build}\n{}", String::from_utf8_lossy(&log.body));
            }
            return Ok(build);
        }
        ensure!(Instant::now() < deadline, "build {id} is not done: {build}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// How long the attempt's step `run` took, and all of it from the lease on, in seconds; and the chunks on each machine.
fn times(build: &Value) -> Result<(f64, f64, String)> {
    let attempt = &build["attempts"][0];
    let moment = |value: &Value| -> Result<jiff::Timestamp> {
        value.as_str().with_context(|| format!("{value} is no time"))?.parse().context("a time")
    };
    let between = |of: &Value| -> Result<f64> {
        Ok(moment(&of["ended"])?.duration_since(moment(&of["started"])?).as_secs_f64())
    };
    let steps = attempt["steps"].as_array().context("no steps")?;
    let run = steps.iter().find(|step| step["name"] == "run").context("no step `run`")?;
    let machines = attempt["spread"]["machines"].as_array().map_or(&[][..], Vec::as_slice);
    let chunks: Vec<String> = machines.iter().map(|machine| machine["chunks"].to_string()).collect();
    Ok((between(run)?, between(attempt)?, chunks.join(" + ")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(super) fn section(args: &Args) -> Result<String> {
    let dir = tempfile::Builder::new().prefix("bw-spread-").tempdir()?;
    let mut heads = Vec::new();
    for (name, component, ..) in PROJECTS {
        let mut repo = GitRepo::create(&dir.path().join(name))?;
        unpack(&setup::path(component)?, repo.dir()).with_context(|| format!("unpacking {component}"))?;
        if name == "mod" {
            // Its tests want another module and a network.
            std::fs::remove_dir_all(repo.dir().join("zip"))?;
        }
        // Each build is of a commit of its own, and all have the same files but one.
        let commit = |n: usize| repo.commit("As it was published", &[("BUILD", File::Text(&n.to_string()))]);
        heads.push((0..=2 * args.rounds).map(commit).collect::<Result<Vec<_>>>()?);
    }
    let mut nothing = GitRepo::create(&dir.path().join("nothing"))?;
    let nothing = nothing.commit("Nothing", &[("README", File::Text("nothing\n"))])?;
    let config = config(dir.path(), args.rounds)?;
    let server = Server::configured(args.server(&["--features", "full"])?, dir.path(), &config)?;
    let _workers = Ended(server.data());
    let token = server.token()?;
    let mut text = format!(
        "Recipes as [sharding.md](sharding.md) has them, both machines on the {} processors of this one, with a Go build cache that is kept. \
         {} rounds after one that nothing was known in; medians, in seconds. *whole* is from the lease to the end. mod is \
         without its package zip, whose tests want a network.\n\n\
         | project | tests, one machine | tests, two | ratio | whole, one | whole, two | ratio | chunks |\n\
         |---|---|---|---|---|---|---|---|\n",
        std::thread::available_parallelism()?,
        args.rounds,
    );
    for ((name, component, ..), commits) in PROJECTS.iter().zip(&heads) {
        let (mut one, mut two, mut spread) = (Vec::new(), Vec::new(), String::new());
        for (round, rev) in commits.iter().enumerate().take(args.rounds + 1) {
            let alone = times(&built(&server, &token, name, rev, &format!("{name}-one"))?)?;
            let both = times(&built(&server, &token, name, rev, &format!("{name}-two"))?)?;
            if round > 0 {
                one.push(alone);
                (spread, two) = (both.2.clone(), [two, vec![both]].concat());
            }
        }
        let of = |all: &[(f64, f64, String)]| {
            (
                median(all.iter().map(|times| times.0).collect()),
                median(all.iter().map(|times| times.1).collect()),
            )
        };
        let ((tests_one, one), (tests_two, two)) = (of(&one), of(&two));
        text.push_str(&format!(
            "| {component} | {tests_one:.2} | {tests_two:.2} | {:.2} | {one:.2} | {two:.2} | {:.2} | {spread} |\n",
            tests_one / tests_two,
            one / two,
        ));
    }
    let mut costs = Vec::new();
    for round in 0..args.rounds {
        let build = built(&server, &token, "nothing", &nothing, &format!("nothing-{round}"))?;
        let spread = &build["attempts"][0]["spread"];
        let machines = spread["machines"].as_array().context("no machines")?;
        let took = spread["took_ms"].as_f64().context("no time")?;
        // From when each machine was there.
        let ready: f64 = machines.iter().filter_map(|machine| machine["ready_ms"].as_f64()).sum();
        let count = spread["chunks"].as_array().context("no chunks")?.len();
        ensure!(count == CHUNKS, "{count} chunks");
        costs.push((took * machines.len() as f64 - ready) / count as f64);
    }
    text.push_str(&format!(
        "\nA chunk of a command that does nothing takes {:.1} ms of a machine, its start and its output included (median of {} builds of \
         {CHUNKS} chunks).\n",
        median(costs),
        args.rounds
    ));
    Ok(text)
}
