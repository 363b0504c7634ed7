//! Results that the original's builders have posted: wiped, as the original's program does it, so that these build again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::flaky::is_flaky;
use crate::api::Client;
use crate::args::{Retrybuilds, Server};
use crate::command::client::{Remote, print_json};
use crate::terminal::plain;

/// What is tried again after a second, and so many times.
const TRANSIENT: &str = "datastore: concurrent transaction";
const TRIES: u32 = 10;
/// The largest list of failures that is read, and so much of a log.
const LIST: usize = 16 << 20;
const LOG: usize = 4 << 20;
/// Logs that are fetched at a time.
const AT_ONCE: usize = 8;

/// A failure in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Posted {
    pub(super) hash: String,
    pub(super) builder: String,
    /// What its log is called.
    pub(super) log: String,
}

/// Reads the list of failures; lines that have not three parts are none.
pub(super) async fn failures(api: &Client, dash: &str, branch: &str) -> Result<Vec<Posted>> {
    let path = format!("{dash}/?mode=failures&branch={}", transport::segment(branch));
    let body = api.fetch(&path).await?;
    let bytes = axum::body::to_bytes(body, LIST).await.context("reading the list of failures")?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<Posted> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let &[hash, builder, url] = &parts[..] else { return None };
    let log = url.rsplit_once("/log/")?.1;
    Some(Posted { hash: hash.to_owned(), builder: builder.to_owned(), log: log.to_owned() })
}

/// The key for a builder.
enum Key {
    Master(String),
    /// One key, whoever the builder is.
    One(String),
}

impl Key {
    fn of(args: &Retrybuilds) -> Result<Key> {
        let read = |file: &std::path::Path| {
            std::fs::read_to_string(file).with_context(|| format!("reading the key in {}", file.display()))
        };
        Ok(match (&args.masterkey, &args.key) {
            (Some(file), _) if args.sendmaster => Key::One(read(file)?.trim().to_owned()),
            (Some(file), _) => Key::Master(read(file)?.trim().to_owned()),
            (None, Some(file)) => Key::One(read(file)?.trim().to_owned()),
            (None, None) => {
                let home = std::env::var_os("HOME").context("name the master key's file with --masterkey")?;
                let file = std::path::Path::new(&home).join("keys/gobuilder-master.key");
                Key::Master(read(&file)?.trim().to_owned())
            }
        })
    }

    fn show(&self, builder: &str) -> String {
        match self {
            Key::Master(master) => dashboard::builder_key(master, builder),
            Key::One(key) => key.clone(),
        }
    }
}

/// Wipes what is asked for.
pub(super) async fn run(args: &Retrybuilds) -> Result<ExitCode> {
    let beyond = [&args.failure, &args.log, &args.test, &args.machine, &args.host, &args.repo, &args.outcome];
    if beyond.iter().any(|flag| flag.is_some()) {
        bail!(
            "of what was posted only --builder, --hash, --loghash, --redo-flaky and --branch can be asked for: \
             the rest is known of builds of this server alone, which are retried without keys"
        );
    }
    let (remote, dash) = match &args.builder_prefix {
        None => (Remote::new(&args.server)?, "/dash".to_owned()),
        Some(prefix) => {
            // What lies behind the authority belongs to the path.
            let at = prefix.find("://").map_or(0, |at| at + 3);
            let cut = prefix[at..].find('/').map_or(prefix.len(), |slash| at + slash);
            let server = Server { server: prefix[..cut].to_owned(), ..args.server.clone() };
            (Remote::new(&server)?, prefix[cut..].trim_end_matches('/').to_owned())
        }
    };
    let key = Key::of(args)?;
    let branch = args.branch.as_deref().unwrap_or("master");
    let wanted = wanted(args, &remote, &dash, branch).await?;
    if wanted.is_empty() {
        eprintln!("no posted failure is of this kind");
        return Ok(ExitCode::from(1));
    }
    if args.server.json {
        print_json(&serde_json::json!({"posted": wanted, "dry_run": args.dry_run}))?;
    } else {
        for one in &wanted {
            let hash = if one.hash.is_empty() { "all that is recent" } else { &one.hash };
            println!("{}  {}  {}", plain(hash, 64), plain(&one.builder, 64), plain(&one.log, 64));
        }
    }
    if args.dry_run || !super::may_go_on(args, wanted.len(), "results are wiped")? {
        return Ok(ExitCode::SUCCESS);
    }
    for one in &wanted {
        wipe(&remote.api, &dash, one, &key.show(&one.builder)).await?;
    }
    eprintln!("{} wiped", wanted.len());
    Ok(ExitCode::SUCCESS)
}

