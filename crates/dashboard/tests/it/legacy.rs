//! The original dashboard's API: its own sequence, and what its clients depend on byte for byte.

mod perf;

use axum::body::Body;
use dashboard::{Dashboard, builder_key};
use http::{Request, header};
use serde_json::{Value, json};
use testkit::legacy::sequence;
use transport::{Role, Service, Viewer};

use dashboard::api::{Outcome, RepoState, RepoUpdate, Visibility};

use crate::fixture::{Fixture, attempt_id, build_id, config, done, hash, report, revision};

pub(crate) use perf::{
    an_administrator_makes_the_first_rows, measurements_have_their_pages,
    old_commits_are_marked_to_be_measured,
};

/// As the original's development server has it.
const MASTER: &str = "gophers rule";
const KEY: &str = "gophers%20rule";

const CONFIG: &str = r#"
[environment.dev]
url = "https://build.example.org"
[repo.test]
url = "https://example.com/test"
import_path = "golang.org/x/test"
[dashboard]
hidden_branches = ["release-branch.go1.4"]
"#;

/// A dashboard with a key, as its service.
struct Desk {
    service: Service,
    dashboard: Dashboard,
}

impl Desk {
    fn new(on: &Fixture) -> Self {
        Self::of(on, CONFIG)
    }

    fn of(on: &Fixture, text: &str) -> Self {
        on.config.send_replace(std::sync::Arc::new(config(text)));
        let dashboard = on.dashboard();
        dashboard.set_builder_key(MASTER).unwrap();
        Self { service: Service::in_process(dashboard::router(&dashboard)), dashboard }
    }

    /// The same for somebody else: by itself it is asked by another service.
    fn asking_as(&self, viewer: Viewer) -> Self {
        Self { service: self.service.clone().asking_as(viewer), dashboard: self.dashboard.clone() }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String, String) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(format!("/dash{path}"));
        let request = request.header(header::HOST, "build.example.org").body(body).unwrap();
        let answer = self.service.send(request).await.unwrap();
        let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 26).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.into()).unwrap())
    }

    async fn get(&self, path: &str) -> String {
        self.send("GET", path, None).await.2
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let (status, kind, text) = self.send("POST", path, Some(body)).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"), "{path}: {text}");
        text
    }

    /// Posts a commit to the main repository.
    async fn commit(&self, hash: &str, parent: &str, branch: &str) -> String {
        self.post(&format!("/commit?version=3&key={KEY}"), &commit("", hash, parent, branch)).await
    }

    async fn result(&self, builder: &str, hash: &str, ok: bool, log: &str) -> String {
        let body = json!({"Builder": builder, "Hash": hash, "OK": ok, "Log": log});
        self.post(&format!("/result?version=1&builder={builder}&key={KEY}"), &body).await
    }
}

fn commit(package: &str, hash: &str, parent: &str, branch: &str) -> Value {
    json!({
        "PackagePath": package, "Hash": hash, "ParentHash": parent, "User": "Ann <ann@example.com>",
        "Desc": format!("all: change {hash}\n\nwith <b>"), "Time": "2017-07-01T14:00:00.25+02:00",
        "Branch": branch, "NeedsBenchmarking": false,
    })
}

const DONE: &str = "{\"Response\":null,\"Error\":\"\"}\n";

fn refused(error: &str) -> String {
    format!("{{\"Response\":null,\"Error\":{}}}\n", Value::from(error))
}

pub(crate) async fn the_original_s_own_sequence(on: Fixture) {
    let desk = Desk::new(&on);
    let steps = sequence(MASTER);
    assert!(steps.len() > 100);
    for (n, step) in steps.iter().enumerate() {
        let (status, _, body) = desk.send(step.method, &step.path, step.body.as_ref()).await;
        let came = step.came(status, body.as_bytes());
        assert_eq!(came, step.expected, "step {n}: {} {}: {body}", step.method, step.path);
    }
    let notices = store::legacy::notices::list(&mut on.db.read().await.unwrap(), "go", 10).await.unwrap();
    let told: Vec<_> = notices.iter().map(|notice| (&*notice.hash, &*notice.builder)).collect();
    assert_eq!(told, [("0003", "linux-386")]);
    assert_eq!(notices[0].log_hash, "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3");
}

