//! Builds while strangers do what they may: ask for pages all the time, keep them open by the hundred. By hand, with thousands
//! of each and with figures: `cargo xtask bench --only scrape`, `--only watch`. What a watcher who never reads can hold is in the
//! dashboard's `a_live_log_is_taken_out_of_the_store_in_small_parts`.

use serde_json::Value;
use testkit::{File, Scraper, Server, Watchers, open_files, resident_bytes, wait_for};

use crate::faults::world::{LIMIT, World};

/// A server that may be asked so much by strangers, with one build that is done.
fn start(steps: &[&str], per_second: u32, burst: u32) -> World {
    let mut world = World::new(steps);
    world.configure(&format!("[access]\nstrangers_per_second = {per_second}\nstrangers_burst = {burst}\n"));
    world.start();
    done(&mut world, 1);
    world
}

/// What the server answers its own command line.
fn ask(server: &Server, path: &str) -> Option<Value> {
    let token = server.token().ok()?;
    server.request("GET", path, Some(&token), None).ok()?.json().ok()
}

/// Waits until so many builds are done, and returns them, newest first.
fn done(world: &mut World, count: usize) -> Vec<Value> {
    let server = world.server();
    let mut last = Value::Null;
    wait_for("the builds", LIMIT, || {
        let Some(list) = ask(server, "/api/v1/builds") else { return Ok(None) };
        let builds = list["builds"].as_array().cloned().unwrap_or_default();
        last = list;
        let done = builds.iter().filter(|build| build["state"] == "done").count();
        Ok((done >= count).then_some(builds))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {last:#}\n{}", world.printed()))
}

fn commit(world: &mut World, number: usize) {
    world.repo.commit("One more", &[("number", File::Text(&number.to_string()))]).unwrap();
}

#[test]
fn a_scraper_gets_its_share_and_the_builds_go_on() {
    let (per_second, burst) = (50, 100);
    let mut world = start(&["seq 1 200"], per_second, burst);
    let build = done(&mut world, 1)[0]["id"].as_str().unwrap().to_owned();
    let paths = [
        "/grid?repo=tiny".to_owned(),
        "/grid.json?repo=tiny".to_owned(),
        format!("/builds/{build}"),
        format!("/api/v1/builds/{build}/log"),
    ];
    let scraper = Scraper::start(world.server().address(), &paths, 8, 500);
    for number in 2..=5 {
        commit(&mut world, number);
        done(&mut world, number);
    }
    let got = scraper.stop().unwrap();
    let builds = done(&mut world, 5);
    assert!(builds.iter().all(|build| build["outcome"] == "ok"), "{builds:#?}");
    assert!(!world.printed().contains("panicked"), "{}", world.printed());
    // Nothing but answers and refusals, and no more answers than strangers may have.
    assert!(got.answers.keys().all(|status| [200, 429].contains(status)), "{got:?}");
    let given = got.answers[&200];
    let most = f64::from(burst) + f64::from(per_second) * (got.took.as_secs_f64() + 1.0);
    assert!(given as f64 <= most && got.count() > given, "{got:?}, at most {most}");
}

#[test]
fn hundreds_of_open_pages_hear_of_a_change_and_leave_nothing_behind() {
    const OPEN: usize = 300;
    let mut world = start(&["true"], 100_000, 100_000);
    let (at, pid) = (world.server().address(), world.server().pid().unwrap());
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
    let files = open_files(pid).unwrap();
    let mut held = Vec::new();
    for number in 2..=4 {
        let mut watchers = Watchers::open(at, "/grid/events", None, OPEN).unwrap();
        commit(&mut world, number);
        let heard = watchers.listen(LIMIT, |heard| heard.iter().all(|&count| count > 0)).unwrap();
        assert!(heard, "{:?}", watchers.heard());
        assert_eq!(watchers.ended(), 0);
        done(&mut world, number);
        held.push(resident_bytes(pid).unwrap());
        drop(watchers);
        // Connections of workers and of the database come and go by some.
        wait_for(
            "the end of their connections",
            LIMIT,
            || Ok((open_files(pid)? <= files + 16).then_some(())),
        )
        .unwrap();
    }
    // The allocator keeps what the first three hundred took, for the next.
    assert!(held[2] < held[0] + (8 << 20), "{held:?}");
}
