//! Changes that somebody votes for are tried: a server that watches a repository as a Gerrit keeps it, from the vote to the page.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use testkit::gerrit::Reviews;
use testkit::{File, NoteDb, Server, Uploaded, wait_for};
use tokio_util::task::AbortOnDropHandle;

use crate::faults::world as faults;

const LIMIT: Duration = Duration::from_secs(120);
const PROJECT: &str = r#"
[builder.tests]
recipe = "check"
try = true

[builder.slow]
recipe = "check"
aliases = ["longtest"]

[recipe.check]
run = "sh ./check.sh"
"#;

/// A second builder, and what fails on it alone.
const SECOND: &str = "\n[builder.more]\nrecipe = \"check\"\ntry = true\n";
const FAILS: &str = "if [ \"$BELLWETHER_BUILDER\" = more ]; then echo it breaks; exit 1; fi\n";

/// The transitions of try runs, which are killed at below.
pub const TRANSITIONS: &[&str] = &["try_begin", "try_tell", "try_cancel", "try_end", "try_settle"];

pub struct World {
    /// Its folder and its server.
    pub inner: faults::World,
    pub reviews: NoteDb,
}

impl World {
    fn new() -> World {
        World::with("", "")
    }

    /// With more in the project's file and in the server's. What fails is not built again, unless the latter says so.
    pub fn with(project: &str, server: &str) -> World {
        let inner = faults::World::empty();
        let tries = if server.contains("[tries]") { "" } else { "\n[tries]\nreruns = 0\n" };
        let project = format!("{PROJECT}{project}");
        let files = [("bellwether.toml", File::Text(&project)), ("check.sh", File::Text("true\n"))];
        let reviews = NoteDb::create(&inner.path("one"), &files).unwrap();
        let at = inner.path("one").display().to_string();
        // What jobs are held up by: of the server's folder they see nothing else.
        std::fs::create_dir(inner.path("gate")).unwrap();
        let gate = inner.path("gate").display().to_string();
        let text = format!(
            "[host.local]\ncapacity = 2\ntrust = \"untrusted-ok\"\nisolation = \"namespaces\"\nvisible = [{gate:?}]\n\n\
             [repo.one]\nurl = {at:?}\nhorizon = 1\nchanges = \"localhost/one\"\n\n\
             [maintnerd]\ngit = {{ project = \"localhost/one\", url = {at:?}, changes = true, every = \"1s\" }}\n{tries}{server}"
        );
        std::fs::write(inner.path("server.toml"), text).unwrap();
        World { inner, reviews }
    }

    pub fn launch(&mut self, more: &[&str]) {
        self.inner.launch(more);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    pub fn server(&self) -> &Server {
        self.inner.server.as_ref().unwrap()
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.inner.get(path)
    }

    pub fn page(&self, path: &str) -> String {
        let answer = self.server().request("GET", path, None, None).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// The runs of a change, the oldest first.
    fn runs(&self, number: u32) -> anyhow::Result<Vec<Value>> {
        let list = self.get(&format!("/api/v1/tries?review=localhost/one~{number}"))?;
        let mut runs = list["tries"].as_array().cloned().unwrap_or_default();
        runs.reverse();
        Ok(runs)
    }

    /// Waits until the runs of a change are in these states; gives the last, with its builds.
    pub fn until(&self, number: u32, states: &[&str]) -> Value {
        let mut seen = Vec::new();
        let found = wait_for(&format!("the runs of change {number} to be {states:?}"), LIMIT, || {
            // A server that is starting is asked again.
            seen = self.runs(number).unwrap_or_default();
            let is: Vec<_> = seen.iter().map(|run| run["state"].as_str().unwrap_or_default()).collect();
            Ok((is == states).then(|| seen.last().cloned()).flatten())
        });
        let run = found.unwrap_or_else(|error| panic!("{error:#}: {seen:#?}\n{}", self.server().printed()));
        self.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap())).unwrap()
    }

    /// Waits until the answer to a change was seen.
    pub fn settled(&self, number: u32) {
        wait_for("the answer to be seen", LIMIT, || {
            Ok(self.runs(number)?.iter().all(|run| run["settled"] == true).then_some(()))
        })
        .unwrap();
    }