pub(crate) async fn answers_are_byte_for_byte(on: Fixture) {
    let desk = Desk::new(&on);
    assert_eq!(desk.commit("0001", "0000", "master").await, DONE);
    let shown = "\"PackagePath\":\"\",\"Hash\":\"0001\",\"ParentHash\":\"0000\",\"Num\":1,\
        \"User\":\"Ann \\u003cann@example.com\\u003e\",\"Desc\":\"all: change 0001\\n\\nwith \\u003cb\\u003e\",\
        \"Time\":\"2017-07-01T12:00:00.25Z\",\"NeedsBenchmarking\":false,\"TryPatch\":false,\"Branch\":\"master\"";
    assert_eq!(
        desk.get("/commit?packagePath=&hash=0001").await,
        format!(
            "{{\"Response\":{{{shown},\"ResultData\":null,\"PerfResults\":null,\"FailNotificationSent\":false}},\
            \"Error\":\"\"}}\n"
        )
    );
    assert_eq!(
        desk.get("/todo?kind=build-go-commit&builder=b").await,
        format!(
            "{{\"Response\":{{\"Kind\":\"build-go-commit\",\"Data\":{{{shown},\"ResultData\":[],\"PerfResults\":[],\
            \"FailNotificationSent\":false}}}},\"Error\":\"\"}}\n"
        )
    );
    assert_eq!(desk.get("/todo?kind=unheard-of&builder=b").await, DONE);
    assert_eq!(
        desk.get("/packages?kind=subrepo").await,
        "{\"Response\":[{\"Kind\":\"subrepo\",\"Name\":\"test\",\"Path\":\"golang.org/x/test\",\"NextNum\":1}],\"Error\":\"\"}\n"
    );
    assert_eq!(desk.get("/packages?kind=external").await, DONE);
    let kinds = "kind must be one of \"external\" or \"subrepo\"";
    assert_eq!(desk.get("/packages").await, refused(kinds));
    assert_eq!(desk.get("/commit?hash=0009").await, refused("Commit not found"));
    assert_eq!(desk.get("/result").await, refused("bad method: GET"));
    let building = format!("/building?builder=b&hash=0001&gohash=&url=http://x/&key={KEY}");
    assert_eq!(
        desk.post(&building, &Value::Null).await,
        "{\"Response\":{\"key\":\"building|0001||b\"},\"Error\":\"\"}\n"
    );
    let (status, kind, text) = desk.send("GET", "/log/0123", None).await;
    assert_eq!((status, kind.as_str()), (500, "text/plain; charset=utf-8"));
    assert_eq!(text, "Error: datastore: no such entity");
    assert_eq!(desk.send("GET", "/log/", None).await.0, 500);
    assert_eq!(desk.get("/gccgo/packages?kind=subrepo").await, DONE);
    assert_eq!(desk.get("/gccgo/commit?hash=0001").await, refused("Commit not found"), "it has its own");
    let big = "é\u{1}\n".repeat(200_000);
    desk.result("b", "0001", false, &big).await;
    let failures = desk.get("/?mode=failures").await;
    let log = failures.trim_end().rsplit('/').next().unwrap().to_owned();
    assert_eq!(desk.get(&format!("/log/{log}")).await, big);
    assert_eq!(desk.get(&format!("/gccgo/log/{log}")).await, big);
}

