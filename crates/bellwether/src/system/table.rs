//! The table of routes × roles, held against docs/ACCESS.md and against every route.

use std::fmt::Write as _;
use std::path::Path;

use axum::body::Body;
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use transport::routes::Entry;
use transport::{Role, Viewer};

use super::composed::Composer;
use super::targets::Targets;
use super::{Begun, System};

const BEGIN: &str = "<!-- routes:begin -->\n";
const END: &str = "<!-- routes:end -->";

async fn system(dir: &Path) -> System {
    let (os, arch) = buildenv::this_machine();
    let server = "[repo.app]\nurl = \"nothing-there\"\n\
        [pubsubhelper.gerrit]\nlisten = \"127.0.0.1:0\"\nrcpt = \"bot@localhost\"\n\
        [maintnerd]\ngit = { project = \"localhost/app\", url = \"nothing-there\" }\n";
    let sources = vec![buildenv::embedded(os, arch), buildenv::Source::server("server.toml", server)];
    let composer = Composer::new(Targets { sources, base: dir.to_owned() }, None).unwrap();
    let begun = Begun { watches: true, ..Begun::default() };
    System::start(composer, &dir.join("data"), begun).await.unwrap()
}

fn shown(table: &[Entry]) -> String {
    let mut text = String::from("| path | method |");
    for role in Role::ALL {
        let _ = write!(text, " {role} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(Role::ALL.len()));
    text.push('\n');
    for entry in table {
        let _ =
            write!(text, "| `{}` | {} |", entry.path, if entry.method == "*" { "all" } else { entry.method });
        for role in Role::ALL {
            text.push_str(if role.may(entry.role) { " ✓ |" } else { " – |" });
        }
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn the_manual_holds_the_table_of_routes_and_roles() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path()).await;
    let table = shown(&system.routes.table());
    system.stop().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ACCESS.md");
    let manual = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = manual.split_once(BEGIN).expect("the table has a beginning");
    let (written, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("BELLWETHER_BLESS").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, table, "BELLWETHER_BLESS=1 writes it anew; read the difference");
}

/// Pages and what the original's programs ask for are no part of our API.
fn is_api(entry: &Entry) -> bool {
    let original = ["/status/", "/try.json"].iter().any(|path| entry.path.starts_with(path));
    let ours = ["/api/v1/", "/mirror/{repo}/"].iter().any(|path| entry.path.starts_with(path));
    ours || (entry.path.ends_with(".json") && !original)
}

#[tokio::test]
async fn the_document_of_the_api_is_what_the_routes_say() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path()).await;
    let (table, app) = (system.routes.table(), system.access.before(system.routes.clone()));
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(answer.into_body(), 16 << 20).await.unwrap();
    system.stop().await;
    let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for entry in table.iter().filter(|entry| is_api(entry)) {
        let described = &document["paths"][&entry.path][entry.method.to_lowercase()];
        assert!(
            described.is_object(),
            "{} {} has no description: .about(operation(…))",
            entry.method,
            entry.path
        );
    }
    let mut ids = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, one) in methods.as_object().unwrap() {
            assert!(ids.insert(one["operationId"].to_string()), "{method} {path}: its id is taken");
            let summary = one["summary"].as_str().unwrap();
            assert!(summary.ends_with('.'), "{method} {path}: a summary is a sentence");
            let parts = one["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let named: Vec<_> = parts.iter().filter(|part| part["in"] == "path").collect();
            assert_eq!(
                named.len(),
                path.matches('{').count(),
                "{method} {path}: each part of the path is described"
            );
            assert!(
                named.iter().all(|part| path.contains(&format!("{{{}}}", part["name"].as_str().unwrap())))
            );
            assert!(
                parts.iter().all(|part| part["description"].is_string()),
                "{method} {path}: a parameter says what it is"
            );
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let double = schemas.keys().find(|name| name.ends_with(|last: char| last.is_ascii_digit()));
    assert_eq!(double, None, "two types have one name: #[schemars(rename = …)]");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("BELLWETHER_BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == text,
        "docs/openapi.json is another: BELLWETHER_BLESS=1 writes it anew; read the difference"
    );
}

/// A path of an entry, with something in place of each parameter.
fn path(entry: &Entry) -> String {
    let part = |part: &str| match part {
        "{id}" | "{attempt}" => "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        "{n}" => "1".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    let path = entry.path.split('/').map(part).collect::<Vec<_>>().join("/");
    // A bad question is answered at once, where a good one would wait for half a minute.
    if path == "/waitevent" { format!("{path}?after=x") } else { path }
}

#[tokio::test]
async fn every_route_answers_those_who_have_its_role_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path()).await;
    let table = system.routes.table();
    assert!(table.len() > 40, "the table is there");
    let app = system.routes.clone().into_router();
    let ask = |method: &str, path: &str, viewer: Option<Viewer>| {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if let Some(viewer) = viewer {
            request.extensions_mut().insert(viewer);
        }
        let app = app.clone();
        async move { app.oneshot(request).await.unwrap().status() }
    };
    for entry in &table {
        let path = path(entry);
        let mut methods = vec![entry.method];
        if entry.method == "*" {
            // One that is named beside it has a role of its own.
            let own = |method: &&str| table.iter().any(|one| one.path == entry.path && one.method == *method);
            methods = ["GET", "POST", "PUT", "DELETE"].into_iter().filter(|method| !own(method)).collect();
        }
        for method in methods {
            let strangers = [(None, Role::Anonymous), (Some(Viewer::stranger(true)), Role::Reader)];
            let known = Role::ALL.map(|role| (Some(Viewer::known("somebody", role)), role));
            for (viewer, role) in strangers.into_iter().chain(known) {
                let refused = if viewer.as_ref().is_some_and(|viewer| viewer.known) {
                    StatusCode::FORBIDDEN
                } else {
                    StatusCode::UNAUTHORIZED
                };
                let status = ask(method, &path, viewer.clone()).await;
                if role.may(entry.role) {
                    let kept = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                    assert!(!kept, "{method} {path} as {role}: {status}");
                } else {
                    assert_eq!(status, refused, "{method} {path} as {viewer:?}");
                }
            }
        }
    }
    // What is the whole server's is not for whoever is of some repositories, whatever their role; but these mind it themselves.
    let minding = ["/api/v1/gomotes"];
    for entry in table.iter().filter(|entry| matches!(entry.role, Role::Admin | Role::Service)) {
        let viewer = Viewer::known("somebody", entry.role).scoped(vec!["app".into()]);
        let refused = ask(entry.method, &path(entry), Some(viewer)).await == StatusCode::FORBIDDEN;
        assert_eq!(refused, !minding.contains(&&*entry.path), "{} {}", entry.method, entry.path);
    }
    // What nobody registered.
    for (method, path) in
        [("GET", "/nothing/there"), ("GET", "/api/v1/nothing"), ("DELETE", "/"), ("POST", "/grid")]
    {
        assert_eq!(ask(method, path, None).await, StatusCode::UNAUTHORIZED, "{method} {path}");
        let admin = ask(method, path, Some(Viewer::known("admin", Role::Admin))).await;
        assert!(
            matches!(admin, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
            "{method} {path}: {admin}"
        );
    }
    system.stop().await;
}
