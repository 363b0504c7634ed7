//! A log that a server has.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use sha2::{Digest as _, Sha224};

use crate::world;

/// Answers two questions, for the index and for the segment, as spec/maintner.md §2.4 has it.
fn answer(mut client: TcpStream, log: &[u8]) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        let path = line.split(' ').nth(1).unwrap().to_owned();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                break;
            }
        }
        let size = log.len();
        let (head, body) = if path.starts_with("/logs?") || path == "/logs" {
            let sum = hex::encode(Sha224::digest(log));
            let index = format!(r#"[{{"number": 0, "size": {size}, "sha224": "{sum}", "url": "/logs/0"}}]"#);
            (
                format!("200 OK\r\nX-Sum-Segment-Size: {size}\r\nContent-Type: application/json"),
                index.into_bytes(),
            )
        } else {
            (format!("206 Partial Content\r\nContent-Range: bytes 0-{}/{size}", size - 1), log.to_vec())
        };
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        if client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body)).is_err() {
            return;
        }
        line.clear();
    }
}

#[test]
fn a_served_log_is_fetched_and_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/logs", listener.local_addr().unwrap());
    let log = world::bytes();
    // Ends with this process.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let log = log.clone();
            std::thread::spawn(move || answer(client.unwrap(), &log));
        }
    });
    let cache = tempfile::tempdir().unwrap();
    for at in [None, Some("2017-11-10")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether-query"));
        command.args(["--format", "csv", "--url", &url, "--cache"]).arg(cache.path());
        command.args(at.iter().flat_map(|at| ["--at", *at])).arg("SELECT count(*) AS n FROM issues");
        let output = command.output().unwrap();
        let want = if at.is_some() { "n\n1\n" } else { "n\n5\n" };
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            want,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // What was fetched is a folder as any other.
    let output = Command::new(env!("CARGO_BIN_EXE_bellwether-query"))
        .args(["--format", "csv", "SELECT count(*) AS n FROM cls", "--data"])
        .arg(cache.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n4\n");
}