pub(crate) async fn nothing_is_posted_without_a_key(on: Fixture) {
    let none = Desk { service: on.service.clone(), dashboard: on.dashboard() };
    let body = commit("", "0001", "", "master");
    for key in ["", "&key=", "&key=gophers%20rule", "&key=74e6f7298a9c2d168935f58c001bad88"] {
        let text = none.post(&format!("/commit?version=3{key}"), &body).await;
        assert!(text.contains("\"Error\":\"invalid key \\\""), "{text}");
    }
    let desk = Desk::new(&on);
    let key = builder_key(MASTER, "linux-386");
    assert_eq!(
        desk.post("/todo?key=no%22&builder=linux-386", &Value::Null).await,
        refused("invalid key \"no\\\"\" for builder \"linux-386\"")
    );
    let wrong = desk.post(&format!("/todo?key={key}&builder=linux-amd64"), &Value::Null).await;
    assert_eq!(wrong, refused(&format!("invalid key \"{key}\" for builder \"linux-amd64\"")));
    let right = format!("key={key}&builder=linux-386");
    assert_eq!(
        desk.post(&format!("/commit?version=3&{right}"), &body).await,
        refused("can only POST commits with master key")
    );
    // A builder's key is good for what it did itself, whatever name is in the body.
    for (path, of) in
        [("/result?version=1&", "linux-amd64"), ("/perf-result?", "linux-amd64"), ("/result?version=1&", "")]
    {
        let other = json!({"Builder": of, "Hash": "0001", "Benchmark": "b", "OK": true, "Log": "x"});
        let text = desk.post(&format!("{path}{right}"), &other).await;
        assert_eq!(text, refused(&format!("invalid key \"{key}\" for builder \"{of}\"")), "{path}");
    }
    let own = json!({"Builder": "linux-386", "Hash": "0001", "OK": true});
    let text = desk.post(&format!("/result?version=1&{right}"), &own).await;
    assert_eq!(text, refused("AddResult: getting Commit: datastore: no such entity"));
    let tag = json!({"Kind": "tip", "Hash": "0001"});
    assert_eq!(desk.post(&format!("/tag?{right}"), &tag).await, DONE);
    let revoked = builder_key(MASTER, "plan9-amd64-mischief");
    let revoked = format!("builder=plan9-amd64-mischief&key={revoked}");
    assert!(desk.post(&format!("/tag?{revoked}"), &tag).await.contains("invalid key"));
    let master = format!("builder=plan9-amd64-mischief&key={KEY}");
    assert_eq!(desk.post(&format!("/tag?{master}"), &tag).await, DONE);
    assert_eq!(
        desk.get("/todo?kind=build-go-commit&builder=plan9-amd64-mischief").await,
        refused("builder key revoked; no work given")
    );
    for (viewer, posted) in [(Viewer::stranger(true), 401), (Viewer::known("ada", Role::Developer), 403)] {
        let other = desk.asking_as(viewer);
        assert_eq!(other.send("GET", "/key?builder=linux-386", None).await.0, posted);
        // Who posts brings a key, and needs nothing else.
        assert_eq!(other.post(&format!("/tag?{master}"), &tag).await, DONE);
    }
    let admin = desk.asking_as(Viewer::known("admin", Role::Admin));
    assert_eq!(admin.get("/key?builder=linux-386").await, key);
    assert_eq!(admin.send("GET", "/key", None).await.0, 500);
    assert!(format!("{:?}", desk.dashboard).contains("KeyRing(set)"));
    assert!(!format!("{:?}", desk.dashboard).contains(MASTER));
}

