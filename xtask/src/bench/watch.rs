//! Builds while many have the grid open, and what each of them costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::{Watchers, allow_open_files, cpu_time, open_files, resident_bytes, wait_for};

use super::Args;
use super::site::Site;
use super::table::{Budget, Table};

const EVENTS: &str = "/grid/events";
const BUILDS: usize = 40;
/// A change must have reached all watchers by then.
const LIMIT: Duration = Duration::from_secs(60);
/// Files beside the connections'.
const OTHER_FILES: u64 = 500;
/// Connections beside the watchers'.
const OTHERS: usize = 1000;
/// Watchers of a long log that never read.
const SLOW: usize = 500;

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

pub(super) fn section(args: &Args) -> Result<String> {
    // The server may take three quarters of them for connections; others than the watchers' are wanted too.
    let (connections, wanted) =
        (args.watchers + OTHERS, (args.watchers + OTHERS) as u64 * 4 / 3 + OTHER_FILES);
    let files = allow_open_files(wanted);
    ensure!(
        files >= wanted,
        "{files} open files are allowed here: try --watchers {}, or raise `ulimit -Hn`",
        (files.saturating_sub(OTHER_FILES) * 3 / 4).saturating_sub(OTHERS as u64)
    );
    let dir = tempfile::Builder::new().prefix("bw-watch-").tempdir()?;
    let unlimited = format!(
        "[environment.bench]\nconnections = {connections}\n\
         [access]\nstrangers_per_second = 1000000\nstrangers_burst = 1000000\n"
    );
    let mut site = Site::start(args, dir.path(), BUILDS * 3 + 20, &unlimited)?;
    let pid = site.pid()?;
    let at = site.server.address();
    let (long, _) = site.build("long")?;
    let cpu_of = |site: &mut Site| -> Result<_> {
        let before = cpu_time(pid)?;
        let times = site.builds(BUILDS)?;
        Ok((times, (cpu_time(pid)? - before).as_secs_f64() * 1e3 / BUILDS as f64))
    };
    let (quiet, quiet_cpu) = cpu_of(&mut site)?;
    let (memory, descriptors) = (resident_bytes(pid)?, open_files(pid)?);

    let began = Instant::now();
    let mut watchers = Watchers::open(at, EVENTS, None, args.watchers)?;
    let opened = began.elapsed();
    let each = (resident_bytes(pid)?.saturating_sub(memory)) as f64 / args.watchers as f64 / 1024.0;
    eprintln!("{} watchers in {:.1} s, {each:.1} KiB each", args.watchers, opened.as_secs_f64());

    // How long a change takes to reach the last of them.
    let mut latest = Vec::new();
    for _ in 0..5 {
        let id = site.submit("trivial")?;
        let began = Instant::now();
        let heard = watchers.heard().to_vec();
        let all = watchers.listen(LIMIT, |now| now.iter().zip(&heard).all(|(now, before)| now > before))?;
        ensure!(all, "a change did not reach all watchers in {} s", LIMIT.as_secs());
        latest.push(began.elapsed().as_secs_f64() * 1e3);
        site.await_end(&id)?;
        // What is left of this build's changes is not the next one's.
        watchers.listen(Duration::from_secs(2), |_| false)?;
    }
    latest.sort_by(f64::total_cmp);

    let stop = std::sync::atomic::AtomicBool::new(false);
    let (watched, watched_cpu, events) = std::thread::scope(|scope| -> Result<_> {
        let before: usize = watchers.heard().iter().sum();
        let (watchers, stop) = (&mut watchers, &stop);
        let listening = scope.spawn(move || {
            let done = watchers
                .listen(Duration::from_secs(600), |_| stop.load(std::sync::atomic::Ordering::Relaxed));
            done.map(|_| watchers.heard().iter().sum::<usize>())
        });
        let built = cpu_of(&mut site);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let after = listening.join().map_err(|_| anyhow::anyhow!("the watchers panicked"))??;
        let (times, cpu) = built?;
        Ok((times, cpu, after - before))
    })?;
    ensure!(watchers.ended() == 0, "{} watchers were ended", watchers.ended());
    let held = resident_bytes(pid)?;
    drop(watchers);
    wait_for("the end of their connections", LIMIT, || {
        Ok((open_files(pid)? <= descriptors + 8).then_some(()))
    })?;
    let left = resident_bytes(pid)?;

    let before_slow = resident_bytes(pid)?;
    let slow = Watchers::open(at, &format!("/api/v1/builds/{long}/log/events"), None, SLOW)
        .context("watchers of a long log")?;
    // Each gets what its connection takes, and then waits for ever.
    let (mut most, began) = (0, Instant::now());
    while began.elapsed() < Duration::from_secs(5) {
        most = most.max(resident_bytes(pid)?);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let slow_each = most.saturating_sub(before_slow) as f64 / SLOW as f64 / 1024.0;
    drop(slow);

    let mut table = Table::new("nobody watches", &format!("{} watch", args.watchers));
    table.row("queued → leased, p50", "ms", quiet.dispatch(50), watched.dispatch(50), Budget::None);
    table.row("queued → leased, p95", "ms", quiet.dispatch(95), watched.dispatch(95), Budget::None);
    table.row("submit → done, p50", "ms", quiet.done(50), watched.done(50), Budget::None);
    table.row("server CPU per build", "ms", quiet_cpu, watched_cpu, Budget::None);
    table.row("memory", "MiB", mib(memory), mib(held), Budget::None);
    Ok(format!(
        "{} strangers have `{EVENTS}` open and read what comes, while {BUILDS} builds are asked for one after another.\n\n{}\n\
         A watcher holds {each:.1} KiB of the server's memory; {} opened in {:.1} s. A change reached the last of them after {:.0} ms (p50 \
         of 5; changes within 200 ms are one); they heard {:.1} events each of {BUILDS} builds. Once they were gone, the server held {:.1} MiB \
         and no more files than before. {SLOW} watchers of a log of 20 MB who never read hold {slow_each:.1} KiB each.\n",
        args.watchers,
        table.finish(),
        args.watchers,
        opened.as_secs_f64(),
        latest[latest.len() / 2],
        events as f64 / args.watchers as f64,
        mib(left),
    ))
}
