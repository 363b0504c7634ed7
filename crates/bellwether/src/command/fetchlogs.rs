//! `fetchlogs`: the logs of what failed, as a tree of files that the original's tools know (spec/coordinator.md §6.2).

mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Remote, print_json};
use crate::args::Fetchlogs;
use crate::terminal::plain;
use tree::{Revision, Tree};

/// The largest page of the overview that is read.
const LARGEST_PAGE: usize = 64 << 20;

/// A page of the overview.
#[derive(Debug, Default, Deserialize)]
struct Page {
    #[serde(default)]
    builders: Option<Vec<String>>,
    #[serde(default)]
    revisions: Option<Vec<Value>>,
}

/// What came of it.
#[derive(Debug, Default, serde::Serialize)]
struct Done {
    dir: PathBuf,
    revisions: usize,
    fetched: usize,
    there: usize,
    bytes: u64,
    failed: Vec<String>,
}

pub async fn run(args: &Fetchlogs) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let tree = Tree::open(args.dir.clone().map_or_else(default_dir, Ok)?)?;
    let limits = Limits { largest: size("--largest", &args.largest)?, most: size("--most", &args.most)? };
    let done = mirror(&remote, args, &tree, &limits).await?;
    if args.server.json {
        print_json(&done)?;
    } else {
        println!(
            "{}: {} commits; {} logs fetched ({} bytes), {} were there",
            done.dir.display(),
            done.revisions,
            done.fetched,
            done.bytes,
            done.there
        );
    }
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

struct Limits {
    largest: u64,
    most: u64,
}

fn size(flag: &str, text: &str) -> Result<u64> {
    let read = buildenv::parse_size(text);
    read.with_context(|| format!("{flag}: {text}; write it as 64MiB or 20GiB, for example"))
}

/// Where the original keeps them.
fn default_dir() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(cache.context("set HOME, or name a folder with --dir")?.join("fetchlogs"))
}

/// Fetches page after page, until there are enough commits or no more.
async fn mirror(remote: &Remote, args: &Fetchlogs, tree: &Tree, limits: &Limits) -> Result<Done> {
    let mut done = Done { dir: tree.dir().to_owned(), ..Done::default() };
    let mut seen = std::collections::HashSet::new();
    for number in 0_u32.. {
        let page = page(remote, args, number).await?;
        let builders = page.builders.unwrap_or_default();
        let rows: Vec<Value> = page.revisions.unwrap_or_default();
        // A page that says nothing new is the last one, whatever the server thinks of pages.
        let mut new = Vec::new();
        for row in rows {
            let revision =
                Revision::read(row, &builders).context("the server's overview is not as it should be")?;
            if done.revisions + new.len() < args.count as usize && seen.insert(revision.name().to_owned()) {
                new.push(revision);
            }
        }
        if new.is_empty() {
            break;
        }
        fetch(remote, args, tree, limits, &new, &mut done).await?;
        for revision in &new {
            // Links come last: each leads to what is there.
            tree.write(revision, &builders)?;
            done.revisions += 1;
        }
        if !args.server.json {
            eprintln!("{} commits, {} logs fetched, {} were there", done.revisions, done.fetched, done.there);
        }
        if done.revisions >= args.count as usize {
            break;
        }
    }
    Ok(done)
}

async fn page(remote: &Remote, args: &Fetchlogs, number: u32) -> Result<Page> {
    let mut path = format!("/dash/?mode=json&page={number}");
    for (name, value) in [("repo", &args.repo), ("branch", &args.branch)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", transport::segment(value)));
        }
    }
    let body = remote.hint(remote.api.fetch(&path).await)?;
    let bytes = axum::body::to_bytes(body, LARGEST_PAGE).await.context("reading the overview")?;
    serde_json::from_slice(&bytes)
        .context("the server's overview is no JSON; is there a main repository ([dashboard] main)?")
}

/// Fetches the logs of some commits that are not there, several at a time.
async fn fetch(
    remote: &Remote,
    args: &Fetchlogs,
    tree: &Tree,
    limits: &Limits,
    revisions: &[Revision],
    done: &mut Done,
) -> Result<()> {
    let mut wanted: Vec<&str> = revisions.iter().flat_map(Revision::logs).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let all = wanted.len();
    wanted.retain(|log| !tree.has(log));
    done.there += all - wanted.len();
    let one = |log| async move { (log, of_log(remote, tree, limits, log).await) };
    let mut fetching =
        futures::stream::iter(wanted.into_iter().map(one)).buffer_unordered(args.jobs as usize);
    while let Some((log, fetched)) = fetching.next().await {
        match fetched {
            Ok(bytes) => {
                done.fetched += 1;
                done.bytes += bytes;
            }
            Err(error) => {
                eprintln!("log {}: {}", plain(log, 64), crate::terminal::causes(&error));
                done.failed.push(log.to_owned());
            }
        }
        if done.bytes > limits.most {
            bail!(
                "more than {} bytes are fetched (--most); what is fetched stays, and the next run goes on",
                limits.most
            );
        }
    }
    Ok(())
}

