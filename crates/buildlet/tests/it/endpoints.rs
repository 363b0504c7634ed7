//! What the original's endpoints do beside files and commands.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::agent::{Agent, alive, end, pid_in, shell, soon};
use crate::coordinator::{Coordinator, KEY, plain};
use crate::raw::{bare, body, connect, free_port, post, rest, send, send_tcp, serve, status};

#[tokio::test]
async fn the_debug_pages_tell_what_runs_and_carry_letters() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    client.start(&shell("e", "exec sleep 74")).await.unwrap();
    soon("the command is told of", || {
        let text = send(&agent, bare("GET /debug/goroutines"));
        text.contains("command e Running") && text.contains("\"sleep\"")
    })
    .await;
    let text = send(&agent, bare("POST /debug/goroutines"));
    assert!(body(&text).starts_with("buildlet version 29 (linux-"), "{text}");
    assert!(text.contains("tasks ") && text.contains("memory ") && text.contains("requests 1"), "{text}");
    for (n, want) in
        [("0", 0), ("5", 5), ("x", 0), ("", 0), ("1048577", 1 << 20), ("99999999999999999999", 1 << 20)]
    {
        let answer = send(&agent, bare(&format!("GET /debug/x?n={n}")));
        assert_eq!((status(&answer), body(&answer)), ("200", "X".repeat(want).as_str()), "{n}");
    }
    let negative = send(&agent, bare("GET /debug/x?n=-1"));
    assert_eq!((status(&negative), body(&negative)), ("400", "bad 'n' parameter: it is negative\n"));
}

#[tokio::test]
async fn a_path_that_is_written_otherwise_leads_to_the_one() {
    let agent = Agent::start(&[]).await;
    for (line, want) in [
        ("GET //status?x=1", "/status?x=1"),
        ("GET /a/../status", "/status"),
        ("GET /./ls/", "/ls/"),
        ("GET //evil.example/..//x", "/x"),
        ("GET //evil.example", "/evil.example"),
    ] {
        let answer = send(&agent, bare(line)).to_lowercase();
        assert_eq!(status(&answer), "301", "{line}: {answer}");
        assert!(answer.contains(&format!("location: {want}\r\n")), "{line}: {answer}");
    }
    assert_eq!(status(&send(&agent, bare("GET /nothing"))), "404");
}

#[tokio::test]
async fn go_finds_its_caches_and_its_bootstrap_in_the_work_directory() {
    let agent = Agent::start(&[]).await;
    let workdir = agent.workdir().canonicalize().unwrap().display().to_string();
    let script = "echo $TMPDIR $GOCACHE $GOPLSCACHE $GOROOT_BOOTSTRAP $PWD $WORKDIR; ls -d $TMPDIR $GOCACHE";
    let script: String = form_urlencoded::byte_serialize(script.as_bytes()).collect();
    let form = format!("mode=sys&cmd=sh&cmdArg=-c&cmdArg={script}&env=TMPDIR%3D/elsewhere&env=GOCACHE%3D/x");
    let answer = send(&agent, post("/exec", &form));
    let want =
        format!("{workdir}/tmp {workdir}/gocache {workdir}/goplscache {workdir}/go1.4 {workdir} {workdir}\n");
    assert!(answer.contains(&want), "{answer}");
    assert!(answer.contains(&format!("{workdir}/gocache\n{workdir}/tmp\n")), "{answer}");
    let own = send(
        &agent,
        post("/exec", "mode=sys&cmd=sh&cmdArg=-c&cmdArg=echo+$GOROOT_BOOTSTRAP&env=GOROOT_BOOTSTRAP%3D/mine"),
    );
    assert!(own.contains("/mine\n"), "{own}");
}

