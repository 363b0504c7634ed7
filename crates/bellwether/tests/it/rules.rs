//! A change to the file by which a project says how it is built, in Gerrit: it is told what it would change, once, and is not built by it.

use std::time::Duration;

use serde_json::Value;
use testkit::gerrit::Reviews;
use testkit::{File, wait_for};
use tokio_util::task::AbortOnDropHandle;

use crate::tries::{World, builds};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_rules_is_told_of_and_not_followed() {
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
    for number in [1, 2, 3] {
        let run = world.until(number, &["passed"]);
        assert_eq!(builds(&run), [("tests".to_owned(), "ok".to_owned())], "by the rules that are there");
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
    let words = said(1, &["beginning", "config", "happy"]);
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
    world.until(1, &["passed"; 2]);
    said(1, &["beginning", "config", "happy", "beginning", "happy"]);
}
