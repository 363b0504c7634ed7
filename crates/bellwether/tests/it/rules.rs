//! A change to the file by which a project says how it is built, in Gerrit: it is told what it would change, once, and is built by it where
//! that can be, without what nobody has reviewed being trusted with more.

use std::time::Duration;

use serde_json::Value;
use testkit::gerrit::Reviews;
use testkit::{File, wait_for};
use tokio_util::task::AbortOnDropHandle;

use crate::faults::world::SECRET;
use crate::tries::{World, builds};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_rules_is_told_of() {
    let reviews = Reviews::new(&["TryBot-Result"]);
    reviews.account("bot", "of-loopback", &["TryBot-Result"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), reviews.router());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let _serving = AbortOnDropHandle::new(serving);
    let server = format!(
        "[gerrit.main]\nurl = \"http://{address}\"\nhost = \"localhost\"\nuser = \"bot\"\npassword_file = \"password\"\n"
    );
    let mut world = World::with("", &server);
    std::fs::create_dir_all(world.path("data")).unwrap();
    std::fs::write(world.path("data/password"), "of-loopback\n").unwrap();
    let file = world.reviews.repo.git(&["show", "main:bellwether.toml"]).unwrap();
    let other = file.replace("sh ./check.sh", "exit 1");
    let good = [("bellwether.toml", File::Text(&other))];
    let good = world.reviews.upload((1, 1), "main", "Change 1", &good).unwrap();
    let upon = [("more", File::Text("1\n"))];
    let upon = world.reviews.upload_upon((2, 1), "main", &good.commit, ("Change 2", ""), &upon).unwrap();
    let bad = [("bellwether.toml", File::Text("[builder.tests]\nrecipe = \"chek\"\n"))];
    let bad = world.reviews.upload((3, 1), "main", "Change 3", &bad).unwrap();
    for change in [&good, &upon, &bad] {
        reviews.change(&format!("one~{}", change.number), &change.commit);
        world.vote(change, 1);
    }
    world.launch(&[]);
    // By its own rules; by those that are there with another change, and where its own can't be used.
    for (number, state, outcome) in [(1, "failed", "failed"), (2, "passed", "ok"), (3, "passed", "ok")] {
        let run = world.until(number, &[state]);
        assert_eq!(builds(&run), [("tests".to_owned(), outcome.to_owned())], "{number}");
        assert_eq!(run["own_rules"], number == 1);
    }
    let said = |number: u32, tags: &[&str]| {
        let mut found: Vec<Value> = Vec::new();
        let all = wait_for(&format!("{tags:?} on change {number}"), LIMIT, || {
            found = reviews.get(&format!("one~{number}")).comments;
            let tag =
                |one: &Value| one["tag"].as_str().unwrap_or_default().rsplit('~').next().map(str::to_owned);
            Ok((found.iter().filter_map(tag).collect::<Vec<_>>() == tags).then(|| found.clone()))
        });
        all.unwrap_or_else(|error| panic!("{error:#}: {found:#?}"))
    };
    let words = said(1, &["beginning", "config", "failed"]);
    let text = words[0]["message"].as_str().unwrap();
    assert!(
        text.contains("\nBuilt by bellwether.toml as it would be once this change has landed.\n"),
        "{text}"
    );
    let text = words[1]["message"].as_str().unwrap();
    assert!(text.contains("    ~ one main one:tests: recipe or builder changed (before it lands"), "{text}");
    assert!(text.contains("    ~ recipe.one:check.run: "), "{text}");
    assert_eq!(words[1]["unresolved"], false);
    // What it is built upon has its own words.
    said(2, &["beginning", "happy"]);
    let words = said(3, &["beginning", "config", "happy"]);
    let text = words[1]["message"].as_str().unwrap();
    assert!(
        text.contains("One thing is wrong in it; as it is, nothing of one is built once it has landed"),
        "{text}"
    );
    assert!(text.contains("\n    bellwether.toml:2:10: no recipe \"chek\"\n"), "{text}");
    assert_eq!(words[1]["unresolved"], true);
    // Once, however often it is tried.
    world.reviews.vote(&good, 9, "TryBot-Result", 1).unwrap();
    world.settled(1);
    world.reviews.vote(&good, 9, "TryBot-Result", 0).unwrap();
    world.until(1, &["failed"; 2]);
    // What began anew says of the answer before that it is superseded.
    said(1, &["beginning", "config", "failed", "beginning", "beginning", "failed"]);
}

fn of(builder: &str, outcome: &str) -> (String, String) {
    (builder.to_owned(), outcome.to_owned())
}

/// What a builder of a run wrote.
fn log(world: &World, run: &Value, builder: &str) -> String {
    let build = run["builds"].as_array().unwrap().iter().find(|build| build["builder"] == builder).unwrap();
    world.inner.log(build)
}