pub(crate) async fn commits_are_posted_parents_first(on: Fixture) {
    let desk = Desk::new(&on);
    let path = format!("/commit?version=3&key={KEY}");
    assert_eq!(desk.commit("0002", "0001", "master").await, refused("parent commit not found"));
    assert_eq!(desk.commit("0001", "", "master").await, DONE);
    let first = "this package already has a first commit; aborting";
    assert_eq!(
        desk.commit("0009", "0000000000000000000000000000000000000000", "master").await,
        refused(first)
    );
    assert_eq!(desk.commit("", "0001", "master").await, refused("validating Commit: invalid Hash"));
    for version in ["", "2", "x"] {
        let text = desk.post(&format!("/commit?version={version}&key={KEY}"), &Value::Null).await;
        let said: u32 = version.parse().unwrap_or(0);
        let expected = format!("rejecting POST from commit watcher; need version 3 instead of {said}");
        assert_eq!(text, refused(&expected));
    }
    let mut old = commit("", "0002", "0001", "master");
    old.as_object_mut().unwrap().remove("NeedsBenchmarking");
    assert!(desk.post(&path, &old).await.contains("does not contain"));
    let unknown = desk.post(&path, &commit("golang.org/x/none", "1", "", "master")).await;
    assert_eq!(unknown, refused("GetPackage: package \"golang.org/x/none\" not found"));
    assert_eq!(
        desk.post(&path, &json!("NeedsBenchmarking")).await,
        refused("decoding Body: json: the body is not an object")
    );
    // Nothing new: no number is used up, and the tip stays where it is.
    assert_eq!(desk.commit("0002", "0001", "master").await, DONE);
    assert_eq!(desk.commit("0001", "", "master").await, DONE);
    assert_eq!(desk.commit("0003", "0001", "release-branch.go1.9").await, DONE);
    let long = format!("{}é", "x".repeat(499));
    let mut changed = commit("", "0003", "0001", "release-branch.go1.9");
    changed["Desc"] = Value::from(long);
    assert_eq!(desk.post(&path, &changed).await, DONE);
    let shown: Value = serde_json::from_str(&desk.get("/commit?hash=0003").await).unwrap();
    assert_eq!(shown["Response"]["Desc"].as_str().unwrap(), "x".repeat(499));
    assert_eq!(shown["Response"]["Num"], 3);
    let mut far = commit("", "0010", "0003", "dev");
    far["Num"] = Value::from(41);
    assert_eq!(desk.post(&path, &far).await, DONE);
    assert_eq!(desk.commit("0011", "0010", "dev").await, DONE);
    let shown: Value = serde_json::from_str(&desk.get("/commit?hash=0011").await).unwrap();
    assert_eq!(shown["Response"]["Num"], 42);
    let tags = store::legacy::tags::list(&mut on.db.read().await.unwrap(), "go").await.unwrap();
    let tags: Vec<_> = tags.iter().map(|tag| (&*tag.kind, &*tag.name, &*tag.hash)).collect();
    assert_eq!(tags, [("release", "release-branch.go1.9", "0003"), ("tip", "", "0002")]);
    for (tag, error) in [
        (json!({"Kind": "weekly", "Hash": "1"}), "invalid Kind"),
        (json!({"Kind": "release", "Hash": "1"}), "release must have Name"),
        (json!({"Kind": "tip"}), "invalid Hash"),
    ] {
        assert_eq!(desk.post(&format!("/tag?key={KEY}"), &tag).await, refused(error));
    }
}

pub(crate) async fn results_need_their_commit_and_their_version(on: Fixture) {
    let desk = Desk::new(&on);
    desk.commit("0001", "", "master").await;
    let post = |version: &str, body: Value| {
        let path = format!("/result?version={version}&key={KEY}");
        let desk = &desk;
        async move { desk.post(&path, &body).await }
    };
    let version = "rejecting POST from builder; need version 1 instead of 3";
    assert_eq!(post("3", Value::Null).await, refused(version));
    for (body, error) in [
        (json!({"Builder": "b"}), "validating Result: invalid Hash"),
        (json!({"Hash": "1", "PackagePath": "golang.org/x/test"}), "validating Result: invalid GoHash"),
        (json!({"Hash": "0009"}), "AddResult: getting Commit: datastore: no such entity"),
        (json!({"Hash": "1", "PackagePath": "p", "GoHash": "2"}), "GetPackage: package \"p\" not found"),
    ] {
        assert_eq!(post("1", body).await, refused(error));
    }
    assert!(post("1", json!({"Hash": 7})).await.contains("\"Error\":\"decoding Body: json: "));
    let (_, _, text) = desk.send("POST", &format!("/result?version=1&key={KEY}"), None).await;
    assert_eq!(text, refused("decoding Body: EOF"));
}

