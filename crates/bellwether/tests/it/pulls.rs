//! Pull requests that somebody asks for are tried: a server beside a GitHub, from the comment to the check.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::Request;
use serde_json::Value;
use testkit::github::{Faults, GitHub, Options, World as Forge};
use testkit::{File, Server, wait_for};
use tokio_util::task::AbortOnDropHandle;
use transport::Service;

use crate::faults::world as faults;

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cr3t";
pub const PROJECT: &str =
    "[builder.tests]\nrecipe = \"check\"\ntry = true\n\n[recipe.check]\nrun = \"sh ./check.sh\"\n";
/// Who may; and who may not.
pub const MEMBER: i64 = 1;
const STRANGER: i64 = 2;

/// The transitions that only pull requests have, which are killed at below.
pub const TRANSITIONS: &[&str] = &["try_heads", "try_again"];

pub struct World {
    /// Its folder and its server.
    pub inner: faults::World,
    pub github: GitHub,
    /// How far GitHub's clock is before ours.
    pub ahead: Arc<AtomicI64>,
    _serving: AbortOnDropHandle<()>,
    commits: u32,
}

impl World {
    /// With this more in `[github_posts]`.
    async fn new(posts: &str) -> World {
        World::with(posts, PROJECT, "", "").await
    }

    /// With this project, this more of its repository in the server file, and this more in that.
    pub async fn with(posts: &str, project: &str, repo: &str, server: &str) -> World {
        let mut inner = faults::World::empty();
        inner
            .repo
            .commit(
                "The first",
                &[("bellwether.toml", File::Text(project)), ("check.sh", File::Text("true\n"))],
            )
            .unwrap();
        // As GitHub does: whoever knows a commit's name gets it.
        inner.repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]).unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&ahead);
        let now = move || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            now + clock.load(Ordering::SeqCst)
        };
        let github = GitHub::new(1, Options::default(), Arc::new(now));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, router) = (listener.local_addr().unwrap(), github.router());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        configure(&inner, address, (posts, repo, server));
        let _serving = AbortOnDropHandle::new(serving);
        World { inner, github, ahead, _serving, commits: 0 }
    }

    pub fn server(&self) -> &Server {
        self.inner.server.as_ref().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    /// Makes a commit whose check is this line.
    fn commit(&mut self, check: &str) -> String {
        self.commits += 1;
        let check = format!("{check}\n# {}\n", self.commits);
        let title = format!("Change {}", self.commits);
        let commit = self.inner.repo.commit(&title, &[("check.sh", File::Text(&check))]).unwrap();
        self.inner.repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
        self.inner.repo.git(&["update-ref", &format!("refs/pull/{}/head", self.commits), &commit]).unwrap();
        commit
    }

    /// Does something on GitHub, which tells the server.
    pub async fn does<T>(&self, what: impl FnOnce(&mut Forge, i64) -> T) -> T {
        let done = self.github.change(what);
        for webhook in self.github.webhooks() {
            if self.inner.server.is_some() {
                self.tell(&webhook).await.unwrap();
            }
        }
        done
    }

    /// Brings a webhook.
    async fn tell(&self, webhook: &testkit::github::Webhook) -> Result<(), transport::CallError> {
        let request = Request::post("/hooks/github")
            .header("x-github-event", &webhook.event)
            .header("x-hub-signature-256", webhook.signature(SECRET))
            .body(Body::from(webhook.body.clone()));
        let service = Service::url(&format!("http://{}", self.server().address()));
        service.send_ok(request.unwrap()).await.map(drop)
    }

    /// Makes a commit of these files upon another one.
    pub fn commit_upon(&mut self, upon: &str, files: &[(&str, File<'_>)]) -> String {
        self.commits += 1;
        let title = format!("Change {}", self.commits);
        self.inner.repo.git(&["checkout", "--quiet", "--detach", upon]).unwrap();
        let commit = self.inner.repo.commit(&title, files).unwrap();
        self.inner.repo.git(&["checkout", "--quiet", "main"]).unwrap();
        self.inner.repo.git(&["update-ref", &format!("refs/pull/{}/head", self.commits), &commit]).unwrap();
        commit
    }

    /// Opens a pull request of this commit.
    pub async fn open(&self, commit: &str, fork: bool) -> i32 {
        self.open_to("main", commit, fork).await
    }

    /// The same, to another branch.
    pub async fn open_to(&self, branch: &str, commit: &str, fork: bool) -> i32 {
        self.does(|forge, now| {
            let number = forge.open(now, STRANGER, true, "A pull request", "");
            forge.push(now, number, commit, branch, fork);
            number
        })
        .await
    }

    pub async fn says(&self, number: i32, who: i64, text: &str) {
        self.does(|forge, now| forge.comment(now, number, who, text)).await;
    }

    async fn push(&self, number: i32, commit: &str) {
        self.does(|forge, now| forge.push(now, number, commit, "main", true)).await;
    }

    /// Waits until the server has seen how things are, and lets GitHub's clock go on, so that what follows is later.
    pub fn seen(&self) {
        let before = self.github.counts().lists;
        // Of two looks one began after this, and a third says that it is over.
        wait_for("two looks", LIMIT, || Ok((self.github.counts().lists >= before + 3).then_some(())))
            .unwrap();
        self.ahead.fetch_add(3, Ordering::SeqCst);
    }

    /// The runs of a pull request, the oldest first.
    pub fn runs(&self, number: i32) -> Vec<Value> {
        // A server that is starting is asked again.
        let list = self
            .inner
            .get(&format!("/api/v1/tries?review=github.com/golang/go%23{number}"))
            .unwrap_or_default();
        let mut runs = list["tries"].as_array().cloned().unwrap_or_default();
        runs.reverse();
        runs
    }

    /// Waits until the runs of a pull request are in these states; gives the last.
    pub fn until(&self, number: i32, states: &[&str]) -> Value {
        let mut seen = Vec::new();
        let found = wait_for(&format!("the runs of #{number} to be {states:?}"), LIMIT, || {
            seen = self.runs(number);
            let is: Vec<_> = seen.iter().map(|run| run["state"].as_str().unwrap_or_default()).collect();
            Ok((is == states).then(|| seen.last().cloned()).flatten())
        });
        found.unwrap_or_else(|error| panic!("{error:#}: {seen:#?}\n{}", self.server().printed()))
    }

    /// Waits until the check runs of a commit have ended so.
    pub fn checked(&self, commit: &str, ends: &[&str]) -> Vec<Value> {
        let mut seen = Vec::new();
        let found = wait_for(&format!("checks {ends:?}"), LIMIT, || {
            seen = self.github.world().checks(commit);
            let of = |run: &Value| {
                run["conclusion"].as_str().or(run["status"].as_str()).unwrap_or_default().to_owned()
            };
            Ok((seen.iter().map(of).collect::<Vec<_>>() == ends).then(|| seen.clone()))
        });
        found.unwrap_or_else(|error| panic!("{error:#}: {seen:#?}\n{}", self.server().printed()))
    }
}

fn configure(inner: &faults::World, github: SocketAddr, (posts, repo, server): (&str, &str, &str)) {
    let at = inner.path("tiny").display().to_string();
    // What jobs are held up by: of the server's folder they see nothing else.
    std::fs::create_dir(inner.path("gate")).unwrap();
    let gate = inner.path("gate").display().to_string();
    // Where failures are built again, tests say what failed.
    let reruns = if server.contains("# reruns") { 24 } else { 0 };
    let by = if repo.contains("try_by") { String::new() } else { format!("try_by = [\"User-{MEMBER}\"]\n") };
    let text = format!(
        "[host.local]\ncapacity = 2\ntrust = \"untrusted-ok\"\nisolation = \"namespaces\"\nvisible = [{gate:?}]\n\n\
         [repo.one]\nurl = {at:?}\nhorizon = 1\npulls = \"golang/go\"\n{by}{repo}\n{server}\n\
         [tries]\npulls_every = \"500ms\"\nreruns = {reruns}\n\n\
         [github_posts]\napi = \"http://{github}\"\ntoken_file = \"token\"\n{posts}\n\
         [pubsubhelper.github]\nsecret_file = \"hook\"\nplain = true\n\n\
         [maintnerd]\ngithub = [\"golang/go\"]\ngithub_api = \"http://{github}\"\ntoken_file = \"token\"\n"
    );
    std::fs::write(inner.path("server.toml"), text).unwrap();
    std::fs::create_dir_all(inner.path("data")).unwrap();
    std::fs::write(inner.path("data/token"), "t\n").unwrap();
    std::fs::write(inner.path("data/hook"), format!("{SECRET}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_who_may_is_followed_by_a_check_of_that_commit() {
    let mut world = World::new("checks = true").await;
    let (good, bad, other) = (
        world.commit("true"),
        world.commit("echo './check.sh:2:1: error: it breaks'; exit 1"),
        world.commit("true"),
    );
    let [one, two, three] =
        [world.open(&good, false).await, world.open(&bad, false).await, world.open(&other, false).await];
    world.says(one, MEMBER, "Let us see.\n/try").await;
    world.says(two, MEMBER, "/try").await;
    world.says(three, STRANGER, "/try\n/ok-to-test").await;
    world.inner.launch(&[]);
    let run = world.until(one, &["passed"]);
    assert_eq!((&run["commit"], &run["asked_by"]), (&good.as_str().into(), &"User-1".into()));
    assert_eq!((&run["title"], &run["branch"]), (&"A pull request".into(), &"main".into()));
    world.until(two, &["failed"]);
    let checks = world.checked(&good, &["success"]);
    assert_eq!((&checks[0]["name"], &checks[0]["external_id"]), (&"bellwether".into(), &run["id"]));
    let checks = world.checked(&bad, &["failure"]);
    assert_eq!(checks[0]["output"]["title"], "1 of 1 failed");
    assert!(
        checks[0]["output"]["summary"].as_str().unwrap().contains("Failed on tests: http"),
        "{checks:#?}"
    );
    // What the log complains of stands beside its line.
    let notes = || world.github.world().notes(&bad);
    assert_eq!(notes(), [("check.sh".to_owned(), 2, "it breaks".to_owned())]);
    // Said once more, it is tried once more, what failed is built anew, and another check says so.
    world.seen();
    world.says(two, MEMBER, "/try").await;
    world.until(two, &["failed", "failed"]);
    world.checked(&bad, &["failure", "failure"]);
    // So it is where somebody presses the button, which only those have who may write.
    world.does(|forge, now| forge.press(now, &bad, 4)).await;
    world.until(two, &["failed", "failed", "failed"]);
    world.checked(&bad, &["failure", "failure", "failure"]);
    assert_eq!(world.runs(three), [Value::Null; 0], "nobody asked who may");
    assert_eq!(world.runs(one).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_s_commit_is_tried_once_somebody_has_looked_at_it() {
    let mut world = World::new("checks = true").await;
    let go = world.path("gate/go").display().to_string();
    let wait = format!("until [ -e {go} ]; do sleep 0.05; done");
    let (first, second, third) = (world.commit(&wait), world.commit(&wait), world.commit("true"));
    let number = world.open(&first, true).await;
    world.inner.launch(&[]);
    world.seen();
    // Nobody has looked at it.
    world.says(number, MEMBER, "/try").await;
    world.seen();
    world.seen();
    assert_eq!(world.runs(number), [Value::Null; 0]);
    world.says(number, MEMBER, "/ok-to-test").await;
    world.ahead.fetch_add(3, Ordering::SeqCst);
    let run = world.until(number, &["running"]);
    assert_eq!(run["commit"], first.as_str());
    world.checked(&first, &["in_progress"]);
    // A push: what was said was of the commit before.
    world.push(number, &second).await;
    let run = world.until(number, &["cancelled"]);
    assert!(run["reason"].as_str().unwrap().starts_with("the pull request was pushed to"), "{run}");
    world.checked(&first, &["cancelled"]);
    world.seen();
    world.seen();
    assert_eq!(world.runs(number).len(), 1, "a push needs a new word");
    // The whole name says which is meant, whenever it was pushed.
    world.says(number, MEMBER, &format!("/ok-to-test {second}")).await;
    let run = world.until(number, &["cancelled", "running"]);
    assert_eq!(run["commit"], second.as_str());
    // Both who ask and the server may be gone in the middle: the word is still of the same commit.
    world.inner.server().crash().unwrap();
    world.github.set(|options| options.faults = Faults { error: 100, ..Faults::default() });
    world.inner.launch(&[]);
    wait_for("the server", LIMIT, || Ok((world.runs(number).len() == 2).then_some(()))).unwrap();
    world.github.set(|options| options.faults = Faults::default());
    world.until(number, &["cancelled", "running"]);
    // Taken back.
    world.does(|forge, now| forge.edit_comment(now, number, 2, "Wait.")).await;
    let run = world.until(number, &["cancelled", "cancelled"]);
    assert_eq!(run["reason"], "what was said of this commit was taken back");
    // A review is of the commit that was looked at, by GitHub's own word.
    world.push(number, &third).await;
    world.seen();
    world
        .does(|forge, now| {
            forge.review(now, number, MEMBER, "APPROVED", "Fine.\n/ok-to-test");
            forge.comment(now, number, STRANGER, "Thanks.");
        })
        .await;
    world.until(number, &["cancelled", "cancelled", "passed"]);
    world.checked(&third, &["success"]);
    world.does(|forge, now| forge.toggle(now, number, STRANGER)).await;
    wait_for("the answer to be seen", LIMIT, || {
        Ok(world.runs(number).iter().all(|run| run["settled"] == true).then_some(()))
    })
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_a_team_asks_by_a_label() {
    let own = "try_by = [\"@golang/approvers\"]\ntry_label = \"Run-Tests\"\n";
    let mut world = World::with("checks = true", PROJECT, own, "").await;
    let commit = world.commit("true");
    let label = world.does(|forge, _| {
        forge.team("approvers", &[MEMBER]);
        forge.make_label("run-tests")
    });
    let label = label.await;
    let number = world.open(&commit, true).await;
    world.inner.launch(&[]);
    world.seen();
    let puts = async |who| {
        world.does(|forge, now| forge.label(now, number, who, label)).await;
        world.seen();
        world.seen();
        world.runs(number).len()
    };
    assert_eq!(puts(STRANGER).await, 0, "whoever may put labels on may not ask by that");
    assert_eq!(puts(STRANGER).await, 0);
    puts(MEMBER).await;
    let run = world.until(number, &["passed"]);
    assert_eq!((&run["commit"], &run["asked_by"]), (&commit.as_str().into(), &"user-1".into()));
    // Of the same team, in words; and a stranger's are nobody's.
    world.says(number, STRANGER, "/ok-to-test").await;
    world.says(number, MEMBER, "/try").await;
    world.until(number, &["passed", "passed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_queue_is_answered_by_statuses_where_no_app_posts() {
    let mut world = World::new("").await;
    let (head, queued) = (world.commit("true"), world.commit("true"));
    let number = world.open(&head, true).await;
    world.does(|forge, _| forge.queue(number, Some(&queued))).await;
    world.inner.launch(&[]);
    let run = world.until(number, &["passed"]);
    assert_eq!((&run["commit"], &run["branch"]), (&queued.as_str().into(), &"main".into()));
    let statuses = wait_for("the statuses", LIMIT, || {
        let statuses = world.github.world().statuses(&queued);
        Ok((statuses.len() == 2).then_some(statuses))
    });
    let of = |state: &str, text: &str| (state.to_owned(), text.to_owned());
    assert_eq!(statuses.unwrap(), [of("pending", "1 build"), of("success", "All 1 are well")]);
    world.does(|forge, _| forge.queue(number, None)).await;
    wait_for("the queue to be seen", LIMIT, || Ok((world.runs(number)[0]["settled"] == true).then_some(())))
        .unwrap();
}

/// Dies at a point, begins again, and has tried it once.
async fn killed_at(point: &str) {
    let mut world = World::new("checks = true").await;
    let commit = world.commit("true");
    let number = world.open(&commit, false).await;
    world.says(number, MEMBER, "/try").await;
    world.inner.launch(&["--die-at", point]);
    if !point.contains("try_again") {
        world.inner.await_death();
        world.inner.launch(&[]);
        world.until(number, &["passed"]);
        world.checked(&commit, &["success"]);
        return;
    }
    world.checked(&commit, &["success"]);
    world.github.change(|forge, now| forge.press(now, &commit, 4));
    // It is not answered, so it is in GitHub's list of what did not arrive, and somebody has it told again.
    let webhook = world.github.webhooks().pop().unwrap();
    world.tell(&webhook).await.unwrap_err();
    world.inner.await_death();
    world.inner.launch(&[]);
    world.until(number, if point.starts_with("after") { &["passed", "passed"] } else { &["passed"] });
    world.tell(&webhook).await.unwrap();
    world.checked(&commit, &["success", "success"]);
    world.until(number, &["passed", "passed"]);
}

macro_rules! killed {
    ($($name:ident $point:literal),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { killed_at($point).await; })*
        const POINTS: &[&str] = &[$($point),*];
    };
}

mod killed {
    use super::*;

    // The first is of the head, the second of the word.
    killed! {
        before_heads "before_try_heads:1",
        after_heads "after_try_heads:1",
        after_word "after_try_heads:2",
        before_again "before_try_again:1",
        after_again "after_try_again:1",
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
