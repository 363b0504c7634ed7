//! How long the server takes to come up on a database with many finished builds, and what it holds then.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use testkit::{
    File, GitRepo, Postgres, Server, ServerOptions, cpu_time, kill, resident_bytes, wait_for, workers,
};

use super::Args;
use super::history;
use super::table::{Budget, Table};
use crate::process;

const REPO: &str = "many";
const BUILDERS: usize = 10;
/// The first start fetches the whole repository.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks whether it is ready.
const LOOK: Duration = Duration::from_millis(1);
/// A backup or a restore of many rows.
const COPY_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The best of some starts.
#[derive(Debug, Clone, Copy)]
struct Figures {
    ready_ms: f64,
    ready_cpu_ms: f64,
    dispatch_ms: f64,
    bytes: f64,
}

impl Figures {
    fn least(self, other: Self) -> Self {
        Self {
            ready_ms: self.ready_ms.min(other.ready_ms),
            ready_cpu_ms: self.ready_cpu_ms.min(other.ready_cpu_ms),
            dispatch_ms: self.dispatch_ms.min(other.dispatch_ms),
            bytes: self.bytes.min(other.bytes),
        }
    }
}

pub(super) fn section(args: &Args) -> Result<String> {
    let program = args.server(&["--features", "full"])?;
    let dir = tempfile::Builder::new().prefix("bw-start-").tempdir()?;
    let postgres = if args.sqlite_only { None } else { Some(Postgres::start()?) };
    let few = (args.finished / 100).max(BUILDERS * 2);
    let worlds = [few, args.finished.max(few)].map(|builds| {
        let place = dir.path().join(builds.to_string());
        World::make(&program, &place, builds).with_context(|| format!("a world of {builds} builds"))
    });
    let [small, large] = worlds;
    let (mut small, mut large) = (small?, large?);
    let mut text = format!(
        "The release binary of all features, on a database restored from a backup with so many finished builds (of one repository, {BUILDERS} \
         builders), all rows as a server writes them. Each start finds one new commit; the mirror is there. The least of {} starts, those \
         of both worlds in turn; memory after the new commit's builds. A stop of the server lies between. The budget is the grid's: \
         twice for a hundred times as much.\n\n",
        args.starts
    );
    let mut databases = vec![("SQLite", None)];
    if let Some(postgres) = &postgres {
        databases.push(("PostgreSQL", Some(postgres)));
    } else {
        text.push_str("PostgreSQL: not run.\n\n");
    }
    for (name, postgres) in databases {
        let mut best: [Option<Figures>; 2] = [None, None];
        let mut rows = [0.0; 2];
        for (world, restored) in [&mut small, &mut large].into_iter().zip(&mut rows) {
            let database = match postgres {
                Some(postgres) => Some(postgres.create_database(&format!("b{}", world.builds))?),
                None => None,
            };
            *restored = world.restore(name, database.as_deref())?;
            // The first start makes the mirror and counts for nothing.
            world.start()?;
        }
        for _ in 0..args.starts.max(1) {
            for (world, best) in [&mut small, &mut large].into_iter().zip(&mut best) {
                let now = world.start()?;
                eprintln!("{name}, {} builds: {now:?}", world.builds);
                *best = Some(best.map_or(now, |best| best.least(now)));
            }
        }
        let [Some(few), Some(many)] = best else { bail!("no starts") };
        let mut table =
            Table::new(&format!("{} builds on {name}", small.builds), &format!("{} builds", large.builds));
        table.row("from start to `/readyz`", "ms", few.ready_ms, many.ready_ms, Budget::Times(2.0));
        table.row("… CPU until then", "ms", few.ready_cpu_ms, many.ready_cpu_ms, Budget::None);
        table.row(
            "from start to the first dispatch",
            "ms",
            few.dispatch_ms,
            many.dispatch_ms,
            Budget::Times(2.0),
        );
        let mib = 1024.0 * 1024.0;
        table.row("memory", "MiB", few.bytes / mib, many.bytes / mib, Budget::Times(2.0));
        table.row("restoring the backup", "s", rows[0], rows[1], Budget::None);
        text.push_str(&table.finish());
        text.push('\n');
    }
    Ok(text)
}

/// A repository, and a backup of a server that has built all of it.
struct World {
    program: PathBuf,
    dir: PathBuf,
    repo: GitRepo,
    backup: PathBuf,
    builds: usize,
    data: PathBuf,
    config: PathBuf,
}

impl World {
    fn make(program: &Path, dir: &Path, builds: usize) -> Result<Self> {
        let mut repo = GitRepo::create(&dir.join("repo"))?;
        repo.commit("The first", &[("README", File::Text("Many commits, many builds.\n"))])?;
        // One more than have builds: the oldest has no parent.
        let line = repo.commit_many(builds.div_ceil(BUILDERS))?;
        let mut world = Self {
            program: program.to_path_buf(),
            dir: dir.to_path_buf(),
            repo,
            backup: dir.join("backup"),
            builds: 0,
            data: dir.join("short"),
            config: dir.join("short.toml"),
        };
        world.configure(None)?;
        let mut server = world.launch()?;
        world.await_builds(&server, BUILDERS)?;
        let mut tried = 0;
        // The last of what belongs to a build is written a moment after its end.
        let short = wait_for("a moment at which nothing is under way", LIMIT, || {
            tried += 1;
            let short = dir.join(format!("short-backup-{tried}"));
            world.tool("backup", &short)?;
            Ok(history::settled(&short)?.then_some(short))
        })?;
        stop(&mut server)?;
        world.builds = history::enlarge(&short, &world.backup, &line)?;
        Ok(world)
    }

