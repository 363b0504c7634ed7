//! `cargo xtask interop`: workers beside the original's programs, as the registry has them, over real TLS.
//!
//! Original buildlets put a port other than 443 into the name that TLS asks for, which no TLS library takes: so all runs in a
//! network namespace of its own, where 443 is free and nothing else can be reached.

mod asked;
mod builds;
mod corpus;
mod digests;
mod held;
mod odd;
mod reclog;
mod rules;
mod served;
mod shell;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testkit::{Answer, Kill, kill, wait_for};

use crate::process::{self, End, Line};
use crate::{metadata, server_binary, setup};

/// Original buildlets, by component: their versions of the protocol, and of revdial.
const BUILDLETS: [(&str, &str, &str); 3] =
    [("xbuild-2017", "17", "v1"), ("xbuild-2019", "18", "v1"), ("xbuild-newest", "29", "v2")];
/// The key that original buildlets use with any coordinator but Go's own is made from this one.
const MASTER: &str = "gophers rule";
/// A host of that coordinator's, for which they need no file.
const HOST: &str = "host-linux-amd64-localdev";
/// What webhooks are signed with.
const HOOKS: &str = "s3cr3t";
/// Longest build of a program, with what it needs.
const BUILD: Duration = Duration::from_secs(30 * 60);
/// All of it inside the namespace.
const LIMIT: Duration = Duration::from_secs(900);
/// Longest wait for what a program does.
const PATIENCE: Duration = Duration::from_secs(60);
/// A machine that is idle is asked every 10 to 14 s how it is; so long it must stay.
const STAYS: Duration = Duration::from_secs(16);

/// Arguments of `cargo xtask interop`.
#[derive(clap::Args)]
pub struct Args {
    /// The server's program, if not the one of this tree
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Only pairings that have this in their name, of those that need no network namespace
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Run in the namespace, with programs of this folder
    #[arg(long, value_name = "DIR", hide = true, requires = "program")]
    inside: Option<PathBuf>,
}

