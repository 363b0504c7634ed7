//! Our client beside our server, over loopback.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use godata::{Config, FollowLog, Godata, GodataError, Kept, Mode, State};
use maintner::corpus::{Corpus, Replay};
use maintner::dump::Dump;
use maintner::log::Log;
use maintner::rules::Rules;
use maintnerd::logs::LogsConfig;

use crate::log::{Written, mutation};
use crate::server::Server;

/// Nothing takes so long but a hang.
const LONG: Duration = Duration::from_secs(30);

fn config(server: &Server, cache: &Path) -> Config {
    let mut config = Config::at(&server.index(), cache);
    config.retry.delay = Duration::from_millis(1);
    config.retry.longest = Duration::from_millis(20);
    config.waits.apart = Duration::from_millis(20);
    config
}

/// What a corpus of the whole log says, made by itself.
fn whole(written: &Written) -> String {
    let log = Log::open(written.folder()).unwrap();
    Dump::of(&Corpus::load(log, Rules::Ours, Replay::OneThread).unwrap()).digest()
}

fn said(godata: &Godata) -> String {
    Dump::of(&godata.corpus()).digest()
}

async fn until(godata: &Godata, is: impl Fn(&Corpus) -> bool) {
    let mut updates = godata.updates();
    let comes = async {
        while !is(&godata.corpus()) {
            updates.next().await.unwrap();
        }
    };
    tokio::time::timeout(LONG, comes).await.expect("a version that is so");
}

