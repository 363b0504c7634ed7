//! However a command ends, no process of its group is left.

use std::time::Duration;

use git::{Error, FetchOptions, Git, GitConfig, Limits, RefSpec, RemoteUrl};
use tokio_util::sync::CancellationToken;

use crate::fixture::Fixture;
use crate::hostile::make_executable;

/// Counts the processes that have our private home in their environment.
fn alive(fixture: &Fixture) -> usize {
    let home = format!("HOME={}", fixture.path("home").display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|entry| {
        let variables = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    });
    ours.count()
}

async fn until(wanted: impl Fn() -> bool) -> bool {
    for _ in 0..500 {
        if wanted() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// A remote that accepts connections and never answers.
async fn silent() -> (RemoteUrl, RemoteUrl, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (format!("http://{at}/x").parse().unwrap(), format!("git://{at}/x").parse().unwrap(), task)
}

#[tokio::test]
async fn a_remote_that_never_answers_leaves_no_process() {
    let fixture = Fixture::new();
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let (http, plain, server) = silent().await;
    for url in [http, plain] {
        let timeout = Duration::from_millis(500);
        let listed = fixture.git.ls_remote(&url, git::Scope::All, timeout).await;
        assert!(matches!(listed, Err(Error::Timeout { .. })), "{listed:?}");
        let options = FetchOptions { prune: true, depth: None, timeout, cancel: Default::default() };
        let fetched = mirror.fetch(&url, &RefSpec::heads_and_tags(), &options).await;
        assert!(matches!(fetched, Err(Error::Timeout { .. })), "{fetched:?}");
        assert!(until(|| alive(&fixture) == 0).await, "what was killed takes a moment to be gone, no more");

        let cancel = CancellationToken::new();
        let options = FetchOptions { timeout: Duration::from_secs(60), cancel: cancel.clone(), ..options };
        let specs = RefSpec::heads_and_tags();
        let fetch = mirror.fetch(&url, &specs, &options);
        let (fetched, ()) = tokio::join!(fetch, async {
            assert!(until(|| alive(&fixture) >= 1).await);
            cancel.cancel();
        });
        assert!(matches!(fetched, Err(Error::Cancelled { .. })), "{fetched:?}");
        assert!(until(|| alive(&fixture) == 0).await, "what was killed takes a moment to be gone, no more");

        // Dropping the future ends the command too.
        let options = FetchOptions { cancel: Default::default(), ..options };
        let dropped =
            tokio::time::timeout(Duration::from_millis(500), mirror.fetch(&url, &specs, &options)).await;
        assert!(dropped.is_err());
        assert!(until(|| alive(&fixture) == 0).await);
    }
    server.abort();
}

#[tokio::test]
async fn grandchildren_that_ignore_sigterm_are_ended() {
    let fixture = Fixture::new();
    let program = fixture.path("stubborn.sh");
    std::fs::write(&program, "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; sleep 600) &\nsleep 600\n").unwrap();
    make_executable(&program);
    let limits =
        Limits { local: Duration::from_millis(300), grace: Duration::from_millis(200), ..Limits::default() };
    let config = GitConfig { program, limits, ..GitConfig::new(fixture.path("home")) };
    let error = Git::new(config).unwrap().version().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(until(|| alive(&fixture) == 0).await);
}

#[tokio::test]
async fn a_child_that_outlives_its_git_is_ended() {
    let fixture = Fixture::new();
    let program = fixture.path("leaver.sh");
    std::fs::write(&program, "#!/bin/sh\nsleep 600 &\necho git version 3.0.0\n").unwrap();
    make_executable(&program);
    let config = GitConfig { program, ..GitConfig::new(fixture.path("home")) };
    let version = Git::new(config).unwrap().version().await.unwrap();
    assert_eq!(version, git::Version(3, 0, 0));
    assert!(until(|| alive(&fixture) == 0).await);
}

#[tokio::test]
async fn output_beyond_the_limit_ends_the_command() {
    let fixture = Fixture::new();
    let program = fixture.path("talker.sh");
    std::fs::write(&program, "#!/bin/sh\nexec yes\n").unwrap();
    make_executable(&program);
    let limits = Limits { output: 100_000, ..Limits::default() };
    let config = GitConfig { program, limits, ..GitConfig::new(fixture.path("home")) };
    let error = Git::new(config).unwrap().version().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 100_000, .. }), "{error}");
    assert_eq!(alive(&fixture), 0);
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let fixture = Fixture::new();
    let config = GitConfig { program: "/nonexistent/git".into(), ..GitConfig::new(fixture.path("home")) };
    let error = Git::new(config).unwrap().version().await.unwrap_err();
    assert!(
        matches!(&error, Error::Start { .. }) && error.to_string().contains("/nonexistent/git"),
        "{error}"
    );
}