async fn wanted(args: &Retrybuilds, remote: &Remote, dash: &str, branch: &str) -> Result<Vec<Posted>> {
    let list = async || remote.hint_any(failures(&remote.api, dash, branch).await);
    let of_builder = |one: &Posted| args.builder.as_ref().is_none_or(|builder| *builder == one.builder);
    let mut found = match (&args.loghash, args.redo_flaky, &args.builder) {
        (Some(log), _, _) => {
            list().await?.into_iter().filter(|one| one.log.starts_with(&**log)).collect::<Vec<_>>()
        }
        (None, true, _) => {
            let logs = list().await?.into_iter().filter(of_builder);
            let one = |one: Posted| async move {
                let body = remote.api.fetch(&format!("{dash}/log/{}", transport::segment(&one.log))).await;
                let bytes = axum::body::to_bytes(remote.hint(body)?, LOG).await;
                // One that is longer is no flake of these kinds.
                let flaky = bytes.is_ok_and(|bytes| is_flaky(&String::from_utf8_lossy(&bytes)));
                anyhow::Ok(flaky.then_some(one))
            };
            let logs: Vec<_> = futures::stream::iter(logs.map(one)).buffer_unordered(AT_ONCE).collect().await;
            logs.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
        }
        (None, false, Some(builder)) => match &args.hash {
            None => {
                vec![Posted { hash: String::new(), builder: builder.clone(), log: String::new() }]
            }
            Some(hash) if hash.len() == 40 => {
                vec![Posted { hash: hash.clone(), builder: builder.clone(), log: String::new() }]
            }
            Some(hash) => list()
                .await?
                .into_iter()
                .filter(|one| of_builder(one) && one.hash.starts_with(&**hash))
                .collect(),
        },
        (None, false, None) => bail!("--builder, --loghash or --redo-flaky says which results are wiped"),
    };
    found.sort();
    found.dedup_by(|one, other| (&one.hash, &one.builder) == (&other.hash, &other.builder));
    Ok(found)
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Error", default)]
    error: String,
}

/// Wipes one result.
async fn wipe(api: &Client, dash: &str, one: &Posted, key: &str) -> Result<()> {
    let (builder, hash, key) =
        (transport::segment(&one.builder), transport::segment(&one.hash), transport::segment(key));
    let path = format!("{dash}/clear-results?builder={builder}&hash={hash}&key={key}");
    for _ in 0..TRIES {
        let answer: Envelope = api.post_form(&path).await.map_err(|error| {
            // The address has the key in it.
            anyhow::anyhow!(
                "wiping {} on {}: {}",
                one.hash,
                one.builder,
                error.to_string().replace(&key, "…")
            )
        })?;
        match answer.error.as_str() {
            "" => return Ok(()),
            TRANSIENT => tokio::time::sleep(Duration::from_secs(1)).await,
            error => bail!("wiping {} on {}: {}", one.hash, one.builder, plain(error, 300)),
        }
    }
    bail!("wiping {} on {}: the server was busy {TRIES} times", one.hash, one.builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_has_three_parts() {
        let read_one = read("1a2b linux-amd64 https://h/dash/log/99ff").unwrap();
        assert_eq!((&*read_one.hash, &*read_one.builder, &*read_one.log), ("1a2b", "linux-amd64", "99ff"));
        assert_eq!(read("a b"), None);
        assert_eq!(read("a b c d"), None);
        assert_eq!(read("a b https://h/elsewhere"), None);
    }
}
