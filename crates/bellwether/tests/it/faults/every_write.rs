//! ENOSPC at every single write of the server, of the git that it runs, and of its workers, each in a run of its own.
//!
//! A first run writes down every call that could meet a full disk; each is then a point at which another run does meet
//! it, for one call or for a dozen. All of them take ten minutes, so a plain run takes one of each class.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Cut, NoSpace, Point, Role, wait_for};

use super::world::{LIMIT, World, seq};

/// Two steps with a log in more than one chunk, a secret, a file to keep and a tree to keep. They say on which worker
/// they ran, and whether the disk's library came along.
const STEPS: [&str; 2] = [
    "echo one $WORKDIR >> $MARKS; env | grep -c -e LD_PRELOAD -e NO_SPACE; grep -c no_space /proc/self/maps; seq 1 20; echo \"the word is $WORD\"; echo kept > kept.out",
    "echo two $WORKDIR >> $MARKS; seq 21 30000",
];

fn expected_log() -> String {
    format!("0\n0\n{}the word is ***\n{}", seq(1, 20), seq(21, 30_000))
}

fn prepared(role: Role) -> (World, NoSpace) {
    let mut world = World::new(&STEPS);
    let libraries = env!("CARGO_TARGET_TMPDIR").as_ref();
    let disk = NoSpace::new(libraries, &world.path("no-space"), role, &world.data()).expect("the library");
    world.environment = disk.environment();
    (world, disk)
}

/// Every call of a run that meets no full disk.
fn counted(role: Role) -> Vec<Point> {
    let (mut world, disk) = prepared(role);
    world.launch(&[]);
    check(&mut world, &disk, role);
    let points = disk.points();
    assert_eq!(disk.failed().unwrap(), 0);
    assert!(points.len() > 20, "{role:?}: the library was not loaded: {points:?}");
    points
}

/// Waits for the build's end. A server that ended by itself said why, and goes on with the next start.
fn await_done(world: &mut World, disk: &NoSpace) -> Value {
    let mut build = Value::Null;
    let done = wait_for("the build's end", LIMIT, || {
        if let Ok(status) = world.server().await_end(Duration::ZERO) {
            let printed = world.printed();
            assert!(status.code().is_some_and(|code| code > 0), "{status}\n{printed}");
            let last = printed.lines().last().unwrap_or_default();
            assert!(last.contains("space") || last.contains("full"), "it does not say why: {printed}");
            disk.free()?;
            world.launch(&[]);
        }
        let Ok(list) = world.get("/api/v1/builds") else { return Ok(None) };
        let Some(id) = list["builds"][0]["id"].as_str() else { return Ok(None) };
        let Ok(found) = world.get(&format!("/api/v1/builds/{id}")) else { return Ok(None) };
        build = found;
        Ok((build["state"] == "done").then_some(()))
    });
    done.unwrap_or_else(|error| panic!("{error:#}: {build:#}\n{}", world.printed()));
    build
}

/// Everything that must hold once the disk has room again.
fn check(world: &mut World, disk: &NoSpace, role: Role) {
    let build = await_done(world, disk);
    let printed = world.printed();
    assert!(!printed.contains("panicked"), "{printed}");
    assert_eq!(build["outcome"], "ok", "{build:#}\n{printed}");
    let attempts = build["attempts"].as_array().expect("attempts");
    let (last, lost) = attempts.split_last().expect("an attempt");
    assert_eq!(last["outcome"], "ok", "{build:#}");
    assert!(lost.iter().all(|one| one["outcome"] == "infra_failed"), "{build:#}");

    let marks = world.marks();
    let once: BTreeSet<_> = marks.iter().collect();
    assert_eq!(once.len(), marks.len(), "a step ran twice on a worker: {marks:?}\n{printed}");
    let worker = |attempt: &Value| attempt["worker"].as_str().expect("a worker").to_owned();
    let on = |worker: &str| -> Vec<&str> {
        let folder = format!("/workers/{worker}/");
        marks.iter().filter(|mark| mark.contains(&folder)).filter_map(|mark| mark.split(' ').next()).collect()
    };
    assert_eq!(on(&worker(last)), ["one", "two"], "{marks:?}\n{build:#}");
    // The server's own trouble takes no worker away: the next attempt may be on the same one.
    let workers: BTreeSet<String> = attempts.iter().map(worker).collect();
    let seen: usize = workers.iter().map(|worker| on(worker).len()).sum();
    assert_eq!(seen, marks.len(), "an attempt can't be seen: {marks:?}\n{build:#}");

    let expected = expected_log();
    assert!(world.log(&build) == expected, "every byte once: {}\n{printed}", world.log(&build));
    for attempt in lost {
        // One that came to no step has none.
        let path = format!("/api/v1/attempts/{}/log", attempt["id"].as_str().expect("an id"));
        let Ok(info) = world.get(&format!("{path}/info")) else { continue };
        assert_eq!(info["finished"], true, "{info:#}");
        assert!(expected.starts_with(&world.bytes(&path).expect("a log")), "{attempt:#}");
    }
    let kept = world.get(&format!("/api/v1/builds/{}/artifacts", build["id"].as_str().unwrap_or_default()));
    assert!(kept.expect("artefacts").to_string().contains("kept.out"), "{build:#}\n{printed}");
    // A worker whose own disk was full is set aside, and nothing else is left.
    world.check_rest(|worker| {
        let full = worker["reason"].as_str().is_some_and(|why| why.contains("full") || why.contains("space"));
        worker["state"] == "idle" || (role == Role::Worker && worker["state"] == "set_aside" && full)
    });
}

