//! The original dashboard's own sequence of requests (builds, branches, packages, measuring), as data: a test sends it to a
//! router, `cargo xtask legacy` over HTTP. It wants a server on which nothing was posted yet, whose configuration names the
//! package `golang.org/x/test` and a builder key file.

use std::fmt;

use serde_json::{Value, json};

/// The one package beside the main one.
pub const PACKAGE: &str = "golang.org/x/test";

/// What a server must be configured with, besides the key file.
pub const CONFIG: &str = "[repo.test]\nurl = \"test\"\nimport_path = \"golang.org/x/test\"\n\
    [dashboard]\nbuilder_key_file = \"builder.key\"\n";

/// A request and what must come of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, below the dashboard's own address.
    pub path: String,
    /// JSON.
    pub body: Option<Value>,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Done, with nothing to say.
    Done,
    /// No work; an error may be said.
    NoWork,
    /// Work: its kind, its commit, what of it is measured.
    Work(&'static str, String, Vec<String>),
    /// The import paths of packages.
    Packages(Vec<String>),
    /// A commit, and whether its failure was told.
    Commit(String, bool),
    /// A text that is in no envelope.
    Text(String),
    /// A page for people with these words.
    Shows(String),
    /// An error in these words.
    Refused(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Done => f.write_str("done"),
            Expected::NoWork => f.write_str("no work"),
            Expected::Work("benchmark-go-commit", hash, done) => write!(f, "measure {hash} {done:?}"),
            Expected::Work(_, hash, _) => write!(f, "build {hash}"),
            Expected::Packages(paths) => write!(f, "packages {paths:?}"),
            Expected::Commit(hash, told) => write!(f, "{hash}, failure told: {told}"),
            Expected::Text(text) => write!(f, "text {text:?}"),
            Expected::Shows(words) => write!(f, "a page with {words:?}"),
            Expected::Refused(text) => write!(f, "refused: {text}"),
        }
    }
}

impl Step {
    /// Says what came of the request.
    #[must_use]
    pub fn came(&self, status: u16, body: &[u8]) -> Expected {
        let text = String::from_utf8_lossy(body).into_owned();
        if let Expected::Shows(words) = &self.expected {
            let shown = status == 200 && text.contains(words);
            return if shown { self.expected.clone() } else { Expected::Text(text) };
        }
        let envelope: Option<Value> = (status == 200).then(|| serde_json::from_str(&text).ok()).flatten();
        let Some(envelope) = envelope.filter(|_| !matches!(self.expected, Expected::Text(_))) else {
            return Expected::Text(text);
        };
        let (response, error) = (&envelope["Response"], envelope["Error"].as_str());
        let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match (&self.expected, error) {
            (Expected::NoWork, _) if response.is_null() => return Expected::NoWork,
            (_, Some("")) => {}
            (_, other) => return Expected::Refused(other.unwrap_or(&text).to_owned()),
        }
        match response {
            Value::Null if self.path.starts_with("/todo") => Expected::NoWork,
            Value::Null => Expected::Done,
            Value::Array(packages) => {
                Expected::Packages(packages.iter().map(|package| text_of(&package["Path"])).collect())
            }
            response if response["Kind"].is_string() => {
                let kinds = ["build-go-commit", "build-package", "benchmark-go-commit"];
                let kind = kinds.into_iter().find(|kind| response["Kind"] == *kind).unwrap_or("of no kind");
                let done =
                    response["Data"]["PerfResults"].as_array().map(|all| all.iter().map(text_of).collect());
                Expected::Work(kind, text_of(&response["Data"]["Hash"]), done.unwrap_or_default())
            }
            response => Expected::Commit(
                text_of(&response["Hash"]),
                response["FailNotificationSent"].as_bool().unwrap_or_default(),
            ),
        }
    }
}

struct Sequence {
    key: String,
    steps: Vec<Step>,
}

/// Who does a part of the sequence.
const X86: &str = "linux-386";
const AMD64: &str = "linux-amd64";
/// All commits have the same time, which part of the sequence depends on.
const TIME: &str = "2017-07-01T12:00:00Z";

impl Sequence {
    fn add(&mut self, method: &'static str, path: String, body: Option<Value>, expected: Expected) {
        self.steps.push(Step { method, path, body, expected });
    }

    fn post(&mut self, path: &str, query: &str, body: Option<Value>, expected: Expected) {
        let path = format!("{path}?{query}&key={}", self.key);
        self.add("POST", path, body, expected);
    }