/// Fetches one log, and says how long it is.
async fn of_log(remote: &Remote, tree: &Tree, limits: &Limits, log: &str) -> Result<u64> {
    let body: Body =
        remote.hint(remote.api.fetch(&format!("/dash/log/{}", transport::segment(log))).await)?;
    let mut file = tree.begin(log)?;
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.context("it broke off")?;
        bytes += piece.len() as u64;
        if bytes > limits.largest {
            bail!("it is longer than {} bytes (--largest)", limits.largest);
        }
        file.write(&piece)?;
    }
    file.keep()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::{Path, RawQuery};
    use axum::routing::get;
    use clap::Parser as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use transport::Service;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Fetchlogs,
    }

    /// Two pages of commits; a log that is broken while `broken` is not 0.
    fn server(broken: &Arc<AtomicU32>, asked: &Arc<AtomicU32>) -> Remote {
        let overview = |RawQuery(query): RawQuery| async move {
            let row = |n: u32, results: [&str; 3]| serde_json::json!({"repo": "go", "revision": format!("{n}{}", "0".repeat(39)), "date": "2026-01-31T12:00:00Z", "results": results});
            let rows = match query.unwrap().split("page=").nth(1) {
                Some("0") => vec![
                    row(3, ["ok", "https://elsewhere/dash/log/aaaa", "https://x/log/cccc"]),
                    row(2, ["", "http://x/log/bbbb", "ok"]),
                ],
                Some("1") => vec![row(1, ["https://elsewhere/dash/log/aaaa", "https://x/dash/log/..", "ok"])],
                _ => Vec::new(),
            };
            axum::Json(serde_json::json!({"builders": ["linux", "mac", "../evil"], "revisions": rows}))
        };
        let (broken, asked) = (Arc::clone(broken), Arc::clone(asked));
        let log = move |Path(name): Path<String>| async move {
            asked.fetch_add(1, Ordering::Relaxed);
            match name.as_str() {
                "bbbb" if broken.load(Ordering::Relaxed) > 0 => Err(http::StatusCode::NOT_FOUND),
                name => Ok(format!("log {name}\n")),
            }
        };
        let router = Router::new().route("/dash/", get(overview)).route("/dash/log/{name}", get(log));
        Remote::of(Service::in_process(router), "http://x")
    }

    #[tokio::test]
    async fn a_run_goes_on_where_the_one_before_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (broken, asked) = (Arc::new(AtomicU32::new(1)), Arc::default());
        let remote = server(&broken, &asked);
        let args = Line::parse_from(["x", "--dir", dir.path().to_str().unwrap()]).args;
        let tree = Tree::open(dir.path().to_owned()).unwrap();
        let limits = Limits { largest: 100, most: 1000 };
        let done = mirror(&remote, &args, &tree, &limits).await.unwrap();
        assert_eq!((done.revisions, done.fetched, &done.failed[..]), (3, 1, &["bbbb".to_owned()][..]));
        let rev = dir.path().join("rev/2026-01-31T12:00:00-1000000");
        assert!(rev.join(".rev.json").is_file() && rev.join(".builders.json").is_file());
        let log = std::fs::read_to_string(rev.join("linux")).unwrap();
        assert_eq!(log, "log aaaa\n");
        // Names from outside are no way out of the tree, and what broke off is not called a log.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(!dir.path().join("log/bbbb").exists());
        broken.store(0, Ordering::Relaxed);
        let before = asked.load(Ordering::Relaxed);
        let done = mirror(&remote, &args, &tree, &limits).await.unwrap();
        assert_eq!((done.fetched, done.there, done.failed.len()), (1, 2, 0));
        assert_eq!(asked.load(Ordering::Relaxed), before + 1);
        let few = Limits { largest: 3, most: 1000 };
        std::fs::remove_file(dir.path().join("log/aaaa")).unwrap();
        assert_eq!(mirror(&remote, &args, &tree, &few).await.unwrap().failed, ["aaaa", "aaaa"]);
        let much = Limits { largest: 100, most: 3 };
        assert!(mirror(&remote, &args, &tree, &much).await.unwrap_err().to_string().contains("--most"));
    }
}
