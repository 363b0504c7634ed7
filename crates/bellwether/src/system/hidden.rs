//! A stranger walks every route of the whole table with the ids of a private repository, and finds nothing.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use dashboard::client::DashboardClient;
use http::Request;
use testkit::{File, GitRepo};
use tower::ServiceExt as _;
use transport::{Role, Viewer};

use super::composed::Composer;
use super::targets::Targets;
use super::{Begun, System};

const SECRET: &str = "hidden-words";
const ATTEMPT: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const NEVER: &str = "01BX5ZZKBKACTAV9WEVGEMMVRZ";

/// A system with a public and a private repository, each with a build that waits.
async fn system(dir: &Path) -> (System, String) {
    let recipe = "[builder.b]\nhost = \"local\"\nrecipe = \"r\"\n[recipe.r]\nrun = \"true\"\n";
    let mut hidden = GitRepo::create(&dir.join("veiled")).unwrap();
    let files = [("bellwether.toml", File::Text(recipe)), ("secret.txt", File::Text(SECRET))];
    let commit = hidden.commit(SECRET, &files).unwrap();
    let mut open = GitRepo::create(&dir.join("open")).unwrap();
    open.commit("open", &[("bellwether.toml", File::Text(recipe))]).unwrap();
    // No machine ever takes anything: what is queued stays so.
    let server = format!(
        "[repo.veiled]\nurl = {:?}\nvisibility = \"private\"\n[repo.open]\nurl = {:?}\n[host.local]\ncapacity = 1\n\
         [maintnerd]\nvisibility = \"private\"\ngit = {{ project = \"localhost/veiled\", url = \"veiled\" }}\n",
        hidden.dir().display().to_string(),
        open.dir().display().to_string(),
    );
    let (os, arch) = buildenv::this_machine();
    let sources = vec![buildenv::embedded(os, arch), buildenv::Source::server("server.toml", server)];
    let composer = Composer::new(Targets { sources, base: dir.to_owned() }, None).unwrap();
    let begun = Begun { watches: true, ..Begun::default() };
    let system = System::start(composer, &dir.join("data"), begun).await.unwrap();
    system.settled().await;
    (system, commit)
}

/// Waits for the first build of a repository.
fn build_of(system: &System, repo: &str) -> String {
    let client = DashboardClient::new(system.dashboard.clone());
    let query = dashboard::api::BuildQuery { repo: Some(repo.into()), ..Default::default() };
    let now = tokio::runtime::Handle::current();
    let look = || {
        let list = now.block_on(client.builds(&query))?;
        Ok(list.builds.first().map(|build| build.id.clone()))
    };
    tokio::task::block_in_place(|| testkit::wait_for("a build", Duration::from_secs(60), look)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_walks_all_routes_and_finds_nothing_of_a_private_repository() {
    let dir = tempfile::tempdir().unwrap();
    let (system, commit) = system(dir.path()).await;
    let (build, public) = (build_of(&system, "veiled"), build_of(&system, "open"));
    let client = DashboardClient::new(system.dashboard.clone());
    client.log_open(ATTEMPT, &build, 99).await.unwrap();
    client.log_put(ATTEMPT, 99, 0, 0, 12, SECRET.to_owned().into_bytes().into()).await.unwrap();
    client.log_finish(ATTEMPT, 99).await.unwrap();

    let app = system.routes.clone().into_router();
    let ask = |method: &str, path: &str, viewer: &Viewer| {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(viewer.clone());
        let app = app.clone();
        async move {
            let answer = app.oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
            (status, String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    let fill = |path: &str, repo: &str, commit: &str, build: &str, attempt: &str| {
        let file = if path == "/{file}" { format!("/{repo}.tar.gz?rev={commit}") } else { path.to_owned() };
        let path = file.replace("{repo}", repo).replace("{hash}", commit).replace("{id}", build);
        let path = path.replace("{attempt}", attempt).replace("{name}", "b").replace("{branch}", "main");
        let path = path.replace("{n}", "1").replace("{signature}", "0").replace("{*key}", build);
        let path = path.replace("{rev}", &commit[..8]).replace("{file}", "b_00000000.log");
        match path.rsplit('/').next() {
            Some("search") => format!("{path}?q=words"),
            Some("resolve" | "tree" | "submodules" | "bundle") => format!("{path}?rev={commit}"),
            Some("file") => format!("{path}?rev={commit}&path=secret.txt"),
            Some("ancestor") => format!("{path}?ancestor={commit}&commit={commit}"),
            Some("tests" | "tests.json") => format!("{path}?repo={repo}&id=t"),
            Some(
                "cells" | "grid" | "grid.json" | "builds" | "builds.json" | "failures" | "failures.json"
                | "statistics" | "statistics.json" | "",
            ) => format!("{path}?mode=json&repo={repo}"),
            Some("temporarylogs") => format!("{path}?name=b&subName={repo}&subRev={commit}"),
            Some("events") => format!("{path}?after=0&follow=false&repo={repo}"),
            Some("expected") => format!("{path}?builder=b&repo={repo}"),
            _ => path,
        }
    };
    let zeros = "0".repeat(40);
    let same = |text: String| match text.split_once("\"request_id\":\"") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    let viewers = [
        Viewer::stranger(true),
        Viewer::known("ada", Role::Reader),
        Viewer::known("m1", Role::Builder),
        Viewer::known("eve", Role::Developer).scoped(vec!["open".into()]),
    ];
    let mut asked = 0;
    for entry in system.routes.table() {
        let service_only = entry.role == Role::Service;
        let session = entry.path.starts_with("/login") || entry.path == "/logout";
        // What never ends is looked at by a test of the dashboard.
        if service_only || session || entry.path == "/grid/events" {
            continue;
        }
        let method = if entry.method == "*" { "GET" } else { entry.method };
        let path = fill(&entry.path, "veiled", &commit, &build, ATTEMPT);
        let never = fill(&entry.path, "nowhere", &zeros, NEVER, NEVER);
        for viewer in viewers.iter().filter(|viewer| viewer.role.may(entry.role)) {
            asked += 1;
            let (status, text) = ask(method, &path, viewer).await;
            let told = format!("{method} {path} as {}: {status} {text}", viewer.who);
            assert!(!text.contains(SECRET), "{told}");
            if path == never {
                assert!(!text.contains("veiled") && !text.contains(&build), "{told}");
                continue;
            }
            let (wanted, words) = ask(method, &never, viewer).await;
            let words = words.replace("nowhere", "veiled").replace(&zeros, &commit);
            let (text, words) =
                (text.replace(&build, "ID").replace(ATTEMPT, "ID"), words.replace(NEVER, "ID"));
            assert_eq!((status, same(text)), (wanted, same(words)), "{told}");
        }
    }
    assert!(asked > 60, "{asked}");
    // All of it is there for who may see it, and what is public is there for all.
    let admin = Viewer::known("admin", Role::Admin);
    for path in [
        format!("/builds/{build}"),
        format!("/api/v1/builds/{build}/why"),
        format!("/api/v1/attempts/{ATTEMPT}/log"),
        format!("/commits/veiled/{commit}"),
        format!("/veiled.tar.gz?rev={commit}"),
        format!("/mirror/veiled/file?rev={commit}&path=secret.txt"),
    ] {
        assert_eq!(ask("GET", &path, &admin).await.0, 200, "{path}");
    }
    assert_eq!(ask("GET", &format!("/builds/{public}"), &Viewer::stranger(true)).await.0, 200);
    let (_, status) = ask("GET", "/api/v1/status", &admin).await;
    assert!(status.contains(&build), "{status}");
    system.stop().await;
}