pub(crate) async fn results_are_cleared(on: Fixture) {
    let desk = Desk::new(&on);
    for (hash, parent) in [("0001", ""), ("0002", "0001"), ("0003", "0002")] {
        desk.commit(hash, parent, "master").await;
        desk.result("a", hash, false, "x").await;
        desk.result("b", hash, false, "x").await;
    }
    let left = || async {
        let text = desk.get("/?mode=failures").await;
        text.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(left().await.len(), 6);
    let none = desk.post(&format!("/clear-results?key={KEY}"), &Value::Null).await;
    assert_eq!(none, refused("must specify a builder"));
    let some = format!("/clear-results?builder=a&hash=0001,0003&key={KEY}");
    assert_eq!(desk.post(&some, &Value::Null).await, DONE);
    assert_eq!(left().await, ["0003 b", "0002 a", "0002 b", "0001 b"]);
    let all = format!("/clear-results?builder=b&key={KEY}");
    assert_eq!(desk.post(&all, &Value::Null).await, DONE);
    assert_eq!(left().await, ["0002 a"]);
}

pub(crate) async fn a_failure_is_told_once_for_each_commit(on: Fixture) {
    let desk = Desk::new(&on);
    for (hash, parent) in [("0001", ""), ("0002", "0001"), ("0003", "0002")] {
        desk.commit(hash, parent, "master").await;
    }
    let told = || async {
        let all = store::legacy::notices::list(&mut on.db.read().await.unwrap(), "go", 10).await.unwrap();
        all.into_iter().map(|notice| format!("{} {}", notice.hash, notice.builder)).collect::<Vec<_>>()
    };
    desk.result("a", "0002", false, "x").await;
    assert!(told().await.is_empty(), "nobody knows yet whether it was broken before");
    desk.result("a", "0001", true, "").await;
    assert_eq!(told().await, ["0002 a"], "the result before it came later");
    for builder in ["b", "netbsd-arm-rpi"] {
        desk.result(builder, "0001", true, "").await;
        desk.result(builder, "0002", false, "x").await;
    }
    assert_eq!(told().await, ["0002 a"], "one commit, one message");
    desk.result("netbsd-arm-rpi", "0003", true, "").await;
    desk.result("b", "0003", false, "x").await;
    assert_eq!(told().await, ["0002 a"], "it was broken before");
}

pub(crate) async fn overviews_are_byte_for_byte(on: Fixture) {
    let desk = Desk::new(&on);
    let (status, kind, text) = desk.send("GET", "/?mode=json", None).await;
    assert_eq!((status, kind.as_str()), (200, "text/json; charset=utf-8"));
    assert_eq!(text, "{\n\t\"builders\": null,\n\t\"revisions\": null\n}");
    assert_eq!(desk.get("/?mode=failures").await, "");
    desk.commit("0001", "", "master").await;
    desk.commit("0002", "0001", "release-branch.go1.9").await;
    desk.commit("0003", "0001", "release-branch.go1.4").await;
    desk.post(&format!("/commit?version=3&key={KEY}"), &commit("golang.org/x/test", "1001", "", "master"))
        .await;
    desk.result("zos", "0001", true, "").await;
    desk.result("linux-386", "0001", false, "test").await;
    desk.result("linux-386", "0002", false, "").await;
    let sub = json!({
        "Builder": "linux-386", "PackagePath": "golang.org/x/test", "Hash": "1001", "GoHash": "0001", "OK": true,
    });
    assert_eq!(desk.post(&format!("/result?version=1&key={KEY}"), &sub).await, DONE);
    let row = |repo: &str, hash: &str, parent: &str, go: &str, branch: &str, results: [&str; 2]| {
        let go = if go.is_empty() { String::new() } else { format!("\n\t\t\t\"goRevision\": \"{go}\",") };
        format!(
            "\t\t{{\n\t\t\t\"repo\": \"{repo}\",\n\t\t\t\"revision\": \"{hash}\",\n\t\t\t\"parentRevisions\": [\n\t\t\t\t\"{parent}\"\n\t\t\t],{go}\n\
            \t\t\t\"date\": \"2017-07-01T12:00:00Z\",\n\t\t\t\"branch\": \"{branch}\",\n\t\t\t\"author\": \"Ann \\u003cann@example.com\\u003e\",\n\
            \t\t\t\"desc\": \"all: change {hash}\\n\\nwith \\u003cb\\u003e\",\n\t\t\t\"results\": [\n\t\t\t\t\"{}\",\n\t\t\t\t\"{}\"\n\t\t\t]\n\t\t}}",
            results[0], results[1]
        )
    };
    let log = "https://build.example.org/dash/log/";
    let test = format!("{log}a94a8fe5ccb19ba61c4c0873d391e987982fbbd3");
    let rows = [
        row("go", "0003", "0001", "", "release-branch.go1.4", ["", ""]),
        row("go", "0002", "0001", "", "release-branch.go1.9", [log, ""]),
        row("go", "0001", "", "", "master", [&test, "ok"]),
        row("test", "1001", "", "0001", "master", ["ok", ""]),
        row("test", "1001", "", "0002", "master", ["", ""]),
    ];
    let expected = format!(
        "{{\n\t\"builders\": [\n\t\t\"linux-386\",\n\t\t\"zos\"\n\t],\n\t\"revisions\": [\n{}\n\t]\n}}",
        rows.join(",\n")
    );
    assert_eq!(desk.get("/?mode=json&version=1").await, expected);
    assert_eq!(desk.get("/?mode=failures").await, format!("0001 linux-386 {test}\n"));
    assert_eq!(desk.get("/?mode=failures&branch=release-branch.go1.9").await, "", "no log, no line");
    for page in ["1", "334", "99999999999"] {
        let other: Value =
            serde_json::from_str(&desk.get(&format!("/?mode=json&page={page}")).await).unwrap();
        assert!(other["revisions"].is_null(), "{page}");
    }
    let one: Value = serde_json::from_str(&desk.get("/?mode=json&hash=0002").await).unwrap();
    assert_eq!(one["revisions"].as_array().unwrap().len(), 1);
    let sub: Value = serde_json::from_str(&desk.get("/?mode=json&repo=golang.org/x/test").await).unwrap();
    assert_eq!((&sub["revisions"][0]["repo"], &sub["builders"][0]), (&json!("go"), &json!("linux-386")));
}

const UNION: &str = r#"
[repo.go]
url = "https://example.com/go"
branches = ["main", "release-branch.*"]
[repo.text]
url = "https://example.com/text"
import_path = "golang.org/x/text"
needs = ["go"]
[dashboard]
main = "go"
"#;

/// Reports a build that ended, with a log of its own.
async fn built(on: &Fixture, n: u8, builder: &str, of: &str, class: &str, outcome: Outcome) {
    let mut queued = report(n, builder, &revision(of));
    queued.class = class.into();
    let (attempt, build) = (attempt_id(n), build_id(n));
    on.log(&attempt, &build, &[format!("log {n}\n").as_bytes(), b"FAIL\n"]).await;
    // In the coordinator's order: the log is whole before the build's end is reported.
    on.client.log_finish(&attempt, 1).await.unwrap();
    on.client.put_build(&done(queued, outcome, 5)).await.unwrap();
}

fn rows(text: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(text).unwrap();
    let row = |row: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('0').to_owned();
        let results: Vec<_> =
            row["results"].as_array().unwrap().iter().map(|cell| cell.as_str().unwrap()).collect();
        let short: Vec<_> = results.iter().map(|cell| cell.rsplit('/').next().unwrap()).collect();
        let go = row["goRevision"].as_str().map(|go| format!("+go@{}", go.trim_start_matches('0')));
        format!(
            "{}@{}{} {} {}",
            text(&row["repo"]),
            text(&row["revision"]),
            go.unwrap_or_default(),
            text(&row["branch"]),
            short.join(",")
        )
    };
    all["revisions"].as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default()
}

