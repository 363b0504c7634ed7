//! The original's own programs, as the registry has them, against a server: its watcher posts the commits of a repository, its
//! builder builds them, its tools fetch logs and clear results.
//!
//! They speak to loopback only: their repository's address is turned into a local one by git's configuration, and what else
//! they would fetch goes to a proxy that is not there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::{File, GitRepo, Kill, Server, kill, wait_for};

use crate::process::{self, End, Line};
use crate::setup;

/// The programs and the components that they are in.
const PROGRAMS: [(&str, &str); 5] = [
    ("gitmirror", "xbuild-2017"),
    ("builder", "xbuild-2017"),
    ("retrybuilds", "xbuild-2017"),
    ("fetchlogs", "xbuild-newest"),
    ("greplogs", "xbuild-newest"),
];
/// Longest build of a program, with what it needs.
const BUILD: Duration = Duration::from_secs(30 * 60);
/// Longest wait for what a program does.
const PATIENCE: Duration = Duration::from_secs(180);
/// The one builder.
const BUILDER: &str = "linux-amd64";
const KEY: &str = "gophers rule";

/// Runs them all; fails where something else comes than must. Where they can't be built, nothing ran, and that is said.
pub fn run(server_program: &Path, dir: &Path) -> Result<()> {
    let programs = match Programs::built() {
        Ok(programs) => programs,
        Err(error) => {
            println!("not run: they can't be built here: {error:#}");
            return Ok(());
        }
    };
    let stage = Stage::set(server_program, dir)?;
    let watcher = stage.background(
        &programs.of("gitmirror"),
        &["-dash", &format!("{}/", stage.base()), "-key", &stage.key_file(), "-poll", "1s"],
    )?;
    let posted = stage.until("the watcher's commits", |rows| rows.len() == 3)?;
    drop(watcher);
    let order: Vec<&str> = posted.iter().filter_map(|row| row["revision"].as_str()).collect();
    ensure!(order == stage.commits, "posted {order:?}, not {:?}", stage.commits);
    println!("gitmirror    posted 3 commits, parents first");

    let root = dir.join("gobuilder");
    let root = root.to_string_lossy();
    let base = stage.base();
    let arguments = ["-dashboard", &*base, "-buildroot", &*root, "-gcpath", "go.example.com/go.git"];
    let builder = stage.background(&programs.of("builder"), &[&arguments[..], &[BUILDER]].concat())?;
    let built = stage.until("the builder's results", |rows| {
        rows.len() == 3
            && rows.iter().all(|row| row["results"][0].as_str().is_some_and(|cell| !cell.is_empty()))
    })?;
    drop(builder);
    let cells: Vec<&str> = built.iter().filter_map(|row| row["results"][0].as_str()).collect();
    let [newest, failed, oldest] = cells[..] else { bail!("3 cells, not {cells:?}") };
    ensure!((newest, oldest) == ("ok", "ok") && failed.contains("/dash/log/"), "cells {cells:?}");
    let log = stage.get(failed.split_once("/dash").map_or("", |(_, path)| path))?;
    ensure!(log.contains("it is broken here"), "the log of the failure is {log:?}");
    println!("builder      built 3 commits: ok, failed with its log, ok");

    let logs = dir.join("logs");
    std::fs::create_dir_all(&logs)?;
    stage.once(
        &programs.of("fetchlogs"),
        &["-dashboard", &*base, "-repo", "go", "-n", "3", "-dir", &logs.to_string_lossy()],
    )?;
    let name = failed.rsplit('/').next().unwrap_or_default();
    let fetched = std::fs::read_to_string(logs.join("log").join(name)).context("the log that was fetched")?;
    ensure!(fetched == log, "fetchlogs has another log");
    println!("fetchlogs    fetched the log of the failure");
    our_tree(&stage, &programs, server_program, &logs, dir)?;

    let retry = |more: &[&str]| {
        let key = stage.key_file();
        let arguments = [&["-builder-prefix", &*base, "-masterkey", &key][..], more].concat();
        stage.once(&programs.of("retrybuilds"), &arguments).map(drop)
    };
    retry(&["-loghash", &name[..8]])?;
    stage.until("the failure's end", |rows| rows.len() == 3 && rows[1]["results"][0] == "")?;
    println!("retrybuilds  cleared a failure by its log");
    // Ours, with the original's keys.
    let key = stage.key_file();
    let ours = ["retrybuilds", "--builder-prefix", &*base, "--masterkey", &key, "--builder", BUILDER];
    stage.once(server_program, &[&ours[..], &["--hash", &stage.commits[0]]].concat())?;
    stage.until("the newest result's end", |rows| {
        rows[0]["results"][0] == "" || rows[0]["results"][0].is_null()
    })?;
    println!("             ours cleared a result by its commit");
    retry(&["-builder", BUILDER])?;
    stage.until("the results' end", |rows| rows.iter().all(|row| row["results"][0].is_null()))?;
    println!("retrybuilds  cleared a builder's results");
    Ok(())
}

