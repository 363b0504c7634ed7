//! A log that is served: the original's client beside our daemon, and our client beside its server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use testkit::{Kill, free_port, kill, wait_for};

use super::around;
use crate::process;

/// Longest wait for what a program does.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// In so long a client of the original has what was written.
const LIVE: Duration = Duration::from_secs(1);
/// What our segments grow to here: some records.
const SEGMENT: &str = "300";

/// A program that is told lines and says lines.
pub(super) struct Talk {
    child: Child,
    to: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Talk {
    pub(super) fn start(command: &mut Command) -> Result<Talk> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| process::shown(command))?;
        let out = child.stdout.take().context("its output is ours")?;
        let (tell, said) = channel();
        // Ends with the program, which ends with this.
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let to = child.stdin.take();
        Ok(Talk { child, to, said })
    }

    pub(super) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.to.as_mut().context("its input is ours")?, "{line}")?;
        Ok(())
    }

    pub(super) fn hear(&self, limit: Duration) -> Result<String> {
        self.said
            .recv_timeout(limit)
            .with_context(|| format!("nothing was said within {} s", limit.as_secs()))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = kill(self.child.id(), Kill::Crash);
        let _ = self.child.wait();
    }
}

/// A mutation of which each number makes another.
fn mutation(number: i32, body: usize) -> String {
    let issue = maintpb::GithubIssueMutation {
        owner: "golang".into(),
        repo: "go".into(),
        number,
        title: format!("issue {number}"),
        body: "x".repeat(body),
        ..Default::default()
    };
    hex::encode(maintpb::Mutation { github_issue: Some(issue), ..Default::default() }.encode_to_vec())
}

/// Our daemon on a port, with the log in a folder.
pub(super) struct Ours {
    pub(super) talk: Talk,
    pub(super) address: String,
}

impl Ours {
    pub(super) fn start(program: &Path, data: &Path, port: u16, more: &[&str]) -> Result<Ours> {
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.args(["maintnerd", "--listen", &address, "--data"]).arg(data).args(more);
        let ours = Ours { talk: Talk::start(&mut command)?, address };
        wait_for("our daemon", PATIENCE, || Ok(ours.standing().ok().map(drop)))?;
        Ok(ours)
    }

    fn leads(program: &Path, data: &Path, port: u16) -> Result<Ours> {
        Self::start(program, data, port, &["--from-stdin", "--segment", SEGMENT])
    }

    fn standing(&self) -> Result<serde_json::Value> {
        let answer = testkit::request(self.address.parse()?, "GET", "/maintner.json", None, None)?;
        ensure!(answer.status == 200, "/maintner.json: {}", answer.status);
        answer.json()
    }

    fn records(&self) -> Result<u64> {
        self.standing()?["records"].as_u64().context("/maintner.json: no records")
    }

    pub(super) fn has(&self, records: u64) -> Result<()> {
        let what = format!("{records} records");
        wait_for(&what, PATIENCE, || Ok((self.records()? == records).then_some(())))
    }
}

/// The original's client: three segments, growth, a sealed segment with another begun, and a log that was cut.
pub(super) fn by_theirs(program: &Path) -> Result<String> {
    let theirs = around("netsource", "./netsource")?;
    let (data, cache) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let port = free_port()?;
    let mut ours = Ours::leads(program, data.path(), port)?;
    let segments =
        |ours: &Ours| Ok::<_, anyhow::Error>(ours.standing()?["segments"].as_u64().unwrap_or_default());
    let mut number = 0;
    while segments(&ours)? < 3 {
        number += 1;
        ensure!(number < 100, "100 records are no three segments");
        ours.talk.tell(&mutation(number, 40))?;
        ours.has(u64::try_from(number)?)?;
    }
    let mut command = Command::new(theirs);
    command.arg("follow").arg(format!("http://{}/logs", ours.address)).arg(cache.path());
    let client = Talk::start(&mut command)?;
    expect(&client, PATIENCE, &format!("round {number}"))?;
    let (mut slowest, sealed) = (Duration::ZERO, segments(&ours)?);
    for _ in 0..12 {
        number += 1;
        let began = Instant::now();
        ours.talk.tell(&mutation(number, 40))?;
        expect(&client, LIVE, "round 1")?;
        slowest = slowest.max(began.elapsed());
    }
    let all = segments(&ours)?;
    ensure!(all > sealed, "no segment was sealed while it was followed");
    drop(ours);
    let cut = growing(data.path())?;
    let bytes = std::fs::read(&cut)?;
    let last = bytes.windows(4).rposition(|part| part == b"REC@").context("no record")?;
    // As a leader would come back that had lost its last record, and goes on otherwise.
    std::fs::write(&cut, &bytes[..last])?;
    std::fs::remove_file(cut.with_file_name(cut.file_name().map_or_else(String::new, |name| {
        format!("{}.idx", name.to_string_lossy().split('.').next().unwrap_or_default())
    })))?;
    let mut ours = Ours::leads(program, data.path(), port)?;
    ours.talk.tell(&mutation(1000, 40))?;
    expect(&client, PATIENCE, "split")?;
    Ok(format!(
        "{number} records in {all} segments; each within {} ms; the cut is found",
        slowest.as_millis()
    ))
}

fn growing(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".growing.mutlog") && std::fs::metadata(&path)?.len() > 0 {
            return Ok(path);
        }
    }
    bail!("no segment grows in {}", folder.display())
}

pub(super) fn expect(client: &Talk, limit: Duration, want: &str) -> Result<()> {
    let said = client.hear(limit)?;
    ensure!(said == want, "it says {said:?}, not {want:?}");
    Ok(())
}

/// Our client beside the original's server: growth, a segment that is sealed, and a leader that lost what it had not stored.
pub(super) fn of_theirs(program: &Path) -> Result<String> {
    let theirs = around("netsource", "./netsource")?;
    let cache = tempfile::tempdir()?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let start = || -> Result<Talk> {
        let talk = Talk::start(Command::new(&theirs).args(["serve", &address]))?;
        expect(&talk, PATIENCE, "ready")?;
        Ok(talk)
    };
    let mut server = start()?;
    let add = |server: &mut Talk, number: i32, body: usize| -> Result<()> {
        server.tell(&mutation(number, body))?;
        expect(server, PATIENCE, "logged")
    };
    add(&mut server, 1, 40)?;
    let index = format!("http://{address}/logs");
    let ours = Ours::start(program, cache.path(), free_port()?, &["--follow", &index])?;
    ours.has(1)?;
    // Two of these are more than a segment: what is sealed is nowhere where it could be fetched anew.
    for (count, number) in (2..).zip([2, 3, 4]) {
        add(&mut server, number, 9 << 20)?;
        ours.has(count)?;
    }
    ensure!(ours.standing()?["segments"] == 3, "it has not three segments");
    let whole = digest(program, &cache)?;
    drop(server);
    let mut server = start()?;
    add(&mut server, 7, 40)?;
    add(&mut server, 8, 40)?;
    ours.has(2)?;
    ensure!(digest(program, &cache)? != whole, "it says what it said before");
    Ok("3 segments, two of them sealed while they were followed; what a leader lost is lost here too".into())
}

fn digest(program: &Path, cache: &tempfile::TempDir) -> Result<String> {
    process::output(Command::new(program).args(["log", "digest"]).arg(cache.path()), PATIENCE)
}
