//! Whose fault a failure is, by a whole server: changes with a flaky test, a break of their own and a break at their base; and the commit of a
//! branch that broke a builder.

use std::time::Duration;

use serde_json::Value;
use testkit::{Counter, File, wait_for};

use crate::faults::world as faults;
use crate::tries::{World, builds};

const LIMIT: Duration = Duration::from_secs(240);

/// The transitions of verdicts and bisections, which are killed at below.
pub const TRANSITIONS: &[&str] = &["try_verdict", "bisect"];

/// Builders by what their test does: it is in order, fails every other time that a revision is built, or fails each time.
const PROJECT: &str = "results = \"tap\"\n\n[builder.wobbly]\nrecipe = \"check\"\ntry = true\n\n[builder.broken]\nrecipe = \"check\"\ntry = true\n";

/// A check whose `solid` passes unless it is said otherwise.
fn check(count: &Counter, solid: &str) -> String {
    let count = count.line("$BELLWETHER_REVISION");
    format!(
        "echo 1..2\n{solid}\necho 'ok 1 - solid'\n\
         if [ $BELLWETHER_BUILDER = broken ]; then echo 'not ok 2 - old'; exit 1; fi\n\
         if [ $BELLWETHER_BUILDER = wobbly ]; then\n\
         {count}if [ $((n % 2)) = 0 ]; then echo 'not ok 2 - wobble'; exit 1; fi\n\
         echo 'ok 2 - wobble'; exit 0; fi\necho 'ok 2 - rest'\n"
    )
}

/// Such a project, with a change that does nothing wrong and one that breaks `solid`.
fn world() -> (World, Counter) {
    let mut world = World::with(PROJECT, "\n[tries]\nreruns = 24\n");
    let count = Counter::start().unwrap();
    let base = check(&count, "");
    world.reviews.repo.commit("What is there", &[("check.sh", File::Text(&base))]).unwrap();
    let files = [("harmless", File::Text("1\n"))];
    let good = world.reviews.upload((1, 1), "main", "Change 1", &files).unwrap();
    world.vote(&good, 1);
    (world, count)
}

/// The verdicts of a run, by builder and test.
fn verdicts(run: &Value) -> Vec<(String, String, String)> {
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
    let list = run["verdicts"].as_array().unwrap();
    list.iter().map(|one| (word(one, "builder"), word(one, "test"), word(one, "verdict"))).collect()
}

fn words(builder: &str, test: &str, verdict: &str) -> (String, String, String) {
    (builder.to_owned(), test.to_owned(), verdict.to_owned())
}

#[test]
fn a_flake_and_a_break_at_the_base_are_not_the_change_s_fault() {
    let (mut world, _count) = world();
    let only = "if [ $BELLWETHER_BUILDER = tests ]; then echo 'not ok 1 - solid'; exit 1; fi";
    let text = format!("{only}\necho 1..1\necho 'ok 1 - solid'\n");
    let bad = world.reviews.upload((2, 1), "main", "Change 2", &[("check.sh", File::Text(&text))]).unwrap();
    world.vote(&bad, 1);
    world.launch(&[]);

    let run = world.until(1, &["passed"]);
    let all = [words("broken", "old", "broken_at_base"), words("wobbly", "wobble", "flaky")];
    assert_eq!(verdicts(&run), all, "{run:#}");
    let of = |builder: &str, outcome: &str| (builder.to_owned(), outcome.to_owned());
    assert_eq!(builds(&run), [of("broken", "failed"), of("wobbly", "failed"), of("tests", "ok")]);
    let page = world.page(&format!("/tries/{}", run["id"].as_str().unwrap()));
    assert!(page.contains("broken at base") && page.contains("wobble is flaky"), "{page}");
    // What was made to tell is where its evidence is, and in no list of builds.
    let rerun = run["verdicts"][1]["runs"][0]["id"].as_str().unwrap();
    let report = world.get(&format!("/api/v1/builds/{rerun}")).unwrap();
    assert_eq!((&report["sample"], &report["class"]), (&true.into(), &"try".into()), "{report:#}");
    let list = world.get("/api/v1/builds?limit=1000").unwrap();
    assert!(list["builds"].as_array().unwrap().iter().all(|build| build["id"] != rerun));

    let run = world.until(2, &["failed"]);
    assert_eq!(verdicts(&run), [words("tests", "solid", "caused")], "{run:#}");
    let sentence = run["verdicts"][0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("solid fails because of this change: it failed again in "), "{sentence}");
}

/// A branch whose first commit is in order, and whose head comes with nine more: the fourth of all broke `solid`, the sixth can't be built.
struct Branch {
    world: faults::World,
    commits: Vec<String>,
}

impl Branch {
    fn new() -> Branch {
        let mut world = faults::World::empty();
        let project = "[builder.tests]\nrecipe = \"check\"\n\n[recipe.check]\nrun = \"sh ./check.sh\"\nresults = \"tap\"\n";
        let ok = "echo 1..1\necho 'ok 1 - solid'\n";
        let files = [("bellwether.toml", File::Text(project)), ("check.sh", File::Text(ok))];
        let first = world.repo.commit("Commit 0", &files).unwrap();
        let text = format!(
            "[environment.dev]\nbisect = true\n\n[host.local]\ncapacity = 2\n\n[repo.tiny]\nurl = {:?}\nhorizon = 1\n",
            world.path("tiny").display().to_string()
        );
        std::fs::write(world.path("server.toml"), text).unwrap();
        Branch { world, commits: vec![first] }
    }