/// One run that meets the full disk at this point.
fn full_at(role: Role, point: &Point, calls: u64, cut: Cut) -> u64 {
    let (mut world, disk) = prepared(role);
    disk.fill_at(point, calls, cut).expect("the disk's state");
    world.launch(&[]);
    let checked = catch_unwind(AssertUnwindSafe(|| check(&mut world, &disk, role)));
    if checked.is_err() {
        let made = disk.calls();
        let at = made.iter().position(|call| call.ends_with(" FULL")).unwrap_or(0);
        eprintln!("around it: {:#?}", &made[at.saturating_sub(5)..made.len().min(at + 12)]);
        panic!("{role:?} at {point:?}, {calls} calls, {cut:?}");
    }
    disk.failed().expect("the disk's state")
}

/// What is taken one of in a plain run: the call, and the file or the first folder that it was about.
fn class(role: Role, kind: &str) -> String {
    let (call, path) = kind.split_once(' ').unwrap_or((kind, ""));
    let mut parts = path.split('/');
    match role {
        Role::Server => format!("{call} {}", parts.next().unwrap_or_default()),
        Role::Worker => format!("{call} {}", parts.nth(2).unwrap_or_default()),
        // A failed look at a repository is tried again after ten seconds.
        Role::Git => call.to_owned(),
    }
}

/// The middle one of each class; all of them in a long run.
fn chosen(role: Role, points: &[Point]) -> Vec<Point> {
    if std::env::var_os("BELLWETHER_TEST_LONG").is_some() {
        return points.to_vec();
    }
    let mut classes: BTreeMap<String, Vec<&Point>> = BTreeMap::new();
    for point in points {
        classes.entry(class(role, &point.kind)).or_default().push(point);
    }
    classes.into_values().map(|points| points[points.len() / 2].clone()).collect()
}

/// Runs them side by side, because each waits more than it works.
fn sweep(role: Role, threads: usize) {
    let begun = Instant::now();
    let points = counted(role);
    let chosen = chosen(role, &points);
    let (many, next) = (chosen.len(), Mutex::new(chosen.into_iter().enumerate()));
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((index, point)) = next.lock().unwrap().next() else { return };
                    let cut = if index % 3 == 0 { Cut::Half } else { Cut::Whole };
                    // Each failed look of the mirror is followed by a pause of ten seconds and more.
                    let calls = if role == Role::Git { 1 } else { [1, 12][index % 2] };
                    let calls = calls + u64::from(cut == Cut::Half);
                    let failed = catch_unwind(|| full_at(role, &point, calls, cut)).ok();
                    eprintln!("{role:?}: {} {}, {calls} calls, {cut:?}: {failed:?}", point.kind, point.nth);
                    results.lock().unwrap().push((point, failed));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let met = results.iter().filter(|(_, failed)| failed.is_some_and(|failed| failed > 0)).count();
    let bad: Vec<_> = results.iter().filter(|(_, failed)| failed.is_none()).map(|(point, _)| point).collect();
    eprintln!(
        "{role:?}: {} calls in a run; {many} runs, {met} of them met a full disk, {:.0} s; --long runs all",
        points.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(bad.is_empty(), "{} of {many}: {bad:#?}", bad.len());
    // Two runs are not quite the same: how often the lead was renewed by the end depends on how fast the machine is.
    assert!(met * 10 >= many * 8, "{met} of {many}: {results:#?}");
}

#[test]
fn of_the_server() {
    sweep(Role::Server, 4);
}

#[test]
fn of_its_git() {
    sweep(Role::Git, 6);
}

#[test]
fn of_its_workers() {
    sweep(Role::Worker, 6);
}
