//! The soak: commits come in all the time while server and workers die, pause and are stopped at random; and a server
//! that nobody harms for many builds. A plain run is short; `--long` takes minutes of each.
//!
//! `BELLWETHER_SOAK_SEED` repeats a run's choices, `BELLWETHER_SOAK_ROUNDS` sets its length.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{File, Kill, Server, kill, open_files, resident_bytes, threads, wait_for, workers};

use super::world::{LIMIT, World, seq};

/// What the server file and each commit's `bellwether.toml` name.
const BUILDERS: [&str; 2] = ["one", "two"];
/// Every so many rounds all that is due is waited for, so that a run stays bounded.
const DRAIN_EACH: u32 = 8;
/// Attempts after which a build without a living worker is given up (design §3).
const ATTEMPTS: usize = 3;
/// A long run ends after this, however many rounds it has made.
const LONG: Duration = Duration::from_secs(12 * 60);

/// A project whose commits are numbered; each tells its builders what to print and how to end.
struct Soak {
    world: World,
    /// Each commit's id; its place is its number.
    commits: Vec<String>,
}

impl Soak {
    fn new() -> Soak {
        let world = World::empty();
        let text = format!(
            "[environment.dev]\n\n[host.local]\ncapacity = 2\n\n[repo.tiny]\nurl = {:?}\nhorizon = 100000\n",
            world.repo.dir().display().to_string()
        );
        std::fs::write(world.path("server.toml"), text).unwrap();
        let mut soak = Soak { world, commits: Vec::new() };
        let mut recipes = String::new();
        for builder in BUILDERS {
            recipes.push_str(&format!(
                "[builder.{builder}]\nrecipe = \"{builder}\"\n\n[recipe.{builder}]\ntimeout = \"2m\"\n\
                 env = {{ MARKS = {:?}, NAME = \"{builder}\" }}\n\n\
                 [[recipe.{builder}.step]]\nname = \"first\"\nsnapshot = true\n\
                 run = 'n=$(cat number); echo \"$n $NAME first $WORKDIR\" >> $MARKS; echo \"commit $n\"; seq 1 500'\n\n\
                 [[recipe.{builder}.step]]\nname = \"second\"\n\
                 run = 'n=$(cat number); echo \"$n $NAME second $WORKDIR\" >> $MARKS; sleep 0.1; seq 501 900; exit $(cat exit)'\n\n",
                soak.world.marks_file().display().to_string(),
            ));
        }
        soak.commit(&[("bellwether.toml", File::Text(&recipes))]);
        soak
    }