/// Our fetchlogs makes the tree that the original's does, and the original's greplogs finds in it what is there.
fn our_tree(stage: &Stage, programs: &Programs, ours: &Path, theirs: &Path, dir: &Path) -> Result<()> {
    let (server, tree) = (stage.base(), dir.join("our-logs"));
    let server = server.trim_end_matches("/dash");
    let arguments = ["fetchlogs", "--server", server, "-n", "3", "--dir", &*tree.to_string_lossy()];
    stage.once(ours, &arguments)?;
    let (made, wanted) = (entries(&tree)?, entries(theirs)?);
    ensure!(made == wanted, "our fetchlogs makes {made:#?}, the original's {wanted:#?}");
    println!("             ours made the same tree of {} files and links", made.len());
    let revisions = tree.join("rev").to_string_lossy().into_owned();
    let grep = |what: &str| {
        stage.once(
            &programs.of("greplogs"),
            &["-dashboard=false", "-color", "never", "-l", "-e", what, &revisions],
        )
    };
    let found = grep("it is broken here")?;
    // Above the logs it says how it was called.
    let logs: Vec<&String> = found.iter().filter(|line| !line.starts_with("`greplogs ")).collect();
    ensure!(logs.len() == 1 && logs[0].contains(BUILDER), "greplogs found {found:?}");
    ensure!(grep("it is nowhere").is_err(), "greplogs found what is not there");
    println!("greplogs     found the failure in our tree");
    Ok(())
}

/// What lies below a directory, by its path: where links lead, and what files that are no rows hold.
fn entries(dir: &Path) -> Result<Vec<String>> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = path.strip_prefix(dir)?.display().to_string();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.push(format!("{name} -> {}", std::fs::read_link(&path)?.display()));
            } else if name.ends_with(".rev.json") {
                // The original drops what it does not know of a row.
                found.push(name);
            } else {
                found.push(format!("{name}: {}", std::fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where the programs lie.
struct Programs(PathBuf);

impl Programs {
    /// Builds what is missing by Go's own client.
    fn built() -> Result<Self> {
        let programs = Self(setup::cache()?.join("originals"));
        for (name, component) in PROGRAMS {
            let version = setup::version(component)?;
            let at = programs.0.join(&version);
            if at.join(name).exists() {
                continue;
            }
            std::fs::create_dir_all(&at)?;
            let mut command = Command::new("go");
            command.arg("install").arg(format!("golang.org/x/build/cmd/{name}@{version}"));
            command.env("GOBIN", &at).env("GOFLAGS", "-mod=mod");
            finished(&mut command, BUILD)?;
        }
        Ok(programs)
    }

    fn of(&self, name: &str) -> PathBuf {
        let component = PROGRAMS.iter().find(|(of, _)| *of == name).map_or("", |(_, component)| component);
        self.0.join(setup::version(component).unwrap_or_default()).join(name)
    }
}

/// Runs a command to its end, and returns the lines that it said.
fn finished(command: &mut Command, limit: Duration) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let end = process::stream(command, limit, |line| match line {
        Line::Out(text) | Line::Err(text) => said.push(text),
    })?;
    let tail = || said[said.len().saturating_sub(20)..].join("\n");
    match end {
        End::Exited(status) if status.success() => Ok(said),
        End::Exited(status) => bail!("`{}`: {status}\n{}", process::shown(command), tail()),
        End::TimedOut => {
            bail!("`{}` took more than {} s\n{}", process::shown(command), limit.as_secs(), tail())
        }
    }
}

/// A server, a repository, and a home for the programs.
struct Stage {
    server: Server,
    home: PathBuf,
    /// The newest first.
    commits: Vec<String>,
}

/// A program that runs until it is dropped.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        // It may be gone already, and there is nobody to tell.
        let _ = kill(self.0.id(), Kill::Crash);
        let _ = self.0.wait();
    }
}

