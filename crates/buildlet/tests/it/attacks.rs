//! Requests that are cut off, too large, too slow or without an end, archives that grow, and connections that say nothing.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use tar::{Builder, EntryType, Header};

use crate::agent::Agent;
use crate::raw::{bare, body, connect, post, rest, send, status};

/// Each of the original's endpoints that reads a body, as a request with one.
const WITH_BODY: [&str; 7] = [
    "POST /exec",
    "POST /removeall",
    "PUT /write?path=f&mode=420",
    "PUT /writetgz?dir=d",
    "POST /writetgz?dir=d",
    "POST /bw1/exec",
    "POST /bw1/glob",
];

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// Asks how it is; whoever can't be asked any more has been hurt.
async fn well(agent: &Agent, after: &str) {
    let status = tokio::time::timeout(Duration::from_secs(20), agent.client().status()).await;
    assert!(status.is_ok_and(|status| status.is_ok()), "after {after}: {}", agent.log());
}

#[tokio::test]
async fn who_breaks_off_leaves_nothing_behind() {
    let agent = Agent::start(&[]).await;
    for line in WITH_BODY {
        for part in ["", "Content-Length: 100\r\n\r\ncmd=x", "Transfer-Encoding: chunked\r\n\r\n5\r\ncmd"] {
            let mut stream = connect(&agent);
            stream.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\n{FORM}\r\n{part}").as_bytes()).unwrap();
            drop(stream);
        }
        well(&agent, line).await;
    }
    for path in [
        "/",
        "/status",
        "/ls",
        "/tgz?dir=.",
        "/workdir",
        "/healthz",
        "/debug/goroutines",
        "/debug/x?n=1000000",
    ] {
        let mut stream = connect(&agent);
        stream.write_all(bare(&format!("GET {path}")).as_bytes()).unwrap();
        drop(stream);
    }
    crate::agent::soon("nothing is being answered", || {
        send(&agent, bare("GET /debug/goroutines")).contains("requests 1,")
    })
    .await;
    let client = agent.client();
    client.start(&crate::agent::shell("e", "true")).await.unwrap();
    assert_eq!(crate::agent::end(&client, "e").await.process_state, "ok");
}

#[tokio::test]
async fn who_goes_silent_is_given_up() {
    let agent = Agent::start(&["--stall", "200ms"]).await;
    for line in WITH_BODY {
        for part in ["Content-Length: 100\r\n\r\ncmd=x", "Transfer-Encoding: chunked\r\n\r\n5\r\ncmd"] {
            let mut stream = connect(&agent);
            stream.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\n{FORM}\r\n{part}").as_bytes()).unwrap();
            let answer = rest(&mut stream);
            assert!(["", "400", "500"].contains(&status(&answer)), "{line}: {answer}");
            well(&agent, line).await;
        }
    }
    // In the middle of its head, and before it.
    for part in ["", "GET", "GET /status HTTP/1.1\r\nHost:"] {
        let mut stream = connect(&agent);
        stream.write_all(part.as_bytes()).unwrap();
        let answer = rest(&mut stream);
        assert!(["", "408"].contains(&status(&answer)), "{part}: {answer}");
    }
    let text = send(&agent, bare("GET /debug/goroutines"));
    assert!(text.contains("requests 1,"), "no handler waits on: {text}");
}