async fn state(godata: &Godata, is: impl FnMut(&State) -> bool) -> State {
    let mut states = godata.state();
    tokio::time::timeout(LONG, states.wait_for(is)).await.expect("a state that is so").unwrap().clone()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".mutlog"));
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_and_only_what_is_new_is_fetched() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    let (a, b) = (written.add("a"), written.add("bb"));
    written.seal();
    let c = written.add("ccc");
    let logs = written.logs(LogsConfig::default());
    let server = Server::start(&logs).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut with = config(&server, cache.path());
    let tell = told.clone();
    with.progress = Some(Arc::new(move |progress| tell.lock().unwrap().push(progress)));
    let godata = godata::get(with).await.unwrap();
    assert_eq!((said(&godata), godata.corpus().records), (whole(&written), 3));
    assert_eq!(
        server.faults.asked(),
        [format!("/logs/0/0000 bytes=0-{}", a + b - 1), format!("/logs/1 bytes=0-{}", c - 1)]
    );
    let last = *told.lock().unwrap().last().unwrap();
    assert_eq!((last.segments, last.of_segments, last.bytes, last.of_bytes), (2, 2, a + b + c, a + b + c));

    let before = godata.corpus();
    let d = written.add("dddd");
    until(&godata, |corpus| corpus.records == 4).await;
    assert_eq!(server.faults.asked(), [format!("/logs/1 bytes={c}-{}", c + d - 1)]);
    // Sealed without a byte more: nothing to tell and nothing to fetch.
    written.seal();
    let e = written.add("e");
    until(&godata, |corpus| corpus.records == 5).await;
    assert_eq!(server.faults.asked(), [format!("/logs/2 bytes=0-{}", e - 1)]);
    assert_eq!((said(&godata), before.records), (whole(&written), 3));
    assert_eq!(godata.corpus().github.repos().len(), 5);

    // Another one with the same cache has nothing to fetch, and its files are those of the server.
    let other = godata::get(config(&server, cache.path())).await.unwrap();
    assert_eq!((said(&other), server.faults.asked().is_empty()), (whole(&written), true));
    assert_eq!(files(cache.path()), files(written.folder()));

    // The server ends, the log goes on, and it is there again.
    let place = server.stop();
    let trouble = state(&godata, |state| state.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.contains("can't be reached"), "{trouble}");
    written.add("f");
    let _server = Server::again(&logs, place).await;
    until(&godata, |corpus| corpus.records == 6).await;
    until(&other, |corpus| corpus.records == 6).await;
    let after = state(&godata, |state| state.trouble.is_none()).await;
    assert_eq!((after.rebuilt, after.segments, said(&other)), (0, 3, whole(&written)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_goes_on_where_it_ended() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    let long = mutation(&"x".repeat(4000));
    let size = written.add_payload(&long);
    written.seal();
    written.add_payload(&long);
    let logs = written.logs(LogsConfig::default());
    let server = Server::start(&logs).await;
    server.faults.cut.store(1000, Ordering::SeqCst);
    // More than it may fail, were each of them one at which nothing came.
    let mut with = config(&server, cache.path());
    with.retry.segment = 3;
    let godata = godata::get(with).await.unwrap();
    assert_eq!(said(&godata), whole(&written));
    let asked = server.faults.asked();
    let first: Vec<String> =
        (0..size).step_by(1000).map(|from| format!("/logs/0/0000 bytes={from}-{}", size - 1)).collect();
    assert_eq!(asked[..first.len()], first);
    assert_eq!(asked.len(), 2 * first.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_not_for_ever() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    written.add("a");
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    server.faults.refused.store(4, Ordering::SeqCst);
    // One that follows would ask once more.
    let once = Config { updates: FollowLog::None, ..config(&server, cache.path()) };
    assert_eq!(godata::get(once).await.unwrap().corpus().records, 1);
    server.faults.refused.store(1000, Ordering::SeqCst);
    let refused = godata::get(config(&server, cache.path())).await.unwrap_err();
    assert!(refused.to_string().contains("500") && refused.is_transient(), "{refused}");
    assert_eq!(server.faults.refused.load(Ordering::SeqCst), 995);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_there_is_what_was_kept() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    written.add("a");
    written.seal();
    written.add("b");
    let logs = written.logs(LogsConfig::default());
    let server = Server::start(&logs).await;
    let with = |mode| Config { mode, ..config(&server, cache.path()) };
    let (offline, possible, online) = (with(Mode::Offline), with(Mode::OnlineIfPossible), with(Mode::Online));
    let nothing = godata::get(offline.clone()).await.unwrap_err();
    assert!(matches!(nothing, GodataError::NothingKept { .. }), "{nothing}");
    drop(godata::get(online.clone()).await.unwrap());
    let place = server.stop();
    assert_eq!(said(&godata::get(offline).await.unwrap()), whole(&written));
    assert!(godata::get(online).await.unwrap_err().to_string().contains("can't be reached"));
    let godata = godata::get(possible).await.unwrap();
    assert!(godata.state().borrow().trouble.is_some());
    // What was kept is how the log begins still, so that it goes on from there.
    written.add("c");
    let server = Server::again(&logs, place).await;
    until(&godata, |corpus| corpus.records == 3).await;
    assert_eq!((said(&godata), godata.state().borrow().rebuilt), (whole(&written), 0));
    assert_eq!(server.faults.asked().len(), 2 + 1, "two at first, and what is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_segment_there_is_what_was_kept() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    written.add("a");
    written.seal();
    written.add("b");
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    let with = |mode| Config { mode, updates: FollowLog::None, ..config(&server, cache.path()) };
    server.faults.segments_refused.store(1000, Ordering::SeqCst);
    let nothing = godata::get(with(Mode::OnlineIfPossible)).await.unwrap_err();
    assert!(nothing.to_string().contains("500"), "{nothing}");
    server.faults.segments_refused.store(0, Ordering::SeqCst);
    drop(godata::get(with(Mode::Online)).await.unwrap());
    let before = whole(&written);
    written.add("c");
    server.faults.segments_refused.store(1000, Ordering::SeqCst);
    assert!(godata::get(with(Mode::Online)).await.unwrap_err().to_string().contains("500"));
    let kept = Config { updates: FollowLog::Follow, ..with(Mode::OnlineIfPossible) };
    let godata = godata::get(kept).await.unwrap();
    assert_eq!(said(&godata), before);
    assert!(godata.state().borrow().trouble.as_ref().is_some_and(|trouble| trouble.contains("500")));
    // It goes on from there.
    server.faults.segments_refused.store(0, Ordering::SeqCst);
    until(&godata, |corpus| corpus.records == 3).await;
    assert_eq!((said(&godata), godata.state().borrow().rebuilt), (whole(&written), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_is_read_anew() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    written.add("first");
    written.seal();
    written.rewrite(&["a", "b"]);
    let logs = written.logs(LogsConfig { wait: Duration::from_millis(50), ..LogsConfig::default() });
    let server = Server::start(&logs).await;
    let godata = godata::get(config(&server, cache.path())).await.unwrap();
    // Another of the same size, a longer one, a shorter one, and one that lost its last record.
    for (nth, repos) in (1..).zip([&["a", "c"][..], &["x", "y", "z"], &["q"], &["r", "s"], &["r"]]) {
        let held = godata.corpus();
        let (records, names) = (held.records, held.github.repos().len());
        // The whole of it at once, as after a restart.
        let mut other = Written::new();
        other.add("first");
        other.seal();
        other.rewrite(repos);
        let growing = "0001.growing.mutlog";
        std::fs::remove_file(written.folder().join(growing)).unwrap();
        std::fs::copy(other.folder().join(growing), written.folder().join(growing)).unwrap();
        written.committed.send_replace(other.committed.borrow().clone());
        // By its size alone the first would be none.
        server.faults.refused.store(usize::from(nth == 1), Ordering::SeqCst);
        let after = state(&godata, |state| state.rebuilt == nth).await;
        assert_eq!((after.trouble, said(&godata)), (None, whole(&other)), "{repos:?}");
        assert_eq!(
            (held.records, held.github.repos().len()),
            (records, names),
            "the view that was had stays"
        );
    }
    // Without the server there is the last log, and nothing of those before.
    let offline = Config { mode: Mode::Offline, ..config(&server, cache.path()) };
    assert_eq!(said(&godata::get(offline).await.unwrap()), said(&godata));
    // What was sealed is fetched once.
    let asked = server.faults.asked();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("/logs/0")).count(), 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_and_is_broken_is_fetched_again() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    written.add("a");
    written.seal();
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    drop(godata::get(config(&server, cache.path())).await.unwrap());
    let name = files(cache.path()).pop().unwrap();
    let good = std::fs::read(cache.path().join(&name)).unwrap();
    // As after a fall of power: the name, and nothing of the bytes. Another file, since the old one may be mapped still.
    std::fs::remove_file(cache.path().join(&name)).unwrap();
    std::fs::write(cache.path().join(&name), vec![0; good.len()]).unwrap();
    assert_eq!(said(&godata::get(config(&server, cache.path())).await.unwrap()), whole(&written));
    // Within a text no record is broken by it: who wants to know has the bytes compared.
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::remove_file(cache.path().join(&name)).unwrap();
    std::fs::write(cache.path().join(&name), &bad).unwrap();
    assert_ne!(said(&godata::get(config(&server, cache.path())).await.unwrap()), whole(&written));
    let verified = Config { kept: Kept::Verified, ..config(&server, cache.path()) };
    assert_eq!(said(&godata::get(verified).await.unwrap()), whole(&written));
    // And what the server itself has not as it says is refused.
    let file = written.folder().join(&name);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, &bad).unwrap();
    let other = tempfile::tempdir().unwrap();
    let corrupt = godata::get(config(&server, other.path())).await.unwrap_err();
    assert!(matches!(corrupt, GodataError::Corrupt { number: 0, .. }), "{corrupt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_share_a_cache() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    for _ in 0..3 {
        written.add("sealed");
        written.seal();
    }
    written.add("a");
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    let get = || godata::get(config(&server, cache.path()));
    let (one, two, three) = tokio::join!(get(), get(), get());
    let all = [one.unwrap(), two.unwrap(), three.unwrap()];
    assert_eq!(server.faults.asked().len(), 4, "each segment is fetched by one of them");
    for count in 5..25 {
        written.add(&"more".repeat(count));
        if count % 7 == 0 {
            written.seal();
        }
        for godata in &all {
            until(godata, |corpus| corpus.records == count as u64).await;
        }
    }
    assert!(all.iter().all(|godata| said(godata) == whole(&written) && godata.state().borrow().rebuilt == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_is_a_corpus_too() {
    let (mut written, cache) = (Written::new(), tempfile::tempdir().unwrap());
    let logs = written.logs(LogsConfig::default());
    let server = Server::start(&logs).await;
    let godata = godata::get(config(&server, cache.path())).await.unwrap();
    assert_eq!(godata.corpus().records, 0);
    written.add("a");
    until(&godata, |corpus| corpus.records == 1).await;
}