impl Stage {
    fn set(program: &Path, dir: &Path) -> Result<Self> {
        let mut repo = GitRepo::create(&dir.join("go"))?;
        let mut commits = Vec::new();
        for (message, script) in [
            ("all: begin", "#!/bin/sh\necho fine\n"),
            ("all: break it", "#!/bin/sh\necho it is broken here\nexit 1\n"),
            ("all: mend it", "#!/bin/sh\necho fine again\n"),
        ] {
            commits.insert(0, repo.commit(message, &[("src/all.bash", File::Script(script))])?);
        }
        repo.git(&["branch", "-m", "master"])?;
        let home = dir.join("home");
        std::fs::create_dir_all(&home)?;
        let url = format!("file://{}", repo.dir().display());
        let config = format!(
            "[url \"{url}\"]\n\tinsteadOf = https://go.googlesource.com/go\n\tinsteadOf = https://go.example.com/go\n\
             [user]\n\tname = Nobody\n\temail = nobody@example.com\n[safe]\n\tdirectory = *\n"
        );
        std::fs::write(home.join(".gitconfig"), config)?;
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("builder.key"), KEY)?;
        std::fs::write(home.join(".gobuildkey"), format!("{KEY}\n"))?;
        let config = "[repo.other]\nurl = \"other\"\n[dashboard]\nbuilder_key_file = \"builder.key\"\n";
        let server = Server::configured(program.to_owned(), dir, config)?;
        Ok(Self { server, home, commits })
    }

    fn base(&self) -> String {
        format!("http://{}/dash", self.server.address())
    }

    fn key_file(&self) -> String {
        self.server.data().join("builder.key").to_string_lossy().into_owned()
    }

    fn get(&self, path: &str) -> Result<String> {
        let answer = self.server.request("GET", &format!("/dash{path}"), None, None)?;
        ensure!(answer.status == 200, "{path}: status {}", answer.status);
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Waits until the overview's rows are as they must be.
    fn until(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let mut last = String::new();
        let found = wait_for(what, PATIENCE, || {
            last = self.get("/?mode=json")?;
            let all: Value = serde_json::from_str(&last)?;
            let rows = all["revisions"].as_array().cloned().unwrap_or_default();
            Ok(wanted(&rows).then_some(rows))
        });
        found.with_context(|| format!("the overview is {last}; see {}", self.home.display()))
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let nowhere = "http://127.0.0.1:9";
        command.args(arguments).current_dir(&self.home).env("HOME", &self.home).env("USER", "nobody");
        command.env("XDG_CACHE_HOME", self.home.join("cache"));
        command.env("HTTP_PROXY", nowhere).env("HTTPS_PROXY", nowhere).env("NO_PROXY", "127.0.0.1,localhost");
        command
    }

    fn background(&self, program: &Path, arguments: &[&str]) -> Result<Background> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let out = std::fs::File::create(self.home.join(format!("{name}.output")))?;
        let mut command = self.command(program, arguments);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Background(command.spawn().with_context(|| name.into_owned())?))
    }

    fn once(&self, program: &Path, arguments: &[&str]) -> Result<Vec<String>> {
        finished(&mut self.command(program, arguments), PATIENCE)
    }
}