/// SHA-1 of `log 2\nFAIL\n` and of `log 5\nFAIL\n`, by sha1sum.
const LOG_2: &str = "4bc1cd6233ea2d7f446e804ee935e5ab237e71dc";
const LOG_5: &str = "f3571ce07d7cbaf91b413a18e374273dd7226c1c";

pub(crate) async fn what_was_built_here_shows_there_too(on: Fixture) {
    let desk = Desk::of(&on, UNION);
    on.push("go", "main", &[3, 2, 1]).await;
    on.push("go", "release-branch.1", &[4, 1]).await;
    on.push("text", "main", &[6, 5]).await;
    built(&on, 1, "linux", "go@3", "post_submit", Outcome::Ok).await;
    built(&on, 2, "linux", "go@2", "post_submit", Outcome::Failed).await;
    built(&on, 3, "linux", "go@1", "post_submit", Outcome::Cancelled).await;
    built(&on, 4, "linux", "text@6+go@3", "post_submit", Outcome::Ok).await;
    built(&on, 5, "linux", "text@6+go@4", "post_submit", Outcome::InfraFailed).await;
    built(&on, 6, "linux", "text@5+go@2", "post_submit", Outcome::Failed).await;
    assert_eq!(
        rows(&desk.get("/?mode=json").await),
        [
            "go@4 release-branch.1 ".to_owned(),
            "go@3 main ok".to_owned(),
            format!("go@2 main {LOG_2}"),
            "go@1 main ".to_owned(),
            "text@6+go@3 main ok".to_owned(),
            format!("text@6+go@4 main {LOG_5}"),
        ]
    );
    let line = format!("{} linux http://build.example.org/dash/log/{LOG_2}\n", hash(2));
    assert_eq!(desk.get("/?mode=failures").await, line, "the default branch is its master");
    assert_eq!(desk.get(&format!("/log/{LOG_2}")).await, "log 2\nFAIL\n");
    assert_eq!(desk.get(&format!("/log/{}", build_id(2))).await, "log 2\nFAIL\n");
    assert_eq!(desk.send("GET", &format!("/log/{}", build_id(9)), None).await.0, 500);
    // What is posted to the same commit counts before it, and keeps its own order.
    desk.commit(&hash(2), "", "master").await;
    desk.result("linux", &hash(2), true, "").await;
    desk.result("plan9", &hash(2), true, "").await;
    let after = rows(&desk.get("/?mode=json").await);
    assert_eq!(after.iter().find(|row| row.starts_with("go@2 ")).unwrap(), "go@2 master ok,ok");
    assert_eq!(after.iter().filter(|row| row.starts_with("go@2 ")).count(), 1);
}