#[tokio::test]
async fn who_holds_the_output_holds_the_answer() {
    let agent = Agent::start(&[]).await;
    let script = "until [ -e go ]; do sleep 0.01; done; echo late";
    let script: String = form_urlencoded::byte_serialize(format!("({script}) & exit 3").as_bytes()).collect();
    let mut stream = connect(&agent);
    let form = format!("mode=sys&cmd=sh&cmdArg=-c&cmdArg={script}");
    stream.write_all(post("/exec", &form).as_bytes()).unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    std::fs::write(agent.workdir().join("go"), "").unwrap();
    let answer = rest(&mut stream).to_lowercase();
    assert!(
        answer.contains("late\n") && answer.ends_with("process-state: exit status 3\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn modes_are_set_whatever_was_there() {
    let agent = Agent::start(&[]).await;
    std::fs::write(agent.workdir().join("f"), "old and longer").unwrap();
    let put = "PUT /write?path=f&mode=493 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nnew";
    let answer = send(&agent, put);
    assert_eq!((status(&answer), body(&answer)), ("200", "OK"));
    let mode = agent.workdir().join("f").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert_eq!(std::fs::read_to_string(agent.workdir().join("f")).unwrap(), "new");
    // Broken off, with its head or before it, so that nobody takes it for an archive of nothing.
    let missing = send(&agent, bare("GET /tgz?dir=missing"));
    assert!(!missing.contains("content-length") && body(&missing).is_empty(), "{missing}");
}

/// A directory with a program in it that notes how it was called, and nothing else.
fn fake(dir: &Path, name: &str) -> String {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let script = format!("#!/bin/sh\necho \"{name} $*\" >>{}/called\n", dir.display());
    std::fs::write(bin.join(name), script).unwrap();
    std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    bin.display().to_string()
}

#[tokio::test]
async fn halt_is_answered_at_once_and_meanwhile_all_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing real is in this PATH.
    let path = format!("{}:{}", fake(dir.path(), "halt"), fake(dir.path(), "reboot"));
    for (flags, want) in [
        (&[][..], ""),
        (&["--halt"], "halt -f -p\n"),
        (&["--reboot"], "reboot \n"),
        (&["--halt=true", "--reboot=true"], "reboot \n"),
        (&["--halt=false"], ""),
    ] {
        let called = dir.path().join("called");
        let _none = std::fs::remove_file(&called);
        let mut agent = Agent::start_in(flags, &[("PATH", &path)]).await;
        let answer = send(&agent, bare("POST /halt"));
        assert_eq!((status(&answer), body(&answer)), ("200", ""), "{flags:?}");
        assert_eq!(status(&send(&agent, bare("GET /status"))), "200", "{flags:?}");
        assert_eq!(agent.wait().await, 0, "{flags:?}");
        assert_eq!(std::fs::read_to_string(&called).unwrap_or_default(), want, "{flags:?}");
    }
}

#[test]
fn the_version_is_told_as_the_original_does() {
    for flag in ["--version", "-version", "-V"] {
        let output = Command::new(env!("CARGO_BIN_EXE_buildlet")).arg(flag).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("buildlet version 29 (linux-"), "{flag}: {text}");
        assert!(text.contains("\nbuilt with bellwether "), "{flag}: {text}");
        assert_eq!(output.status.code(), Some(0));
    }
}

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "bin/go", &b"hello"[..]).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn ok(bytes: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_fetched_from_a_host_that_is_listed_and_from_no_other() {
    let (inner, _serving) = serve(|_head| ok(b"secret"));
    let to = inner;
    let (outer, _serving) = serve(move |head| match head.split(' ').nth(1).unwrap_or_default() {
        "/go.tar.gz" => ok(&archive()),
        "/inner" => format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/\r\n\r\n").into_bytes(),
        "/link" => b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\n\r\n".to_vec(),
        "/text" => ok(b"no archive"),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let agent = Agent::start(&["--fetch-from", &outer.to_string()]).await;
    let ask = |dir: &str, url: String| {
        let url: String = form_urlencoded::byte_serialize(url.as_bytes()).collect();
        let answer = send(&agent, post(&format!("/writetgz?dir={dir}"), &format!("url={url}")));
        (status(&answer).to_owned(), body(&answer).to_owned())
    };
    assert_eq!(ask("go1.4", format!("http://{outer}/go.tar.gz")), ("200".into(), "OK".into()));
    assert_eq!(std::fs::read_to_string(agent.workdir().join("go1.4/bin/go")).unwrap(), "hello");
    assert_eq!(ask("go1.4", "http://nowhere.invalid/".into()), ("200".into(), "SKIP".into()));
    for (url, want, text) in [
        (format!("http://{outer}/missing"), "500", "answers 404"),
        (format!("http://{outer}/text"), "400", "damaged archive"),
        (format!("http://{outer}/inner"), "400", "--fetch-from"),
        (format!("http://{outer}/link"), "400", "--fetch-from 169.254.169.254:80"),
        (format!("http://{inner}/"), "400", "--fetch-from"),
        ("https://dl.example.org/x".into(), "400", "--fetch-from dl.example.org:443"),
        ("file:///etc/passwd".into(), "400", "bad 'url' parameter"),
        (String::new(), "400", "requires 'url' parameter"),
    ] {
        let (got, said) = ask("d", url.clone());
        assert!(got == want && said.contains(text), "{url}: {got} {said}");
    }
    let nobody = Agent::start(&[]).await;
    let url: String =
        form_urlencoded::byte_serialize(format!("http://{outer}/go.tar.gz").as_bytes()).collect();
    let answer = send(&nobody, post("/writetgz", &format!("url={url}")));
    assert!(status(&answer) == "400" && answer.contains(&format!("--fetch-from {outer}")), "{answer}");
}

const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7qVzjXkFXpS0bJfG2Dk3VqWb2mXw0sS0mF2cQm1a2b g";

fn connect_ssh(user: &str, key: &str) -> String {
    format!(
        "POST /connect-ssh HTTP/1.1\r\nHost: x\r\nX-Go-Ssh-User: {user}\r\nX-Go-Authorized-Key: {key}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_to_the_sshd_with_a_key_that_it_takes() {
    // What is sent before the first blank line comes back, with a banner before it.
    let (sshd, _serving) = serve(|said| format!("SSH-2.0-fake\r\n{said}").into_bytes());
    let homes = tempfile::tempdir().unwrap();
    std::fs::create_dir(homes.path().join("gopher")).unwrap();
    let keys = homes.path().join("gopher/.ssh/authorized_keys");
    let port = sshd.port().to_string();
    let agent = Agent::start(&["--ssh-port", &port, "--ssh-homes", homes.path().to_str().unwrap()]).await;
    for _ in 0..2 {
        let mut stream = connect(&agent);
        stream.write_all(connect_ssh("gopher", SSH_KEY).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
        assert!(head.contains("upgrade: ssh\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
        stream.write_all(b"SSH-2.0-client\r\n\r\n").unwrap();
        assert_eq!(rest(&mut stream), "SSH-2.0-fake\r\nSSH-2.0-client\r\n\r\n");
    }
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), format!("{SSH_KEY}\n"), "once");
    for (request, want) in [
        (connect_ssh("gopher", &format!("command=\"x\" {SSH_KEY}")), "options are not"),
        (connect_ssh("../gopher", SSH_KEY), "no user's name"),
        (connect_ssh("nobody-there", SSH_KEY), "nobody-there"),
        (post("/connect-ssh", "x"), "requires Content-Length of 0"),
        (bare("GET /connect-ssh"), "requires POST method"),
        ("POST /connect-ssh HTTP/1.1\r\nHost: x\r\nX-Go-Ssh-User: g\r\n\r\n".into(), "go together"),
    ] {
        let answer = send(&agent, &request);
        assert!(status(&answer) == "400" && answer.contains(want), "{request}: {answer}");
    }
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), format!("{SSH_KEY}\n"));
}

#[tokio::test]
async fn no_tunnel_without_an_sshd_where_the_operator_says_there_is_one() {
    let port = free_port().port().to_string();
    let agent = Agent::start(&["--ssh-port", &port]).await;
    let answer = send(&agent, "POST /connect-ssh HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(status(&answer) == "502" && answer.contains("no sshd on port"), "{answer}");
}

#[tokio::test]
async fn a_machine_that_dials_out_answers_whether_it_lives() {
    let mut coordinator = Coordinator::start(plain()).await;
    let address = free_port();
    let flags = ["--coordinator", &coordinator.url(), "--health-addr", &address.to_string()];
    let agent = Agent::dialling_out(KEY, &flags, &[]);
    let _machine = coordinator.registered().await;
    let answer = send_tcp(address, &bare("GET /healthz"));
    assert_eq!((status(&answer), body(&answer)), ("200", "ok\n"));
    for path in ["/", "/status", "/exec", "/debug/goroutines"] {
        assert_eq!(status(&send_tcp(address, &bare(&format!("POST {path}")))), "404", "{path}");
    }
    assert!(alive(agent.pid()));
}

#[tokio::test]
async fn the_answer_to_a_leaving_client_is_the_commands_end() {
    let agent = Agent::start(&[]).await;
    let mut stream = connect(&agent);
    let form = "mode=sys&cmd=sh&cmdArg=-c&cmdArg=echo+%24%24+%3Epid%3B+exec+sleep+75";
    stream.write_all(post("/exec", form).as_bytes()).unwrap();
    let pid = pid_in(&agent.workdir().join("pid")).await;
    drop(stream);
    soon("the command's end", || !alive(pid)).await;
    // And the agent has forgotten nothing by it.
    let client = agent.client();
    client.start(&shell("e", "true")).await.unwrap();
    assert_eq!(end(&client, "e").await.process_state, "ok");
}
