//! `config check`, `config explain`, `config plan`, `config reload`.

mod mutes;
mod plan;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use buildenv::{Config, Explained, Problems, RepoName, Source};
use serde_json::json;

use super::client::{Remote, print_json};
use crate::args::{Config as Asked, ConfigFiles, Server};
use crate::system::composed::PROJECT_FILE;

/// How long a server may take to read its files again, and those of its repositories.
const RELOAD: Duration = Duration::from_secs(90);

pub async fn run(asked: &Asked) -> Result<ExitCode> {
    match asked {
        Asked::Reload(server) => reload(server).await,
        Asked::Check(files) => check(files),
        Asked::Explain { what, files } => explain(what, files),
        Asked::Plan(args) => plan::run(args),
    }
}

async fn reload(server: &Server) -> Result<ExitCode> {
    let remote = Remote::new(server)?;
    let reloaded = match remote.api.with_timeout(RELOAD).reload_config().await {
        Err(transport::CallError::Refused { error, .. }) if error.code == "bad_configuration" => {
            eprintln!("the configuration is as before; what was read can't be used:\n{}", error.message);
            return Ok(ExitCode::from(1));
        }
        answer => remote.hint(answer)?,
    };
    match server.json {
        true => print_json(&reloaded)?,
        false => {
            reloaded.lines.iter().for_each(|line| println!("{line}"));
            tell(&[], &reloaded.restart);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says on stderr what is different after a reload.
pub fn tell(lines: &[String], restart: &[String]) {
    eprintln!("the configuration was read again and is in effect");
    lines.iter().for_each(|line| eprintln!("  {line}"));
    if !restart.is_empty() {
        eprintln!("  needs a restart: {}", restart.join(", "));
    }
}

/// What the arguments name. A project file needs a repo to belong to: one is made up where no server file has it.
fn sources(files: &ConfigFiles) -> Result<Vec<Source>> {
    let server = files.sources.config.as_deref();
    let (os, arch) = buildenv::this_machine();
    let mut sources = vec![buildenv::embedded(os, arch)];
    let mut known: BTreeSet<String> = BTreeSet::new();
    if let Some(file) = server {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        sources.push(Source::server(file.display().to_string(), text));
        if let Ok(config) = load(&sources, files) {
            known.extend(config.repos().iter().map(|repo| repo.name.to_string()));
        }
    }
    let mut projects = files.projects.clone();
    if projects.is_empty() && server.is_none() {
        if !Path::new(PROJECT_FILE).is_file() {
            bail!("there is no {PROJECT_FILE} here: name a server file with --config, or a project's file");
        }
        projects.push(PROJECT_FILE.into());
    }
    for project in projects {
        let (name, file) = match project.split_once('=') {
            Some(named) => named,
            None => (only(&known, &project)?, &*project),
        };
        let name: RepoName =
            name.parse().with_context(|| format!("{project}: NAME=FILE wants a repo's name"))?;
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
        if !known.contains(name.as_str()) {
            sources.push(buildenv::repo_source("the command line", &name, "."));
        }
        sources.push(Source::project(name, file, text));
    }
    Ok(sources)
}

/// The repo of a project's file that is given without a name.
fn only<'a>(known: &'a BTreeSet<String>, file: &str) -> Result<&'a str> {
    let mut names = known.iter().map(String::as_str);
    match (names.next(), names.next()) {
        (None, _) => Ok("this"),
        (Some(name), None) => Ok(name),
        (Some(name), Some(_)) => {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            bail!("{file}: of which repo is it? write {name}={file}; there are {}", known.join(", "))
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn load(sources: &[Source], files: &ConfigFiles) -> Result<Config> {
    loaded(sources, files)?.map_err(|problems| anyhow::anyhow!("{problems}"))
}

fn loaded(sources: &[Source], files: &ConfigFiles) -> Result<Result<Config, Problems>> {
    let base = files.sources.config.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let include = |name: &str| std::fs::read_to_string(base.join(name));
    let environment = files.sources.environment.as_deref().map(str::parse).transpose().context("--env")?;
    Ok(buildenv::load(sources, &include, environment.as_ref()))
}

fn check(files: &ConfigFiles) -> Result<ExitCode> {
    let sources = sources(files)?;
    match loaded(&sources, files)? {
        Ok(config) => {
            let config = mutes::with_projects(config, files);
            let checked = mutes::check(&config);
            if !checked.mistakes.is_empty() {
                match files.json {
                    true => print_json(
                        &json!({"ok": false, "problems": checked.json(), "warnings": [], "expired_mutes": checked.expired}),
                    )?,
                    false => checked.mistakes.iter().for_each(|mistake| eprintln!("{mistake}")),
                }
                return Ok(ExitCode::from(1));
            }
            let warnings = config.warnings();
            if files.json {
                print_json(&json!({
                    "ok": true, "problems": [], "warnings": warnings, "expired_mutes": checked.expired, "environment": config.environment().name.as_str(), "repos": config.repos().len(),
                    "hosts": config.hosts().len(), "builders": config.builders().len(), "digest": config.digest(),
                }))?;
            } else {
                for warning in warnings {
                    eprintln!("{warning}");
                }
                checked.expired.iter().for_each(|expired| eprintln!("{}", expired.sentence));
                println!(
                    "ok: environment {}, {}, {}, {}",
                    config.environment().name,
                    counted(config.repos().len(), "repo"),
                    counted(config.hosts().len(), "host"),
                    counted(config.builders().len(), "builder")
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            if files.json {
                print_json(&json!({"ok": false, "problems": problems.0, "warnings": []}))?;
            } else {
                eprintln!("{problems}");
            }
            Ok(ExitCode::from(1))
        }
    }
}

fn explain(what: &str, files: &ConfigFiles) -> Result<ExitCode> {
    let config = load(&sources(files)?, files)?;
    // What a project's file holds is called REPO:NAME; without the repo, all of that name are meant.
    let of_projects = || {
        let Some((kind, name)) = what.split_once('.') else { return Vec::new() };
        let of_repo =
            |repo: &buildenv::Repo| buildenv::explained(&config, &format!("{kind}.{}:{name}", repo.name));
        config.repos().iter().flat_map(of_repo).collect()
    };
    let mut found: Vec<Explained> = buildenv::explained(&config, what);
    if found.is_empty() {
        found = of_projects();
    }
    if found.is_empty() {
        bail!("{what} is not configured; {}", instead(&config, what));
    }
    match files.json {
        true => print_json(&found)?,
        false => found.iter().for_each(|one| print!("{one}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is of the kind that was asked for; where it is no kind, the builders and the kinds.
fn instead(config: &Config, what: &str) -> String {
    let all = buildenv::explainable(config);
    let names = |kind: &str| {
        let of_kind = all.iter().filter_map(|name| name.strip_prefix(kind)?.strip_prefix('.'));
        of_kind.take(20).collect::<Vec<_>>().join(", ")
    };
    let kinds =
        ["environment", "repo", "host", "builder", "recipe", "limit", "secret", "access", "dashboard"];
    let asked = what.split_once('.').map_or(what, |(kind, _)| kind);
    match kinds.into_iter().find(|kind| *kind == asked) {
        Some(kind) if names(kind).is_empty() => format!("there is no {kind} at all"),
        Some(kind) => format!("of kind {kind} there are {}", names(kind)),
        None => format!("there are builders {}; other kinds are {}", names("builder"), kinds.join(", ")),
    }
}
