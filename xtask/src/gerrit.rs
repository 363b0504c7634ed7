//! `cargo xtask gerrit`: a real Gerrit on loopback with projects, people and changes of every kind; with `--try`, a server that tries
//! changes of it.

mod tries;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::gerrit::{self, Gerrit};

use crate::setup;

/// Arguments of `cargo xtask gerrit`.
#[derive(clap::Args)]
pub struct Args {
    /// The site's folder, which is kept; a temporary one if none is given
    dir: Option<PathBuf>,
    /// So many changes at least
    #[arg(long, value_name = "N", default_value_t = 60)]
    changes: usize,
    /// What is done follows from it
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Leave the server running until Ctrl-C; its site is in DIR, since nobody is left then to remove another
    #[arg(long, requires = "dir")]
    keep: bool,
    /// Write what Gerrit's REST API says of each change
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Have changes tried by a server, each story from its vote to its end, and compare what is in the reviews then with what
    /// was written down before: `all`, or the names of some; what is made is in DIR
    #[arg(long = "try", value_name = "NAME", value_delimiter = ',', conflicts_with_all = ["keep", "json", "changes"])]
    tries: Vec<String>,
    /// The server's program for `--try`; the one that the tests run if none is given
    #[arg(long, value_name = "FILE", requires = "tries")]
    program: Option<PathBuf>,
}

/// Starts Gerrit, runs the script, holds what REST says against what was meant and prints a summary.
pub fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure("gerrit")?;
    let temporary = tempfile::Builder::new().prefix("bw-gerrit-").tempdir()?;
    let site = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    if !args.tries.is_empty() {
        return tries::run(&site, &args.tries, args.seed, args.program.as_deref());
    }
    let mut gerrit = Gerrit::start(&site)?;
    println!(
        "Gerrit {} (it says {:?}) at {}, site made in {:.1} s, started in {:.1} s, pid {}",
        setup::version("gerrit-acceptance-framework")?,
        gerrit.version()?,
        gerrit.url(),
        gerrit.init_time().as_secs_f64(),
        gerrit.start_time().as_secs_f64(),
        gerrit.pid().context("Gerrit runs")?,
    );
    let options = gerrit::Options { changes: args.changes, seed: args.seed };
    let made = gerrit::run(&gerrit, options, &mut |line| eprintln!("{line}"))?;
    let dump = gerrit::dump(&made.follower)?;
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&dump)? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    println!("{}, deleted {}, in {:.1} s", summary(&dump), made.deleted.len(), made.took.as_secs_f64());
    let differences = gerrit::differences(&dump, &made.changes);
    for line in &differences {
        println!("{line}");
    }
    println!("{} differences between what REST says and what was meant", differences.len());
    if args.keep {
        let (name, password) = gerrit::FOLLOWER_LOGIN;
        println!(
            "{} stays until Ctrl-C; {name} with the password {password} sees all changes, admin with secret may do all",
            gerrit.url()
        );
        gerrit.await_end()?;
    } else {
        gerrit.stop()?;
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Changes by status, patch sets, votes, messages.
fn summary(dump: &Value) -> String {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let changes = all(&dump["changes"]);
    let mut statuses = BTreeMap::new();
    let (mut patch_sets, mut votes, mut messages) = (0, 0, 0);
    for change in &changes {
        *statuses.entry(change["status"].as_str().unwrap_or("?")).or_insert(0) += 1;
        patch_sets += all(&change["patch_sets"]).len();
        messages += all(&change["messages"]).len();
        votes += change["votes"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, of)| of.as_object())
            .map(|of| of.len())
            .sum::<usize>();
    }
    let statuses: Vec<String> = statuses.iter().map(|(status, count)| format!("{count} {status}")).collect();
    format!(
        "{} changes ({}), {patch_sets} patch sets, {votes} votes, {messages} messages",
        changes.len(),
        statuses.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_summary_counts_what_is_there() {
        let change = |status: &str| json!({ "status": status, "patch_sets": [1, 2], "messages": [1], "votes": { "A": { "1": 1, "2": -1 }, "B": { "1": 1 } } });
        let dump = json!({ "changes": [change("NEW"), change("MERGED"), change("NEW")] });
        assert_eq!(super::summary(&dump), "3 changes (1 MERGED, 2 NEW), 6 patch sets, 9 votes, 3 messages");
    }
}
