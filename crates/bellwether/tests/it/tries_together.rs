//! Changes of two repositories that are tried together, one of them the toolchain of the other: what lands with what.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use testkit::{File, NoteDb, Server, Uploaded, wait_for};

use crate::faults::world as faults;

const LIMIT: Duration = Duration::from_secs(60);

/// The toolchain is one word, and what is built against it says whether it is the right one.
const RULES: &str = r#"
[recipe.tool]
toolchain = "tool"
run = "cat word"

[recipe.tool.dependents]
run = "sh ./check.sh"
"#;

/// Says which commits a build is of.
const CHECK: &str = "test \"$(cat ../tool/word)\" = \"$(cat wants)\"\n";

struct World {
    inner: faults::World,
    tool: NoteDb,
    user: NoteDb,
}

impl World {
    fn new(tries: &str) -> World {
        let inner = faults::World::empty();
        let own = "[builder.t]\nhost = \"local\"\nrecipe = \"tool\"\ntry = true\n";
        let tool =
            [("word", File::Text("old\n")), ("other", File::Text("1\n")), ("readme", File::Text("t\n"))];
        let tool = NoteDb::create(&inner.path("tool"), &tool).unwrap();
        let user = [("wants", File::Text("old\n")), ("check.sh", File::Text(CHECK))];
        let user = NoteDb::create(&inner.path("user"), &user).unwrap();
        let at = |name: &str| inner.path(name).display().to_string();
        // What jobs are held up by: of the server's folder they see nothing else.
        std::fs::create_dir(inner.path("gate")).unwrap();
        let gate = at("gate");
        let text = format!(
            "[host.local]\ncapacity = 2\ntrust = \"untrusted-ok\"\nisolation = \"namespaces\"\nvisible = [{gate:?}]\n\n\
             [repo.tool]\nurl = {:?}\nhorizon = 1\nchanges = \"localhost/tool\"\n\n\
             [repo.user]\nurl = {:?}\nhorizon = 1\nchanges = \"localhost/user\"\nneeds = [\"tool\"]\n\n\
             [maintnerd]\ngit = [\n\
             {{ project = \"localhost/tool\", url = {:?}, changes = true, every = \"1s\" }},\n\
             {{ project = \"localhost/user\", url = {:?}, changes = true, every = \"1s\" }},\n]\n\n\
             [tries]\nreruns = 0\ntopics = \"{tries}\"\n{RULES}\n{own}",
            at("tool"),
            at("user"),
            at("tool"),
            at("user")
        );
        std::fs::write(inner.path("server.toml"), text).unwrap();
        World { inner, tool, user }
    }

    /// Starts the server, and waits until it knows both projects.
    fn launch(&mut self) {
        let (tool, user) = (
            upload(&mut self.tool, (90, 1), "", &[("readme", "90\n")]),
            upload(&mut self.user, (90, 1), "", &[("readme", "90\n")]),
        );
        vote(&mut self.tool, &tool, 1);
        vote(&mut self.user, &user, 1);
        self.inner.launch(&[]);
        self.until("tool", 90, &["passed"]);
        self.until("user", 90, &["passed"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn until(&self, project: &str, number: u32, states: &[&str]) -> Value {
        until(&self.inner, project, number, states)
    }
}

fn server(world: &faults::World) -> &Server {
    world.server.as_ref().unwrap()
}

/// The runs of a change, the oldest first.
fn runs(world: &faults::World, project: &str, number: u32) -> anyhow::Result<Vec<Value>> {
    let list = world.get(&format!("/api/v1/tries?review=localhost/{project}~{number}"))?;
    let mut runs = list["tries"].as_array().cloned().unwrap_or_default();
    runs.reverse();
    Ok(runs)
}

/// Waits until the newest runs of a change are in these states; gives the last, with its builds.
fn until(world: &faults::World, project: &str, number: u32, states: &[&str]) -> Value {
    let mut seen = Vec::new();
    let found = wait_for(&format!("the runs of {project}~{number} to be {states:?}"), LIMIT, || {
        seen = runs(world, project, number).unwrap_or_default();
        let is: Vec<_> = seen.iter().map(|run| run["state"].as_str().unwrap_or_default()).collect();
        Ok(is.ends_with(states).then(|| seen.last().cloned()).flatten())
    });
    let run = found.unwrap_or_else(|error| panic!("{error:#}: {seen:#?}\n{}", server(world).printed()));
    world.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap())).unwrap()
}

/// Uploads a change that puts these words into a file.
fn upload(db: &mut NoteDb, id: (u32, u32), footers: &str, files: &[(&str, &str)]) -> Uploaded {
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, File::Text(text))).collect();
    db.upload_upon(id, "main", "main", (&format!("Change {}", id.0), footers), &files).unwrap()
}

fn vote(db: &mut NoteDb, on: &Uploaded, vote: i8) {
    db.vote(on, 8, "Run-TryBot", vote).unwrap();
}