#[tokio::test]
async fn who_reads_nothing_is_given_up_and_what_ran_for_it_ends() {
    let agent = Agent::start(&["--stall", "100ms"]).await;
    std::fs::write(agent.workdir().join("big"), vec![7; 64 << 20]).unwrap();
    let script = "echo $$ >pid; exec yes";
    let script: String = form_urlencoded::byte_serialize(script.as_bytes()).collect();
    let mut exec = connect(&agent);
    exec.write_all(post("/exec", &format!("mode=sys&cmd=sh&cmdArg=-c&cmdArg={script}")).as_bytes()).unwrap();
    let pid = crate::agent::pid_in(&agent.workdir().join("pid")).await;
    crate::agent::soon("the command's end", || !crate::agent::alive(pid)).await;
    let mut archive = connect(&agent);
    archive.write_all(bare("GET /tgz?dir=.").as_bytes()).unwrap();
    crate::agent::soon("nothing is being answered", || {
        send(&agent, bare("GET /debug/goroutines")).contains("requests 1,")
    })
    .await;
    drop((exec, archive));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_not_kept() {
    let agent = Agent::start(&["--upload-bytes", "1000000"]).await;
    let endless = |line: &str| {
        let mut stream = connect(&agent);
        stream
            .write_all(
                format!("{line} HTTP/1.1\r\nHost: x\r\n{FORM}\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .as_bytes(),
            )
            .unwrap();
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
        // Four times as much as any of them takes; an honest one would go on for ever.
        for _ in 0..700 {
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        let _ended = stream.write_all(b"0\r\n\r\n");
        rest(&mut stream)
    };
    for line in ["POST /exec", "POST /removeall", "POST /writetgz?dir=d"] {
        let answer = endless(line);
        assert!(answer.is_empty() || answer.contains("request body too large"), "{line}: {answer}");
        well(&agent, line).await;
    }
    let answer = endless("PUT /write?path=f&mode=420");
    assert!(status(&answer) == "400" && answer.contains("--upload-bytes"), "{answer}");
    assert_eq!(agent.workdir().join("f").metadata().unwrap().len(), 0);
    assert_eq!(status(&endless("PUT /writetgz?dir=d")), "400");
    for line in ["POST /bw1/exec", "POST /bw1/glob"] {
        assert!(["", "400"].contains(&status(&endless(line))), "{line}");
    }
    // A head without an end, and one header too many.
    let long = format!("GET /status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    assert!(["", "431"].contains(&status(&send(&agent, &long))));
    let many = format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(5000));
    assert!(["", "431"].contains(&status(&send(&agent, &many))));
    well(&agent, "heads").await;
}

#[tokio::test]
async fn names_that_no_file_can_have() {
    let agent = Agent::start(&[]).await;
    let long = "a/".repeat(16 << 10) + &"b".repeat(32 << 10);
    assert_eq!(long.len(), 64 << 10);
    for line in [
        "PUT /write?mode=420&path=",
        "PUT /writetgz?dir=",
        "GET /ls?dir=",
        "GET /tgz?dir=",
        "POST /removeall?path=",
        "GET /",
    ] {
        let answer = send(&agent, bare(&format!("{line}{long}")));
        assert!(["400", "414"].contains(&status(&answer)), "{line}: {answer}");
    }
    // In a body a name may have any length.
    for (form, path) in [("path", "/removeall"), ("cmd", "/exec")] {
        let answer = send(&agent, post(path, &format!("{form}={long}")));
        assert!(
            ["400", "500"].contains(&status(&answer)) || answer.contains("file name too long"),
            "{path}: {answer}"
        );
    }
    for line in [
        "PUT /write?mode=420&path=a%00b",
        "PUT /writetgz?dir=a%00b",
        "GET /ls?dir=a%00b",
        "GET /tgz?dir=a%00b",
        "POST /removeall?path=a%00b",
        "GET /bw1/file?path=a%00b",
    ] {
        let answer = send(&agent, bare(line));
        assert_eq!(status(&answer), "400", "{line}: {answer}");
    }
    for form in ["cmd=a%00b", "cmd=a/%00b", "mode=sys&cmd=sh&dir=a%00b"] {
        let answer = send(&agent, post("/exec", form));
        assert!(["400", "422"].contains(&status(&answer)), "{form}: {answer}");
    }
    for form in ["cmdArg=a%00b", "env=A%3Da%00b", "dir=/a%00b", "path=a%00b"] {
        let answer = send(&agent, post("/exec", &format!("mode=sys&cmd=sh&{form}"))).to_lowercase();
        assert!(status(&answer) == "200" && answer.contains("process-state: fork/exec "), "{form}: {answer}");
    }
    well(&agent, "names").await;
}

#[tokio::test]
async fn an_environment_of_ten_megabytes() {
    let agent = Agent::start(&[]).await;
    let kernel = format!("mode=sys&cmd=true&env=A%3D{}", "x".repeat(9 << 20));
    let answer = send(&agent, post("/exec", &kernel)).to_lowercase();
    assert!(status(&answer) == "200" && answer.contains(": argument list too long\r\n"), "{answer}");
    let ours = format!("mode=sys&cmd=true&env=A%3D{}", "x".repeat(10 << 20));
    let answer = send(&agent, post("/exec", &ours));
    assert!(status(&answer) == "400" && answer.contains("request body too large"), "{answer}");
    // As much, in pieces that the kernel would take one by one.
    let pieces: String = (0..9000).map(|n| format!("&env=A{n}%3D{}", "x".repeat(1000))).collect();
    let answer = send(&agent, post("/exec", &format!("mode=sys&cmd=true{pieces}"))).to_lowercase();
    assert!(status(&answer) == "200" && answer.contains("\r\nprocess-state: "), "{answer}");
    well(&agent, "environments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_an_end_takes_no_memory() {
    let agent = Agent::start(&[]).await;
    let pid = agent.pid();
    let memory = move || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut stream = connect(&agent);
    stream.write_all(post("/exec", "mode=sys&cmd=yes").as_bytes()).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    // A gigabyte of what has no end; ten would only take longer.
    while read < 1 << 30 {
        read += stream.read(&mut buffer).unwrap();
    }
    drop(stream);
    assert!(memory() < 200 << 10, "{} KiB", memory());
    well(&agent, "a gigabyte").await;
}

/// Puts an archive.
fn unpack(agent: &Agent, archive: &[u8]) -> String {
    unpack_into(agent, "d", archive)
}

fn unpack_into(agent: &Agent, dir: &str, archive: &[u8]) -> String {
    let length = archive.len();
    let head = format!("PUT /writetgz?dir={dir} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    send(agent, [head.as_bytes(), archive].concat())
}

fn gzip(write: impl FnOnce(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write(&mut encoder);
    encoder.finish().unwrap()
}

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_grows_is_stopped() {
    let agent = Agent::start(&["--upload-bytes", "5000000"]).await;
    let zeros = vec![0; 1 << 20];
    let refused = |what: &str, archive: Vec<u8>, want: &str| {
        assert!(archive.len() < 5_000_000, "{what}: it is the unpacked size that is at stake");
        let answer = unpack(&agent, &archive);
        assert!(status(&answer) == "400" && body(&answer).contains(want), "{what}: {answer}");
    };
    let content = |kind: EntryType, name: &'static str, megabytes: u64| {
        gzip(|out| {
            out.write_all(header(kind, name, megabytes << 20).as_bytes()).unwrap();
            for _ in 0..megabytes {
                out.write_all(&zeros).unwrap();
            }
        })
    };
    refused("a large file", content(EntryType::Regular, "big", 50), "--upload-bytes");
    assert!(!agent.workdir().join("d/big").exists());
    refused(
        "content of a directory",
        content(EntryType::Directory, "dir", 50),
        "more bytes than are unpacked",
    );
    // What is held in memory before its member comes.
    for (what, kind) in [
        ("a long name", EntryType::GNULongName),
        ("a long target", EntryType::GNULongLink),
        ("what pax says", EntryType::XHeader),
    ] {
        refused(what, content(kind, "x", 50), "more stands before a member");
    }
    refused("what pax says of all", content(EntryType::XGlobalHeader, "x", 50), "more");
    let files = gzip(|out| {
        let mut tar = Builder::new(out);
        for number in 0..20 {
            let header = header(EntryType::Regular, &format!("f{number}"), 1 << 20);
            tar.append(&header, zeros.as_slice()).unwrap();
        }
        tar.finish().unwrap();
    });
    refused("many files", files, "--upload-bytes");
    let huge =
        gzip(|out| out.write_all(header(EntryType::Regular, "huge", u64::MAX >> 2).as_bytes()).unwrap());
    refused("a size that is a lie", huge, "--upload-bytes");
    let pid = agent.pid();
    let memory = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = peak.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 100 << 10, "{peak}");
    let honest = gzip(|out| {
        out.write_all(&[header(EntryType::Regular, "ok", 0).as_bytes().as_slice(), &[0; 1024]].concat())
            .unwrap()
    });
    assert_eq!(status(&unpack(&agent, &honest)), "200");
}

/// A job that is still there puts a link in a directory's place and takes it away again, while an archive is unpacked through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_becomes_a_link_in_between_leads_nowhere() {
    let agent = Agent::start(&[]).await;
    let outside = agent.dir.path().join("outside");
    std::fs::create_dir_all(outside.join("sub")).unwrap();
    std::fs::write(outside.join("victim"), "safe").unwrap();
    let work = agent.workdir().join("d");
    std::fs::create_dir(&work).unwrap();
    let archive = gzip(|out| {
        let mut tar = Builder::new(out);
        let mut add = |kind: EntryType, name: &str, link: &str, content: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            if kind.is_file() || kind.is_dir() {
                tar.append_data(&mut header, name, content.as_bytes()).unwrap();
            } else {
                tar.append_link(&mut header, name, link).unwrap();
            }
        };
        for n in 0..150 {
            add(EntryType::Regular, "d/victim", "", "evil");
            // Another parent between two, so that each is gone into anew.
            add(EntryType::Regular, "other", "", "");
            add(EntryType::Regular, &format!("d/sub/evil{n}"), "", "evil");
            add(EntryType::Symlink, &format!("d/evil-link{n}"), "sub", "");
            add(EntryType::Link, &format!("d/evil-hard{n}"), "d/victim", "");
        }
    });
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swaps = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let swapping = {
        let (stop, outside, work) = (std::sync::Arc::clone(&stop), outside.clone(), work.clone());
        let swaps = std::sync::Arc::clone(&swaps);
        std::thread::spawn(move || {
            let (dir, aside, link) = (work.join("d"), work.join("aside"), work.join("link"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _there = std::fs::create_dir(&dir);
                let _there = std::os::unix::fs::symlink(&outside, &link);
                // Neither is ever missing for long.
                let _none = std::fs::rename(&dir, &aside);
                let swapped = std::fs::rename(&link, &dir).is_ok();
                swaps.fetch_add(u64::from(swapped), std::sync::atomic::Ordering::Relaxed);
                let _none = std::fs::remove_file(&dir);
                if std::fs::rename(&aside, &dir).is_err() {
                    // Somebody made and filled another meanwhile.
                    let _none = std::fs::remove_dir_all(&aside);
                }
            }
        })
    };
    let (mut refused, mut whole) = (0, 0);
    for _ in 0..15 {
        match status(&unpack(&agent, &archive)) {
            "200" => whole += 1,
            _ => refused += 1,
        }
    }
    // Also where it is the destination that is swapped.
    let small = gzip(|out| {
        let mut tar = Builder::new(out);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(4);
        for name in ["victim", "sub/evil"] {
            tar.append_data(&mut header, name, &b"evil"[..]).unwrap();
        }
    });
    let (mut refused, mut whole) = ((0, refused), (0, whole));
    let swapped = || swaps.load(std::sync::atomic::Ordering::Relaxed);
    let before = swapped();
    for n in 0..60 {
        let dir = ["d/d", "d/d/sub", "d/d/new/er"][n % 3];
        match status(&unpack_into(&agent, dir, &small)) {
            "200" => whole.0 += 1,
            _ => refused.0 += 1,
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().unwrap();
    let swaps = (swapped() - before, before);
    assert!(
        swaps.0 > 0 && swaps.1 > 0 && whole.0 > 0,
        "{swaps:?} swaps, {whole:?} whole, {refused:?} refused"
    );
    let names = |dir: &std::path::Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&outside), ["sub", "victim"], "{swaps:?} swaps, {whole:?} whole, {refused:?} refused");
    assert!(names(&outside.join("sub")).is_empty());
    assert_eq!(std::fs::read_to_string(outside.join("victim")).unwrap(), "safe");
    well(&agent, "a race").await;
}

/// Many more than the agent has places for: as many as this process may have, which is 10,000 where nobody has set a lower limit.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_out() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What is refused stays as it was.
    let _raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let may = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Other tests in this process have some as well.
    let many = may.saturating_sub(1000).clamp(700, 10_000);
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let script = "echo up; until [ -e go ]; do sleep 0.01; done; echo done";
    client.start(&crate::agent::shell("e", script)).await.unwrap();
    // Somebody who may ask waits for an answer all the while.
    let mut output = client.output("e", 0).await.unwrap();
    assert_eq!(output.next().await.unwrap().unwrap(), "up\n");
    let mut idle: Vec<UnixStream> = Vec::new();
    for number in 0..many {
        let mut stream = connect(&agent);
        if number % 2 == 1 {
            stream.write_all(b"GET /status HT").unwrap();
        }
        idle.push(stream);
        if number % 2000 == 1999 {
            well(&agent, "idle connections").await;
        }
    }
    let status = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    assert!(status < 400, "{status} descriptors");
    std::fs::write(agent.workdir().join("go"), "").unwrap();
    assert_eq!(output.next().await.unwrap().unwrap(), "done\n");
}