#[test]
fn a_change_is_built_by_its_own_rules_and_trusted_with_no_more() {
    let server = "\n[host.inner]\npool = \"local\"\ncapacity = 1\n\n\
                  [secret.word]\nenv = \"FAULT_WORD\"\nbuilders = [\"one:given\"]\n";
    let mut world = World::with("", server);
    let gate = world.path("gate").display().to_string();
    let file = world.reviews.repo.git(&["show", "main:bellwether.toml"]).unwrap();
    // One of them waits while two run, and two are not for what nobody has reviewed.
    let more = "[builder.fresh]\nrecipe = \"check\"\ntry = true\n[builder.third]\nrecipe = \"check\"\ntry = true\n\
                [builder.inner]\nhost = \"inner\"\nrecipe = \"check\"\ntry = true\n\
                [builder.given]\nhost = \"inner\"\nrecipe = \"check\"\ntry = true\n";
    let run = format!(
        "sh ./check.sh; echo new rules; echo word: $FAULT_WORD; until [ -e {gate}/go ]; do sleep 0.05; done"
    );
    let file = file.replace("sh ./check.sh", &run) + more;
    let change =
        world.reviews.upload((1, 1), "main", "Rules", &[("bellwether.toml", File::Text(&file))]).unwrap();
    world.vote(&change, 1);
    world.launch(&[]);
    let run = world.until(1, &["running"]);
    assert_eq!(run["builds"].as_array().map(Vec::len), Some(3), "{run:#}");
    let states = |world: &World| -> Vec<String> {
        let run = world.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap())).unwrap_or_default();
        let all = run["builds"].as_array().cloned().unwrap_or_default();
        all.iter().map(|build| build["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let two_run = |world: &World| {
        wait_for("two builds to run beside one that waits", LIMIT, || {
            let mut now = states(world);
            now.sort();
            Ok((now == ["queued", "running", "running"]).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:?}\n{}", states(world), world.server().printed()));
    };
    two_run(&world);
    // What waits has its rules from the database, and what runs goes on.
    world.inner.server().crash().unwrap();
    world.launch(&[]);
    two_run(&world);
    // Somebody else's change has nothing of it.
    let other = world.reviews.upload((2, 1), "main", "Another", &[("other", File::Text("1\n"))]).unwrap();
    world.vote(&other, 1);
    world.until(2, &["running"]);
    std::fs::write(world.path("gate/go"), "").unwrap();
    let others = world.until(2, &["passed"]);
    assert_eq!((builds(&others), &others["own_rules"]), (vec![of("tests", "ok")], &false.into()));
    assert!(!log(&world, &others, "tests").contains("new rules"));

    let run = world.until(1, &["passed"]);
    assert_eq!(builds(&run), ["fresh", "tests", "third"].map(|name| of(name, "ok")), "{run:#}");
    for name in ["fresh", "tests", "third"] {
        let log = log(&world, &run, name);
        assert!(log.contains("new rules") && log.contains("word:") && !log.contains(SECRET), "{log}");
    }
    let build = run["builds"][0]["id"].as_str().unwrap();
    let report = world.get(&format!("/api/v1/builds/{build}")).unwrap();
    let hosts: Vec<_> =
        report["attempts"].as_array().unwrap().iter().map(|one| one["host"].clone()).collect();
    assert_eq!((hosts, &report["sample"]), (vec!["local".into()], &true.into()), "{report:#}");
    let why = |builder: &str| {
        let left = run["left_out"].as_array().unwrap().iter().find(|one| one["builder"] == builder);
        left.unwrap_or_else(|| panic!("{run:#}"))["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(why("one:given"), "it is given secrets, and nobody has reviewed the change");
    assert!(why("one:inner").contains("trust of inner is not \"untrusted-ok\""), "{}", why("one:inner"));
    let page = world.page(&format!("/tries/{}", run["id"].as_str().unwrap()));
    assert!(page.contains("with bellwether.toml as it would be after this change"), "{page}");

    // Once it has landed, under its own name, it is built anew: nothing that was tried by its rules is taken for that.
    world.reviews.repo.git(&["update-ref", "refs/heads/main", &change.commit]).unwrap();
    world.reviews.status(&change, "merged").unwrap();
    let landed = wait_for("the builds of what has landed", LIMIT, || {
        let list = world.get("/api/v1/builds?limit=1000")?;
        let of_commit = |build: &&Value| {
            build["builder"] == "fresh"
                && build["outcome"] == "ok"
                && build["revision"].as_str().is_some_and(|text| text.ends_with(&change.commit))
        };
        Ok(list["builds"].as_array().into_iter().flatten().find(of_commit).cloned())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.server().printed()));
    assert_eq!((&landed["class"], landed["id"] == build), (&"post_submit".into(), false), "{landed:#}");
}
