//! The agent dials out and is served backwards.

use std::process::Command;

use crate::agent::{Agent, alive, end, pid_in, read, shell, soon};
use crate::coordinator::{Coordinator, KEY, plain};

#[tokio::test]
async fn it_registers_and_works_as_one_that_listens() {
    let mut coordinator = Coordinator::start(plain()).await;
    let url = coordinator.url();
    let mut agent = Agent::dialling_out(KEY, &["--coordinator", &url, "--idle-exit", "10ms"], &[]);
    let machine = coordinator.registered().await;
    let status = machine.client.status().await.unwrap();
    let about = status.bellwether.unwrap();
    for (name, value) in [
        ("Host", None),
        ("X-Go-Host-Type", Some("host-a")),
        ("X-Go-Builder-Key", Some(KEY)),
        ("X-Go-Builder-Hostname", Some("attic")),
        ("X-Go-Builder-Version", Some("29")),
        ("X-Revdial-Version", Some("2")),
        ("X-Bellwether-Instance", Some(about.instance.as_str())),
    ] {
        let header = machine.headers.get(name).map(String::as_str);
        assert_eq!(header.filter(|value| !value.is_empty()), value, "{name}");
    }
    assert_eq!(status.version, 29);
    let client = machine.client.with_fence(1, "l");
    client.write_file("a/b", 0o644, "hello".into()).await.unwrap();
    client.start(&shell("e", "cat a/b; echo; pwd")).await.unwrap();
    assert_eq!(end(&client, "e").await.process_state, "ok");
    assert_eq!(read(&client, "e", 0).await, format!("hello\n{}\n", agent.workdir().display()));
    // Several at once: each has a connection of its own.
    for n in 0..8 {
        client.start(&shell(&format!("n{n}"), &format!("echo {n}"))).await.unwrap();
    }
    let outputs = (0..8).map(|n| {
        let client = client.clone();
        async move { read(&client, &format!("n{n}"), 0).await }
    });
    let outputs = futures::future::join_all(outputs).await;
    assert_eq!(outputs, (0..8).map(|n| format!("{n}\n")).collect::<Vec<_>>());
    assert!(agent.runs(), "it is not idle while it is registered");
    assert!(!agent.log().contains(KEY), "no key in the log");
    assert!(!agent.socket().exists(), "it listens nowhere");
}

#[tokio::test]
async fn a_command_goes_on_while_the_coordinator_is_away() {
    let mut coordinator = Coordinator::start(plain()).await;
    let agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
    let machine = coordinator.registered().await;
    let client = machine.client.with_fence(1, "l");
    let script = "echo before; until [ -e go ]; do sleep 0.01; done; echo after; touch done";
    client.start(&shell("e", script)).await.unwrap();
    let instance = machine.headers["X-Bellwether-Instance"].clone();
    drop((client, machine));
    soon("it is noticed", || agent.log().contains("no longer registered")).await;
    std::fs::write(agent.workdir().join("go"), "").unwrap();

    let machine = coordinator.registered().await;
    assert_eq!(machine.headers["X-Bellwether-Instance"], instance);
    let client = machine.client.with_fence(1, "l");
    assert_eq!(end(&client, "e").await.process_state, "ok");
    assert_eq!(read(&client, "e", 0).await, "before\nafter\n");
}

#[tokio::test]
async fn one_that_ends_in_order_says_goodbye_and_one_that_is_killed_does_not() {
    use revdial::v2::ControlError;
    let mut coordinator = Coordinator::start(plain()).await;
    for (signal, says) in [("-TERM", true), ("-KILL", false)] {
        let agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
        let machine = coordinator.registered().await;
        let kill = Command::new("kill").arg(signal).arg(agent.pid().to_string()).status().unwrap();
        assert!(kill.success());
        let ended = tokio::time::timeout(crate::coordinator::LIMIT, machine.control).await.unwrap().unwrap();
        assert_eq!(matches!(ended, ControlError::Left), says, "{signal}: {ended}");
    }
}

#[tokio::test]
async fn a_coordinator_that_was_restarted_finds_it_again() {
    let mut coordinator = Coordinator::start(plain()).await;
    let address = coordinator.address;
    let _agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
    let instance = coordinator.registered().await.headers["X-Bellwether-Instance"].clone();
    coordinator.stop().await;
    let mut coordinator = Coordinator::start_at(address, plain()).await;
    assert_eq!(coordinator.registered().await.headers["X-Bellwether-Instance"], instance);
}

#[tokio::test]
async fn a_wrong_key_is_told_in_the_coordinators_words_and_ends_nothing() {
    let mut coordinator = Coordinator::start(plain()).await;
    let mut agent = Agent::dialling_out("wrong", &["--coordinator", &coordinator.url()], &[]);
    coordinator.refused().await;
    soon("it is logged", || agent.log().contains("no such key, my dear")).await;
    assert!(agent.runs());
    let log = agent.log();
    assert!(log.contains("ERROR") && log.contains(".gobuildkey-host-a") && !log.contains("wrong"), "{log}");
}

#[tokio::test]
async fn halt_ends_what_runs_and_the_process() {
    let mut coordinator = Coordinator::start(plain()).await;
    let mut agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
    let machine = coordinator.registered().await;
    let client = machine.client.with_fence(1, "l");
    client.start(&shell("e", "echo $$ >pid; exec sleep 73")).await.unwrap();
    let pid = pid_in(&agent.workdir().join("pid")).await;
    client.halt().await.unwrap();
    assert_eq!(agent.wait().await, 0);
    assert!(!alive(pid));
}