    fn commit(&mut self, more: &[(&str, File<'_>)]) {
        let number = self.commits.len();
        let (number_text, exit) = (number.to_string(), u8::from(fails(number)).to_string());
        let mut files = vec![("number", File::Text(&number_text)), ("exit", File::Text(&exit))];
        files.extend_from_slice(more);
        let id = self.world.repo.commit(&format!("Number {number}"), &files).unwrap();
        self.commits.push(id);
    }

    /// Every build there is, once as many as there are cells are done and nothing is under way.
    fn drain(&self) -> Vec<Value> {
        let cells = self.commits.len() * BUILDERS.len();
        let limit = LIMIT + Duration::from_secs(cells as u64 / 4);
        let mut done = 0;
        wait_for("the builds", limit, || {
            let builds = self.builds();
            done = builds.iter().filter(|build| build["state"] == "done").count();
            Ok((done >= cells).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {done} of {cells}\n{}", self.last_words()));
        self.world.await_rest(LIMIT, |worker| worker["state"] == "idle");
        self.builds()
    }

    /// Of all builds what a list says; fewer while the server is away.
    fn builds(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut path = "/api/v1/builds?limit=1000".to_owned();
        while let Ok(list) = self.world.get(&path) {
            all.extend(list["builds"].as_array().into_iter().flatten().cloned());
            let Some(cursor) = list["next_cursor"].as_str() else { break };
            path = format!("/api/v1/builds?limit=1000&cursor={cursor}");
        }
        all
    }

    /// What the server says it does, the workers there are, and the end of what it printed.
    fn last_words(&self) -> String {
        let status = self.world.get("/api/v1/status").unwrap_or_default();
        let printed = self.world.printed();
        let lines: Vec<&str> = printed.lines().collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        format!("{status:#}\n{:#?}\n{last}", workers(&self.world.data()))
    }

    /// Everything that must hold in the end. Returns how many attempts there were beside each build's first.
    fn check(&self) -> usize {
        let builds = self.drain();
        let printed = self.world.printed();
        assert!(!printed.contains("panicked"), "{printed}");

        let cell = |build: &Value| -> (String, String) {
            let word = |key: &str| build[key].as_str().unwrap_or_default().to_owned();
            (word("revision"), word("builder"))
        };
        let found: Vec<_> = builds.iter().map(cell).collect();
        let once: BTreeSet<_> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "a cell was built twice: {found:#?}");
        assert_eq!(found.len(), self.commits.len() * BUILDERS.len(), "{found:#?}");

        let marks = self.world.marks();
        let mut runs: BTreeMap<&str, u32> = BTreeMap::new();
        for mark in &marks {
            *runs.entry(mark).or_default() += 1;
        }
        assert!(runs.values().all(|&times| times == 1), "a step ran twice on a worker: {runs:#?}");

        let mut more = 0;
        let mut seen = 0;
        for summary in &builds {
            let id = summary["id"].as_str().unwrap();
            let build = self.world.get(&format!("/api/v1/builds/{id}")).unwrap();
            let (revision, builder) = cell(summary);
            let number = self.commits.iter().position(|id| revision == format!("tiny@{id}"));
            let number = number.unwrap_or_else(|| panic!("not one of the commits: {build:#}"));
            let name = builder.rsplit(':').next().unwrap();
            more += build["attempts"].as_array().unwrap().len() - 1;
            seen += self.check_build(&build, number, name, &marks);
        }
        assert_eq!(seen, marks.len(), "a step ran of which no attempt tells");
        more
    }

    /// Checks one build; returns how many of the marks are its attempts'.
    fn check_build(&self, build: &Value, number: usize, name: &str, marks: &[String]) -> usize {
        let attempts = build["attempts"].as_array().unwrap();
        let (last, lost) = attempts.split_last().unwrap();
        let whole = format!("commit {number}\n{}", seq(1, 900));
        let on = |attempt: &Value| -> Vec<&str> {
            let begins = format!("{number} {name} ");
            let folder = format!("/workers/{}/", attempt["worker"].as_str().unwrap_or("none"));
            let of = |mark: &&String| mark.starts_with(&begins) && mark.contains(&folder);
            marks.iter().filter(of).filter_map(|mark| mark.split(' ').nth(2)).collect()
        };
        for attempt in lost {
            assert_eq!(attempt["outcome"], "infra_failed", "{build:#}");
            let path = format!("/api/v1/attempts/{}/log", attempt["id"].as_str().unwrap());
            // One that came to no step has none.
            let Ok(info) = self.world.get(&format!("{path}/info")) else { continue };
            assert_eq!(info["finished"], true, "{info:#}");
            let log = self.world.bytes(&path).unwrap();
            assert!(whole.starts_with(&log), "{attempt:#}: {log}");
        }
        if build["outcome"] == "infra_failed" {
            assert_eq!(attempts.len(), ATTEMPTS, "{build:#}");
            assert_eq!(build["cause"]["kind"], "worker_lost", "{build:#}");
        } else {
            let outcome = if fails(number) { "failed" } else { "ok" };
            assert_eq!(build["outcome"], outcome, "{build:#}\n{}", self.last_words());
            assert_eq!(last["outcome"], outcome, "{build:#}");
            assert_eq!(on(last), ["first", "second"], "{build:#}");
            let log = self.world.log(build);
            assert!(log == whole, "every byte once: {build:#}\n{log}");
        }
        attempts.iter().map(|attempt| on(attempt).len()).sum()
    }
}

/// Whether this commit's builds truly fail.
fn fails(number: usize) -> bool {
    number % 5 == 3
}

/// What befalls the system in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    Nothing,
    ServerDies,
    WorkerDies,
    AllDie,
    ServerIsStopped,
    ServerPauses,
    WorkerPauses,
}

const MISHAPS: [Mishap; 7] = [
    Mishap::Nothing,
    Mishap::ServerDies,
    Mishap::WorkerDies,
    Mishap::AllDie,
    Mishap::ServerIsStopped,
    Mishap::ServerPauses,
    Mishap::WorkerPauses,
];

/// Short pauses, each far below a lease's length.
const PAUSE: Duration = Duration::from_millis(300);

fn befall(soak: &mut Soak, mishap: Mishap, random: &mut fastrand::Rng) {
    let world = &mut soak.world;
    let any_worker = |world: &World, random: &mut fastrand::Rng| {
        let mut alive = workers(&world.data());
        (!alive.is_empty()).then(|| alive.swap_remove(random.usize(..alive.len())))
    };
    match mishap {
        Mishap::Nothing => {}
        Mishap::ServerDies => {
            world.server().crash().unwrap();
            world.launch(&[]);
        }
        Mishap::WorkerDies => {
            if let Some(worker) = any_worker(world, random) {
                worker.kill().unwrap();
            }
        }
        Mishap::AllDie => {
            world.server().crash().unwrap();
            for worker in workers(&world.data()) {
                worker.kill().unwrap();
            }
            world.launch(&[]);
        }
        Mishap::ServerIsStopped => {
            // Before it listens for the signal, that has the meaning which the test's own parent gave it.
            world.build_id();
            let stopped = world.server().interrupt();
            let status = stopped.unwrap_or_else(|error| panic!("{error:#}\n{}", soak.last_words()));
            let world = &mut soak.world;
            // 130 by its own hand, or of the signal while it was still starting.
            assert!(status.code().is_none_or(|code| code == 0 || code == 130), "{status}");
            world.launch(&[]);
        }
        Mishap::ServerPauses => {
            let pid = world.server().pid().unwrap();
            pause(pid);
        }
        Mishap::WorkerPauses => {
            if let Some(worker) = any_worker(world, random) {
                pause(worker.pid);
            }
        }
    }
}

fn pause(pid: u32) {
    if kill(pid, Kill::Pause).is_ok() {
        std::thread::park_timeout(PAUSE);
        // It may have been ended meanwhile.
        let _ = kill(pid, Kill::Resume);
    }
}

fn long() -> bool {
    std::env::var_os("BELLWETHER_TEST_LONG").is_some()
}

fn rounds(plain: u32, long_run: u32) -> u32 {
    let told = std::env::var("BELLWETHER_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok());
    told.unwrap_or(if long() { long_run } else { plain })
}

#[test]
fn commits_come_in_while_everything_dies_at_random() {
    let told = std::env::var("BELLWETHER_SOAK_SEED").ok().and_then(|text| text.parse().ok());
    let seed = told.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("BELLWETHER_SOAK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let begun = Instant::now();
    let mut soak = Soak::new();
    soak.world.launch(&[]);
    let mut met: BTreeMap<Mishap, u32> = BTreeMap::new();
    let mut made = 0;
    for round in 0..rounds(10, 1000) {
        if begun.elapsed() > LONG {
            break;
        }
        made += 1;
        for _ in 0..random.u32(1..=3) {
            soak.commit(&[]);
        }
        // Somewhere in the work; a wait that ends without it is as good a moment.
        let until = soak.world.marks().len() + random.usize(0..4);
        let _ = wait_for("a step", Duration::from_secs(2), || {
            Ok((soak.world.marks().len() >= until).then_some(()))
        });
        std::thread::park_timeout(Duration::from_millis(random.u64(0..150)));
        // Each once before any is drawn again: a plain run meets all of them.
        let mishap = MISHAPS.get(round as usize).copied();
        let mishap = mishap.unwrap_or_else(|| MISHAPS[random.usize(..MISHAPS.len())]);
        *met.entry(mishap).or_default() += 1;
        befall(&mut soak, mishap, &mut random);
        if round % DRAIN_EACH == DRAIN_EACH - 1 {
            soak.drain();
        }
    }
    let more = soak.check();
    eprintln!(
        "{} builds in {made} rounds, {more} attempts more; {met:?}; {:.0} s",
        soak.commits.len() * BUILDERS.len(),
        begun.elapsed().as_secs_f64()
    );
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: u64,
    files: usize,
    threads: usize,
}

fn held(server: &Server) -> Held {
    let pid = server.pid().unwrap();
    Held {
        bytes: resident_bytes(pid).unwrap(),
        files: open_files(pid).unwrap(),
        threads: threads(pid).unwrap(),
    }
}

#[test]
fn a_server_that_builds_on_and_on_holds_no_more_than_before() {
    let begun = Instant::now();
    let mut soak = Soak::new();
    soak.world.start();
    let rounds = rounds(4, 400).max(2);
    let mut taken: Vec<Held> = Vec::new();
    for _ in 0..rounds {
        if begun.elapsed() > LONG {
            break;
        }
        for _ in 0..5 {
            soak.commit(&[]);
        }
        soak.drain();
        taken.push(held(soak.world.server()));
    }
    assert_eq!(soak.check(), 0, "no attempt was lost");
    let (half, last) = (taken[taken.len() / 2], taken[taken.len() - 1]);
    eprintln!(
        "{} builds; at first {:?}, at half {half:?}, at last {last:?}; {:.0} s",
        soak.commits.len() * BUILDERS.len(),
        taken[0],
        begun.elapsed().as_secs_f64()
    );
    // Caches fill in the first half. An eighth and 8 MiB more are the allocator's.
    assert!(last.bytes < half.bytes + half.bytes / 8 + (8 << 20), "{taken:#?}");
    assert!(last.files <= half.files + 8, "{taken:#?}");
    assert!(last.threads <= half.threads + 4, "{taken:#?}");
}
