//! What a change does that wants more than to be built: a job of an untrusted try run that looks for secrets, for the API of those who
//! may more, and for a way to the results of others. docs/tries.md has the list of attacks and their tests.

use serde_json::{Value, json};
use testkit::{File, wait_for};

use crate::faults::world::{LIMIT, SECRET};
use crate::tries::{World, builds};

/// Beside the one that is attacked from: another, and one that is given a secret. That one can't try changes here: the configuration would be
/// refused.
const PROJECT: &str = "\n[builder.more]\nrecipe = \"quiet\"\ntry = true\n\n[builder.given]\nrecipe = \"quiet\"\n\n[recipe.quiet]\nrun = \"true\"\n";

#[test]
fn a_job_that_nobody_reviewed_gets_nothing_and_changes_nothing() {
    let server = "\n[dashboard]\nmain = \"one\"\nbuilder_key_file = \"builder.key\"\n\n\
                  [secret.word]\nenv = \"FAULT_WORD\"\nbuilders = [\"one:given\"]\n";
    let mut world = World::with(PROJECT, server);
    std::fs::create_dir_all(world.path("data")).unwrap();
    std::fs::write(world.path("data/builder.key"), "hunter2 of the operator\n").unwrap();
    let own = |name: &str| (name.to_owned(), "of-the-operator".to_owned());
    world.inner.environment = vec![own("BELLWETHER_TOKEN"), own("GO_BUILDER_KEY"), own("SSH_AUTH_SOCK")];
    world.launch(&[]);
    wait_for("the server", LIMIT, || Ok(world.get("/api/v1/routes").ok().map(drop))).unwrap();

    // What a machine of its kind would have; the job is given it here, and finds it nowhere.
    let token = world.server().token().unwrap();
    let key = world.server().request("GET", "/dash/key?builder=tests", Some(&token), None).unwrap();
    let key = String::from_utf8(key.body).unwrap();
    let order = json!({"name": "m", "role": "builder"});
    let machine =
        world.server().request("POST", "/api/v1/tokens", Some(&token), Some(&order)).unwrap().json().unwrap();
    let machine = machine["token"].as_str().unwrap();
    let routes = world.get("/api/v1/routes").unwrap();
    let all = routes["routes"].as_array().or(routes.as_array()).unwrap();
    let beyond: Vec<&Value> = all
        .iter()
        .filter(|route| !["anonymous", "reader"].contains(&route["role"].as_str().unwrap()))
        .collect();
    assert!(beyond.len() > 30, "{routes:#}");

    let routes = serde_json::to_string(&beyond).unwrap();
    let check = format!(
        "/usr/bin/python3 attack.py {} {} {key} {machine} 2>&1 || echo got broken\n",
        world.server().address().port(),
        world.path("").display()
    );
    let files = [
        ("check.sh", File::Text(&check)),
        ("attack.py", File::Text(include_str!("attacks.py"))),
        ("routes.json", File::Text(&routes)),
    ];
    let change = world.reviews.upload((1, 1), "main", "Change 1", &files).unwrap();
    world.vote(&change, 1);

    let run = world.until(1, &["passed"]);
    let of = |builder: &str| (builder.to_owned(), "ok".to_owned());
    assert_eq!(builds(&run), [of("more"), of("tests")]);
    let left: Vec<_> = run["left_out"].as_array().unwrap().iter().map(|one| &one["builder"]).collect();
    assert!(left.contains(&&"one:given".into()), "who is given secrets has no part in it: {left:?}");
    let build = &run["builds"].as_array().unwrap()[1];
    let log = world.inner.log(build);
    let got: Vec<&str> = log.lines().filter(|line| line.starts_with("got ")).collect();
    assert!(got.is_empty(), "{got:#?}\n{log}");
    let tried = log.lines().find_map(|line| line.strip_prefix("tried ")?.parse::<usize>().ok());
    assert!(tried.is_some_and(|tried| tried > 150), "{log}");
    assert!(log.contains("own key holds"), "the key that was refused for others is one: {log}");
    assert!(!log.contains(SECRET));

    // Nothing of it is anywhere.
    let tokens = world.server().request("GET", "/api/v1/tokens", Some(&token), None).unwrap();
    assert_eq!(tokens.json().unwrap()["tokens"].as_array().map(Vec::len), Some(1));
    let overview = world.page("/dash/?mode=json");
    assert!(!overview.contains(&"1".repeat(40)), "{overview}");
    let machines = world.inner.status().unwrap();
    assert!(machines["workers"].as_array().unwrap().iter().all(|one| one["host"] == "local"), "{machines:#}");
}
