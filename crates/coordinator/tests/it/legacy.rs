//! The addresses of the original's coordinator.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};
use transport::Service;

use crate::world::{World, hash, simple};

const MORE: &str = "[host.dials]\npool = \"reverse\"\nexpected = 2\nowners = [\"ann@example.com\"]\n\
    [dashboard]\nmain = \"one\"\n";

async fn ask(service: &Service, method: &str, path: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = service.send(request).await.unwrap();
    let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    (status, kind.unwrap_or_default(), String::from_utf8(body.into()).unwrap())
}

pub async fn the_original_s_programs_are_answered(world: World) {
    let gate = world.dir.path().join("gate");
    let run = format!("echo began; until test -e {}; do sleep 0.05; done; echo over", gate.display());
    world.configure(&simple(&run, MORE));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let get = |path: &str| {
        let (service, path) = (running.service.clone(), path.to_owned());
        async move { ask(&service, "GET", &path).await }
    };
    let id = world.until("one", "b", |row| row.state == "running").await.id;
    let (status, kind, text) = get("/status/post-submit-active.json").await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    let active: Value = serde_json::from_str(&text).unwrap();
    let url = format!("http://localhost:8119/builds/{id}");
    assert_eq!(active, json!([{"builder": "b", "commit": hash(1), "statusURL": url}]));

    let log = format!("/temporarylogs?name=b&rev={}", hash(1));
    // The dashboard hears of it a moment after the coordinator.
    let mut text = String::new();
    for _ in 0..500 {
        text = get(&format!("{log}&nostream=1")).await.2;
        if text.contains("Build log:\nbegan\n") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(text.starts_with(&format!("  builder: b\n      rev: {}\n buildlet: ", hash(1))), "{text}");
    assert!(text.contains("   status: still running\n\nEvents:\n  20"), "{text}");
    assert!(text.contains("s (now)\n\nBuild log:\nbegan\n\n(live streaming disabled; reload"), "{text}");
    let follow = tokio::spawn(get(&log));
    std::fs::write(&gate, "").unwrap();
    let (status, kind, text) = follow.await.unwrap();
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert!(text.ends_with("\nBuild log:\nbegan\nover\n"), "{text}");
    world.done("one", "b").await;
    let text = get(&format!("{log}&st={id}")).await.2;
    assert!(text.contains("  success: true\n") && !text.contains("(now)"), "{text}");
    assert_eq!(get(&format!("{log}&st=another")).await.0, 404);
    assert_eq!(get("/temporarylogs?name=b&rev=1").await.0, 404);
    assert_eq!(get("/status/post-submit-active.json").await.2, "null");

    assert_eq!(
        get("/status/reverse.json").await.2,
        "{\n\t\"HostTypes\": {\n\t\t\"dials\": {\n\t\t\t\"HostType\": \"dials\",\n\t\t\t\"Connected\": 0,\n\t\t\t\"Expect\": 2,\n\
         \t\t\t\"Idle\": 0,\n\t\t\t\"Busy\": 0,\n\t\t\t\"Waiters\": 0,\n\t\t\t\"Machines\": null\n\t\t}\n\t}\n}"
    );
    let (_, kind, text) = get("/builders?mode=json").await;
    assert_eq!(kind, "application/json");
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&all["Builders"]["b"]["HostType"], &all["Builders"]["b"]["KnownIssues"]),
        (&json!("h"), &Value::Null)
    );
    let dials = &all["Hosts"]["dials"];
    assert_eq!(
        (&dials["IsReverse"], &dials["ExpectNum"], &dials["VMImage"]),
        (&json!(true), &json!(2), &json!(""))
    );
    assert_eq!(dials["Owners"][0]["Emails"], json!(["ann@example.com"]));
    assert!(get("/builders").await.2.contains("dials</th><td>reverse</td>"));

    let said = "TryBot result not found (already done, invalid, or not yet discovered from Gerrit). \
        Check Gerrit for results.";
    let (status, kind, text) = get("/try?commit=deadbeef").await;
    assert_eq!((status, kind.as_str(), text), (404, "text/plain; charset=utf-8", format!("{said}\n")));
    let (status, _, text) = get("/try.json?commit=deadbeef").await;
    assert_eq!((status, text), (404, format!("{{\"success\":false,\"error\":\"{said}\"}}\n")));
    assert_eq!(ask(&running.service, "OPTIONS", "/try.json").await, (200, String::new(), String::new()));
}
