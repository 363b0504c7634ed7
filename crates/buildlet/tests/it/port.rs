//! Listening on a port: what is refused, and what a password and TLS do.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::raw::{bare, body, free_port, send_tcp, serve, status};

fn buildlet(dir: &Path, flags: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buildlet"));
    command.arg("--workdir").arg(dir.join("work")).arg("--state-dir").arg(dir.join("state"));
    for name in
        ["META_password", "META_tls_cert", "META_tls_key", "GCE_METADATA_HOST", "KUBERNETES_SERVICE_HOST"]
    {
        command.env_remove(name);
    }
    command.args(flags).envs(env.iter().copied()).env("HOME", dir).stdin(Stdio::null());
    command
}

/// An agent on a port, until it is dropped.
struct Running(Child);

impl Running {
    async fn start(dir: &Path, at: SocketAddr, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let listen = at.to_string();
        let flags = [&["--listen", &listen], flags].concat();
        let mut child = Self(buildlet(dir, &flags, env).stderr(Stdio::piped()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(at).is_err() {
            if child.0.try_wait().unwrap().is_some() {
                let mut text = String::new();
                child.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
                panic!("it ended: {text}");
            }
            assert!(Instant::now() < deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _status = self.0.wait();
    }
}

/// A request with a password.
fn with(line: &str, password: &str) -> String {
    use base64::Engine as _;
    let word = base64::engine::general_purpose::STANDARD.encode(format!("gomote:{password}"));
    format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_safe_is_refused_before_anything_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (word, empty, pem) = (file("word", "right\n"), file("empty", "\n"), file("pem", "none\n"));
    let (cloud, _serving) = serve(|head| {
        let answer = if head.contains("/attributes/password ") { "200 OK" } else { "404 Not Found" };
        format!("HTTP/1.1 {answer}\r\nContent-Length: 1\r\n\r\nw").into_bytes()
    });
    let cloud = cloud.to_string();
    let nobody = free_port().to_string();
    let word = ["--password-file", &word];
    for (flags, env, want) in [
        // Without a password.
        (&[][..], &[][..], "--allow-no-password"),
        (&["--listen", "127.0.0.1:0"], &[], "--password-file"),
        (&["--listen", "[::1]:0"], &[], "--password-file"),
        (&["--password-file", &empty], &[], "no password in --password-file"),
        (&[], &[("META_password", "")], "--password-file"),
        (&["--allow-public", "--listen", "0.0.0.0:0"], &[], "--allow-no-password"),
        // Where other machines can ask.
        (&["--listen", ":0", word[0], word[1]], &[], "--allow-public"),
        (&["--listen", "0.0.0.0:0", word[0], word[1]], &[], "--reverse-type"),
        (&["--listen", "[::]:0", word[0], word[1]], &[], "--allow-public"),
        (&["--listen", "10.1.2.3:80", word[0], word[1]], &[], "--allow-public"),
        (&["--listen", "203.0.113.7:80", word[0], word[1]], &[], "--allow-public"),
        (&["--listen", "203.0.113.7:80", "--allow-no-password"], &[], "--allow-public"),
        // A cloud that gave no certificate; one that does not answer.
        (&[], &[("GCE_METADATA_HOST", cloud.as_str())], "tls-cert"),
        (&["--metadata", "gce"], &[("GCE_METADATA_HOST", nobody.as_str())], "--metadata env"),
        // Half of an identity, and none.
        (&[word[0], word[1], "--tls-cert", &pem], &[], "only the certificate"),
        (&[word[0], word[1]], &[("META_tls_key", "k")], "only the key"),
        (&[word[0], word[1], "--tls-cert", "/nowhere", "--tls-key", &pem], &[], "--tls-cert /nowhere"),
        (&["--listen", "unix:s", "--tls-cert", &pem, "--tls-key", &pem], &[], "TLS is for ports"),
    ] {
        let output = buildlet(dir.path(), flags, env).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flags:?} {env:?}: {text}");
        assert!(text.contains(want), "{flags:?} {env:?}: {text}");
        assert!(!dir.path().join("state").exists(), "{flags:?}: nothing was begun");
    }
    std::fs::write(dir.path().join(".gobuildkey-h"), "key\n").unwrap();
    let health = ["--reverse-type", "h", "--coordinator", "http://127.0.0.1:1", "--health-addr", "0.0.0.0:0"];
    let output = buildlet(dir.path(), &health, &[]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("--allow-public"), "{text}");
}

#[tokio::test]
async fn the_password_may_come_from_the_environment_and_no_command_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = free_port();
    let _agent = Running::start(dir.path(), at, &[], &[("META_password", "right")]).await;
    // As the original said it, to the byte.
    let refused = send_tcp(at, &bare("GET /status"));
    assert_eq!((status(&refused), body(&refused)), ("403", "invalid password\n"));
    assert!(!refused.to_lowercase().contains("www-authenticate"), "{refused}");
    let method = send_tcp(at, &with("POST /status", "right"));
    assert_eq!((status(&method), body(&method)), ("400", "requires GET method\n"));
    let good = send_tcp(at, &with("GET /status", "right"));
    assert!(status(&good) == "200" && body(&good).starts_with("{\"Version\":29,"), "{good}");
    for open in ["GET /", "GET /healthz", "GET /debug/x?n=1", "GET //status"] {
        assert_ne!(status(&send_tcp(at, &bare(open))), "403", "{open}");
    }
    for closed in [
        "GET /debug/goroutines",
        "PUT /write",
        "POST /exec",
        "POST /halt",
        "GET /tgz",
        "POST /removeall",
        "GET /workdir",
        "GET /ls",
        "POST /connect-ssh",
        "PUT /writetgz",
        "POST /bw1/wipe",
        "DELETE /bw1/exec/x",
    ] {
        assert_eq!(status(&send_tcp(at, &bare(closed))), "403", "{closed}");
        assert_eq!(status(&send_tcp(at, &with(closed, "wrong"))), "403", "{closed}");
    }
    let form = "mode=sys&cmd=env";
    let head = with("POST /exec", "right");
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let request =
        head.replace("\r\n\r\n", &format!("\r\n{kind}\r\nContent-Length: {}\r\n\r\n{form}", form.len()));
    let seen = send_tcp(at, &request);
    assert!(
        seen.contains("WORKDIR=") && !seen.contains("META_password") && !seen.contains("right"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_port_without_a_password_takes_two_words() {
    let dir = tempfile::tempdir().unwrap();
    let at = free_port();
    let _agent = Running::start(dir.path(), at, &["--allow-no-password"], &[]).await;
    assert_eq!(status(&send_tcp(at, &bare("GET /status"))), "200");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn with_a_certificate_there_is_tls_and_nothing_else() {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let made =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.path().join("cert"), dir.path().join("key"));
    std::fs::write(&cert_file, made.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let at = free_port();
    let cert = format!("@{}", cert_file.display());
    let key = format!("@{}", key_file.display());
    let env = [("META_password", "right"), ("META_tls_cert", cert.as_str()), ("META_tls_key", key.as_str())];
    let _agent = Running::start(dir.path(), at, &[], &env).await;
    // Who says nothing holds nobody up.
    let _silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(at).unwrap()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(made.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.write_all(with("GET /status", "right").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // Whether the end is told in TLS's own words does not matter here.
    let _end = tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    let plain = tokio::task::spawn_blocking(move || send_tcp(at, &bare("GET /status"))).await.unwrap();
    assert!(!plain.contains("HTTP/1.1"), "{plain:?}");
}
