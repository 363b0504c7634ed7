//! Muted tests by a whole server: they fail no run, are built again for no verdict, and start no search for a culprit.

use std::time::Duration;

use serde_json::Value;
use testkit::{File, wait_for};

use crate::faults::world as faults;
use crate::tries::World;

const LIMIT: Duration = Duration::from_secs(120);

/// A check of three tests, of which these fail.
fn check(failing: &[&str], more: &str) -> String {
    let mut text = "echo 1..3\n".to_owned();
    for (n, name) in ["solid", "own", "other"].into_iter().enumerate() {
        let not = if failing.contains(&name) { "not " } else { "" };
        text += &format!("echo '{not}ok {} - {name}'\n", n + 1);
    }
    text + more + if failing.is_empty() { "" } else { "exit 1\n" }
}

fn rule(test: &str) -> String {
    // As far away as may be, whenever this runs.
    let until = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().tomorrow().unwrap();
    format!("[[mute]]\ntest = \"{test}\"\nowner = \"anna\"\nuntil = {until}\nreason = \"issue 7\"\n")
}

fn verdicts(run: &Value) -> Vec<(String, String)> {
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
    run["verdicts"].as_array().unwrap().iter().map(|one| (word(one, "test"), word(one, "verdict"))).collect()
}

#[test]
fn a_muted_test_fails_no_run_and_a_change_mutes_nothing() {
    let mut world = World::with("results = \"tap\"\n", "");
    let path = world.path("server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("mute = [\"mute.toml\"]\n{text}")).unwrap();
    std::fs::write(world.path("mute.toml"), rule("solid")).unwrap();
    let project = world.reviews.repo.git(&["show", "HEAD:bellwether.toml"]).unwrap();
    let project = format!("mute = [\"ci/mute.toml\"]\n{project}");
    let base = check(&[], "");
    let own = rule("own");
    let files = [
        ("bellwether.toml", File::Text(&project)),
        ("ci/mute.toml", File::Text(&own)),
        ("check.sh", File::Text(&base)),
    ];
    world.reviews.repo.commit("What is muted", &files).unwrap();
    let muted = check(&["solid", "own"], "");
    let more = check(&["solid", "other"], "");
    let sleeps = check(&["solid"], "kill -9 $$\n");
    let all = rule("*er");
    let changes: [(u32, Vec<(&str, File<'_>)>); 4] = [
        (1, vec![("check.sh", File::Text(&muted))]),
        (2, vec![("check.sh", File::Text(&more))]),
        // It would mute what it breaks.
        (3, vec![("check.sh", File::Text(&more)), ("ci/mute.toml", File::Text(&all))]),
        // Its test is muted, and no test says that it ends like this.
        (4, vec![("check.sh", File::Text(&sleeps))]),
    ];
    for (number, files) in &changes {
        let up = world.reviews.upload((*number, 1), "main", &format!("Change {number}"), files).unwrap();
        world.vote(&up, 1);
    }
    world.launch(&[]);

    let run = world.until(1, &["passed"]);
    let of = |test: &str, verdict: &str| (test.to_owned(), verdict.to_owned());
    assert_eq!(verdicts(&run), [of("own", "muted"), of("solid", "muted")], "{run:#}");
    let sentence = run["verdicts"][0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("own is muted by one:ci/mute.toml:1 until "), "{sentence}");
    assert!(sentence.ends_with(", owner anna (issue 7)"), "{sentence}");
    assert_eq!(run["verdicts"][0]["runs"].as_array().map(Vec::len), Some(0), "nothing is built again");
    let page = world.page(&format!("/tries/{}", run["id"].as_str().unwrap()));
    assert!(page.contains("own is muted by one:ci/mute.toml:1 until"), "{page}");
    for number in [2, 3] {
        let run = world.until(number, &["failed"]);
        assert_eq!(verdicts(&run), [of("other", "unknown"), of("solid", "muted")], "{run:#}");
    }
    let run = world.until(4, &["failed"]);
    assert_eq!(verdicts(&run), [of("solid", "muted")], "{run:#}");
}

#[test]
fn a_muted_break_starts_no_search_and_mistakes_are_told() {
    let mut world = faults::World::empty();
    let project =
        "[builder.tests]\nrecipe = \"check\"\n\n[recipe.check]\nrun = \"sh ./check.sh\"\nresults = \"tap\"\n";
    let ok = check(&[], "");
    let files = [("bellwether.toml", File::Text(project)), ("check.sh", File::Text(&ok))];
    world.repo.commit("Well", &files).unwrap();
    let text = format!(
        "mute = \"mute.toml\"\n[environment.dev]\nbisect = true\n[host.local]\ncapacity = 2\n[repo.tiny]\nurl = {:?}\n",
        world.path("tiny").display().to_string()
    );
    std::fs::write(world.path("server.toml"), text).unwrap();
    std::fs::write(world.path("mute.toml"), rule("solid")).unwrap();
    world.launch(&[]);
    let ended = |world: &faults::World, commit: &str, outcome: &str| {
        wait_for("a build", LIMIT, || {
            let Ok(list) = world.get("/api/v1/builds") else { return Ok(None) };
            let is = |build: &Value| {
                build["outcome"] == outcome
                    && build["revision"].as_str().is_some_and(|revision| revision.ends_with(commit))
            };
            Ok(list["builds"].as_array().into_iter().flatten().any(is).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    };
    let head = world.repo.git(&["rev-parse", "HEAD"]).unwrap().trim().to_owned();
    ended(&world, &head, "ok");
    let (muted, both) = (check(&["solid"], ""), check(&["solid", "other"], ""));
    let broken = world.repo.commit("Muted", &[("check.sh", File::Text(&muted))]).unwrap();
    ended(&world, &broken, "failed");
    let well = world.repo.commit("Well again", &[("check.sh", File::Text(&ok))]).unwrap();
    ended(&world, &well, "ok");
    // A search that comes is of what is not muted, and the one before would have come first.
    world.repo.commit("Both", &[("check.sh", File::Text(&both))]).unwrap();
    let list = wait_for("a search", LIMIT, || {
        let list = world.get("/api/v1/bisections")?;
        Ok((list["bisections"].as_array().is_some_and(|all| !all.is_empty())).then_some(list))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    let tests: Vec<_> = list["bisections"].as_array().unwrap().iter().map(|one| &one["test"]).collect();
    assert_eq!(tests, [&Value::from("other")], "{list:#}");

    // A mistake is told with its place, and nothing is taken up.
    std::fs::write(world.path("mute.toml"), format!("{}owners = 1\n", rule("solid"))).unwrap();
    let config = world.path("server.toml").display().to_string();
    let told = check_config(&config);
    assert!(told.contains("mute.toml:6:1: unknown key owners"), "{told}");
    let token = std::fs::read_to_string(world.data().join("admin-token")).unwrap();
    let server = world.server.as_ref().unwrap();
    let answer = server.request("POST", "/api/v1/reload", Some(token.trim()), None).unwrap();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 422 && body.contains("mute.toml:6:1"), "{} {body}", answer.status);
    // What has expired is told with its owner, and is no mistake.
    let expired = rule("solid").replace(&until(&rule("solid")), "2026-01-31");
    std::fs::write(world.path("mute.toml"), expired).unwrap();
    let told = check_config(&config);
    assert!(told.contains("expired on 2026-01-31") && told.contains("anna has to mend"), "{told}");
}

/// What `config check` says.
fn check_config(file: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bellwether"));
    let output = command.args(["config", "check", "--config", file]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn until(rule: &str) -> String {
    let line = rule.lines().find(|line| line.starts_with("until")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}
