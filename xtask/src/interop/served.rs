//! A log that is served: the original's client and its questions beside our daemon, and our client beside its server.

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
const PATIENCE: Duration = Duration::from_secs(60);
/// In so long a client of the original has what was written.
const LIVE: Duration = Duration::from_secs(1);
/// What our segments grow to here: some records.
const SEGMENT: &str = "300";

/// A program that is told lines and says lines.
struct Talk {
    child: Child,
    to: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Talk {
    fn start(command: &mut Command) -> Result<Talk> {
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

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.to.as_mut().context("its input is ours")?, "{line}")?;
        Ok(())
    }

    fn hear(&self, limit: Duration) -> Result<String> {
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
struct Ours {
    talk: Talk,
    address: String,
}

impl Ours {
    fn start(program: &Path, data: &Path, port: u16, more: &[&str]) -> Result<Ours> {
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

    fn has(&self, records: u64) -> Result<()> {
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

fn expect(client: &Talk, limit: Duration, want: &str) -> Result<()> {
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

/// The original's questions over gRPC without TLS.
pub(super) fn asked_by_theirs(program: &Path) -> Result<String> {
    let theirs = around("netsource", "./netsource")?;
    let data = tempfile::tempdir()?;
    let mut ours = Ours::leads(program, data.path(), free_port()?)?;
    ours.talk.tell(&project())?;
    ours.has(1)?;
    let mut client = Talk::start(Command::new(theirs).args(["ask", &ours.address]))?;
    let (one, two, none) = ("1".repeat(40), "2".repeat(40), "f".repeat(40));
    let ancestor = |commit: &str, ancestor: &str| {
        format!(r#"HasAncestor {{"commit":"{commit}","ancestor":"{ancestor}"}}"#)
    };
    let at = |project: &str| {
        format!(
            r#"GetRef {{"ref":"refs/heads/master","gerrit_server":"go.googlesource.com","gerrit_project":"{project}"}}"#
        )
    };
    let questions: [(String, &str); 9] = [
        (ancestor(&two, &one), r#"{"has_ancestor":true}"#),
        (ancestor(&one, &two), "{}"),
        (ancestor(&one, &one), "{}"),
        (ancestor(&none, &one), r#"{"unknown_commit":true}"#),
        (ancestor(&one, "1"), "error: Unknown invalid Ancestor"),
        (at("go"), r#"{"value":"2222222222222222222222222222222222222222"}"#),
        (at("bogus"), "error: Unknown unknown gerrit project"),
        (
            r#"GetDashboard {"repo":"golang.org/x/bogus"}"#.into(),
            r#"error: NotFound repo "golang.org/x/bogus" not found"#,
        ),
        ("ListGoReleases {}".into(), r#""tag_name":"go1.3""#),
    ];
    for (question, want) in &questions {
        client.tell(question)?;
        // Their JSON has a space here and there, by chance, so that nobody compares it.
        let said = client.hear(PATIENCE)?;
        let plain = if said.starts_with('{') { said.replace(' ', "") } else { said.clone() };
        ensure!(
            plain == *want || (question.starts_with("List") && plain.contains(want)),
            "{question}: {said}"
        );
    }
    client.tell(r#"GetDashboard {"max_commits":1}"#)?;
    let said: serde_json::Value = serde_json::from_str(&client.hear(PATIENCE)?)?;
    let (commits, releases) =
        (said["commits"].as_array().map(Vec::len), said["releases"].as_array().map(Vec::len));
    ensure!(
        (commits, releases) == (Some(1), Some(3)) && said["commits_truncated"] == true,
        "GetDashboard: {said}"
    );
    Ok(format!("{} answers as they should be", questions.len() + 1))
}

/// A project go with two commits and two releases.
fn project() -> String {
    let commit = |digit: &str, parent: &str, seconds: i64| {
        let who = format!("Ann <ann@example.org> {seconds} +0000");
        let raw = format!("tree {}\n{parent}author {who}\ncommitter {who}\n\none\n", "0".repeat(40));
        maintpb::GitCommit { sha1: digit.repeat(40), raw: raw.into_bytes(), ..Default::default() }
    };
    let commits = vec![commit("1", "", 100), commit("2", &format!("parent {}\n", "1".repeat(40)), 200)];
    let at = |name: &str, digit: &str| maintpb::GitRef { r#ref: name.into(), sha1: digit.repeat(40) };
    let refs = vec![
        at("refs/heads/master", "2"),
        at("refs/heads/release-branch.go1.3", "2"),
        at("refs/heads/release-branch.go1.2", "1"),
        at("refs/tags/go1.3", "2"),
        at("refs/tags/go1.2", "1"),
    ];
    let project = "go.googlesource.com/go".into();
    let gerrit = maintpb::GerritMutation { project, commits, refs, ..Default::default() };
    hex::encode(maintpb::Mutation { gerrit: Some(gerrit), ..Default::default() }.encode_to_vec())
}