    /// Uploads a patch set whose check is this line.
    fn upload(&mut self, number: u32, patch_set: u32, check: &str) -> Uploaded {
        let check = format!("{check}\n# {number} {patch_set}\n");
        let files = [("check.sh", File::Text(check.as_str()))];
        self.reviews.upload((number, patch_set), "main", &format!("Change {number}"), &files).unwrap()
    }

    pub fn vote(&mut self, on: &Uploaded, vote: i8) {
        self.reviews.vote(on, 8, "Run-TryBot", vote).unwrap();
    }

    fn answer(&mut self, on: &Uploaded, vote: i8) {
        self.reviews.vote(on, 9, "TryBot-Result", vote).unwrap();
    }
}

/// The words by which builds of a run are told.
pub fn builds(run: &Value) -> Vec<(String, String)> {
    let word = |build: &Value, key: &str| build[key].as_str().unwrap_or("-").to_owned();
    let list = run["builds"].as_array().unwrap();
    list.iter().map(|build| (word(build, "builder"), word(build, "outcome"))).collect()
}

#[test]
fn a_vote_is_followed_by_a_run_of_that_commit() {
    let mut world = World::new();
    let good = world.upload(1, 1, "true");
    let bad = world.upload(2, 1, "echo 'it breaks'; exit 1");
    let nobody = world.upload(3, 1, "true");
    world.vote(&good, 1);
    world.vote(&bad, 1);
    world.vote(&nobody, -1);
    world.launch(&[]);

    let run = world.until(1, &["passed"]);
    assert_eq!(builds(&run), [("tests".to_owned(), "ok".to_owned())]);
    assert_eq!((&run["commit"], &run["patch_set"]), (&good.commit.as_str().into(), &1.into()));
    assert_eq!((&run["title"], &run["asked_by"]), (&"Change 1".into(), &"Person 8 (8)".into()));
    let left: Vec<_> = run["left_out"].as_array().unwrap().iter().map(|left| &left["builder"]).collect();
    assert_eq!(left, [&Value::from("one:slow")]);
    let failed = world.until(2, &["failed"]);
    assert_eq!(builds(&failed), [("tests".to_owned(), "failed".to_owned())]);
    assert_eq!(world.runs(3).unwrap(), [Value::Null; 0], "nobody asked for it");

    // People find it: by the list, by its own page, and where the original has it.
    let page = world.page("/tries");
    assert!(page.contains("localhost/one~1") && page.contains("localhost/one~2"), "{page}");
    let id = run["id"].as_str().unwrap();
    let page = world.page(&format!("/tries/{id}"));
    assert!(page.contains("Change 1") && page.contains("1 left out"), "{page}");
    let answer =
        world.server().request("GET", &format!("/try?commit={}", &good.commit[..8]), None, None).unwrap();
    assert_eq!(answer.status, 303);
    let set = world.get(&format!("/try.json?commit={}", &good.commit[..8])).unwrap();
    assert_eq!(
        (&set["success"], &set["payload"]["builds"][0]["succeeded"]),
        (&true.into(), &true.into()),
        "{set}"
    );
    // A build of it is as others are; that it is nobody's to start from is in what its machine was told.
    let build = run["builds"][0]["id"].as_str().unwrap();
    let report = world.get(&format!("/api/v1/builds/{build}")).unwrap();
    assert_eq!((&report["class"], &report["outcome"]), (&"try".into(), &"ok".into()));

    // Its answer is in the review, and then taken away: the same commit is asked for again, and has its builds already.
    world.answer(&good, 1);
    world.settled(1);
    world.answer(&good, 0);
    let again = world.until(1, &["passed", "passed"]);
    assert_eq!(again["builds"], run["builds"]);
    // What failed is built once more.
    world.answer(&bad, -1);
    world.settled(2);
    world.answer(&bad, 0);
    let again = world.until(2, &["failed", "failed"]);
    let build = again["builds"][0]["id"].as_str().unwrap();
    assert_eq!(
        world.get(&format!("/api/v1/builds/{build}")).unwrap()["attempts"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn what_is_not_asked_for_any_more_ends_at_once() {
    let mut world = World::new();
    let go = world.path("gate/go").display().to_string();
    let wait = format!("until [ -e {go} ]; do sleep 0.05; done");
    let first = world.upload(1, 1, &wait);
    world.vote(&first, 1);
    world.launch(&[]);
    let running = |world: &World, states: &[&str]| {
        let run = world.until(1, states);
        wait_for("the build to run", LIMIT, || {
            let build = run["builds"][0]["id"].as_str().unwrap();
            let report = world.get(&format!("/api/v1/builds/{build}")).unwrap_or_default();
            Ok((report["state"] == "running").then_some(()))
        })
        .unwrap();
    };
    running(&world, &["running"]);
    // An approval is for one commit: the next patch set has none.
    let second = world.upload(1, 2, &wait);
    let run = world.until(1, &["cancelled"]);
    assert_eq!((&run["reason"], &run["patch_set"]), (&"patch set 2 is newer".into(), &1.into()));
    wait_for("its build to be ended", LIMIT, || {
        let run = world.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap()))?;
        Ok((builds(&run) == [("tests".to_owned(), "cancelled".to_owned())]).then_some(()))
    })
    .unwrap();
    world.vote(&second, 1);
    running(&world, &["cancelled", "running"]);
    world.vote(&second, 0);
    let run = world.until(1, &["cancelled", "cancelled"]);
    assert_eq!(run["reason"], "the vote on Run-TryBot was taken back");
    // The same commit, asked for again: its build, that was ended, is made.
    world.vote(&second, 1);
    running(&world, &["cancelled", "cancelled", "running"]);
    world.reviews.status(&second, "abandoned").unwrap();
    let run = world.until(1, &["cancelled"; 3]);
    assert_eq!(run["reason"], "the change was abandoned");
    world.reviews.status(&second, "new").unwrap();
    std::fs::write(&go, "").unwrap();
    let run = world.until(1, &["cancelled", "cancelled", "cancelled", "passed"]);
    assert_eq!(builds(&run), [("tests".to_owned(), "ok".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_it_is_said_in_the_review() {
    let reviews = Reviews::new(&["TryBot-Result"]);
    reviews.account("bot", "of-loopback", &["TryBot-Result"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), reviews.router());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let _serving = AbortOnDropHandle::new(serving);
    let server = format!(
        "[gerrit.main]\nurl = \"http://{address}\"\nhost = \"localhost\"\nuser = \"bot\"\npassword_file = \"password\"\n"
    );
    let mut world = World::with(SECOND, &server);
    std::fs::create_dir_all(world.path("data")).unwrap();
    std::fs::write(world.path("data/password"), "of-loopback\n").unwrap();
    let go = world.path("gate/go").display().to_string();
    let good = world.upload(1, 1, "true");
    let bad = world.upload(2, 1, &format!("{FAILS}until [ -e {go} ]; do sleep 0.05; done"));
    for change in [&good, &bad] {
        reviews.change(&format!("one~{}", change.number), &change.commit);
        world.vote(change, 1);
    }
    world.launch(&[]);
    world.until(1, &["passed"]);
    let said = |number: u32, count: usize| {
        let mut found = Vec::new();
        let all = wait_for(&format!("{count} words on change {number}"), LIMIT, || {
            found = reviews.get(&format!("one~{number}")).comments;
            Ok((found.len() == count).then(|| found.clone()))
        });
        all.unwrap_or_else(|error| panic!("{error:#}: {found:#?}"))
    };
    let tags = |comments: &[Value]| -> Vec<String> {
        let tag = |one: &Value| one["tag"].as_str().unwrap_or_default().rsplit('~').next().map(str::to_owned);
        comments.iter().filter_map(tag).collect()
    };
    let words = said(1, 2);
    assert_eq!(tags(&words), ["beginning", "happy"]);
    assert!(words[1]["message"].as_str().unwrap().starts_with("TryBots are happy.\n"), "{words:#?}");
    assert_eq!(words[1]["in_reply_to"], words[0]["id"]);
    assert_eq!((&words[0]["unresolved"], &words[1]["unresolved"]), (&true.into(), &false.into()));
    // What failed first is said while the other goes on; a server that dies in between says nothing twice.
    assert_eq!(tags(&said(2, 2)), ["beginning", "progress"]);
    world.inner.server().crash().unwrap();
    world.launch(&[]);
    std::fs::write(&go, "").unwrap();
    world.until(2, &["failed"]);
    let words = said(2, 3);
    assert_eq!(tags(&words), ["beginning", "progress", "failed"]);
    let last = words[2]["message"].as_str().unwrap();
    assert!(last.starts_with("1 of 2 TryBots failed.\nFailed on more: http"), "{last}");
    let vote = |number: u32| {
        reviews.get(&format!("one~{number}")).votes["TryBot-Result"].values().copied().collect()
    };
    let votes: [Vec<i64>; 2] = [vote(1), vote(2)];
    assert_eq!(votes, [[1], [-1]]);
}

#[test]
fn what_landed_under_the_same_name_is_built_to_its_end() {
    let mut world = World::new();
    let go = world.path("gate/go").display().to_string();
    let change = world.upload(1, 1, &format!("until [ -e {go} ]; do sleep 0.05; done"));
    world.vote(&change, 1);
    world.launch(&[]);
    let run = world.until(1, &["running"]);
    // As Gerrit does where nothing has to be rebased: the branch is at the change's commit.
    world.reviews.repo.git(&["update-ref", "refs/heads/main", &change.commit]).unwrap();
    world.reviews.status(&change, "merged").unwrap();
    let ended = world.until(1, &["cancelled"]);
    assert_eq!((&ended["id"], &ended["reason"]), (&run["id"], &"the change was submitted".into()));
    std::fs::write(&go, "").unwrap();
    wait_for("the build that fills the commit's cell", LIMIT, || {
        let run = world.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap()))?;
        Ok((builds(&run) == [("tests".to_owned(), "ok".to_owned())]).then_some(()))
    })
    .unwrap();
}

/// Dies at a point, begins again, and has made each run once.
fn killed_at(point: &str) {
    let told = point.contains("try_tell");
    let mut world = World::with(if told { SECOND } else { "" }, "");
    let go = world.path("gate/go").display().to_string();
    let fails = if told { FAILS } else { "" };
    let change = world.upload(1, 1, &format!("{fails}until [ -e {go} ]; do sleep 0.05; done"));
    world.vote(&change, 1);
    let cancelled = point.contains("try_cancel");
    world.launch(&["--die-at", point]);
    if cancelled {
        world.until(1, &["running"]);
        world.vote(&change, 0);
    } else if !told {
        std::fs::write(&go, "").unwrap();
    }
    if point.contains("try_settle") {
        world.until(1, &["passed"]);
        world.answer(&change, 1);
    }
    world.inner.await_death();
    world.launch(&[]);
    if told {
        std::fs::write(&go, "").unwrap();
        let run = world.until(1, &["failed"]);
        let of = |builder: &str, outcome: &str| (builder.to_owned(), outcome.to_owned());
        assert_eq!(builds(&run), [of("more", "failed"), of("tests", "ok")]);
        return;
    }
    let end = if cancelled { "cancelled" } else { "passed" };
    let run = world.until(1, &[end]);
    let wait = || {
        let run = world.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap()))?;
        let outcome = if cancelled { "cancelled" } else { "ok" };
        Ok((builds(&run) == [("tests".to_owned(), outcome.to_owned())]).then_some(()))
    };
    wait_for("its build to be over", LIMIT, wait).unwrap();
}

macro_rules! killed {
    ($($name:ident $point:literal),* $(,)?) => {
        $(#[test] fn $name() { killed_at($point); })*
        const POINTS: &[&str] = &[$($point),*];
    };
}

mod killed {
    use super::*;

    killed! {
        before_begin "before_try_begin:1",
        after_begin "after_try_begin:1",
        before_tell "before_try_tell:1",
        after_tell "after_try_tell:1",
        before_cancel "before_try_cancel:1",
        after_cancel "after_try_cancel:1",
        before_end "before_try_end:1",
        after_end "after_try_end:1",
        before_settle "before_try_settle:1",
        after_settle "after_try_settle:1",
    }

    #[test]
    fn each_is_killed_at() {
        for name in TRANSITIONS {
            for when in ["before", "after"] {
                assert!(POINTS.contains(&format!("{when}_{name}:1").as_str()), "{when}_{name} has no test");
            }
        }
    }
}
