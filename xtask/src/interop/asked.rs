//! The original's questions over gRPC without TLS, asked of our daemon and of the original's service of the same log: both
//! answer the same, also what waits to be tried, which both ask of one server that stands in for Gerrit.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maintpb::{GerritMutation, GitCommit, GitRef, Mutation};
use prost::Message as _;
use serde_json::{Value, json};
use testkit::free_port;

use super::around;
use super::odd::day_file;
use super::served::{Ours, PATIENCE, Talk, expect};

const TRY_WORK: &str = "GoFindTryWork {}";
/// Longest wait of the stand-in for the rest of a request.
const REQUEST: Duration = Duration::from_secs(10);

/// Asks ours and theirs, and says how many answers are equal.
pub(super) fn both(program: &Path) -> Result<String> {
    let netsource = around("netsource", "./netsource")?;
    let gerrit = StandIn::start()?;
    let (data, days) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let url = format!("http://{}", gerrit.address);
    let mut ours = Ours::start(program, data.path(), free_port()?, &["--from-stdin", "--gerrit", &url])?;
    let records = records();
    for record in &records {
        ours.talk.tell(&hex::encode(record.encode_to_vec()))?;
    }
    ours.has(u64::try_from(records.len())?)?;
    day_file(&days.path().join("maintner-2026-01-01.mutlog"), &records)?;
    let theirs = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(&netsource);
    command.args(["answer", &theirs]).arg(days.path()).arg(&gerrit.address);
    let service = Talk::start(&mut command)?;
    expect(&service, PATIENCE, "ready")?;
    let client = |address: &str| Talk::start(Command::new(&netsource).args(["ask", address]));
    let (mut us, mut them) = (client(&ours.address)?, client(&theirs)?);
    let mut ask = |question: &str| -> Result<(Answer, Answer)> {
        Ok((Answer::to(&mut us, question)?, Answer::to(&mut them, question)?))
    };

    let questions = questions();
    for (question, want) in &questions {
        let (ours, theirs) = ask(question)?;
        let same = ours == theirs || (matches!(want, Want::Code(_)) && want.is(&theirs));
        ensure!(same, "{question}: ours {ours:?}, theirs {theirs:?}");
        ensure!(want.is(&ours), "{question}: we say {ours:?}");
    }
    // Gerrit is not well; then it is; then what is kept is said, whatever Gerrit would say. The texts are each one's own.
    let (ours, theirs) = ask(TRY_WORK)?;
    ensure!(
        ours.code() == Some("Unknown") && theirs.code() == Some("Unknown"),
        "{TRY_WORK} of a Gerrit that fails: ours {ours:?}, theirs {theirs:?}"
    );
    gerrit.well.store(true, Ordering::SeqCst);
    let (ours, theirs) = ask(TRY_WORK)?;
    ensure!(ours == theirs, "{TRY_WORK}: ours {ours:?}, theirs {theirs:?}");
    let Answer::Said(said) = &ours else { anyhow::bail!("{TRY_WORK}: {ours:?}") };
    ensure!(*said == waiting(), "{TRY_WORK}: both say {said}");
    gerrit.well.store(false, Ordering::SeqCst);
    let requests = gerrit.requests.load(Ordering::SeqCst);
    let kept = ask(TRY_WORK)?;
    ensure!(kept == (ours, theirs), "{TRY_WORK} again: {kept:?}");
    ensure!(gerrit.requests.load(Ordering::SeqCst) == requests, "Gerrit was asked again at once");

    // Without a Gerrit there is an error of the same kind.
    let data = tempfile::tempdir()?;
    let alone = Ours::start(program, data.path(), free_port()?, &["--from-stdin"])?;
    let said = Answer::to(&mut client(&alone.address)?, TRY_WORK)?;
    ensure!(said.code() == Some("Unknown"), "{TRY_WORK} without a Gerrit: {said:?}");
    Ok(format!("{} answers are theirs, one more of no Gerrit", questions.len() + 3))
}

/// What was said to a question.
#[derive(Debug, PartialEq)]
enum Answer {
    Said(Value),
    /// `CODE TEXT`.
    Error(String),
}

impl Answer {
    fn to(client: &mut Talk, question: &str) -> Result<Self> {
        client.tell(question)?;
        let said = client.hear(PATIENCE)?;
        match said.strip_prefix("error: ") {
            Some(error) => Ok(Self::Error(error.to_owned())),
            None => Ok(Self::Said(serde_json::from_str(&said).with_context(|| said.clone())?)),
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Said(_) => None,
            Self::Error(error) => error.split(' ').next(),
        }
    }
}

