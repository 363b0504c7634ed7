//! What the server holds while it builds on and on: memory, files and threads over many builds, beside the database's size.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::{File, GitRepo, Server, cpu_time, open_files, resident_bytes, threads, wait_for};

use super::Args;
use super::ended::Ended;

const REPO: &str = "month";
const BUILDERS: usize = 20;
/// Commits that come at once.
const COMMITS: usize = 50;
/// A batch must be built by then.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Samples that the document shows.
const SHOWN: usize = 10;

/// What a server holds after so many builds.
#[derive(Debug, Clone, Copy)]
struct Held {
    builds: usize,
    bytes: u64,
    files: usize,
    threads: usize,
    database: u64,
    /// CPU of the server since the sample before, ms a build.
    cpu: f64,
}

pub(super) fn section(args: &Args) -> Result<String> {
    let program = args.server(&[])?;
    let dir = tempfile::Builder::new().prefix("bw-month-").tempdir()?;
    let mut repo = GitRepo::create(&dir.path().join("repo"))?;
    repo.commit("The first", &[("README", File::Text("A month of builds.\n"))])?;
    let url = toml::Value::from(repo.dir().to_string_lossy().as_ref()).to_string();
    let mut text = format!(
        "[repo.{REPO}]\nurl = {url}\nhorizon = {}\n\n[host.one]\npool = \"local\"\ncapacity = 4\n\n\
         [recipe.count]\nrun = \"seq 1 100\"\ntimeout = \"5m\"\n",
        COMMITS * 2
    );
    for n in 0..BUILDERS {
        text.push_str(&format!(
            "\n[builder.b{n}]\nhost = \"one\"\nrecipe = \"count\"\nrepos = [\"{REPO}\"]\n"
        ));
    }
    let server = Server::configured(program, dir.path(), &text)?;
    let _workers = Ended(server.data());
    let pid = server.pid().context("the server is not running")?;
    let began = Instant::now();
    let (mut samples, mut builds) = (Vec::<Held>::new(), BUILDERS);
    await_builds(&server, builds)?;
    while builds < args.month {
        let before = cpu_time(pid)?;
        repo.commit_many(COMMITS)?;
        builds += COMMITS * BUILDERS;
        await_builds(&server, builds)?;
        let cpu = (cpu_time(pid)? - before).as_secs_f64() * 1e3 / (COMMITS * BUILDERS) as f64;
        let held = Held {
            builds,
            bytes: resident_bytes(pid)?,
            files: open_files(pid)?,
            threads: threads(pid)?,
            database: database(server.data())?,
            cpu,
        };
        eprintln!("{held:?}, {:.0} s", began.elapsed().as_secs_f64());
        samples.push(held);
    }
    ensure!(samples.len() > 1, "--month of at least {} builds", COMMITS * BUILDERS * 2);
    Ok(shown(&samples, began.elapsed()))
}

fn shown(samples: &[Held], took: Duration) -> String {
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let mut text = format!(
        "{COMMITS} commits at a time on {BUILDERS} builders, 4 workers, SQLite; {:.0} min altogether.\n\n\
         | builds | memory | files | threads | database | server CPU a build |\n|---|---|---|---|---|---|\n",
        took.as_secs_f64() / 60.0
    );
    let last = samples.len() - 1;
    let mut chosen: Vec<usize> = (0..SHOWN).map(|n| last * n / (SHOWN - 1)).collect();
    chosen.dedup();
    for held in chosen.into_iter().filter_map(|at| samples.get(at)) {
        text.push_str(&format!(
            "| {} | {:.1} MiB | {} | {} | {:.0} MiB | {:.2} ms |\n",
            held.builds,
            mib(held.bytes),
            held.files,
            held.threads,
            mib(held.database),
            held.cpu
        ));
    }
    // From the middle on: caches are full by then.
    let (half, end) = (samples[last / 2], samples[last]);
    let thousands = (end.builds - half.builds).max(1) as f64 / 1000.0;
    text.push_str(&format!(
        "\nIn the second half memory grew by {:.1} KiB a thousand builds, the database by {:.2} MiB.\n",
        (end.bytes as f64 - half.bytes as f64) / 1024.0 / thousands,
        (mib(end.database) - mib(half.database)) / thousands
    ));
    text
}

/// Waits until so many builds are done, by the server's own count.
fn await_builds(server: &Server, count: usize) -> Result<()> {
    let mut done = 0;
    let mut next = Instant::now();
    wait_for("the builds", LIMIT, || {
        // Asking is not what is measured.
        if Instant::now() < next {
            return Ok(None);
        }
        next = Instant::now() + Duration::from_millis(500);
        let answer = server.request("GET", "/metrics", None, None)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let counted = text.lines().filter(|line| line.starts_with("bellwether_builds_total"));
        done = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
        Ok((done >= count).then_some(()))
    })
    .with_context(|| format!("{done} of {count} builds"))
    .with_context(|| server.printed().lines().rev().take(10).collect::<Vec<_>>().join("\n"))
}

/// Bytes of SQLite's files.
fn database(data: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".db") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_growth_is_that_of_the_second_half() {
        let held = |n: usize| Held {
            builds: n * 1000,
            bytes: (40 << 20) + if n < 3 { n as u64 * (4 << 20) } else { (12 << 20) + n as u64 * 1024 },
            files: 30,
            threads: 12,
            database: n as u64 * (2 << 20),
            cpu: 5.0,
        };
        let samples: Vec<_> = (1..=9).map(held).collect();
        let text = shown(&samples, Duration::from_secs(60));
        assert!(text.contains("by 1.0 KiB a thousand builds, the database by 2.00 MiB"), "{text}");
        assert!(text.contains("| 9000 | 52.0 MiB | 30 | 12 | 18 MiB | 5.00 ms |"), "{text}");
    }
}
