//! The original's endpoints, as bytes on a socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use buildlet_client::{LsRequest, OriginalExec, OriginalMode};
use futures::StreamExt as _;
use secrecy::SecretString;

use crate::agent::Agent;

/// Sends a request as it is and returns all of the answer; the agent must end the connection.
fn raw(agent: &Agent, request: &str) -> String {
    let mut stream = UnixStream::connect(agent.socket()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

#[tokio::test]
async fn exec_ends_with_its_trailer_though_nobody_asked_for_trailers() {
    let agent = Agent::start(&[]).await;
    let form = "cmd=sh&cmdArg=-c&cmdArg=echo+out%3B+echo+err+%3E%262%3B+echo+%24PATH%3B+exit+7&mode=sys\
                &env=PATH%3D%2Fbin&path=%24PATH&path=%24WORKDIR%2Fq&debug=false&dir=";
    let answer = raw(&agent, &post("/exec", form));
    let lower = answer.to_lowercase();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        lower.contains("trailer: process-state\r\n") && lower.contains("transfer-encoding: chunked"),
        "{answer}"
    );
    let workdir = agent.workdir().canonicalize().unwrap();
    assert!(answer.contains("out\n") && answer.contains("err\n"), "{answer}");
    assert!(answer.contains(&format!("/bin:{}/q\n", workdir.display())), "{answer}");
    assert!(lower.ends_with("0\r\nprocess-state: exit status 7\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn the_client_reads_the_trailer_and_keeps_the_connection() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    for (script, want) in [("exit 0", "ok"), ("exit 2", "exit status 2"), ("kill -9 $$", "signal: killed")] {
        let exec = OriginalExec {
            cmd: "sh".into(),
            args: vec!["-c".into(), script.into()],
            mode: OriginalMode::System,
            ..OriginalExec::default()
        };
        let mut stream = client.exec_original(&exec).await.unwrap();
        while let Some(bytes) = stream.next().await {
            bytes.unwrap();
        }
        assert_eq!(stream.trailer("process-state"), Some(want));
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_command() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let exec = OriginalExec {
        cmd: "sh".into(),
        args: vec!["-c".into(), "sleep 73 & echo $! >pid; echo up; wait".into()],
        mode: OriginalMode::System,
        ..OriginalExec::default()
    };
    let mut stream = client.exec_original(&exec).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "up\n");
    let pid = crate::agent::pid_in(&agent.workdir().join("pid")).await;
    drop(stream);
    crate::agent::soon("the command's end", || !crate::agent::alive(pid)).await;
}

#[tokio::test]
async fn refusals_have_the_originals_words() {
    let agent = Agent::start(&[]).await;
    let cases = [
        ("GET / HTTP/1.1", 200, "buildlet running on linux-"),
        ("POST /healthz HTTP/1.1", 200, "ok\n"),
        ("POST /status HTTP/1.1", 400, "requires GET method\n"),
        ("GET /halt HTTP/1.1", 400, "requires POST method\n"),
        ("GET /exec HTTP/1.1", 400, "requires POST method\n"),
        ("GET /write HTTP/1.1", 400, "requires POST method\n"),
        ("GET /writetgz HTTP/1.1", 400, "requires PUT or POST method\n"),
        ("PUT /writetgz?dir=../x HTTP/1.1", 400, "bad 'dir' parameter\n"),
        ("GET /tgz HTTP/1.1", 400, "bad 'dir' parameter\n"),
        ("GET /ls?dir=/etc HTTP/1.1", 400, "bad 'dir' parameter\n"),
        ("GET /nothing HTTP/1.1", 404, "404 page not found\n"),
        ("PUT /write?path=../x&mode=420 HTTP/1.1", 400, "bad path\n"),
        ("PUT /write?path=x&mode=2147484141 HTTP/1.1", 400, "bad mode\n"),
        ("POST /removeall HTTP/1.1", 400, "requires 'path' parameter\n"),
        ("POST /removeall?path=.. HTTP/1.1", 400, "bad 'path' parameter\n"),
    ];
    for (line, status, text) in cases {
        let answer = raw(&agent, &format!("{line}\r\nHost: x\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains(text), "{line}: {answer}");
    }
    let answer = raw(&agent, &post("/exec", "cmd=nosuch-program&mode=sys"));
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    let answer = raw(&agent, "POST /exec HTTP/1.0\r\nHost: x\r\n\r\n");
    assert!(answer.contains(" 400 "), "{answer}");
}

#[tokio::test]
async fn a_listing_is_gos() {
    let agent = Agent::start(&[]).await;
    let dir = agent.workdir();
    std::fs::create_dir_all(dir.join("go1.4")).unwrap();
    std::fs::create_dir_all(dir.join("x/y/b")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("sym")).unwrap();
    std::fs::write(dir.join("x/y/f"), "hi\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir.join("x/y/f"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_498_903_200_700);
    std::fs::File::options().write(true).open(dir.join("x/y/f")).unwrap().set_modified(time).unwrap();
    let answer = raw(&agent, "GET /ls?recursive=true&digest=1&skip= HTTP/1.1\r\nHost: x\r\n\r\n");
    let want = "drwxr-xr-x\tgo1.4/\nLrwxrwxrwx\tsym\ndrwxr-xr-x\tx/\ndrwxr-xr-x\tx/y/\ndrwxr-xr-x\tx/y/b/\n\
                -rw-r-----\tx/y/f\t3\t2017-07-01T10:00:00Z\t55ca6286e3e4f4fba5d0448333fa99fc5a404a73\n";
    assert!(answer.ends_with(want), "{answer}");
    let client = agent.client();
    let skipped = LsRequest { recursive: true, skip: vec!["x/y".into()], ..LsRequest::default() };
    let paths: Vec<String> = client.ls(&skipped).await.unwrap().into_iter().map(|e| e.path).collect();
    assert_eq!(paths, ["go1.4/", "sym", "x/"]);
    let top: Vec<String> =
        client.ls(&LsRequest::default()).await.unwrap().into_iter().map(|e| e.path).collect();
    assert_eq!(top, ["go1.4/", "sym", "x/"]);
    let missing = client.ls(&LsRequest { dir: "none".into(), ..LsRequest::default() }).await;
    assert!(matches!(missing, Err(buildlet_client::Error::Refused { status: 500, .. })));
    assert_eq!(client.workdir().await.unwrap(), dir.canonicalize().unwrap().to_str().unwrap());
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "right\n").unwrap();
    // The harness speaks without a password, so this agent is on a port of its own.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let start = |with: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_buildlet"));
        command.args(["--listen", &addr.to_string(), "--workdir"]).arg(dir.path().join("work"));
        command.arg("--state-dir").arg(dir.path().join("state"));
        if with {
            command.arg("--password-file").arg(&file);
        }
        command.stderr(std::process::Stdio::null());
        command
    };
    assert_eq!(start(false).status().unwrap().code(), Some(1), "no port without a password");
    let mut child = start(true).spawn().unwrap();
    let client = |password: Option<&str>| {
        let password = password.map(|p| SecretString::from(p.to_owned()));
        buildlet_client::BuildletClient::new(buildlet_client::Address::Tcp(addr), password)
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while client(Some("right")).status().await.is_err() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for password in [None, Some("wrong"), Some(""), Some("right2")] {
        let refused = client(password).status().await;
        let Err(buildlet_client::Error::Refused { status: 403, message, .. }) = refused else {
            panic!("{password:?}: {refused:?}");
        };
        assert_eq!(message, "invalid password");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
