//! The throw-away PostgreSQL against a real one, the server harness against a process that answers, and the seeded script
//! against a real Gerrit.

mod gerrit;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use testkit::{Postgres, Server, ServerOptions};

#[test]
fn a_database_lives_dies_and_comes_back_with_its_data() {
    let mut postgres = Postgres::start().unwrap();
    postgres.psql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (41), (42)").unwrap();
    assert!(postgres.create_database("other").unwrap().ends_with("/other"));
    postgres.stop().unwrap();
    assert!(postgres.psql("SELECT 1").is_err());
    assert!(std::net::TcpStream::connect(postgres.address()).is_err());
    postgres.resume().unwrap();
    assert_eq!(postgres.psql("SELECT max(a) FROM t").unwrap(), "42");
    let at = postgres.address();
    drop(postgres);
    assert!(std::net::TcpStream::connect(at).is_err());
}

#[test]
fn a_bad_statement_carries_the_servers_words() {
    let postgres = Postgres::start().unwrap();
    let error = postgres.psql("SELECT nothing FROM nowhere").unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

/// A stand-in for the server's binary: answers every request, prints its arguments.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import http.server, signal, sys
print("started", *sys.argv[1:], flush=True)
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
host, port = sys.argv[sys.argv.index("--listen") + 1].split(":")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"path": "%s"}' % self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"#;

fn script(dir: &std::path::Path, text: &str) -> PathBuf {
    let file = dir.join("server");
    std::fs::write(&file, text).expect("a temporary folder can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("the file is ours");
    file
}

#[test]
fn a_server_is_started_asked_crashed_resumed_and_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(ServerOptions {
        program: script(dir.path(), STAND_IN),
        data: dir.path().join("data"),
        arguments: vec!["--once".into()],
        environment: vec![],
    })
    .unwrap();
    let first = server.pid().unwrap();
    assert_eq!(server.request("GET", "/a", None, None).unwrap().json().unwrap()["path"], "/a");
    server.crash().unwrap();
    assert!(server.request("GET", "/a", None, None).is_err());
    server.resume().unwrap();
    assert_ne!(server.pid().unwrap(), first);
    assert_eq!(server.interrupt().unwrap().code(), Some(7));
    assert_eq!(server.printed().matches("started up --data").count(), 2, "{}", server.printed());
}

#[test]
fn a_server_that_ends_at_once_shows_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = script(dir.path(), "#!/bin/sh\necho no space left\nexit 3\n");
    let options =
        ServerOptions { program: file, data: dir.path().join("d"), arguments: vec![], environment: vec![] };
    let error = format!("{:#}", Server::start(options).unwrap_err());
    assert!(error.contains("no space left") && error.contains("exit status: 3"), "{error}");
}