/// What is to be said.
enum Want {
    All(Answer),
    /// An error of that code, in whatever words.
    Code(&'static str),
    /// Of some field, so many elements.
    Many(&'static str, usize),
}

impl Want {
    fn is(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::All(want), _) => want == answer,
            (Self::Code(code), _) => answer.code() == Some(*code),
            (Self::Many(field, count), Answer::Said(said)) => {
                said[field].as_array().is_some_and(|all| all.len() == *count)
            }
            (Self::Many(..), Answer::Error(_)) => false,
        }
    }
}

fn questions() -> Vec<(String, Want)> {
    let said = |value| Want::All(Answer::Said(value));
    let error = |text: &str| Want::All(Answer::Error(text.to_owned()));
    let (one, two, none) = ("1".repeat(40), "2".repeat(40), "f".repeat(40));
    let ancestor = |commit: &str, ancestor: &str| {
        format!("HasAncestor {}", json!({ "commit": commit, "ancestor": ancestor }))
    };
    let at = |project: &str| {
        let server = "go.googlesource.com";
        format!(
            "GetRef {}",
            json!({ "ref": "refs/heads/master", "gerrit_server": server, "gerrit_project": project })
        )
    };
    vec![
        (ancestor(&two, &one), said(json!({ "has_ancestor": true }))),
        (ancestor(&one, &two), said(json!({}))),
        (ancestor(&one, &one), said(json!({}))),
        (ancestor(&none, &one), said(json!({ "unknown_commit": true }))),
        (ancestor(&one, "1"), error("Unknown invalid Ancestor")),
        (at("go"), said(json!({ "value": two }))),
        (at("bogus"), error("Unknown unknown gerrit project")),
        (r#"GetDashboard {"repo":"golang.org/x/bogus"}"#.into(), Want::Code("NotFound")),
        ("ListGoReleases {}".into(), Want::Many("releases", 2)),
        (r#"GetDashboard {"max_commits":1}"#.into(), Want::Many("commits", 1)),
        ("GetDashboard {}".into(), Want::Many("releases", 3)),
    ]
}

/// What is said of the changes of [`StandIn`]: by commit, and with what to try it by project and branch.
fn waiting() -> Value {
    let hash = |digit: &str| digit.repeat(40);
    let version = |minor: u32| json!({ "major": 1, "minor": minor });
    json!({ "waiting": [
        {
            "project": "net", "branch": "master", "change_id": id(), "commit": hash("3"), "version": 1,
            "author_email": "ann@example.org",
            "go_commit": [hash("2"), hash("2"), hash("1")],
            "go_branch": ["master", "release-branch.go1.3", "release-branch.go1.2"],
            "go_version": [version(4), version(3), version(2)],
            "try_message": [{ "message": "linux-arm64", "author_id": "7", "version": 1 }],
        },
        {
            "project": "go", "branch": "release-branch.go1.2", "change_id": id(), "commit": hash("5"), "version": 1,
            "author_email": "ann@example.org", "go_version": [version(2)],
        },
        {
            "project": "net", "branch": "internal-branch.go1.3-x", "change_id": id(), "commit": hash("7"),
            "author_email": "ann@example.org", "go_commit": [hash("2")], "go_branch": ["release-branch.go1.3"],
            "go_version": [version(3)],
        },
    ] })
}

/// The identity of each change.
fn id() -> String {
    format!("I{}", "c".repeat(40))
}

/// A project go with two commits, two releases and a change, and a project net with some changes.
fn records() -> Vec<Mutation> {
    let mut go = Project::default();
    go.commit("1", "", 100, "one\n");
    go.commit("2", "1", 200, "one\n");
    go.at("refs/heads/master", "2");
    go.at("refs/heads/release-branch.go1.3", "2");
    go.at("refs/heads/release-branch.go1.2", "1");
    go.at("refs/tags/go1.3", "2");
    go.at("refs/tags/go1.2", "1");
    go.change(31, "5", "6", "release-branch.go1.2");
    let mut net = Project::default();
    net.change(30, "3", "4", "master");
    net.change(32, "7", "8", "internal-branch.go1.3-x");
    // Of a release that there is not.
    net.change(33, "9", "a", "internal-branch.go1.9-x");
    vec![go.record("go"), net.record("net")]
}

/// Commits by the digit of their hash, and refs to them.
#[derive(Default)]
struct Project(GerritMutation);

impl Project {
    fn commit(&mut self, digit: &str, parent: &str, seconds: i64, message: &str) {
        let who = format!("Ann <ann@example.org> {seconds} +0000");
        let parent =
            if parent.is_empty() { String::new() } else { format!("parent {}\n", parent.repeat(40)) };
        let raw = format!("tree {}\n{parent}author {who}\ncommitter {who}\n\n{message}", "0".repeat(40));
        let sha1 = digit.repeat(40);
        self.0.commits.push(GitCommit { sha1, raw: raw.into_bytes(), ..GitCommit::default() });
    }

    fn at(&mut self, name: &str, digit: &str) {
        self.0.refs.push(GitRef { r#ref: name.into(), sha1: digit.repeat(40) });
    }

    fn change(&mut self, number: u32, commit: &str, note: &str, branch: &str) {
        self.commit(commit, "", 300, &format!("net: change\n\nChange-Id: {}\n", id()));
        let head = "Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\n";
        self.commit(
            note,
            "",
            300,
            &format!("{head}Branch: refs/heads/{branch}\nStatus: new\nLabel: Run-TryBot=+1\n"),
        );
        self.at(&format!("refs/changes/{number}/{number}/1"), commit);
        self.at(&format!("refs/changes/{number}/{number}/meta"), note);
    }

    fn record(mut self, name: &str) -> Mutation {
        self.0.project = format!("go.googlesource.com/{name}");
        Mutation { gerrit: Some(self.0), ..Mutation::default() }
    }
}

/// A server that answers as Gerrit does where it is asked what waits to be tried, if it is well.
struct StandIn {
    address: String,
    well: Arc<AtomicBool>,
    requests: Arc<AtomicU32>,
}

impl StandIn {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for what stands in for Gerrit")?;
        let address = listener.local_addr()?.to_string();
        let (well, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (is_well, count) = (Arc::clone(&well), Arc::clone(&requests));
        // Ends with this program.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                // Who asks hears of what goes wrong, or does not get an answer.
                let _ = answer(connection, is_well.load(Ordering::SeqCst));
            }
        });
        Ok(Self { address, well, requests })
    }
}

/// One request of a connection.
fn answer(mut connection: TcpStream, well: bool) -> Result<()> {
    connection.set_read_timeout(Some(REQUEST))?;
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let first = lines.next().context("no request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        _ if !well => ("503 Service Unavailable", String::new()),
        _ if is_query(path) => ("200 OK", format!(")]}}'\n{}", changes())),
        "/changes/net~30/comments" => ("200 OK", format!(")]}}'\n{}", comments())),
        "/changes/go~31/comments" | "/changes/net~32/comments" | "/changes/net~33/comments" => {
            ("200 OK", ")]}'\n{}".to_owned())
        }
        _ => ("404 Not Found", format!("there is no {path}")),
    };
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    Ok(())
}

/// Whether it is asked for what waits, with all that has to be told of it; the one escapes colons and the other does not.
fn is_query(path: &str) -> bool {
    let asked = path.strip_prefix("/changes/?").unwrap_or_default().replace("%3A", ":");
    let mut asked: Vec<&str> = asked.split('&').collect();
    asked.sort_unstable();
    asked
        == [
            "o=CURRENT_COMMIT",
            "o=CURRENT_REVISION",
            "o=DETAILED_ACCOUNTS",
            "o=MESSAGES",
            "q=label:Run-TryBot%3D1+label:TryBot-Result%3D0+status:open",
        ]
}

/// What waits: two of them with a current patch set, one without, one for which there is no release, and one that is in no log.
fn changes() -> Value {
    let info = |project: &str, number: u32, commit: &str| {
        let commit = commit.repeat(40);
        json!({ "project": project, "_number": number, "current_revision": commit, "revisions": { (&*commit): { "_number": 1 } } })
    };
    let mut asked = info("net", 30, "3");
    let posted = |date: &str, text: &str| json!({ "author": { "_account_id": 7 }, "date": date, "message": text, "_revision_number": 1 });
    asked["messages"] = json!([
        posted("2026-01-02 03:04:05.000000000", "Patch Set 1: Run-TryBot+1\n\n(1 comment)"),
        posted("2026-01-02 03:04:06.000000000", "Patch Set 1:\n\n(1 comment)"),
    ]);
    json!([
        info("go", 31, "5"),
        asked,
        { "project": "net", "_number": 32 },
        info("net", 33, "9"),
        info("net", 34, "b"),
        info("bogus", 35, "b"),
    ])
}

/// On the change that says what to try: once by who voted, at another time, and by somebody else.
fn comments() -> Value {
    let comment = |account: u32, date: &str, text: &str| json!({ "author": { "_account_id": account }, "updated": date, "message": text });
    json!({
        "/PATCHSET_LEVEL": [
            comment(7, "2026-01-02 03:04:05.000000000", "please\nTRY=linux-arm64\n"),
            comment(7, "2026-01-02 03:04:06.000000000", "TRY=later"),
            comment(8, "2026-01-02 03:04:05.000000000", "TRY=another"),
        ],
        "a.go": [comment(7, "2026-01-02 03:04:05.000000000", "TRY=in a file")],
    })
}