    fn go_on(&mut self) {
        for n in 1..10 {
            let text = match n {
                5 => "exit 2\n".to_owned(),
                3.. => format!("# {n}\necho 1..1\necho 'not ok 1 - solid'\nexit 1\n"),
                _ => format!("# {n}\necho 1..1\necho 'ok 1 - solid'\n"),
            };
            // Nobody sees the branch before all are there.
            std::fs::write(self.world.path("tiny/check.sh"), text).unwrap();
            self.world.repo.git(&["add", "."]).unwrap();
            let tree = self.world.repo.git(&["write-tree"]).unwrap().trim().to_owned();
            let parent = self.commits.last().unwrap().clone();
            let message = format!("Commit {n}");
            let made = self.world.repo.git(&["commit-tree", "-p", &parent, "-m", &message, &tree]).unwrap();
            self.commits.push(made.trim().to_owned());
        }
        self.world.repo.git(&["reset", "--quiet", "--soft", self.commits.last().unwrap()]).unwrap();
    }

    fn await_first(&self) {
        wait_for("the first build", LIMIT, || {
            let Ok(list) = self.world.get("/api/v1/builds") else { return Ok(None) };
            Ok((list["builds"][0]["outcome"] == "ok").then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.printed()));
    }

    /// Waits until the only bisection is over.
    fn await_answer(&self) -> Value {
        let mut last = Value::Null;
        let found = wait_for("the answer", LIMIT, || {
            let Ok(list) = self.world.get("/api/v1/bisections") else { return Ok(None) };
            last = list.clone();
            let all = list["bisections"].as_array().cloned().unwrap_or_default();
            Ok(all.first().filter(|one| one["state"] == "done").cloned())
        });
        let one = found.unwrap_or_else(|error| panic!("{error:#}: {last:#}\n{}", self.world.printed()));
        assert_eq!(last["bisections"].as_array().unwrap().len(), 1, "{last:#}");
        self.world.get(&format!("/api/v1/bisections/{}", one["id"].as_str().unwrap())).unwrap()
    }

    fn check(&self, answer: &Value) {
        assert_eq!(
            (&answer["answer"], &answer["culprit"], &answer["test"]),
            (&"culprit".into(), &self.commits[3].as_str().into(), &"solid".into()),
            "{answer:#}"
        );
        let of = |n: usize| -> Vec<String> {
            let commit = &answer["commits"][9 - n];
            assert_eq!(commit["title"], format!("Commit {n}"), "{answer:#}");
            let builds = commit["builds"].as_array().unwrap();
            builds.iter().filter_map(|build| build["outcome"].as_str().map(str::to_owned)).collect()
        };
        // Verified: it fails twice and its parent goes well twice.
        assert!(of(3).iter().filter(|outcome| *outcome == "failed").count() >= 2, "{answer:#}");
        assert!(of(2).iter().filter(|outcome| *outcome == "ok").count() >= 2, "{answer:#}");
    }
}

#[test]
fn the_commit_that_broke_a_builder_is_found() {
    let mut branch = Branch::new();
    branch.world.launch(&[]);
    branch.await_first();
    branch.go_on();
    let answer = branch.await_answer();
    branch.check(&answer);
    let id = answer["id"].as_str().unwrap();
    let page = branch.world.bytes(&format!("/bisections/{id}")).unwrap();
    assert!(page.contains("the culprit") && page.contains("Commit 3"), "{page}");
    assert!(branch.world.bytes("/bisections").unwrap().contains(id));
    // The head failed, and failed again: it broke once. What was built of other commits, all of one second, says nothing of that.
    let printed = branch.world.printed();
    let turns = |turn: &str| printed.matches(&format!("turn={turn}")).count();
    assert_eq!((turns("Broken"), turns("Mended")), (1, 0), "{printed}");
    // Of all that was built for it no list tells.
    let list = branch.world.get("/api/v1/builds").unwrap();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
}

/// Dies at a point, begins again, and comes to the same.
fn killed_at(point: &str) {
    if point.contains("bisect") {
        let mut branch = Branch::new();
        branch.world.launch(&["--die-at", point]);
        branch.await_first();
        branch.go_on();
        branch.world.await_death();
        branch.world.launch(&[]);
        let answer = branch.await_answer();
        return branch.check(&answer);
    }
    let (mut world, _count) = world();
    world.launch(&["--die-at", point]);
    world.inner.await_death();
    world.launch(&[]);
    let run = world.until(1, &["passed"]);
    let all = [words("broken", "old", "broken_at_base"), words("wobbly", "wobble", "flaky")];
    assert_eq!(verdicts(&run), all, "{run:#}");
}

mod killed {
    use super::*;

    const POINTS: &[&str] =
        &["before_try_verdict:2", "after_try_verdict:1", "before_bisect:2", "after_bisect:1"];

    #[test]
    fn while_verdicts_are_sought() {
        killed_at(POINTS[0]);
        killed_at(POINTS[1]);
    }

    #[test]
    fn while_a_culprit_is_sought() {
        killed_at(POINTS[2]);
        killed_at(POINTS[3]);
    }

    #[test]
    fn each_is_killed_at() {
        for name in TRANSITIONS {
            for when in ["before", "after"] {
                assert!(
                    POINTS.iter().any(|point| point.starts_with(&format!("{when}_{name}:"))),
                    "{when}_{name}"
                );
            }
        }
    }
}
