//! `config check`, `config explain`, `config plan`.

mod plan;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildenv::{Config, RepoName, Source};
use serde_json::json;

use super::client::print_json;
use crate::args::{Config as Asked, ConfigFiles};
use crate::system::composed::PROJECT_FILE;

pub fn run(asked: &Asked) -> Result<ExitCode> {
    match asked {
        Asked::Check(files) => check(files),
        Asked::Explain { what, files } => explain(what, files),
        Asked::Plan(args) => plan::run(args),
    }
}

/// What the arguments name. A project file needs a repo to belong to: one is made up where no server file has it.
fn sources(files: &ConfigFiles, server: Option<&Path>) -> Result<Vec<Source>> {
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
        let (name, file) = project.split_once('=').unwrap_or(("this", &project));
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

fn load(sources: &[Source], files: &ConfigFiles) -> Result<Config> {
    let base = files.sources.config.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let include = |name: &str| std::fs::read_to_string(base.join(name));
    let environment = files.sources.environment.as_deref().map(str::parse).transpose().context("--env")?;
    buildenv::load(sources, &include, environment.as_ref()).map_err(|problems| anyhow::anyhow!("{problems}"))
}

fn check(files: &ConfigFiles) -> Result<ExitCode> {
    let sources = sources(files, files.sources.config.as_deref())?;
    match load(&sources, files) {
        Ok(config) => {
            if files.json {
                let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
                print_json(&json!({
                    "ok": true, "warnings": warnings, "environment": config.environment().name.as_str(), "repos": config.repos().len(),
                    "hosts": config.hosts().len(), "builders": config.builders().len(), "digest": config.digest(),
                }))?;
            } else {
                for warning in config.warnings() {
                    eprintln!("{warning}");
                }
                println!(
                    "ok: environment {}, {} repos, {} hosts, {} builders",
                    config.environment().name,
                    config.repos().len(),
                    config.hosts().len(),
                    config.builders().len()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            if files.json {
                print_json(&json!({"ok": false, "problems": problems.to_string()}))?;
            } else {
                eprintln!("{problems}");
            }
            Ok(ExitCode::from(1))
        }
    }
}

fn explain(what: &str, files: &ConfigFiles) -> Result<ExitCode> {
    let config = load(&sources(files, files.sources.config.as_deref())?, files)?;
    // What a project's file holds is called REPO:NAME; without the repo, all of that name are meant.
    let of_projects = || {
        let (kind, name) = what.split_once('.')?;
        let found = config
            .repos()
            .iter()
            .filter_map(|repo| buildenv::explain(&config, &format!("{kind}.{}:{name}", repo.name)));
        Some(found.collect::<String>()).filter(|text| !text.is_empty())
    };
    match buildenv::explain(&config, what).or_else(of_projects) {
        Some(text) => {
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        None => bail!("{what} is not configured; there are builders {}", names(&config)),
    }
}

fn names(config: &Config) -> String {
    let mut names: Vec<String> = config.builders().iter().map(|builder| builder.full_name()).collect();
    names.truncate(20);
    names.join(", ")
}
