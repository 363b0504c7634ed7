//! `config check`, `config explain`, `config plan`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildenv::{Class, Config, Plan, RepoName, Source};
use serde_json::json;

use super::client::print_json;
use crate::args::{Config as Asked, ConfigFiles};
use crate::system::composed::PROJECT_FILE;

pub fn run(asked: &Asked) -> Result<ExitCode> {
    match asked {
        Asked::Check(files) => check(files),
        Asked::Explain { what, files } => explain(what, files),
        Asked::Plan { repo, branch, toolchain_branch, trial, diff, files } => {
            let class = if *trial { Class::Try } else { Class::PostSubmit };
            match diff.as_deref() {
                Some([old, new]) => differ(old, new, files, branch, toolchain_branch.as_deref(), class),
                _ => plan(files, repo.as_deref(), branch, toolchain_branch.as_deref(), class),
            }
        }
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

fn plan(
    files: &ConfigFiles,
    repo: Option<&str>,
    branch: &str,
    toolchain: Option<&str>,
    class: Class,
) -> Result<ExitCode> {
    let config = load(&sources(files, files.sources.config.as_deref())?, files)?;
    let repos: Vec<&RepoName> = match repo {
        Some(name) => {
            vec![&config.repo(name).with_context(|| format!("repo {name} is not configured"))?.name]
        }
        None => config.repos().iter().map(|repo| &repo.name).collect(),
    };
    let mut listed = Vec::new();
    for repo in repos {
        let plan = buildenv::plan(&config, repo, branch, toolchain, class);
        if files.json {
            listed.push(as_json(repo, branch, &plan));
        } else {
            println!(
                "{repo} {branch}{}",
                toolchain.map_or(String::new(), |branch| format!(" with toolchain {branch}"))
            );
            for build in &plan.builds {
                let hosts: Vec<_> = build.hosts.iter().map(ToString::to_string).collect();
                println!(
                    "  build {:32} on {:24} recipe {}",
                    build.builder.full_name(),
                    hosts.join("|"),
                    build.recipe.name
                );
            }
            for left in &plan.left_out {
                println!("  not   {:32} {}", left.builder.full_name(), left.reason);
            }
        }
    }
    if files.json {
        print_json(&listed)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(repo: &RepoName, branch: &str, plan: &Plan) -> serde_json::Value {
    let builds: Vec<_> = (plan.builds.iter())
        .map(|build| {
            let hosts: Vec<_> = build.hosts.iter().map(ToString::to_string).collect();
            json!({"builder": build.builder.full_name(), "hosts": hosts, "recipe": build.recipe.name.as_str()})
        })
        .collect();
    let left: Vec<_> = (plan.left_out.iter())
        .map(|left| json!({"builder": left.builder.full_name(), "reason": left.reason}))
        .collect();
    json!({"repo": repo.as_str(), "branch": branch, "builds": builds, "left_out": left})
}

fn differ(
    old: &Path,
    new: &Path,
    files: &ConfigFiles,
    branch: &str,
    toolchain: Option<&str>,
    class: Class,
) -> Result<ExitCode> {
    let (old, new) = (load(&sources(files, Some(old))?, files)?, load(&sources(files, Some(new))?, files)?);
    let lines = |config: &Config| {
        let mut lines = BTreeSet::new();
        for repo in config.repos() {
            for build in buildenv::plan(config, &repo.name, branch, toolchain, class).builds {
                let digest = config.digest_for(&build.builder, &build.recipe);
                lines.insert((format!("{} {branch} {}", repo.name, build.builder.full_name()), digest));
            }
        }
        lines
    };
    let (old, new) = (lines(&old), lines(&new));
    let has = |side: &BTreeSet<(String, String)>, name: &str| side.iter().any(|(other, _)| other == name);
    for (name, _) in old.iter().filter(|(name, _)| !has(&new, name)) {
        println!("- {name}");
    }
    for (name, digest) in &new {
        match old.iter().find(|(other, _)| other == name) {
            None => println!("+ {name}"),
            Some((_, before)) if before != digest => println!("~ {name} (recipe or builder changed)"),
            Some(_) => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
