//! `watchflakes`: failures and the issues that collect them. What is posted is decided by the crate `gopherbot`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use dashboard::client::DashboardClient;
use github::{Client, Limits, Repo, SystemClock};
use gopherbot::watchflakes::{Config, Intent, Planned, plan};
use gopherbot::{issues, reading};
use secrecy::SecretString;
use transport::Service;

use super::client::{Remote, print_json};
use crate::args::Watchflakes;
use crate::terminal::plain;

/// Lines are cut to so many characters.
const WIDTH: usize = 500;
/// The variable that a token may be in.
const TOKEN: &str = "BELLWETHER_GITHUB_TOKEN";

pub async fn run(args: &Watchflakes) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let repo: Repo = args.github.parse().with_context(|| format!("--github {}", args.github))?;
    let client = client(args)?;
    let site = args.site.as_deref().unwrap_or(&remote.url).trim_end_matches('/').to_owned();
    let asked = reading::Asked { repos: args.repo.clone(), commits: args.commits, site: site.clone() };
    let dashboard = DashboardClient::new(remote.api.service().clone());
    let read = remote.hint(reading::failures(&dashboard, &asked).await)?;
    let all = issues::read(&client, &repo, &args.label).await.with_context(|| format!("issues of {repo}"))?;
    let config = Config {
        old_prefixes: args
            .old_site
            .iter()
            .map(|site| format!("{}/builds/", site.trim_end_matches('/')))
            .collect(),
        labels: vec![args.label.clone()],
        max_new: args.max_new as usize,
        ..Config::new(&format!("{site}/builds/"))
    };
    let planned = plan(&all, &read.builds, &config)?;
    eprintln!(
        "{} builds failed, and {} more that are left out, as their commit or builder is broken; {} issues collect failures",
        read.builds.len(),
        read.left_out,
        all.len()
    );
    match args.server.json {
        true => print_json(&planned)?,
        false => show(&planned),
    }
    if !args.post {
        eprintln!("nothing was posted: --post does that");
        return Ok(ExitCode::SUCCESS);
    }
    issues::post(&client, &repo, &planned, |done| eprintln!("{}", plain(done, WIDTH))).await.with_context(
        || format!("posting to {repo}: what was posted is found again, so do the same once more"),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn client(args: &Watchflakes) -> Result<Client> {
    let token = match &args.github_token_file {
        Some(file) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?)
        }
        None => std::env::var(TOKEN).ok(),
    };
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    if args.post && token.is_none() {
        bail!("--post needs a token that may write issues: give --github-token-file, or set {TOKEN}");
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
    Ok(Client::new(github::Options {
        service: Service::url(args.github_api.trim_end_matches('/')),
        token: token.map(SecretString::from),
        user_agent: format!("bellwether/{}", env!("CARGO_PKG_VERSION")),
        clock: Arc::new(SystemClock),
        seed: u64::from_le_bytes(seed),
        limits: Limits::default(),
    })?)
}

fn show(planned: &Planned) {
    for intent in &planned.intents {
        let (head, text) = match intent {
            Intent::NewIssue { title, body, comment, builds, .. } => {
                (format!("new issue: {title}, with {} builds", builds.len()), format!("{body}\n{comment}"))
            }
            Intent::Comment { issue, body, reopen, builds } => {
                let again = if *reopen { ", which is opened again" } else { "" };
                (format!("issue {issue}{again}: {} builds", builds.len()), body.clone())
            }
            Intent::Complain { issue, body } => {
                (format!("issue {issue}: its rules can't be used"), body.clone())
            }
            Intent::Skip { issue, build, failure } => (
                format!("nothing of failure {failure} of build {build}: issue {issue} says so"),
                String::new(),
            ),
        };
        println!("{}", plain(&head, WIDTH));
        text.lines().for_each(|line| println!("    {}", plain(line, WIDTH)));
    }
    planned.notes.iter().for_each(|note| println!("{}", plain(note, WIDTH)));
}
