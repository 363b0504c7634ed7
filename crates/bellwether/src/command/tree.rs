//! `tree`: whether branches are open for changes.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use dashboard::api::{TreeDetail, TreeInfo, TreeRequest, TreeStatus};

use super::client::{Remote, print_json};
use crate::args::{OneTree, Server, SetTree, Tree};
use crate::terminal::plain;

/// Reasons and names are cut to so many characters.
const WIDTH: usize = 300;
/// The longest that something set by hand lasts.
const LONGEST: u64 = 366 * 24 * 3600;

pub async fn run(args: &Tree) -> Result<ExitCode> {
    match args {
        Tree::List(args) => list(args).await,
        Tree::Show(args) => {
            let (remote, repo, branch) = reach(args)?;
            said(args, &remote.hint(remote.api.get_tree(repo, branch).await)?)
        }
        Tree::Close(args) => set(args, TreeStatus::Closed).await,
        Tree::Throttle(args) => set(args, TreeStatus::Throttled).await,
        Tree::Open(args) => set(args, TreeStatus::Open).await,
        Tree::Release(args) => {
            let (remote, repo, branch) = reach(args)?;
            said(args, &remote.hint(remote.api.release_tree(repo, branch, None).await)?)
        }
    }
}

async fn list(args: &Server) -> Result<ExitCode> {
    let remote = Remote::new(args)?;
    let list = remote.hint(remote.api.list_trees().await)?;
    if args.json {
        print_json(&list.trees)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TREE", "STATUS", "SINCE", "BY", "REASON"]);
    for tree in &list.trees {
        table.add_row([
            plain(&format!("{}@{}", tree.repo, tree.branch), WIDTH),
            tree.status.to_string(),
            tree.since.map(|since| format!("{since:.0}")).unwrap_or_default(),
            by(tree.owner.as_deref()),
            plain(&tree.reason, WIDTH),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

async fn set(args: &SetTree, status: TreeStatus) -> Result<ExitCode> {
    let expires_in = match &args.lasts {
        Some(text) => Some(lasting(text).with_context(|| {
            format!("--for: {text} is not from 1s to 366d; write it as 90m, 2h or 1d, for example")
        })?),
        None => None,
    };
    let (remote, repo, branch) = reach(&args.which)?;
    let body = TreeRequest { status, reason: args.reason.clone(), expires_in };
    said(&args.which, &remote.hint(remote.api.set_tree(repo, branch, &body).await)?)
}

/// How many seconds a text says that something lasts.
fn lasting(text: &str) -> Option<u64> {
    buildenv::parse_duration(text)
        .map(|time| time.as_secs())
        .filter(|seconds| (1..=LONGEST).contains(seconds))
}

/// The server, the repository and the branch.
fn reach(args: &OneTree) -> Result<(Remote, &str, &str)> {
    let named = args.tree.split_once('@').filter(|(repo, branch)| !repo.is_empty() && !branch.is_empty());
    let (repo, branch) = named.with_context(|| format!("{}: name it as REPO@BRANCH", args.tree))?;
    Ok((Remote::new(&args.server)?, repo, branch))
}

fn by(owner: Option<&str>) -> String {
    owner.map_or_else(|| "the rules".to_owned(), |owner| plain(owner, WIDTH))
}

fn said(args: &OneTree, detail: &TreeDetail) -> Result<ExitCode> {
    if args.server.json {
        print_json(detail)?;
        return Ok(ExitCode::SUCCESS);
    }
    let TreeInfo { status, reason, owner, until, computed, computed_reason, red, .. } = &detail.info;
    println!(
        "{} is {status}, by {}: {}",
        plain(&args.tree, WIDTH),
        by(owner.as_deref()),
        plain(reason, WIDTH)
    );
    if let Some(until) = until {
        println!("  until {until:.0}");
    }
    if owner.is_some() {
        println!("  the rules would say: {computed}, {}", plain(computed_reason, WIDTH));
    }
    for red in red {
        let closes = if red.closes { ", which closes it" } else { "" };
        println!("  red: {} at {}{closes} (bellwether log {})", red.builder, red.commit, red.build);
    }
    for change in &detail.changes {
        let (owner, reason) = (by(change.owner.as_deref()), plain(&change.reason, WIDTH));
        println!("  {:.0}  {:9}  by {owner}: {reason}", change.time, change.status);
    }
    Ok(ExitCode::SUCCESS)
}
