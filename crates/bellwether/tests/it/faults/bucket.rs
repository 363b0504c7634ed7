//! Objects in a bucket of S3 (moto) and of Google Cloud Storage (its emulator): a build, a killed server, a backup into
//! another kind of store; and the store failing, slow and silent while builds run.

use std::time::Duration;

use testkit::{Buckets, Cloud, Forwarder, Way, wait_for};

use super::world::{LIMIT, World, seq};

/// Lines that no compression makes small, so that they become objects and do not fit into rows.
const MUCH: &str = "echo one >> $MARKS; awk 'BEGIN { x = 1; for (i = 0; i < 120000; i++) { x = (x * 16807) % 2147483647; print x } }'; until [ -e $MARKS.go ]; do sleep 0.05; done; seq 1 40; echo kept > kept.out";

/// A store behind a way that can be made bad, and the environment's keys that lead there.
fn store(world: &mut World, cloud: Cloud) -> (Buckets, Forwarder, String) {
    if !cfg!(feature = "full") {
        panic!("this binary has no buckets in it; run `cargo test -p bellwether --all-features`");
    }
    let buckets = Buckets::start(cloud).expect("an object store");
    buckets.create("ci-logs").expect("a bucket");
    let way = Forwarder::start(buckets.address()).expect("a forwarder");
    world.environment.push(("BUCKET_KEY".into(), "not-to-be-seen".into()));
    let key = match cloud {
        Cloud::S3 => ", region = \"eu-central-1\", key_id = \"AKIAEXAMPLE\", secret_key_env = \"BUCKET_KEY\"",
        Cloud::Gcs => "",
    };
    let keys = format!(
        "objects = \"{}://ci-logs/tiny\"\nobject_store = {{ endpoint = \"http://{}\"{key} }}\n",
        cloud.scheme(),
        way.address()
    );
    (buckets, way, keys)
}

/// What `awk` prints.
fn much() -> String {
    let mut x: u64 = 1;
    (0..120_000)
        .map(|_| {
            x = x * 16_807 % 2_147_483_647;
            format!("{x}\n")
        })
        .collect()
}

#[test]
fn a_server_on_a_bucket_is_killed_and_its_log_is_whole() {
    for cloud in [Cloud::S3, Cloud::Gcs] {
        let mut world = World::new(&[MUCH, "echo two >> $MARKS"]);
        let (_buckets, _way, keys) = store(&mut world, cloud);
        world.configure(&keys);
        world.start();
        world.await_marks(1);
        let running = world.await_build("a part of the log", |build| {
            build["state"] == "running" && !world.attempt_log(&build["attempts"][0]).is_empty()
        });
        assert_eq!(running["state"], "running");
        world.server().crash().unwrap();
        world.server().resume().unwrap();
        std::fs::write(world.path("marks.go"), "").unwrap();
        let build = world.await_done();
        assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
        assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{build:#}");
        assert!(world.log(&build) == much() + &seq(1, 40), "{cloud:?}: the log is not what was printed");
        assert!(!world.data().join("objects").exists(), "all lies in the bucket");
        assert!(!world.printed().contains("not-to-be-seen"));
        world.check_quiet();

        // A backup moves it into a directory.
        let backup = world.path("backup");
        let config = world.path("server.toml");
        let bellwether = |arguments: &[&str], data: std::path::PathBuf| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bellwether"));
            let command = command.args(arguments).arg("--config").arg(&config).arg("--data").arg(data);
            let done = command.env("BUCKET_KEY", "not-to-be-seen").env("FAULT_WORD", "x").output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        bellwether(&["backup", backup.to_str().unwrap()], world.data());
        world.server().crash().unwrap();
        world.configure("");
        bellwether(&["restore", backup.to_str().unwrap()], world.path("moved"));
        let options = world.options("moved", &[]);
        world.server = Some(testkit::Server::start(options).unwrap());
        assert!(world.log(&build) == much() + &seq(1, 40), "{cloud:?}: the restored log is another one");
        assert!(world.path("moved").join("objects/logs").exists());
    }
}

#[test]
fn a_bucket_that_is_no_good_is_said_at_the_start() {
    let mut world = World::new(&["true"]);
    let (_buckets, way, keys) = store(&mut world, Cloud::S3);
    for (keys, words) in [
        (keys.replace("ci-logs", "no-such-bucket"), "make the bucket"),
        (
            keys.replace(&way.address().to_string(), "127.0.0.1:1"),
            "whether the endpoint and the region are right",
        ),
        (keys.replace("http://127.0.0.1", "http://192.0.2.1"), "allow_http"),
    ] {
        world.configure(&keys);
        world.launch(&[]);
        let status = world.server().await_end(LIMIT);
        assert_eq!(status.unwrap().code(), Some(2), "{}", world.printed());
        assert!(world.printed().contains(words), "{words}: {}", world.printed());
        world.server = None;
    }
}

#[test]
fn the_object_store_fails_for_a_while_and_no_byte_is_lost() {
    for bad in [Way::Cut, Way::Unwell, Way::Mute, Way::Slow(Duration::from_secs(2))] {
        let mut world = World::new(&[MUCH, "echo two >> $MARKS"]);
        let (_buckets, way, keys) = store(&mut world, Cloud::S3);
        world.configure(&keys);
        world.start();
        way.set(bad);
        world.await_marks(1);
        // The step prints all of it, and what can't be stored is not acknowledged: the worker has it.
        if !matches!(bad, Way::Slow(_)) {
            let before = way.connections();
            let running = world.await_build("a running build", |build| build["state"] == "running");
            let attempt = running["attempts"][0]["id"].as_str().unwrap().to_owned();
            if bad == Way::Mute {
                wait_for("a word about the store", LIMIT, || {
                    Ok(world.printed().contains("has to come again").then_some(()))
                })
                .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
            } else {
                wait_for("tries", LIMIT, || Ok((way.connections() > before + 5).then_some(()))).unwrap();
            }
            let state = world.get(&format!("/api/v1/attempts/{attempt}")).ok();
            assert_eq!(world.marks(), ["one"], "{state:?}");
        }
        std::fs::write(world.path("marks.go"), "").unwrap();
        if !matches!(bad, Way::Slow(_)) {
            way.set(Way::Through);
        }
        let build = world.await_done();
        assert_eq!(build["outcome"], "ok", "{bad:?} {build:#}\n{}", world.printed());
        assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{bad:?} {build:#}");
        way.set(Way::Through);
        assert!(world.log(&build) == much() + &seq(1, 40), "{bad:?}: the log is not what was printed");

        // A reader is told to come again, and finds it all then.
        way.set(Way::Cut);
        let id = build["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/builds/{id}/log");
        let away = world.server().request("GET", &path, None, None).unwrap();
        assert_eq!(away.status, 503, "{}", String::from_utf8_lossy(&away.body));
        assert!(String::from_utf8_lossy(&away.body).contains("temporarily unavailable"));
        let page = world.server().request("GET", &format!("/builds/{id}/log"), None, None).unwrap();
        assert_eq!(page.status, 503, "{}", String::from_utf8_lossy(&page.body));
        way.set(Way::Through);
        assert!(world.log(&build) == much() + &seq(1, 40));
        world.check_quiet();
    }
}
