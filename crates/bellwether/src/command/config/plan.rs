//! `config plan`: a function of the files and the arguments; no server and no repository is asked.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildenv::{Asked, Cell, Class, Config, RepoName, cells, diff_cells, diff_keys};
use serde_json::json;

use super::{load, print_json, sources};
use crate::args::{ConfigFiles, Plan};

pub fn run(args: &Plan) -> Result<ExitCode> {
    let is_file =
        |text: &&String| text.contains(['=', '/']) && !text.contains('@') || text.ends_with(".toml");
    let (files, named): (Vec<_>, Vec<_>) = args.what.iter().partition(is_file);
    let files = ConfigFiles {
        sources: args.sources.clone(),
        projects: files.into_iter().cloned().collect(),
        json: args.json,
    };
    let named: Vec<&String> = args.repo.iter().chain(named).collect();
    match args.diff.as_deref() {
        Some([old, new]) => {
            // Each with what it includes, from its own folder.
            let whole = |server: &Path| {
                let mut files = files.clone();
                files.sources.config = Some(server.to_owned());
                load(&sources(&files)?, &files)
            };
            let (old, new) = (whole(old)?, whole(new)?);
            differ(&old, &new, args, &asked(args, &named, &[&old, &new])?)
        }
        _ => {
            let config = load(&sources(&files)?, &files)?;
            let planned = cells(&config, &asked(args, &named, &[&config])?);
            if args.json {
                print_json(&planned.iter().map(as_json).collect::<Vec<_>>())?;
            } else {
                planned.iter().for_each(show);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What is to be planned. A repo that no configuration has is a mistake, and so is a text that is no branch.
fn asked(args: &Plan, named: &[&String], configs: &[&Config]) -> Result<Asked> {
    let mut repos = Vec::new();
    for text in named {
        let (name, branch) =
            text.split_once('@').map_or((text.as_str(), None), |(name, at)| (name, Some(at)));
        let repo: RepoName =
            name.parse().with_context(|| format!("{text}: REPO[@BRANCH] wants a repo's name"))?;
        if configs.iter().all(|config| config.repo(name).is_none()) {
            let known: Vec<_> = configs[0].repos().iter().map(|repo| repo.name.to_string()).collect();
            bail!("repo {name} is not configured; there are {}", known.join(", "));
        }
        if branch.is_some_and(str::is_empty) {
            bail!("{text}: REPO@BRANCH wants a branch");
        }
        repos.push((repo, branch.map(str::to_owned)));
    }
    Ok(Asked {
        repos,
        branch: args.branch.clone(),
        toolchain_branches: args.toolchain_branch.clone(),
        class: if args.trial { Class::Try } else { Class::PostSubmit },
    })
}

fn show(cell: &Cell) {
    let with = cell.toolchain_branch.as_ref();
    println!(
        "{} {}{}",
        cell.repo,
        cell.branch,
        with.map_or(String::new(), |with| format!(" with toolchain {with}"))
    );
    for build in &cell.plan.builds {
        let hosts: Vec<_> = build.hosts.iter().map(ToString::to_string).collect();
        let (name, recipe) = (build.builder.full_name(), &build.recipe.name);
        println!("  build {name:32} on {:24} recipe {recipe}", hosts.join("|"));
    }
    for left in &cell.plan.left_out {
        println!("  not   {:32} {}", left.builder.full_name(), left.reason);
    }
    for note in &cell.notes {
        println!("  note  {note}");
    }
}

fn as_json(cell: &Cell) -> serde_json::Value {
    let builds: Vec<_> = (cell.plan.builds.iter())
        .map(|build| {
            let hosts: Vec<_> = build.hosts.iter().map(ToString::to_string).collect();
            json!({"builder": build.builder.full_name(), "hosts": hosts, "recipe": build.recipe.name.as_str()})
        })
        .collect();
    let left: Vec<_> = (cell.plan.left_out.iter())
        .map(|left| json!({"builder": left.builder.full_name(), "reason": left.reason}))
        .collect();
    json!({
        "repo": cell.repo.as_str(), "branch": cell.branch, "toolchain_branch": cell.toolchain_branch,
        "builds": builds, "left_out": left, "notes": cell.notes,
    })
}

fn differ(old: &Config, new: &Config, args: &Plan, asked: &Asked) -> Result<ExitCode> {
    let changes = diff_cells(old, new, asked);
    // Who asks for some branches only asks for nothing else.
    let lines = if asked.repos.is_empty() { diff_keys(old, new) } else { Vec::new() };
    if args.json {
        print_json(&json!({"lines": lines, "changes": changes}))?;
    } else if changes.is_empty() && lines.is_empty() {
        eprintln!("nothing that is planned from these files changes");
    } else {
        lines.iter().for_each(|line| println!("{line}"));
        changes.iter().for_each(|change| println!("{change}"));
    }
    Ok(ExitCode::SUCCESS)
}
