//! `cargo xtask pages`: the real pages in a real browser. It starts `bellwether up --demo`, has Chromium open each page
//! at several widths, in both themes, with and without scripts, takes a screenshot of each, and counts what axe-core,
//! the console and the edge of a small screen have to say. What it found decides the exit code.

mod list;
mod servers;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use testkit::{Kill, kill};

use crate::{metadata, process, setup};
use list::Page;
use servers::Site;

/// The time until a server answers, and in which it ends.
const LIMIT: Duration = Duration::from_secs(60);
/// The time that all looking may take.
const ALL: Duration = Duration::from_secs(15 * 60);

/// Arguments of `cargo xtask pages`.
#[derive(clap::Args)]
pub struct Args {
    /// Where screenshots go
    #[arg(long, value_name = "DIR", default_value = "target/pages")]
    out: PathBuf,
    /// Looks at a server that runs already instead of a demonstration
    #[arg(long, value_name = "ADDR")]
    server: Option<SocketAddr>,
    /// Only pages whose name contains a word
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Only one look of each page: 1280 wide, light, with scripts
    #[arg(long)]
    quick: bool,
    /// What a change must pass: the pages that differ most, 2 widths, both themes, with and without scripts
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    ci: bool,
    /// With --server: the file with a token of that server, for the pages that are not for everybody
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Told<'a> {
    modules: &'a Path,
    /// Where somebody signs in first, by the server.
    links: BTreeMap<String, String>,
    out: PathBuf,
    browser: &'a str,
    pages: Vec<Page>,
    looks: Vec<Look>,
}

#[derive(Serialize, Clone, Copy)]
struct Look {
    width: u32,
    theme: &'static str,
    scripts: bool,
    motion: bool,
}

#[derive(Deserialize)]
struct Found {
    name: String,
    path: String,
    errors: Vec<String>,
    violations: Vec<Violation>,
    overflow: i64,
}

#[derive(Deserialize)]
struct Violation {
    rule: String,
    what: String,
    r#where: Vec<String>,
    times: usize,
}

/// Looks at every page.
pub fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure("pages")?;
    let modules = tempfile::tempdir()?;
    for package in ["playwright-core", "axe-core"] {
        unpack(&setup::path(package)?, &modules.path().join("node_modules").join(package))?;
    }
    let sites = match args.server {
        Some(address) => vec![Site::known(address, args.token_file.as_deref())?],
        None => vec![Site::demonstration()?, Site::at_work()?],
    };
    let mut pages = Vec::new();
    let mut links = BTreeMap::new();
    for site in &sites {
        pages.extend(list::pages(site)?);
        // A browser's cookies are of a host, whatever the port: it is signed in at one of them.
        if links.is_empty() {
            links.extend(site.login_link()?.map(|path| (site.base(), format!("{}{path}", site.base()))));
        }
    }
    if args.ci {
        pages.retain(|page| list::CI.contains(&page.name));
    }
    if let Some(word) = &args.only {
        pages.retain(|page| page.name.contains(word.as_str()));
    }
    let told = Told {
        modules: modules.path(),
        links,
        out: std::path::absolute(&args.out)?,
        browser: "/usr/bin/chromium",
        pages,
        looks: looks(args),
    };
    let found = look(&told)?;
    let (said, wrong) = report(&found);
    print!("{said}");
    println!("screenshots are in {}", told.out.display());
    drop(sites);
    let whole = found.len() == told.pages.len() * told.looks.len();
    if !whole {
        println!("looked {} times instead of {}", found.len(), told.pages.len() * told.looks.len());
    }
    println!("pages {}, violations {}, console errors {}", told.pages.len(), wrong.violations, wrong.errors);
    let good = whole && wrong.violations + wrong.errors + wrong.overflows == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every width with every theme, with and without scripts; what is very wide, and without motion, only with scripts.