fn with(run: &Value) -> Vec<(&str, i64, &str, bool)> {
    let one = |with: &'_ Value| -> (&'static str, i64, &'static str, bool) {
        let text = |key: &str| -> &'static str { with[key].as_str().unwrap().to_owned().leak() };
        (
            text("review"),
            with["patch_set"].as_i64().unwrap(),
            text("how"),
            with["approved"].as_bool().unwrap(),
        )
    };
    run["with"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_change_is_built_with_what_it_depends_on() {
    let mut world = World::new("apart");
    // The toolchain's branch goes on beside its change: the two are merged.
    let new = upload(&mut world.tool, (1, 1), "", &[("word", "new\n")]);
    world.tool.repo.commit("Another", &[("readme", File::Text("more\n"))]).unwrap();
    let depends = "Depends-On: https://localhost/c/tool/+/1\n";
    let user = upload(&mut world.user, (5, 1), depends, &[("wants", "new\n")]);
    world.launch();
    vote(&mut world.user, &user, 1);

    // The other's code would be run too: it takes its own vote.
    let run = world.until("user", 5, &["cancelled"]);
    let reason = run["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("localhost/tool~1 would be tried with it, and nobody has approved"),
        "{reason}"
    );
    assert_eq!(run["builds"], serde_json::json!([]));
    vote(&mut world.tool, &new, 1);
    let run = world.until("user", 5, &["cancelled", "passed"]);
    assert_eq!(with(&run), [("localhost/tool~1", 1, "depends", true)]);
    let build = &run["builds"][0];
    let merged = build["revision"].as_str().unwrap().rsplit_once("+tool@").unwrap().1;
    assert_ne!(merged, new.commit, "it is merged onto the branch");
    world.until("tool", 1, &["passed"]);

    // Against what the branch is now it would fail.
    let alone = upload(&mut world.user, (6, 1), "", &[("wants", "new\n")]);
    vote(&mut world.user, &alone, 1);
    world.until("user", 6, &["failed"]);

    // Another patch set of what is depended on ends the run, and begins it anew once it has its vote.
    let go = world.path("gate/go").display().to_string();
    let wait = format!("until [ -e {go} ]; do sleep 0.05; done\n{CHECK}");
    let slow = upload(&mut world.user, (7, 1), depends, &[("wants", "newer\n"), ("check.sh", &wait)]);
    vote(&mut world.user, &slow, 1);
    world.until("user", 7, &["running"]);
    let newer = upload(&mut world.tool, (1, 2), "", &[("word", "newer\n")]);
    world.until("user", 7, &["cancelled"]);
    vote(&mut world.tool, &newer, 1);
    let run = world.until("user", 7, &["cancelled", "running"]);
    assert_eq!(with(&run), [("localhost/tool~1", 2, "depends", true)]);
    // What has landed as it was tried has landed; the run goes on.
    world.tool.repo.git(&["merge", "--quiet", "--no-edit", &newer.commit]).unwrap();
    world.tool.status(&newer, "merged").unwrap();
    std::fs::write(&go, "").unwrap();
    world.until("user", 7, &["cancelled", "passed"]);
    // And counts as landed for what comes.
    let after = upload(&mut world.user, (8, 1), depends, &[("wants", "newer\n")]);
    vote(&mut world.user, &after, 1);
    let run = world.until("user", 8, &["passed"]);
    assert_eq!(with(&run), []);
}

#[test]
fn what_can_not_land_together_is_said() {
    let mut world = World::new("apart");
    let new = upload(&mut world.tool, (1, 1), "", &[("other", "2\n")]);
    world.tool.repo.commit("Another", &[("other", File::Text("3\n"))]).unwrap();
    let given_up = upload(&mut world.tool, (2, 1), "", &[("readme", "2\n")]);
    let depends = |number: u32| format!("Depends-On: https://localhost/c/tool/+/{number}\n");
    let conflicts = upload(&mut world.user, (5, 1), &depends(1), &[("readme", "5\n")]);
    let hopeless = upload(&mut world.user, (6, 1), &depends(2), &[("readme", "6\n")]);
    for one in [&new, &given_up] {
        vote(&mut world.tool, one, 1);
    }
    world.tool.status(&given_up, "abandoned").unwrap();
    world.launch();
    vote(&mut world.user, &conflicts, 1);
    vote(&mut world.user, &hopeless, 1);
    let run = world.until("user", 5, &["cancelled"]);
    assert_eq!(run["reason"], "localhost/tool~1 conflicts with main of tool in other: rebase it");
    let run = world.until("user", 6, &["cancelled"]);
    assert_eq!(run["reason"], "localhost/tool~2 was abandoned");
    world.tool.status(&given_up, "new").unwrap();
    world.until("user", 6, &["cancelled", "passed"]);
    // The other was tried alone, and stays refused.
    world.until("tool", 1, &["passed"]);
    world.until("user", 5, &["cancelled"]);
}

#[test]
fn a_topic_and_a_chain_are_tried_as_one() {
    let mut world = World::new("together");
    // A chain of two in the toolchain, whose tip is in one topic with what needs both; these two name each other.
    let below = upload(&mut world.tool, (1, 1), "", &[("word", "new\n")]);
    let files = [("other", File::Text("2\n"))];
    let tip = world.tool.upload_upon((2, 1), "main", &below.commit, ("Change 2", ""), &files).unwrap();
    let check = format!("test \"$(cat ../tool/other)\" = 2\n{CHECK}");
    let user = upload(&mut world.user, (5, 1), "", &[("wants", "new\n"), ("check.sh", &check)]);
    world.tool.topic(&tip, "t").unwrap();
    world.user.topic(&user, "t").unwrap();
    world.launch();
    vote(&mut world.tool, &tip, 1);
    vote(&mut world.user, &user, 1);
    let run = world.until("user", 5, &["passed"]);
    let both = [("localhost/tool~1", 1, "chain", false), ("localhost/tool~2", 1, "topic", true)];
    assert_eq!(with(&run), both);
    // Its own commit is what the branch would be: nothing is merged.
    let revision = run["builds"][0]["revision"].as_str().unwrap();
    assert_eq!(revision, format!("user@{}+tool@{}", user.commit, tip.commit));
    let run = world.until("tool", 2, &["passed"]);
    assert_eq!(with(&run), [("localhost/tool~1", 1, "chain", false), ("localhost/user~5", 1, "topic", true)]);
    let page = server(&world.inner)
        .request("GET", &format!("/tries/{}", run["id"].as_str().unwrap()), None, None)
        .unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    assert!(page.contains("localhost/user~5") && page.contains("of the same topic"), "{page}");
    // What it is built upon gets another patch set: it has to be rebased.
    upload(&mut world.tool, (1, 2), "", &[("word", "newer\n")]);
    let third = world.tool.upload_upon((2, 2), "main", &below.commit, ("Change 2", ""), &files).unwrap();
    vote(&mut world.tool, &third, 1);
    let run = world.until("tool", 2, &["cancelled"]);
    let reason = run["reason"].as_str().unwrap();
    assert!(
        reason.ends_with(
            "built upon patch set 1 of localhost/tool~1, and patch set 2 is newer: it has to be rebased"
        ),
        "{reason}"
    );
}

#[test]
fn what_waits_is_made_by_the_rules_that_were_approved() {
    let mut world = faults::World::empty();
    let rules =
        |run: &str| format!("[builder.t]\nrecipe = \"t\"\ntry = true\n\n[recipe.t]\nrun = \"{run}\"\n");
    let first = rules("sh ./check.sh");
    let files = [("bellwether.toml", File::Text(&first)), ("check.sh", File::Text("true\n"))];
    let mut tool = NoteDb::create(&world.path("tool"), &files).unwrap();
    let at = world.path("tool").display().to_string();
    std::fs::create_dir(world.path("gate")).unwrap();
    let gate = world.path("gate").display().to_string();
    let text = format!(
        "[host.local]\ncapacity = 1\ntrust = \"untrusted-ok\"\nisolation = \"namespaces\"\nvisible = [{gate:?}]\n\n\
         [repo.tool]\nurl = {at:?}\nhorizon = 1\nchanges = \"localhost/tool\"\n\n\
         [maintnerd]\ngit = {{ project = \"localhost/tool\", url = {at:?}, changes = true, every = \"1s\" }}\n"
    );
    std::fs::write(world.path("server.toml"), text).unwrap();
    let go = world.path("gate/go").display().to_string();
    let wait = format!("until [ -e {go} ]; do sleep 0.05; done\n");
    let under_way = upload(&mut tool, (1, 1), "", &[("check.sh", &wait)]);
    vote(&mut tool, &under_way, 1);
    world.launch(&[]);
    let run = until(&world, "tool", 1, &["running"]);
    let build = format!("/api/v1/builds/{}", run["builds"][0]["id"].as_str().unwrap());
    // Nobody knows of it for a moment.
    let runs = || world.get(&build).is_ok_and(|build| build["state"] == "running");
    wait_for("the build to run", LIMIT, || Ok(runs().then_some(()))).unwrap();
    let waits = upload(&mut tool, (2, 1), "", &[("readme", "2\n")]);
    vote(&mut tool, &waits, 1);
    let before = until(&world, "tool", 2, &["running"]);
    tool.repo.commit("Other rules", &[("bellwether.toml", File::Text(&rules("test -e readme")))]).unwrap();
    let after = until(&world, "tool", 2, &["cancelled", "running"]);
    let ended = world.get(&format!("/api/v1/tries/{}", before["id"].as_str().unwrap())).unwrap();
    assert_eq!(ended["reason"], "the rules of builder t have changed");
    assert_ne!(after["rules"], before["rules"]);
    // What is under way goes on.
    until(&world, "tool", 1, &["running"]);
    std::fs::write(&go, "").unwrap();
    until(&world, "tool", 1, &["passed"]);
    until(&world, "tool", 2, &["cancelled", "passed"]);
}
