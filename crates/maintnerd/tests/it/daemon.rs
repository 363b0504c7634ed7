//! A daemon that leads and one that follows it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures::FutureExt as _;
use jiff::Timestamp;
use maintner::dump::Dump;
use maintner::journal::Options;
use maintnerd::sources::{Budget, SourceState};
use maintnerd::{Config, Daemon, DaemonError, Of, Poller, Readers};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use transport::{Role, Service, Viewer};

const LONG: Duration = Duration::from_secs(30);

pub async fn leads(folder: &std::path::Path) -> std::sync::Arc<Daemon> {
    let of = Of::Own { folder: folder.to_path_buf(), options: Options::default() };
    Daemon::start(of, Config::default(), None).await.unwrap()
}

/// Its routes, for a service of this process.
pub fn asked(daemon: &std::sync::Arc<Daemon>) -> axum::Router {
    daemon.routes().into_router().layer(from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(Viewer::service(Viewer::ANOTHER_SERVICE));
        next.run(request)
    }))
}

pub fn repo(name: &str) -> maintpb::Mutation {
    let github = maintpb::GithubMutation { owner: "golang".into(), repo: name.into(), ..Default::default() };
    maintpb::Mutation { github: Some(github), ..Default::default() }
}

async fn text(router: &axum::Router, path: &str) -> String {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_by_who_follows() {
    let (log, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leader = leads(log.path()).await;
    let sink = leader.sink().unwrap();
    let first = sink.add(vec![repo("a"), repo("b")]).await.unwrap();
    assert_eq!((first.records, first.github.repos().len()), (2, 2));
    assert_eq!(sink.add(Vec::new()).await.unwrap().records, 2);

    let through = godata::Config::through(Service::in_process(asked(&leader)), cache.path());
    let follower = Daemon::start(Of::Others(Box::new(through)), Config::default(), None).await.unwrap();
    assert!(follower.sink().is_none());
    let mut versions = follower.versions();
    // Many at once are written together, each with a version that has it.
    let adds = (0..40).map(|nth| {
        let sink = sink.clone();
        async move { sink.add(vec![repo(&format!("r{nth}"))]).await.unwrap().records }
    });
    let records = futures::future::join_all(adds).await;
    assert!(records.iter().all(|records| *records > 2));
    tokio::time::timeout(LONG, versions.wait_for(|corpus| corpus.records == 42)).await.unwrap().unwrap();
    assert_eq!(Dump::of(&follower.corpus()).digest(), Dump::of(&leader.corpus()).digest());

    leader.sources().report(SourceState {
        name: "github.com/golang/go".into(),
        doing: "waiting <for> a hint".into(),
        mutations: Some(42),
        whole_until: Some(Timestamp::from_second(1_500_000_000).unwrap()),
        budget: Some(Budget { left: 4321, of: 5000, anew: Timestamp::from_second(1_500_000_600).unwrap() }),
        ..SourceState::default()
    });
    leader.sources().report(SourceState { name: "begins".into(), ..SourceState::default() });
    let router = asked(&leader);
    let page = text(&router, "/").await;
    assert!(page.contains("This is the leader") && page.contains("waiting &#60;for&#62; a hint"), "{page}");
    assert!(page.contains("golang/r39") || page.contains("golang/r0"), "{page}");
    // The budget, until when it is whole, and the log's size.
    let size = webui::time::bytes(leader.standing().bytes);
    for said in
        ["4321 of 5000, anew ", "datetime=\"2017-07-14T02:40:00", &format!("has {size} in segments: 1")]
    {
        assert!(page.contains(said), "{said} is not in {page}");
    }
    let twin: serde_json::Value = serde_json::from_str(&text(&router, "/maintner.json").await).unwrap();
    assert_eq!(twin["bytes"], leader.standing().bytes);
    let source = &twin["sources"][1];
    assert_eq!(
        (&source["budget"]["left"], &source["whole_until"]),
        (&4321.into(), &"2017-07-14T02:40:00Z".into())
    );
    assert_eq!((&twin["records"], &twin["sources"][1]["mutations"]), (&42.into(), &42.into()));
    assert_eq!(twin["recent"].as_array().unwrap().len(), 42);
    let metrics = text(&router, "/metrics").await;
    for said in [
        "mutations_total 42",
        "source_requests_left{source=\"github.com/golang/go\"} 4321",
        "source_whole_until_seconds{source=\"github.com/golang/go\"} 1500000000",
    ] {
        assert!(metrics.contains(&format!("\nbellwether_maintner_{said}\n")), "{said} is not in {metrics}");
    }
    assert!(!metrics.contains("begins"), "of what is not known nothing is said: {metrics}");
    assert_eq!(text(&router, "/healthz").await, "ok\n");
    let page = text(&asked(&follower), "/").await;
    assert!(page.contains("This is the follower. The log has"), "{page}");

    // The log is the journal's: whoever leads next goes on with it.
    let digest = Dump::of(&leader.corpus()).digest();
    let held = Daemon::start(
        Of::Own { folder: log.path().into(), options: Options::default() },
        Config::default(),
        None,
    );
    let held = held.await.err().unwrap().to_string();
    assert!(held.contains("another leader has it"), "{held}");
    drop((leader, sink, router, follower));
    let again = tokio::time::timeout(LONG, async {
        loop {
            let of = Of::Own { folder: log.path().to_path_buf(), options: Options::default() };
            match Daemon::start(of, Config::default(), None).await {
                Ok(daemon) => return daemon,
                // The task that wrote ends a moment later.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let again = again.await.unwrap();
    assert_eq!((Dump::of(&again.corpus()).digest(), again.standing().records), (digest, 42));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_polled_until_the_end() {
    let log = tempfile::tempdir().unwrap();
    let leader = leads(log.path()).await;
    let shutdown = CancellationToken::new();
    let poller: Poller = Box::new(|sink, sources, stop| {
        async move {
            sink.add(vec![repo("polled")]).await.unwrap();
            sources.report(SourceState { name: "one".into(), ..SourceState::default() });
            stop.cancelled().await;
            sink.add(vec![repo("at the end")]).await.unwrap();
            Ok(())
        }
        .boxed()
    });
    let mut versions = leader.versions();
    let ends = async {
        versions.wait_for(|corpus| corpus.records == 1).await.unwrap();
        shutdown.cancel();
    };
    let (run, ()) = tokio::join!(leader.run(vec![poller], shutdown.clone()), ends);
    run.unwrap();
    assert_eq!((leader.corpus().records, leader.sources().all().len()), (2, 1));
    // One that ends by itself ends the daemon: nobody would see that nothing is polled.
    let ends: Poller = Box::new(|_, _, _| async { Err("why".into()) }.boxed());
    let ended = leader.run(vec![ends], CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&ended, DaemonError::Source(why) if why == "why"), "{ended}");
}

/// A folder as an object store: the daemon's own folder may be lost.
#[cfg(feature = "objects")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_an_object_store_is_led_from_anywhere() {
    use std::sync::Arc;
    let (bucket, one, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = |folder: &std::path::Path, options: Options| {
        let store = object_store::local::LocalFileSystem::new_with_prefix(bucket.path()).unwrap();
        let of = Of::Stored { store: Arc::new(store), folder: folder.to_path_buf(), options };
        let sealed_at = Some("https://storage.googleapis.com/its".to_owned());
        let logs = maintnerd::logs::LogsConfig { sealed_at, ..Default::default() };
        Daemon::start(of, Config { logs, ..Config::default() }, None)
    };
    let first = start(one.path(), Options { segment: 150, ..Options::default() }).await.unwrap();
    let sink = first.sink().unwrap();
    for nth in 0..20 {
        sink.add(vec![repo(&format!("r{nth}"))]).await.unwrap();
    }
    // A sealed one is named there when it has come there, and until then here.
    let router = asked(&first);
    let sealed = tokio::time::timeout(LONG, async {
        loop {
            let index: serde_json::Value = serde_json::from_str(&text(&router, "/logs").await).unwrap();
            let index = index.as_array().unwrap().clone();
            let urls: Vec<&str> = index.iter().map(|one| one["url"].as_str().unwrap()).collect();
            let there = urls.iter().filter_map(|url| url.strip_prefix("https://storage.googleapis.com/its/"));
            assert!(there.clone().all(|name| bucket.path().join(name).exists()), "{urls:?}");
            if there.count() == urls.len() - 1 {
                return urls.len() - 1;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(sealed.await.unwrap() >= 2);
    // Another leads, with nothing but the store.
    let second = start(other.path(), Options::default()).await.unwrap();
    assert_eq!(Dump::of(&second.corpus()).digest(), Dump::of(&first.corpus()).digest());
    assert_eq!(text(&asked(&second), "/logs").await, text(&router, "/logs").await);
    let why = sink.add(vec![repo("late")]).await.unwrap_err().to_string();
    assert!(why.contains("another leader took over"), "{why}");
    assert_eq!(second.sink().unwrap().add(vec![repo("next")]).await.unwrap().records, 21);
}

/// One log, of something that is private: nobody reads it who may not see all.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_log_is_for_developers_of_everything() {
    let log = tempfile::tempdir().unwrap();
    let leader = leads(log.path()).await;
    let public = leader.routes_within(Readers::All).into_router();
    let private = leader.routes_within(Readers::Developers);
    let table = private.table();
    let private = private.into_router();
    assert!(table.len() > 5, "{table:?}");
    let eve = Viewer::known("eve", Role::Developer);
    for entry in table {
        let path = entry.path.replace("{*path}", "0").replace("{method}", "GetRef");
        let method = if entry.method == "*" { "GET" } else { entry.method };
        let ask = async |router: &axum::Router, viewer: Viewer| {
            let mut request = http::Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(viewer);
            let answer = router.clone().oneshot(request).await.unwrap();
            let grpc = answer.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
            (answer.status().as_u16(), grpc)
        };
        // By gRPC 7 and 16 are those who may not.
        let refused = |(status, grpc): (u16, Option<String>)| {
            matches!(status, 401 | 403) || matches!(grpc.as_deref(), Some("7" | "16"))
        };
        assert!(!refused(ask(&public, Viewer::stranger(true)).await), "{path}");
        for viewer in [
            Viewer::stranger(true),
            Viewer::known("m1", Role::Builder),
            Viewer::known("ada", Role::Reader),
            eve.clone().scoped(vec!["open".into()]),
        ] {
            let who = viewer.who.clone();
            assert!(refused(ask(&private, viewer).await), "{path} as {who}");
        }
        assert!(!refused(ask(&private, eve.clone()).await), "{path}");
    }
}

/// Errors have paths and addresses.
#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_trouble_are_for_those_who_say_who_they_are() {
    let log = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(log.path().join(maintner::checkpoint::NAME).join("x")).unwrap();
    let leader = leads(log.path()).await;
    leader.sink().unwrap().add(vec![repo("a")]).await.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    leader.run(Vec::new(), shutdown).await.unwrap();
    let trouble = Some("/secret/path: permission denied".to_owned());
    let git = SourceState { name: "a".into(), trouble, in_short: "short", ..SourceState::default() };
    let other = SourceState { name: "b".into(), in_short: "", ..git.clone() };
    let well = SourceState { name: "c".into(), trouble: None, ..git.clone() };
    for state in [git, other, well] {
        leader.sources().report(state);
    }
    let routes = leader.routes().into_router();
    let as_one = |viewer: Viewer| {
        routes.clone().layer(from_fn(move |mut request: Request, next: Next| {
            request.extensions_mut().insert(viewer.clone());
            next.run(request)
        }))
    };
    let paths = ["/secret/path", log.path().to_str().unwrap()];
    for (viewer, told) in [(Viewer::stranger(true), false), (Viewer::known("ada", Role::Reader), true)] {
        let router = as_one(viewer);
        for page in ["/", "/maintner", "/maintner.json"] {
            let text = text(&router, page).await;
            assert!(paths.iter().all(|path| text.contains(path) == told), "{page}: {text}");
        }
    }
    let twin = text(&as_one(Viewer::stranger(true)), "/maintner.json").await;
    let twin: serde_json::Value = serde_json::from_str(&twin).unwrap();
    let troubles: Vec<_> =
        twin["sources"].as_array().unwrap().iter().map(|source| source["trouble"].as_str()).collect();
    assert_eq!(troubles, [Some("short"), Some("it could not be read"), None]);
    assert_eq!(twin["checkpoint_trouble"], "the file could not be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_checkpoint_is_written_is_on_the_page_and_in_the_metrics() {
    let log = tempfile::tempdir().unwrap();
    // Nothing can take the place of a folder that is not empty.
    std::fs::create_dir_all(log.path().join(maintner::checkpoint::NAME).join("x")).unwrap();
    let leader = leads(log.path()).await;
    leader.sink().unwrap().add(vec![repo("a")]).await.unwrap();
    let router = asked(&leader);
    assert!(text(&router, "/metrics").await.contains("bellwether_maintner_checkpoint_trouble 0\n"));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    leader.run(Vec::new(), shutdown).await.unwrap();
    let page = text(&router, "/").await;
    assert!(page.contains("No checkpoint was written") && page.contains("corpus.checkpoint"), "{page}");
    assert!(text(&router, "/metrics").await.contains("bellwether_maintner_checkpoint_trouble 1\n"));
}