    fn configure(&self, database: Option<&str>) -> Result<()> {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut text = String::from("[environment.dev]\n");
        if let Some(database) = database {
            text.push_str(&format!("database = {}\n", quoted(database)));
        }
        text.push_str(&format!(
            "\n[repo.{REPO}]\nurl = {}\nhorizon = 1\n\n[host.one]\npool = \"local\"\ncapacity = 2\n\n\
             [recipe.count]\nrun = \"seq 1 200\"\ntimeout = \"5m\"\n",
            quoted(&self.repo.dir().to_string_lossy())
        ));
        for n in 0..BUILDERS {
            text.push_str(&format!(
                "\n[builder.b{n}]\nhost = \"one\"\nrecipe = \"count\"\nrepos = [\"{REPO}\"]\n"
            ));
        }
        Ok(std::fs::write(&self.config, text)?)
    }

    fn launch(&self) -> Result<Server> {
        Server::launch(ServerOptions {
            program: self.program.clone(),
            data: self.data.clone(),
            arguments: vec!["--config".into(), self.config.to_string_lossy().into_owned()],
            environment: Vec::new(),
        })
    }

    /// `bellwether backup` or `restore`; returns its seconds.
    fn tool(&self, verb: &str, backup: &Path) -> Result<f64> {
        let began = Instant::now();
        let mut command = Command::new(&self.program);
        command.arg(verb).arg("--config").arg(&self.config).arg("--data").arg(&self.data).arg(backup);
        process::output(&mut command, COPY_LIMIT)?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn restore(&mut self, name: &str, database: Option<&str>) -> Result<f64> {
        self.data = self.dir.join(name);
        self.config = self.dir.join(format!("{name}.toml"));
        self.configure(database)?;
        let seconds = self.tool("restore", &self.backup)?;
        eprintln!("{name}, {} builds: restored in {seconds:.1} s", self.builds);
        Ok(seconds)
    }

    /// Waits until the newest commit's builds are done, so many; returns when the first of them began, µs since 1970.
    fn await_builds(&self, server: &Server, count: usize) -> Result<i64> {
        let head = self.repo.head()?;
        let mut last = String::new();
        wait_for("the builds of the newest commit", LIMIT, || {
            let token = server.token().unwrap_or_default();
            let path = format!("/api/v1/builds?limit={}", count * 2);
            let Ok(answer) = server.request("GET", &path, Some(&token), None) else { return Ok(None) };
            let Ok(list) = answer.json() else { return Ok(None) };
            let builds = list["builds"].as_array().cloned().unwrap_or_default();
            last = list.to_string();
            let of_head =
                |build: &&serde_json::Value| build["revision"].as_str().is_some_and(|r| r.contains(&head));
            let done: Vec<_> =
                builds.iter().filter(of_head).filter(|build| build["state"] == "done").collect();
            if done.len() < count {
                return Ok(None);
            }
            let started =
                done.iter().filter_map(|build| build["started"].as_str()?.parse::<jiff::Timestamp>().ok());
            Ok(started.map(|started| started.as_microsecond()).min())
        })
        .with_context(|| last.chars().take(500).collect::<String>())
        .with_context(|| server.printed().lines().rev().take(20).collect::<Vec<_>>().join("\n"))
    }

    fn start(&mut self) -> Result<Figures> {
        self.repo.commit("One more", &[])?;
        let began = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
        let mut server = self.launch()?;
        let pid = server.pid().context("the server is not running")?;
        while !server.request("GET", "/readyz", None, None).is_ok_and(|answer| answer.status == 200) {
            if began.elapsed() > LIMIT {
                bail!("not ready: {}", server.printed());
            }
            std::thread::park_timeout(LOOK);
        }
        let (ready, cpu) = (began.elapsed(), cpu_time(pid)?);
        let first = self.await_builds(&server, BUILDERS)?;
        let bytes = resident_bytes(pid)? as f64;
        stop(&mut server)?;
        Ok(Figures {
            ready_ms: ready.as_secs_f64() * 1e3,
            ready_cpu_ms: cpu.as_secs_f64() * 1e3,
            dispatch_ms: (first - wall) as f64 / 1e3,
            bytes,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // They would outlive the server for a while, as they should anywhere else.
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            for worker in workers(&entry.path()) {
                let _ = kill(worker.pid, testkit::Kill::Crash);
            }
        }
    }
}

fn stop(server: &mut Server) -> Result<()> {
    server.interrupt().map(drop)
}
