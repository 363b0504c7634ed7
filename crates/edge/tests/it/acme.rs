//! Certificates that a real authority issues, to this very port.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use edge::tls::{AcmeSettings, Source, Tls};
use edge::{Limits, Plain};
use testkit::wait_for;
use tokio::net::TcpListener;

use crate::pebble::Pebble;
use crate::world::{Connection, LIMIT, Serving};

fn settings(pebble: &Pebble, dir: &Path, names: &[&str]) -> Source {
    Source::Acme(AcmeSettings {
        dir: dir.to_owned(),
        domains: names.iter().map(|&name| name.to_owned()).collect(),
        contact: vec!["mailto:ops@example.org".into()],
        directory: pebble.directory(),
        ca_file: Some(pebble.ca_file()),
    })
}

async fn serve(listener: TcpListener, source: Source) -> Serving {
    let (tls, keeper) = Tls::open(source).unwrap();
    Serving::on(listener, tls, keeper, Limits::default(), Plain::Refuse)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Waits until a certificate is shown that is not this one.
async fn issued(tls: &Tls, but: Option<String>) -> String {
    let (log, tls) = (Log::of_this_program(), tls.clone());
    let fresh = move || {
        wait_for("a certificate", LIMIT, || Ok(tls.fingerprint().filter(|print| Some(print) != but.as_ref())))
            .unwrap_or_else(|error| panic!("{error}: {:#?}", log.about("")))
    };
    tokio::task::spawn_blocking(fresh).await.unwrap()
}

/// What is logged by all tests of this program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn of_this_program() -> &'static Log {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Log::default();
            let to = log.clone();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).init();
            log
        })
    }

    /// The lines that speak of this.
    fn about(&self, what: &str) -> Vec<String> {
        let text = self.0.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_kept_and_shown_at_the_next_start_without_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (listening, port) = listener().await;
    let mut pebble = tokio::task::spawn_blocking(move || Pebble::start(port, 86_400)).await.unwrap();
    let kept = dir.path().join("tls");
    let names = ["ci.example.org", "www.example.org"];
    let serving = serve(listening, settings(&pebble, &kept, &names)).await;
    let print = issued(&serving.tls, None).await;
    let at = serving.address;
    let (pebble, root) = tokio::task::spawn_blocking(move || {
        let root = pebble.root();
        let mut other = Connection::open(at, names[1], &root).unwrap();
        assert!(other.ask("/host").unwrap().contains("200 OK"));
        assert!(Connection::open(at, "third.example.org", &root).is_err(), "it is for those names only");
        pebble.stop();
        (pebble, root)
    })
    .await
    .unwrap();
    serving.end().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&kept), 0o700);
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");

    let (listening, _) = listener().await;
    let serving = serve(listening, settings(&pebble, &kept, &names)).await;
    assert_eq!(serving.tls.fingerprint(), Some(print), "it is there at once");
    let at = serving.address;
    let again = tokio::task::spawn_blocking(move || Connection::open(at, names[0], &root).map(drop));
    again.await.unwrap().unwrap();
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_forgotten_the_account_is_given_another() {
    let dir = tempfile::tempdir().unwrap();
    let (listening, port) = listener().await;
    let mut pebble = tokio::task::spawn_blocking(move || Pebble::start(port, 86_400)).await.unwrap();
    let serving = serve(listening, settings(&pebble, dir.path(), &["one.example.org"])).await;
    let first = issued(&serving.tls, None).await;
    serving.end().await;
    let pebble = tokio::task::spawn_blocking(move || {
        pebble.stop();
        pebble.resume();
        pebble
    })
    .await
    .unwrap();
    let listening = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let serving = serve(listening, settings(&pebble, dir.path(), &["two.example.org"])).await;
    assert_ne!(issued(&serving.tls, None).await, first);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_renewed_in_time_and_while_the_authority_is_away_the_old_one_is_shown() {
    let log = Log::of_this_program();
    let dir = tempfile::tempdir().unwrap();
    let (listening, port) = listener().await;
    let mut pebble = tokio::task::spawn_blocking(move || Pebble::start(port, 15)).await.unwrap();
    let directory = pebble.directory();
    let serving = serve(listening, settings(&pebble, dir.path(), &["ci.example.org"])).await;
    let first = issued(&serving.tls, None).await;
    let second = issued(&serving.tls, Some(first.clone())).await;
    let tls = serving.tls.clone();
    tokio::task::spawn_blocking(move || {
        assert!(log.about(&directory).is_empty(), "nothing has failed so far: {:?}", log.about(&directory));
        pebble.stop();
        let lines = wait_for("the failure is said", LIMIT, || {
            let lines = log.about(&directory);
            Ok((!lines.is_empty()).then_some(lines))
        })
        .unwrap();
        assert!(lines[0].contains("the one before is still shown; tried again in 10 s"), "{lines:?}");
        let now = tls.fingerprint().unwrap();
        let again = wait_for("another failure", LIMIT, || {
            let lines = log.about(&directory);
            Ok(lines.get(1).cloned())
        })
        .unwrap();
        assert!(again.contains("tried again in 40 s"), "{again}");
        assert_eq!(tls.fingerprint().unwrap(), now);
        assert_ne!(second, first);
    })
    .await
    .unwrap();
    serving.end().await;
}
