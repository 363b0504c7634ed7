//! Many connections, large heads and large bodies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testkit::{open_files, resident_bytes, wait_for};

use crate::faults::world::{LIMIT, World};

/// So many connections the server takes here.
const MOST: usize = 200;
/// Memory may grow by so much while anything is sent: allocators keep a part of what is given back, and threads come.
const FLAT: u64 = 48 << 20;

fn started() -> World {
    let mut world = World::new(&["true"]);
    world.configure(&format!("connections = {MOST}"));
    world.start();
    world
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The value of a metric.
fn metric(world: &World, name: &str) -> u64 {
    let text = world.bytes("/metrics").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn whoever_sends_heads_byte_by_byte_keeps_nobody_out_and_is_cut() {
    let mut world = started();
    let (at, pid) = (world.server().address(), world.server().pid().unwrap());
    let before = open_files(pid).unwrap();
    let mut slow: Vec<TcpStream> = (0..2 * MOST)
        .map(|_| {
            let mut stream = connect(at);
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        for stream in &mut slow {
            // Half of them are cut by now.
            let _ = stream.write_all(b"a");
        }
        let answer = world.server().request("GET", "/healthz", None, None).unwrap();
        assert_eq!(answer.status, 200, "somebody else is answered meanwhile");
    }
    assert!(metric(&world, "bellwether_connections") <= MOST as u64);
    assert!(metric(&world, "bellwether_connections_cut_total") >= MOST as u64);
    // None of them is there for ever, whoever else comes or not.
    for (n, stream) in slow.iter_mut().enumerate() {
        let got = stream.read(&mut [0; 1]);
        assert!(matches!(got, Ok(0)) || got.is_err_and(|error| !would_block(&error)), "{n} is still there");
    }
    wait_for("the connections' end", LIMIT, || {
        Ok((metric(&world, "bellwether_connections") <= 2).then_some(()))
    })
    .unwrap();
    // The server's own, of its database for example, may have become more meanwhile; of these connections none is left.
    let few = before + MOST / 4;
    wait_for("their files to be closed", LIMIT, || {
        let after = open_files(pid).unwrap();
        Ok((after <= few).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{before} files were open: {error:#}"));
}

fn would_block(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Sends a head, then pieces until so many bytes are sent or nobody takes them; gives the answer, and how much was sent.
fn flood(world: &mut World, head: &str, piece: &[u8], most: u64) -> (String, u64) {
    let (at, pid) = (world.server().address(), world.server().pid().unwrap());
    let before = resident_bytes(pid).unwrap();
    let mut reader = connect(at);
    let mut writer = reader.try_clone().unwrap();
    writer.write_all(head.as_bytes()).unwrap();
    let sent = AtomicU64::new(0);
    let mut answer = Vec::new();
    let mut highest = before;
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut highest = before;
            for n in 0u64.. {
                if sent.load(Ordering::Relaxed) >= most || writer.write_all(piece).is_err() {
                    break;
                }
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                if n.is_multiple_of(64) {
                    highest = highest.max(resident_bytes(pid).unwrap());
                }
            }
            highest
        });
        let mut space = [0; 4096];
        while let Ok(n @ 1..) = reader.read(&mut space) {
            answer.extend_from_slice(&space[..n]);
        }
        let _ = reader.shutdown(Shutdown::Both);
        highest = highest.max(writing.join().unwrap());
    });
    highest = highest.max(resident_bytes(pid).unwrap());
    assert!(highest < before + FLAT, "{head}: {before} bytes of memory before, {highest} while it was sent");
    (String::from_utf8_lossy(&answer).into_owned(), sent.into_inner())
}

#[test]
fn a_head_of_a_megabyte_is_refused() {
    let mut world = started();
    for _ in 0..20 {
        let (answer, sent) = flood(&mut world, "GET /healthz HTTP/1.1\r\nX-Large: ", &[b'a'; 4096], 64 << 20);
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(sent < 32 << 20, "{sent} bytes were taken");
    }
    assert_eq!(world.server().request("GET", "/healthz", None, None).unwrap().status, 200);
}

#[test]
fn a_body_of_a_gigabyte_is_refused_early_whether_its_length_is_said_or_not() {
    const BODY: u64 = 1 << 30;
    let mut world = started();
    let token = format!("Authorization: Bearer {}", world.server().token().unwrap());
    let plain = [b'a'; 64 << 10];
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&plain);
    chunk.extend_from_slice(b"\r\n");
    for (path, headers, said, unsaid) in [
        ("POST /api/v1/builds", &[token.as_str(), "Content-Type: application/json"][..], 413, 413),
        ("POST /api/v1/tokens", &[token.as_str(), "Content-Type: application/json"], 413, 413),
        ("POST /login", &["Content-Type: application/x-www-form-urlencoded"], 413, 400),
        ("POST /dash/result?builder=x&key=y", &[], 413, 200),
        // Whoever reads no body answers before it is there.
        ("GET /api/v1/builds", &[], 413, 200),
        ("GET /", &[], 413, 200),
        ("POST /nowhere/at/all", &[], 404, 404),
        ("PUT /api/v1/builds/01ARZ3NDEKTSV4RRFFQ69G5FAV", &[], 401, 401),
    ] {
        let head = |body: &str| {
            let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            format!("{path} HTTP/1.1\r\nHost: x\r\n{headers}{body}\r\n\r\n")
        };
        let cases = [
            (format!("Content-Length: {BODY}"), &plain[..], said),
            ("Transfer-Encoding: chunked".into(), &chunk[..], unsaid),
        ];
        for (body, piece, status) in cases {
            let (answer, sent) = flood(&mut world, &head(&body), piece, BODY);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {body}: {answer}");
            assert!(sent < 128 << 20, "{path} {body}: {sent} bytes were taken");
        }
    }
    wait_for("the connections' end", Duration::from_secs(30), || {
        Ok((metric(&world, "bellwether_connections") <= 2).then_some(()))
    })
    .unwrap();
}