    /// A commit of a package; `bench` if it is to be measured.
    fn commit(&mut self, package: &str, hash: &str, parent: &str, bench: bool) {
        let body = json!({
            "PackagePath": package, "Hash": hash, "ParentHash": parent, "User": "Gopher <gopher@example.com>",
            "Desc": format!("change {hash}"), "Time": TIME, "Branch": "master", "NeedsBenchmarking": bench,
        });
        self.post("/commit", "version=3", Some(body), Expected::Done);
    }

    fn result(&mut self, builder: &str, hash: &str, ok: bool, log: &str) {
        let body = json!({
            "PackagePath": "", "Builder": builder, "Hash": hash, "GoHash": "", "OK": ok, "Log": log,
            "RunTime": 1_000_000_000_i64,
        });
        self.post("/result", &format!("version=1&builder={builder}"), Some(body), Expected::Done);
    }

    fn package_result(&mut self, builder: &str, hash: &str, go_hash: &str, ok: bool, log: &str) {
        let body = json!({
            "PackagePath": PACKAGE, "Builder": builder, "Hash": hash, "GoHash": go_hash, "OK": ok, "Log": log,
        });
        self.post("/result", &format!("version=1&builder={builder}"), Some(body), Expected::Done);
    }

    /// All three commits of the package against one of the main one.
    fn package_results(&mut self, builder: &str, go_hash: &str) {
        for hash in ["1001", "1002", "1003"] {
            self.package_result(builder, hash, go_hash, true, "");
        }
    }

    fn todo(&mut self, kinds: &[&str], builder: &str, rest: &str, expected: Expected) {
        let kinds: String = kinds.iter().map(|kind| format!("kind={kind}&")).collect();
        self.post("/todo", &format!("{kinds}builder={builder}{rest}"), None, expected);
    }

    fn next(&mut self, builder: &str, hash: &str) {
        let expected = match hash {
            "" => Expected::NoWork,
            hash => Expected::Work("build-go-commit", hash.to_owned(), Vec::new()),
        };
        self.todo(&["build-go-commit"], builder, "&packagePath=&goHash=", expected);
    }

    fn next_package(&mut self, builder: &str, go_hash: &str, hash: &str) {
        let expected = match hash {
            "" => Expected::NoWork,
            hash => Expected::Work("build-package", hash.to_owned(), Vec::new()),
        };
        self.todo(&["build-package"], builder, &format!("&packagePath={PACKAGE}&goHash={go_hash}"), expected);
    }

    fn next_of_both(&mut self, builder: &str, expected: Expected) {
        self.todo(&["build-go-commit", "benchmark-go-commit"], builder, "&packagePath=&goHash=", expected);
    }

    fn builds(&mut self, builder: &str, hash: &str) {
        self.next_of_both(builder, Expected::Work("build-go-commit", hash.to_owned(), Vec::new()));
        self.result(builder, hash, true, "");
    }

    fn measures(&mut self, builder: &str, hash: &str, done: &[&str]) {
        let done = done.iter().map(|name| (*name).to_owned()).collect();
        self.next_of_both(builder, Expected::Work("benchmark-go-commit", hash.to_owned(), done));
    }

    fn measured(&mut self, builder: &str, hash: &str, benchmark: &str) {
        let body = json!({
            "Builder": builder, "Benchmark": benchmark, "Hash": hash, "OK": true,
            "Metrics": [{"Type": "time", "Val": 100}], "Artifacts": [{"Type": "log", "Body": "fast"}],
        });
        self.post("/perf-result", &format!("builder={builder}"), Some(body), Expected::Done);
    }
}

/// The sequence, for a server whose master key is `key`.
#[must_use]
pub fn sequence(key: &str) -> Vec<Step> {
    let key = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut s = Sequence { key, steps: Vec::new() };
    builds(&mut s);
    packages(&mut s);
    measuring(&mut s);
    measurements(&mut s);
    s.steps
}

