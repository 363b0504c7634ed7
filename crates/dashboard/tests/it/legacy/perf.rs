//! What the original's builders measured, and what only its administrators do.

use serde_json::{Value, json};
use transport::{Role, Viewer};

use super::{CONFIG, DONE, Desk, KEY, commit};
use crate::fixture::{Fixture, config};

/// Posts a measurement of a commit.
async fn measured(desk: &Desk, builder: &str, hash: &str, benchmark: &str, ok: bool, time: u64) {
    let body = json!({
        "Builder": builder, "Hash": hash, "Benchmark": benchmark, "OK": ok,
        "Metrics": [{"Type": "time", "Val": time}], "Artifacts": [],
    });
    let path = format!("/perf-result?builder={builder}&key={KEY}");
    assert_eq!(desk.post(&path, &body).await, DONE, "{hash}");
}

pub(crate) async fn measurements_have_their_pages(on: Fixture) {
    let desk = Desk::new(&on);
    let mut parent = "0000".to_owned();
    for n in 1..=4 {
        let hash = format!("{n:040}");
        let mut commit = commit("", &hash, &parent, "master");
        commit["NeedsBenchmarking"] = Value::from(true);
        assert_eq!(desk.post(&format!("/commit?version=3&key={KEY}"), &commit).await, DONE);
        parent = hash;
    }
    let of = |n: u32| format!("{n:040}");
    let tag = json!({"Kind": "release", "Name": "release-branch.go1.4", "Hash": of(1)});
    assert_eq!(desk.post(&format!("/tag?key={KEY}"), &tag).await, DONE);
    for (n, ok, time) in [(1, true, 100), (2, true, 101), (3, false, 7), (4, true, 404)] {
        measured(&desk, "linux", &of(n), "http-4", ok, time).await;
        measured(&desk, "linux", &of(n), "meta-done", true, 0).await;
    }
    let page = async |path: &str| {
        let (status, kind, text) = desk.send("GET", path, None).await;
        assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"), "{path}: {text}");
        text
    };
    // Three hundred percent more than the last one that went well: even without learning that is no noise.
    let perf = page("/perf").await;
    assert!(perf.contains("linux http-4 time +300.00 %"), "{perf}");
    assert!(perf.matches("none beyond the noise").count() == 3 && !perf.contains("meta-done"), "{perf}");
    assert!(page("/perf?page=9").await.contains("Nothing was measured"));
    let detail = page(&format!("/perfdetail?commit={}", of(4))).await;
    for part in ["101", "404", "+300.00 %", ">200.00 %", "Compared with 00000000"] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
    let detail =
        page(&format!("/perfdetail?commit={}&commit0=go1.4&kind=builder&builder=linux", of(2))).await;
    assert!(detail.contains("+1.00 %"), "{detail}");
    let none = page(&format!("/perfdetail?commit={}&kind=benchmark&benchmark=json", of(4))).await;
    assert!(none.contains("Nothing was measured"), "{none}");
    let graph = page("/perfgraph?builder=linux&benchmark=http&metric=time&procs=4").await;
    assert!(graph.contains("<polyline") && graph.matches("/dash/perfdetail").count() == 3, "{graph}");
    let part =
        page(&format!("/perfgraph?builder=linux&benchmark=http&metric=time&procs=4&commit-to={}", of(2)))
            .await;
    assert_eq!(part.matches("/dash/perfdetail").count(), 2, "{part}");
    assert!(page("/perfgraph").await.contains("metric=time&#38;procs=4"));
    // What is noise is learned when an administrator asks.
    assert!(page("/perflearn").await.contains("up to 200.00 %"));
    let admin = desk.asking_as(Viewer::known("admin", Role::Admin));
    let (status, _, learned) = admin.send("GET", "/perflearn?update=1", None).await;
    assert!(status == 200 && learned.contains(">330.00 %"), "{learned}");
    assert!(page("/perf").await.matches("none beyond the noise").count() == 4);
    for (viewer, path, wanted) in [
        (Viewer::stranger(true), "/perflearn?update=1", 500),
        (Viewer::stranger(false), "/perf", 401),
        (Viewer::stranger(true), "/perfdetail", 500),
        (Viewer::stranger(true), "/perfdetail?commit=none", 500),
        (Viewer::stranger(true), "/gccgo/perf", 200),
    ] {
        assert_eq!(desk.asking_as(viewer).send("GET", path, None).await.0, wanted, "{path}");
    }
}

pub(crate) async fn an_administrator_makes_the_first_rows(on: Fixture) {
    let desk = Desk::new(&on);
    for (viewer, wanted) in [(Viewer::stranger(true), 401), (Viewer::known("ada", Role::Developer), 403)] {
        assert_eq!(desk.asking_as(viewer).send("GET", "/init", None).await.0, wanted);
    }
    let admin = desk.asking_as(Viewer::known("admin", Role::Admin));
    for path in ["/init", "/gccgo/init", "/init"] {
        let (status, kind, text) = admin.send("GET", path, None).await;
        assert_eq!(
            (status, kind.as_str(), text.as_str()),
            (200, "text/plain; charset=utf-8", "OK"),
            "{path}"
        );
    }
    for dash in ["go", "gccgo"] {
        let tags = store::legacy::tags::list(&mut on.db.read().await.unwrap(), dash).await.unwrap();
        let tags: Vec<_> = tags.iter().map(|tag| (&*tag.kind, &*tag.name, &*tag.hash)).collect();
        let wanted = "883bc6ed0ea815293fe6309d66f967ea60630e87";
        assert_eq!(tags, [("release", "release-branch.go1.4", wanted)], "{dash}");
    }
    // Nothing that was there is lost.
    assert_eq!(desk.commit("0001", "", "master").await, DONE);
    assert_eq!(admin.send("GET", "/init", None).await.0, 200);
    assert!(desk.get("/commit?hash=0001").await.contains("\"Num\":1"));
}

pub(crate) async fn old_commits_are_marked_to_be_measured(on: Fixture) {
    let desk = Desk::new(&on);
    assert_eq!(desk.commit("0001", "", "master").await, DONE);
    assert_eq!(desk.commit("0002", "0001", "master").await, DONE);
    // A queue that is there gets them too.
    let todo = "/todo?kind=benchmark-go-commit&builder=linux";
    assert_eq!(desk.get(todo).await, DONE);
    let path = format!("/updatebenchmark?builder=linux&key={KEY}");
    let (status, kind, text) = desk.send("POST", &path, Some(&json!(["0002", "0009"]))).await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(text, "0002: to be measured\n0009: no such commit\n");
    assert!(desk.get(todo).await.contains("\"Hash\":\"0002\""));
    assert_eq!(desk.send("POST", &path, Some(&json!(["0002"]))).await.2, "0002: measured already\n");
    for (method, path, body, error) in [
        ("GET", path.as_str(), None, "bad method: GET"),
        ("POST", "/updatebenchmark?builder=linux&key=x", Some(json!([])), "invalid key"),
        ("POST", path.as_str(), Some(json!({})), "decoding Body"),
    ] {
        let (status, _, text) = desk.send(method, path, body.as_ref()).await;
        assert!(status == 500 && text.contains(error), "{method} {path}: {status} {text}");
    }
    // In production a watcher says so.
    let text = CONFIG.replace("[environment.dev]\n", "[environment.dev]\nproduction = true\n");
    on.config.send_replace(std::sync::Arc::new(config(&text)));
    let (status, _, text) = desk.send("POST", &path, Some(&json!(["0001"]))).await;
    assert!(status == 500 && text.contains("in development only"), "{text}");
}
