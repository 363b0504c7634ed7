//! `up` where a forge is named: what happens there is soon in the log that it serves, and at a client of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use godata::Godata;
use http::Request;
use maintner::corpus::Corpus;
use testkit::github::{GitHub, Options};
use testkit::{File, GitRepo, Server};
use tokio_util::task::AbortOnDropHandle;
use transport::Service;

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cr3t";

/// A GitHub on loopback.
async fn github() -> (GitHub, SocketAddr, AbortOnDropHandle<()>) {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let github = GitHub::new(1, Options::default(), Arc::new(now));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), github.router());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (github, address, AbortOnDropHandle::new(serving))
}

fn configuration(github: SocketAddr, more: &str) -> String {
    format!(
        "[pubsubhelper.github]\nsecret_file = \"hook\"\nplain = true\n\
         [maintnerd]\ngithub = [\"golang/go\"]\ngithub_api = \"http://{github}\"\ntoken_file = \"token\"\n\
         git = {{ project = \"localhost/app\", url = \"app\" }}\n{more}"
    )
}

/// Bytes that a process has read by calls, those that it had sent from files among them.
#[cfg(target_os = "linux")]
fn read_by(server: &Server) -> usize {
    let counts = std::fs::read_to_string(format!("/proc/{}/io", server.pid().unwrap())).unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// What somebody is answered, with a token or without.
fn asked(server: &Server, path: &str, token: Option<&str>) -> (u16, String) {
    let answer = server.request("GET", path, token, None).unwrap();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

async fn client(server: &Server, token: Option<&str>, cache: &Path) -> Result<Godata, godata::GodataError> {
    let origin = format!("http://{}", server.address());
    let mut config = godata::Config::at(&format!("{origin}/logs"), cache);
    config.service = token.map(|token| Service::url(&origin).with_bearer(token));
    godata::get(config).await
}

async fn has(client: &Godata, what: impl Fn(&Corpus) -> bool) {
    let mut versions = client.versions();
    let found = tokio::time::timeout(LIMIT, versions.wait_for(|corpus| what(corpus))).await;
    found.expect("it comes").unwrap();
}

/// Delivers what GitHub tells, as its webhooks.
async fn deliver(github: &GitHub, server: &Server) {
    let service = Service::url(&format!("http://{}", server.address()));
    for (nth, webhook) in github.webhooks().into_iter().enumerate() {
        let request = Request::post("/hooks/github")
            .header("x-github-event", &webhook.event)
            .header("x-github-delivery", format!("{}-{nth}", webhook.body.len()))
            .header("x-hub-signature-256", webhook.signature(SECRET))
            .body(Body::from(webhook.body.clone()));
        service.send_ok(request.unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_at_a_forge_is_soon_at_a_client() {
    let dir = tempfile::tempdir().unwrap();
    let (github, address, _serving) = github().await;
    // So long that it is sent from the file of the log.
    let long = "b".repeat(300_000);
    github.change(|world, now| world.open(now, 1, false, "the first", &long));
    let mut repo = GitRepo::create(&dir.path().join("app")).unwrap();
    let head = repo.commit("The first", &[("a", File::Text("a"))]).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/hook"), SECRET).unwrap();
    let file = dir.path().join("server.toml");

    // The token that the configuration names has to be there, and nothing is begun without it.
    let program = || env!("CARGO_BIN_EXE_bellwether").into();
    let refused = Server::configured(program(), dir.path(), &configuration(address, "")).unwrap_err();
    assert!(format!("{refused:#}").contains("maintnerd.token_file"), "{refused:#}");
    std::fs::write(dir.path().join("data/token"), "gopherbot:abc\n").unwrap();
    let mut server = Server::configured(program(), dir.path(), &configuration(address, "")).unwrap();

    let cache = dir.path().join("cache");
    let one = client(&server, None, &cache).await.unwrap();
    has(&one, |corpus| corpus.github.issues().len() == 1 && !corpus.gerrit.commits().is_empty()).await;
    // Without the hint GitHub would not be looked at for a quarter of an hour.
    github.change(|world, now| world.open(now, 1, false, "the second", ""));
    deliver(&github, &server).await;
    has(&one, |corpus| corpus.github.issues().len() == 2).await;
    let (_, index) = asked(&server, "/logs", None);
    assert!(index.contains("/logs/0"), "{index}");
    let known = one.corpus().log.len();

    // The page, its twin, the metrics and the way there; the state of the server itself stays as it is.
    let (status, page) = asked(&server, "/maintner", None);
    assert!(status == 200 && page.contains("golang/go#2") && page.contains("localhost/app"), "{page}");
    assert!(page.contains("href=\"/grid\""), "it has the shell of the others");
    let (_, metrics) = asked(&server, "/metrics", None);
    assert!(metrics.contains("bellwether_maintner_issues 2\n"), "{metrics}");
    assert!(asked(&server, "/status", None).1.contains("href=\"/maintner\""));
    assert!(asked(&server, "/hooks", None).1.contains("opened"));
    assert_eq!(asked(&server, "/healthz", None).0, 200);
    let twin: serde_json::Value = serde_json::from_str(&asked(&server, "/maintner.json", None).1).unwrap();
    assert_eq!((&twin["role"], &twin["issues"]), (&"leader".into(), &2.into()));

    // Its end is everything's end, though somebody waits for more of the log; what is known is kept.
    assert!(server.interrupt().unwrap().success(), "{}", server.printed());
    assert!(dir.path().join("data/maintnerd/corpus.checkpoint").exists(), "{}", server.printed());
    drop(one);

    // What is private is for developers: the log, the page, and the way there.
    std::fs::write(&file, configuration(address, "visibility = \"private\"\n")).unwrap();
    server.resume().unwrap();
    let token = server.token().unwrap();
    for path in ["/logs", "/logs/0", "/maintner", "/maintner.json"] {
        assert_eq!(asked(&server, path, None).0, 401, "{path}");
        assert_eq!(asked(&server, path, Some(&token)).0, 200, "{path}");
    }
    let figures = |token: Option<&str>| asked(&server, "/metrics", token).1;
    assert!(!figures(None).contains("maintner_") && figures(None).ends_with("# EOF\n"));
    assert!(figures(Some(&token)).contains("bellwether_maintner_issues 2\n"));
    #[cfg(target_os = "linux")]
    {
        let before = read_by(&server);
        let sent = asked(&server, "/logs/0", Some(&token)).1.len();
        let read = read_by(&server) - before;
        assert!(sent > long.len() && read > sent / 2, "of {sent} bytes {read} came from a file");
    }
    assert!(!asked(&server, "/status", None).1.contains("/maintner"));
    assert!(asked(&server, "/status", Some(&token)).1.contains("href=\"/maintner\""));
    let one = client(&server, Some(&token), &cache).await.unwrap();
    has(&one, |corpus| corpus.log.len() >= known && corpus.github.issues().len() == 2).await;
    let commit = maintner::commit::hash(head.as_bytes()).unwrap();
    assert!(one.corpus().gerrit.commit(&commit).is_some(), "{head}");
    // Another server has the same by following this one, to which it shows a token.
    let other = dir.path().join("other");
    std::fs::create_dir_all(other.join("data")).unwrap();
    std::fs::write(other.join("data/token"), &token).unwrap();
    let follows = format!(
        "[maintnerd]\nfollow = \"http://{}/logs\"\ntoken_file = \"token\"\nvisibility = \"private\"\n",
        server.address()
    );
    let mut follower = Server::configured(program(), &other, &follows).unwrap();
    let (_, twin) = asked(&follower, "/maintner.json", Some(&follower.token().unwrap()));
    let twin: serde_json::Value = serde_json::from_str(&twin).unwrap();
    assert_eq!((&twin["role"], &twin["issues"]), (&"follower".into(), &2.into()), "{twin}");
    assert!(follower.interrupt().unwrap().success(), "{}", follower.printed());
    assert!(server.interrupt().unwrap().success(), "{}", server.printed());
}