fn builds(s: &mut Sequence) {
    s.add("GET", "/packages?kind=subrepo".into(), None, Expected::Packages(vec![PACKAGE.into()]));
    let unknown = Expected::Refused("Commit not found".into());
    s.add("GET", "/commit?packagePath=&hash=0001".into(), None, unknown);
    s.commit("", "0001", "0000", true);
    s.commit("", "0002", "0001", false);
    s.commit("", "0003", "0002", true);
    s.next(X86, "0003");
    s.next(AMD64, "0003");
    s.result(X86, "0001", true, "");
    s.next(X86, "0003");
    s.result(X86, "0002", true, "");
    s.next(X86, "0003");
    for builder in [
        AMD64,
        "linux-amd64-race",
        "netbsd-386",
        "plan9-386",
        "windows-386",
        "windows-amd64",
        "windows-amd64-race",
        "linux-amd64-temp",
    ] {
        s.result(builder, "0001", true, "");
    }
    s.result(AMD64, "0003", true, "");
    s.next(X86, "0003");
    s.next(AMD64, "0002");
    s.commit("", "0004", "0003", false);
    s.commit("", "0005", "0002", false);
    s.next(X86, "0005");
    s.result(X86, "0005", true, "");
    s.next(X86, "0004");
    s.result(X86, "0004", false, "");
    s.next(X86, "0003");
    // Its parent is ok: this is the one failure that is told, and told once.
    for _ in 0..2 {
        s.result(X86, "0003", false, "test");
    }
    for (hash, told) in [("0002", false), ("0003", true), ("0004", false)] {
        let expected = Expected::Commit(hash.into(), told);
        s.add("GET", format!("/commit?packagePath=&hash={hash}"), None, expected);
    }
    let log = "/log/a94a8fe5ccb19ba61c4c0873d391e987982fbbd3";
    s.add("GET", log.into(), None, Expected::Text("test".into()));
    s.next(X86, "");
}

fn packages(s: &mut Sequence) {
    s.commit(PACKAGE, "1001", "0000", false);
    s.commit(PACKAGE, "1002", "1001", false);
    s.commit(PACKAGE, "1003", "1002", false);
    for hash in ["1003", "1002", "1001"] {
        s.next_package(X86, "0001", hash);
        s.package_result(X86, hash, "0001", true, "");
    }
    s.next_package(X86, "0001", "");
    s.next_package(X86, "0002", "1003");
    // A package that is not built against the tip: the tip again.
    s.next(X86, "0005");
    s.package_result(X86, "1001", "0005", false, "boo");
    let log = "/log/78b371f0ea1410abc62ccb9b7f40c34288a72e1a";
    s.add("GET", log.into(), None, Expected::Text("boo".into()));
    s.next(X86, "");
}

fn measuring(s: &mut Sequence) {
    for hash in ["0005", "0004", "0002"] {
        s.builds(AMD64, hash);
    }
    s.package_results(AMD64, "0005");
    s.measures(AMD64, "0003", &[]);
    s.measured(AMD64, "0003", "http");
    s.measures(AMD64, "0003", &["http"]);
    s.measured(AMD64, "0003", "json");
    s.measures(AMD64, "0003", &["http", "json"]);
    s.measured(AMD64, "0003", "meta-done");
    s.measures(AMD64, "0001", &[]);
    s.measured(AMD64, "0001", "http");
    s.measured(AMD64, "0001", "meta-done");
    s.next_of_both(AMD64, Expected::NoWork);
    s.commit("", "0006", "0005", true);
    s.builds(AMD64, "0006");
    s.package_results(AMD64, "0006");
    s.measures(AMD64, "0006", &[]);
    s.measured(AMD64, "0006", "http");
    s.measured(AMD64, "0006", "meta-done");
    s.next_of_both(AMD64, Expected::NoWork);
    s.commit("", "0007", "0006", true);
    s.builds(AMD64, "0007");
    s.package_results(AMD64, "0007");
    s.measures(AMD64, "0007", &[]);
    // A benchmark that is new to the builder: all is measured again.
    s.measured(AMD64, "0007", "bson");
    s.measured(AMD64, "0007", "meta-done");
    for (hash, done) in
        [("0007", &["bson"][..]), ("0006", &["http"]), ("0001", &["http"]), ("0003", &["http", "json"])]
    {
        s.measures(AMD64, hash, done);
        s.measured(AMD64, hash, "meta-done");
    }
    s.next_of_both(AMD64, Expected::NoWork);
    s.builds(X86, "0007");
    s.builds(X86, "0006");
    s.package_results(X86, "0007");
    for hash in ["0007", "0006", "0001", "0003"] {
        s.measures(X86, hash, &[]);
        s.measured(X86, hash, "meta-done");
    }
    s.next_of_both(X86, Expected::NoWork);
}

/// The pages about what was measured, and the one way to have an old commit measured.
fn measurements(s: &mut Sequence) {
    let marked = Expected::Text("0009: no such commit\n0007: measured already\n".into());
    s.post("/updatebenchmark", &format!("builder={AMD64}"), Some(json!(["0009", "0007"])), marked);
    for (path, words) in [
        ("/perf", "none beyond the noise"),
        ("/perfdetail?commit=0006&kind=builder&builder=linux-amd64", "+0.00 %"),
        ("/perfgraph?builder=linux-amd64&benchmark=http&metric=time", "<polyline"),
        ("/perflearn", "up to 200.00 %"),
    ] {
        s.add("GET", path.into(), None, Expected::Shows(words.into()));
    }
}