/// Prints a row for each pairing, and at the end `N pairings, N differences`.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let (Some(originals), Some(program)) = (&args.inside, &args.program) {
        return inside(program, originals);
    }
    let program = match &args.program {
        Some(program) => program.clone(),
        None => server_binary::tested()?,
    };
    if let Some(part) = &args.only {
        let ran = on_loopback(&program, part)?;
        ensure!(ran.pairings > 0, "no pairing that needs no namespace has {part:?} in its name");
        return Ok(if ran.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    builds::fetch()?;
    // In the namespace nothing can be fetched.
    setup::path("openssh-client")?;
    setup::path("openssh-server")?;
    let originals = match originals() {
        Ok(originals) => originals,
        Err(error) => {
            println!("not run: the original's programs can't be built here: {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let all_well = on_loopback(&program, "")?.differences == 0;
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let script = "ip link set lo up && exec \"$0\" interop --inside \"$1\" --program \"$2\"";
    command.args(["sh", "-c", script]).arg(std::env::current_exe()?).arg(&originals).arg(&program);
    let end = process::stream(&mut command, LIMIT, |line| match line {
        Line::Out(text) | Line::Err(text) => println!("{text}"),
    })?;
    match end {
        End::Exited(status) if status.success() && all_well => Ok(ExitCode::SUCCESS),
        End::Exited(_) => Ok(ExitCode::FAILURE),
        End::TimedOut => bail!("it took more than {} s", LIMIT.as_secs()),
    }
}

/// How many pairings there were.
#[derive(Default)]
struct Ran {
    pairings: usize,
    differences: usize,
}

/// Those that need no network but loopback, and have this in their name.
fn on_loopback(program: &Path, part: &str) -> Result<Ran> {
    let made = std::cell::OnceCell::new();
    let of_made = |compare: &dyn Fn(&corpus::Made) -> Result<String>| match made
        .get_or_init(|| corpus::Made::new(program))
    {
        Ok(made) => compare(made),
        Err(error) => bail!("{error:#}"),
    };
    let pairings: [(&str, &dyn Fn() -> Result<String>); 7] = [
        ("a mutation log, replayed by maintner and by us", &|| of_made(&corpus::Made::compare)),
        ("the log by our rules, other where they are", &|| of_made(&corpus::Made::differ)),
        ("four digests of the log are equal", &|| of_made(&|made| digests::four(program, made))),
        ("bytes of all kinds in both readers of records", &reclog::agree),
        ("client of maintner, our maintnerd", &|| served::by_theirs(program)),
        ("our client, server of maintnerd", &|| served::of_theirs(program)),
        ("apipb by gRPC, our maintnerd and theirs", &|| asked::both(program)),
    ];
    let mut ran = Ran::default();
    for (pairing, compare) in pairings.into_iter().filter(|(pairing, _)| pairing.contains(part)) {
        ran.pairings += 1;
        match compare() {
            Ok(what) => println!("{pairing:<52} {what}"),
            Err(error) => {
                ran.differences += 1;
                println!("{pairing:<52} DIFFERS: {error:#}");
            }
        }
    }
    Ok(ran)
}

/// The original buildlet of a component, built by Go's own client if it is missing.
pub(crate) fn original(component: &str) -> Result<PathBuf> {
    let version = setup::version(component)?;
    let at = setup::cache()?.join("originals").join(&version);
    let program = at.join("buildlet");
    if !program.exists() {
        std::fs::create_dir_all(&at)?;
        let mut command = Command::new("go");
        command.arg("install").arg(format!("golang.org/x/build/cmd/buildlet@{version}"));
        command.env("GOBIN", &at).env("GOFLAGS", "-mod=mod");
        finished(&mut command)?;
    }
    Ok(program)
}

/// Builds what is missing of the original's programs; returns their folder.
fn originals() -> Result<PathBuf> {
    let dir = setup::cache()?.join("originals");
    for (component, _, _) in BUILDLETS {
        original(component)?;
    }
    for (program, package) in [("coordinator", "."), ("gomote", "./gomote"), ("hints", "./hints")] {
        around(program, package)?;
    }
    Ok(dir)
}

/// A program around the original's packages (`interop/`), built if it is not what it was.
pub(crate) fn around(program: &str, package: &str) -> Result<PathBuf> {
    let at = setup::cache()?.join("originals").join(program);
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&at).arg(package);
    finished(command.current_dir(metadata::root().join("interop")).env("GOFLAGS", "-mod=readonly"))?;
    Ok(at)
}

fn finished(command: &mut Command) -> Result<()> {
    let mut said = Vec::new();
    let end = process::stream(command, BUILD, |line| match line {
        Line::Out(text) | Line::Err(text) => said.push(text),
    })?;
    let tail = said[said.len().saturating_sub(20)..].join("\n");
    match end {
        End::Exited(status) if status.success() => Ok(()),
        End::Exited(status) => bail!("`{}`: {status}\n{tail}", process::shown(command)),
        End::TimedOut => bail!("`{}` took more than {} s", process::shown(command), BUILD.as_secs()),
    }
}

fn inside(program: &Path, originals: &Path) -> Result<ExitCode> {
    let dir = tempfile::tempdir().context("a folder for the programs")?;
    let mut differences = 0;
    let mut row = |pairing: String, came: Result<String>| match came {
        Ok(what) => println!("{pairing:<52} {what}"),
        Err(error) => {
            differences += 1;
            println!("{pairing:<52} DIFFERS: {error:#}");
        }
    };
    let server = Server::start(program, dir.path())?;
    for (component, version, revdial) in BUILDLETS {
        let buildlet = originals.join(setup::version(component)?).join("buildlet");
        let pairing = format!("buildlet of {component}, revdial {revdial} -> our coordinator");
        row(pairing, server.receives(&buildlet, dir.path(), version));
    }
    for (component, version, _) in BUILDLETS {
        let buildlet = originals.join(setup::version(component)?).join("buildlet");
        let pairing = format!("builds on buildlet of {component}");
        row(pairing, builds::built(&server, &buildlet, dir.path(), version));
    }
    let mut hints = Command::new(originals.join("hints"));
    hints.args(["http://127.0.0.1:443", HOOKS]);
    row(
        "subscriber of maintner -> our pubsubhelper".to_owned(),
        process::output(&mut hints, PATIENCE).map(|said| said.trim().to_owned()),
    );
    let gomote = originals.join("gomote");
    for (component, version, _) in BUILDLETS {
        let buildlet = originals.join(setup::version(component)?).join("buildlet");
        let pairing = format!("client of gomote, buildlet of {component}");
        row(pairing, held::of_theirs(&server, &gomote, &buildlet, dir.path(), version));
    }
    let machine = shell::Machine::start(dir.path())?;
    for (component, version, _) in BUILDLETS {
        let buildlet = originals.join(setup::version(component)?).join("buildlet");
        let pairing = format!("OpenSSH, buildlet of {component}, sshd");
        row(pairing, machine.entered(&server, program, &buildlet, dir.path(), version));
    }
    drop(machine);
    row("client of gomote, our buildlet".to_owned(), held::of_ours(&gomote, dir.path()));
    let ours = ours_by_theirs(program, &originals.join("coordinator"), dir.path());
    row("our buildlet -> revdial v2 of xbuild-newest".to_owned(), ours);
    println!("{} pairings, {differences} differences", 4 * BUILDLETS.len() + 3);
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A program that runs until it is dropped, and what it printed.
struct Background(Child, PathBuf);

impl Background {
    fn start(command: &mut Command, log: PathBuf) -> Result<Background> {
        let file = std::fs::File::create(&log)?;
        let started = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        Ok(Background(started.with_context(|| process::shown(command))?, log))
    }

    fn said(&self) -> String {
        let said = std::fs::read_to_string(&self.1).unwrap_or_default();
        said.lines().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(self.0.id(), Kill::Crash);
        let _ = self.0.wait();
    }
}

/// Our server on port 443.
struct Server(Background);

impl Server {
    fn start(program: &Path, dir: &Path) -> Result<Server> {
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("builder-key"), MASTER)?;
        std::fs::write(data.join("webhook-secret"), HOOKS)?;
        let repository = dir.join("sync");
        builds::repository(&repository)?;
        let builds = builds::config(&repository, dir)?;
        let config = format!(
            "[environment.dev]\nurl = \"https://localhost\"\ntls = {{ self_signed = true }}\n\
             [dashboard]\nbuilder_key_file = \"builder-key\"\n\
             [pubsubhelper.github]\nsecret_file = \"webhook-secret\"\nplain = true\n\
             [host.{HOST}]\npool = \"reverse\"\ntrust = \"trusted\"\n{builds}{}",
            held::config()
        );
        let file = dir.join("server.toml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.args(["up", "--listen", "127.0.0.1:443", "--config"]).arg(file).arg("--data").arg(data);
        let server = Server(Background::start(&mut command, dir.join("server.log"))?);
        let ready = wait_for("the server", PATIENCE, || Ok(server.machines().is_ok().then_some(())));
        ready.with_context(|| server.0.said())?;
        Ok(server)
    }

    /// The machines that have dialled in, as the original's programs are told.
    fn machines(&self) -> Result<Value> {
        Ok(self.get("/status/reverse.json")?["HostTypes"][HOST]["Machines"].take())
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.answer(path)?.json()
    }

    fn answer(&self, path: &str) -> Result<Answer> {
        let address = ([127, 0, 0, 1], 443).into();
        let answer = testkit::request(address, "GET", path, None, None)?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(answer)
    }

    /// Has an original buildlet dial in, looks whether it stays, and ends it.
    fn receives(&self, buildlet: &Path, dir: &Path, version: &str) -> Result<String> {
        let name = format!("box{version}");
        let work = dir.join(&name);
        std::fs::create_dir_all(&work)?;
        let mut command = Command::new(buildlet);
        command
            .args(["-halt=false", "-coordinator=localhost:443"])
            .arg(format!("-reverse-type={HOST}"))
            .arg(format!("-hostname={name}"))
            .arg(format!("-workdir={}", work.display()))
            .env("HOME", &work);
        let running = Background::start(&mut command, dir.join(format!("{name}.log")))?;
        let known = |wanted: bool| {
            wait_for("the list of machines", PATIENCE, || {
                let machine = self.machines()?[&name].take();
                Ok((machine.is_object() == wanted).then_some(machine))
            })
        };
        let machine = known(true).with_context(|| running.said())?;
        ensure!(machine["Version"] == version, "{machine}");
        let until = std::time::Instant::now() + STAYS;
        while std::time::Instant::now() < until {
            ensure!(self.machines()?[&name].is_object(), "it did not stay: {}", running.said());
            std::thread::park_timeout(Duration::from_millis(500));
        }
        drop(running);
        known(false)?;
        Ok(format!("registered, version {version}, asked how it is twice and stayed, gone at its end"))
    }
}

/// Our agent, dialled by the original's package.
fn ours_by_theirs(program: &Path, coordinator: &Path, dir: &Path) -> Result<String> {
    let certificate = dir.join("theirs.pem");
    let key = dir.join("key");
    let mut derive = Command::new(program);
    derive.args(["token", "derive", HOST, "--key-file"]).arg(dir.join("data/builder-key"));
    let text = process::output(&mut derive, PATIENCE)?;
    std::fs::write(&key, &text)?;
    let mut theirs = Command::new(coordinator);
    theirs.arg("127.0.0.1:8443").arg(&certificate).arg(HOST).arg(text.trim());
    let mut theirs = Background::start(&mut theirs, dir.join("theirs.log"))?;
    wait_for("its certificate", PATIENCE, || Ok(certificate.exists().then_some(())))?;
    let mut ours = Command::new(program);
    ours.args(["buildlet", "--reverse-type", HOST, "--coordinator", "https://localhost:8443"])
        .args(["--hostname", "box", "--key-file"])
        .arg(&key)
        .arg("--ca-file")
        .arg(&certificate)
        .arg("--workdir")
        .arg(dir.join("ours/work"))
        .arg("--state-dir")
        .arg(dir.join("ours/state"));
    let ours = Background::start(&mut ours, dir.join("ours.log"))?;
    let ended = wait_for("the original's package", PATIENCE, || Ok(theirs.0.try_wait()?));
    let ended = ended.with_context(|| format!("{}\n{}", theirs.said(), ours.said()))?;
    let said = std::fs::read_to_string(&theirs.1)?;
    ensure!(ended.success(), "{said}\n{}", ours.said());
    Ok(said.lines().collect::<Vec<_>>().join(", "))
}