fn looks(args: &Args) -> Vec<Look> {
    let usual = Look { width: 1280, theme: "light", scripts: true, motion: true };
    if args.quick {
        return vec![usual];
    }
    let mut looks = Vec::new();
    for width in [360, 1280] {
        for theme in ["light", "dark"] {
            looks.extend([true, false].map(|scripts| Look { width, theme, scripts, motion: true }));
        }
    }
    if args.ci {
        return looks;
    }
    looks.push(Look { width: 2560, ..usual });
    looks.push(Look { width: 2560, theme: "dark", ..usual });
    looks.push(Look { motion: false, ..usual });
    looks
}

/// A package of npm as its registry sends it: a tar with everything in `package/`.
fn unpack(archive: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(to).arg("--strip-components=1");
    process::output(&mut tar, LIMIT).map(|_| ())
}

fn look(told: &Told<'_>) -> Result<Vec<Found>> {
    let mut node = Command::new("node")
        .arg(metadata::root().join("xtask/pages/look.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("starting node")?;
    let watched = node.id();
    let (done, over) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if over.recv_timeout(ALL).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("not done after {} s", ALL.as_secs());
            let _ = kill(watched, Kill::Crash);
        }
    });
    if let Some(mut input) = node.stdin.take() {
        input.write_all(&serde_json::to_vec(told)?)?;
    }
    let mut found = Vec::new();
    for line in BufReader::new(node.stdout.take().context("node's output")?).lines() {
        let one: Found = serde_json::from_str(&line?).context("what node says")?;
        eprintln!("{}", one.name);
        found.push(one);
    }
    let status = node.wait()?;
    drop(done);
    let _ = watch.join();
    if !status.success() {
        bail!("looking at pages: {status}");
    }
    Ok(found)
}

#[derive(Default)]
struct Wrong {
    violations: usize,
    errors: usize,
    overflows: usize,
}

/// Says each thing once, with how often it was seen.
fn report(found: &[Found]) -> (String, Wrong) {
    let mut said: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut wrong = Wrong::default();
    for one in found {
        let mut say =
            |what: String| said.entry(what).or_insert((0, format!("{} {}", one.name, one.path))).0 += 1;
        for violation in &one.violations {
            wrong.violations += violation.times;
            let places = violation.r#where.join("\n    ");
            say(format!("{}: {} ({})\n    {places}", violation.rule, violation.what, violation.times));
        }
        for error in &one.errors {
            wrong.errors += 1;
            say(format!("console: {error}"));
        }
        if one.overflow > 0 {
            wrong.overflows += 1;
            say(format!("overflow: the page is {} px wider than the window", one.overflow));
        }
    }
    let lines =
        said.iter().map(|(what, (times, place))| format!("{what}\n  {times} times, first on {place}\n"));
    (lines.collect(), wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_is_seen_in_both_themes_with_and_without_scripts() {
        let args =
            |ci| Args { out: PathBuf::new(), server: None, only: None, quick: false, ci, token_file: None };
        let (looks, of_ci) = (looks(&args(false)), looks(&args(true)));
        assert_eq!(of_ci.len(), 8);
        for width in [360, 1280] {
            for theme in ["light", "dark"] {
                for scripts in [true, false] {
                    assert!(
                        looks
                            .iter()
                            .any(|look| (look.width, look.theme, look.scripts) == (width, theme, scripts))
                    );
                }
            }
        }
        assert!(looks.iter().any(|look| !look.motion));
    }

    #[test]
    fn what_is_wrong_is_said_once_and_counted_each_time() {
        let one = |name: &str| Found {
            name: name.into(),
            path: "/".into(),
            errors: vec!["boom".into()],
            violations: Vec::new(),
            overflow: 0,
        };
        let (said, wrong) = report(&[one("a"), one("b")]);
        assert_eq!(wrong.errors, 2);
        assert_eq!(said, "console: boom\n  2 times, first on a /\n");
    }
}
