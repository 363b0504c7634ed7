//! `/metrics`: each is in the documentation, and each moves.

use std::collections::{BTreeMap, BTreeSet};

use testkit::{File, wait_for, workers};

use crate::faults::world::{LIMIT, World};

/// The rows of an answer: name with labels, and value.
fn rows(world: &World) -> BTreeMap<String, f64> {
    let text = world.bytes("/metrics").expect("the metrics");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let row = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

/// The names of an answer.
fn names(world: &World) -> BTreeSet<String> {
    let text = world.bytes("/metrics").expect("the metrics");
    let name = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some(if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
    };
    text.lines().filter_map(name).collect()
}

/// The names that the documentation lists.
fn documented() -> BTreeSet<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/OPERATING.md");
    let text = std::fs::read_to_string(file).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| ["counter", "gauge", "histogram"].iter().any(|kind| rest.starts_with(kind)));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// How many builds are done.
fn ended(world: &World) -> Option<usize> {
    let list = world.get("/api/v1/builds").ok()?;
    Some(list["builds"].as_array()?.iter().filter(|build| build["state"] == "done").count())
}

#[test]
fn each_metric_is_documented_and_moves() {
    // The first commit's build goes on until it is let go, the others print and end; the last one fails.
    let step =
        "if [ -e held ]; then until [ -e $MARKS.go ]; do sleep 0.05; done; fi; seq 1 100; [ ! -e bad ]";
    let mut world = World::new(&[step]);
    world.configure_as("", 1, 100);
    world.repo.commit("bad", &[("bad", File::Text(""))]).unwrap();
    world.start();
    wait_for("two builds", LIMIT, || Ok((ended(&world) == Some(2)).then_some(()))).unwrap();
    assert_eq!(world.bytes("/readyz").unwrap(), "ok\n");
    let first = rows(&world);

    world.repo.commit("held", &[("bad", File::Gone), ("held", File::Text(""))]).unwrap();
    world.repo.commit("waits", &[]).unwrap();
    wait_for("one that runs and one that waits", LIMIT, || {
        let rows = rows(&world);
        let waits = rows.get("bellwether_queued_builds{reason=\"pool\"}") == Some(&1.0);
        Ok((waits && rows["bellwether_running_builds"] == 1.0).then_some(()))
    })
    .unwrap();
    // What has no row at a moment is not named then.
    let mut told = names(&world);
    assert_eq!(rows(&world)["bellwether_workers{host=\"local\",state=\"busy\"}"], 1.0);
    for worker in workers(&world.data()) {
        worker.kill().unwrap();
    }
    std::fs::write(world.path("marks.go"), "").unwrap();
    wait_for("four builds", LIMIT, || Ok((ended(&world) == Some(4)).then_some(()))).unwrap();
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
    let last = rows(&world);

    let at = |row: &str| last.get(row).copied().unwrap_or_else(|| panic!("no {row} in {last:#?}"));
    assert_eq!(at("bellwether_builds_total{outcome=\"ok\"}"), 3.0);
    assert_eq!(at("bellwether_builds_total{outcome=\"failed\"}"), 1.0);
    assert_eq!(at("bellwether_attempts_total{outcome=\"failed\",cause=\"exit\"}"), 1.0);
    assert_eq!(at("bellwether_attempts_total{outcome=\"infra_failed\",cause=\"worker_lost\"}"), 1.0);
    assert_eq!(at("bellwether_attempt_seconds_count"), 5.0);
    assert_eq!(at("bellwether_queue_seconds_count"), 5.0);
    assert!(at("bellwether_log_bytes_total") >= 4.0 * 292.0);
    assert!(at("bellwether_snapshots_total{what=\"kept\"}") >= 3.0);
    assert_eq!(at("bellwether_workers_lost_total"), 1.0);
    assert_eq!(at("bellwether_running_builds"), 0.0);
    let asked = "bellwether_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}";
    assert!(at(asked) > first.get(asked).copied().unwrap_or(0.0));
    assert!(at("bellwether_http_request_seconds_count{route=\"/api/v1/builds\"}") > 1.0);
    assert!(at("process_cpu_seconds_total") > 0.0);
    assert!(at("process_resident_memory_bytes") > 1e6);
    assert!(at("process_open_fds") > 3.0);

    told.extend(names(&world));
    assert_eq!(told, documented(), "docs/OPERATING.md lists others");
}