#[tokio::test]
async fn sigterm_ends_it_as_ever() {
    let mut coordinator = Coordinator::start(plain()).await;
    let mut agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
    let _machine = coordinator.registered().await;
    let pid = rustix::process::Pid::from_raw(agent.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(agent.wait().await, 0);
}

/// What the agent says when it can't begin.
fn complaint(dir: &std::path::Path, flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_buildlet"))
        .arg("--workdir")
        .arg(dir.join("work"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .args(["--reverse-type", "host-a"])
        .args(flags)
        .env("HOME", dir)
        .env_remove("HTTPS_PROXY")
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(!dir.join("state").exists(), "nothing was begun");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_wrong_is_told_with_its_remedy_before_anything_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join(".gobuildkey-host-a");
    let key = key.to_str().unwrap();
    let there = ["--coordinator", "https://ci.example.org"];
    let missing = complaint(dir.path(), &there);
    assert!(missing.contains(key) && missing.contains("--key-file"), "{missing}");
    std::fs::write(key, "\n").unwrap();
    let empty = complaint(dir.path(), &there);
    assert!(empty.contains(key) && empty.contains("has no builder key in it"), "{empty}");
    std::fs::write(key, KEY).unwrap();
    let readable = complaint(dir.path(), &["--coordinator", "http://ci.example.org"]);
    assert!(readable.contains("use https://ci.example.org"), "{readable}");
    let alone = complaint(dir.path(), &[]);
    assert!(alone.contains("--coordinator"), "{alone}");
    if cfg!(feature = "tls") {
        let no_ca = complaint(dir.path(), &[&there[..], &["--ca-file", key]].concat());
        assert!(no_ca.contains("no certificate in PEM") && no_ca.contains(key), "{no_ca}");
    }
}

#[cfg(feature = "tls")]
pub mod tls {
    use std::sync::Arc;

    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::coordinator::{Wrap, head};

    /// A certificate in PEM that signs itself, and a server with it.
    pub fn certified(names: &[&str]) -> (String, Wrap) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let pem = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let wrap: Wrap = Arc::new(move |stream| {
            let accepted = acceptor.accept(stream);
            Box::pin(async move {
                let stream = accepted.await?;
                assert!(stream.get_ref().1.alpn_protocol().is_none());
                Ok(Box::new(stream) as _)
            })
        });
        (pem, wrap)
    }

    #[tokio::test]
    async fn a_private_ca_is_trusted_if_it_is_named() {
        let (pem, wrap) = certified(&["127.0.0.1"]);
        let mut coordinator = Coordinator::start(wrap).await;
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, pem).unwrap();
        let flags = ["--coordinator", &coordinator.address.to_string(), "--ca-file", ca.to_str().unwrap()];
        let _agent = Agent::dialling_out(KEY, &flags, &[]);
        let machine = coordinator.registered().await;
        let client = machine.client.with_fence(1, "l");
        client.start(&shell("e", "seq 20000")).await.unwrap();
        assert_eq!(read(&client, "e", 0).await.lines().count(), 20_000);
    }

    #[tokio::test]
    async fn an_untrusted_certificate_gets_no_key() {
        let (_, wrap) = certified(&["127.0.0.1"]);
        let mut coordinator = Coordinator::start(wrap).await;
        let (other, _) = certified(&["127.0.0.1"]);
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, other).unwrap();
        let url = format!("https://{}", coordinator.address);
        for flags in
            [&["--coordinator", &url][..], &["--coordinator", &url, "--ca-file", ca.to_str().unwrap()]]
        {
            let mut agent = Agent::dialling_out(KEY, flags, &[]);
            coordinator.distrusted().await;
            soon("it is logged", || agent.log().contains("name the CA's certificate with --ca-file")).await;
            assert!(agent.runs());
        }
    }

    #[tokio::test]
    async fn it_goes_through_the_proxy_where_there_is_no_other_way() {
        // A name of the kind that nothing answers to.
        let (pem, wrap) = certified(&["coordinator.invalid"]);
        let mut coordinator = Coordinator::start(wrap).await;
        let there = coordinator.address;
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://user:word@{}", proxy.local_addr().unwrap());
        let (tell, mut heads) = tokio::sync::mpsc::channel(64);
        let _proxying = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tunnels = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = proxy.accept().await.unwrap();
                let tell = tell.clone();
                tunnels.spawn(async move {
                    tell.send(head(&mut stream).await).await.unwrap();
                    let mut out = TcpStream::connect(there).await.unwrap();
                    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
                    tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
                    let _cut = tokio::io::copy_bidirectional(&mut stream, &mut out).await;
                });
            }
        }));
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, pem).unwrap();
        let flags = ["--coordinator", "coordinator.invalid:8443", "--ca-file", ca.to_str().unwrap()];
        let _agent = Agent::dialling_out(KEY, &flags, &[("HTTPS_PROXY", &at)]);
        let machine = coordinator.registered().await;
        machine.client.status().await.unwrap();
        for _ in ["the control connection", "a pick-up"] {
            let head = heads.try_recv().unwrap();
            assert!(head.starts_with("CONNECT coordinator.invalid:8443 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"), "{head}");
        }
    }
}