pub(crate) async fn tries_and_private_repos_show_nothing(on: Fixture) {
    let desk = Desk::of(&on, UNION);
    on.push("go", "main", &[2, 1]).await;
    on.push("text", "main", &[5]).await;
    built(&on, 2, "linux", "go@2", "try", Outcome::Failed).await;
    assert_eq!(rows(&desk.get("/?mode=json").await), ["go@2 main ", "go@1 main ", "text@5+go@2 main "]);
    assert_eq!(desk.get("/?mode=failures").await, "");
    for key in [LOG_2, &build_id(2)] {
        assert_eq!(
            desk.send("GET", &format!("/log/{key}"), None).await.0,
            500,
            "a try run's log is not there"
        );
    }
    // It has an address of its own, by the beginnings of its commit and of its log's digest.
    let tried =
        |rev: &str, builder: &str, sha1: &str| format!("/try/log/{}/{builder}_{}.log", &rev[..8], &sha1[..8]);
    assert_eq!(on.text(&tried(&hash(2), "linux", LOG_2)).await, "log 2\nFAIL\n");
    for path in [
        tried("fedcba98", "linux", LOG_2),
        tried(&hash(2), "darwin", LOG_2),
        tried(&hash(2), "linux", LOG_5),
        "/try/log/x/y".to_owned(),
    ] {
        assert_eq!(on.get(&path).await.status().as_u16(), 404, "{path}");
    }
    built(&on, 5, "linux", "go@1", "post_submit", Outcome::Failed).await;
    assert_eq!(desk.get(&format!("/log/{LOG_5}")).await, "log 5\nFAIL\n");
    let of_the_tree = tried(&hash(1), "linux", LOG_5);
    assert_eq!(on.get(&of_the_tree).await.status().as_u16(), 404, "what is in the tree is no try");
    let hide = |repo: &'static str| {
        let visibility = Some(Visibility::Private);
        let update =
            RepoUpdate { state: RepoState::Ok, reason: None, default_branch: None, head: None, visibility };
        let client = &on.client;
        async move { client.put_repo(repo, &update).await.unwrap() }
    };
    hide("text").await;
    assert_eq!(rows(&desk.get("/?mode=json").await).len(), 2);
    hide("go").await;
    assert_eq!(on.get(&tried(&hash(2), "linux", LOG_2)).await.status().as_u16(), 404);
    assert!(rows(&desk.get("/?mode=json").await).is_empty());
    assert_eq!(desk.get("/?mode=failures").await, "");
    assert_eq!(desk.send("GET", &format!("/log/{LOG_5}"), None).await.0, 500);
}
