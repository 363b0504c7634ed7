//! Commands: start, output, acknowledgement, end, wipe.

use std::collections::BTreeMap;
use std::time::Duration;

use buildlet_client::{BuildletClient, Error, ExecRequest, RunState};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::agent::{Agent, alive, end, pid_in, read, shell, soon};

#[tokio::test]
async fn output_streams_while_it_runs_and_ends_with_the_command() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let script = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two >&2; echo three; exit 3";
    let state = client.start(&shell("e1", script)).await.unwrap();
    assert_eq!(state.state, RunState::Running);
    let mut stream = client.output("e1", 0).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "one\n");
    client.write_file("go", 0o644, Bytes::new()).await.unwrap();
    let mut rest = Vec::new();
    while let Some(bytes) = stream.next().await {
        rest.extend_from_slice(&bytes.unwrap());
    }
    assert_eq!(rest, b"two\nthree\n");
    let state = end(&client, "e1").await;
    assert_eq!((state.exit_code, state.process_state.as_str()), (Some(3), "exit status 3"));
    assert_eq!((state.output_bytes, state.ended_by, state.start_error), (14, None, None));
    assert!(state.ended_us.unwrap() >= state.started_us);
    assert_eq!(read(&client, "e1", 4).await, "two\nthree\n");
    assert_eq!(read(&client, "e1", 14).await, "");
}

#[tokio::test]
async fn the_same_id_starts_nothing_twice() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let request = shell("once", "echo x >>count; sleep 0.05");
    for _ in 0..3 {
        client.start(&request).await.unwrap();
    }
    end(&client, "once").await;
    assert_eq!(client.start(&request).await.unwrap().state, RunState::Exited);
    assert_eq!(std::fs::read_to_string(agent.workdir().join("count")).unwrap(), "x\n");
    let status = client.status().await.unwrap().bellwether.unwrap();
    assert_eq!(status.execs.len(), 1);
}

#[tokio::test]
async fn a_cut_connection_costs_no_byte() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    client.start(&shell("seq", "seq 1 200000")).await.unwrap();
    let mut got = Vec::new();
    // Every connection is dropped in the middle; the reader goes on from its own offset.
    for _ in 0..5 {
        let mut stream = client.output("seq", got.len() as u64).await.unwrap();
        got.extend_from_slice(&stream.next().await.unwrap().unwrap());
        drop(stream);
    }
    got.extend_from_slice(read(&client, "seq", got.len() as u64).await.as_bytes());
    let want: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert!(got == want.as_bytes());
}

#[tokio::test]
async fn acknowledged_output_is_gone_and_beyond_the_end_is_refused() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    client.start(&shell("a", "printf 0123456789")).await.unwrap();
    end(&client, "a").await;
    client.ack("a", 4).await.unwrap();
    assert_eq!(read(&client, "a", 4).await, "456789");
    assert!(matches!(client.output("a", 3).await, Err(Error::Gone { .. })));
    assert!(matches!(client.output("a", 11).await, Err(Error::Refused { status: 416, .. })));
    assert!(matches!(client.ack("a", 11).await, Err(Error::Refused { status: 416, .. })));
    assert!(matches!(client.output("none", 0).await, Err(Error::Gone { .. })));
    assert_eq!(end(&client, "a").await.acked, 4);
}

#[tokio::test]
async fn a_full_spool_blocks_the_command_until_it_is_acknowledged() {
    let agent = Agent::start(&["--spool-bytes", "1048576"]).await;
    let client = agent.client();
    client.start(&shell("big", "seq 1 1000000")).await.unwrap();
    let mut before = 0;
    // It stops by itself: the same length twice, and not more than the bound and one read.
    for _ in 0..200 {
        let state = client.exec_state("big", Duration::from_millis(50)).await.unwrap();
        assert_eq!(state.state, RunState::Running);
        if state.output_bytes == before && before > 0 {
            break;
        }
        before = state.output_bytes;
    }
    assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&before), "{before}");
    let mut stream = client.output("big", 0).await.unwrap();
    let mut all = Vec::new();
    while let Some(bytes) = stream.next().await {
        all.extend_from_slice(&bytes.unwrap());
        client.ack("big", all.len() as u64).await.unwrap();
    }
    let want: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
    assert!(all == want.as_bytes());
    assert_eq!(end(&client, "big").await.process_state, "ok");
}

#[tokio::test]
async fn nothing_more_is_written_of_what_a_holder_sends_once_a_newer_one_has_come() {
    // Zeros pack to a thousandth: what is sent before the wipe is less than what it holds.
    let packed = |size: usize| {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for name in ["first", "second"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(size as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &vec![0; size][..]).unwrap();
        }
        Bytes::from(tar.into_inner().unwrap().finish().unwrap())
    };
    let archive = packed(8 << 20);
    for as_file in [false, true] {
        let agent = Agent::start(&[]).await;
        let (old, new) = (agent.client().with_fence(1, "old"), agent.client().with_fence(2, "new"));
        let (half, rest) = (archive.slice(..archive.len() / 2), archive.slice(archive.len() / 2..));
        let (send, sent) = tokio::sync::mpsc::channel::<Bytes>(1);
        let body = futures::stream::unfold(sent, async |mut sent| Some((Ok(sent.recv().await?), sent)));
        let writing = tokio::spawn(async move {
            match as_file {
                true => old.write_stream("first", 0o644, body).await,
                false => old.write_tgz("", body).await,
            }
        });
        send.send(half).await.unwrap();
        soon("its first file is there", || agent.workdir().join("first").exists()).await;
        assert!(new.wipe().await.unwrap().clean);
        // The agent may have hung up by now.
        let _sent = send.send(rest).await;
        drop(send);
        writing.await.unwrap().unwrap_err();
        let left: Vec<_> = std::fs::read_dir(agent.workdir()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_stale_fence_is_refused_everywhere() {
    let agent = Agent::start(&[]).await;
    let old = agent.client().with_fence(4, "l4");
    let new = agent.client().with_fence(5, "l5");
    old.start(&shell("x", "sleep 60")).await.unwrap();
    new.extend().await.unwrap();
    let stale = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::StaleFence { current: 5 })), "{result:?}")
    };
    stale(old.start(&shell("y", "true")).await.map(drop));
    stale(old.ack("x", 0).await);
    stale(old.kill("x", "no").await.map(drop));
    stale(old.wipe().await.map(drop));
    stale(old.extend().await);
    stale(old.write_file("f", 0o644, Bytes::new()).await);
    stale(old.write_tgz("", futures::stream::empty()).await);
    stale(old.remove_all(&["f"]).await);
    stale(old.halt().await);
    let original = buildlet_client::OriginalExec { cmd: "true".into(), ..Default::default() };
    stale(old.exec_original(&original).await.map(drop));
    // Reading harms nobody.
    assert_eq!(old.exec_state("x", Duration::ZERO).await.unwrap().state, RunState::Running);
    let status = new.status().await.unwrap().bellwether.unwrap();
    assert_eq!((status.fence, status.lease.as_deref()), (5, Some("l5")));
    assert!(!agent.workdir().join("f").exists());
    new.kill("x", "test").await.unwrap();
}

#[tokio::test]
async fn a_kill_ends_the_whole_tree_and_keeps_the_state() {
    let agent = Agent::start(&["--grace", "100ms"]).await;
    let client = agent.client();
    let script =
        "trap '' TERM; echo before; sleep 61 & echo $! >a.pid; setsid sleep 62 & echo $! >b.pid; wait";
    client.start(&shell("tree", script)).await.unwrap();
    let (a, b) = (pid_in(&agent.workdir().join("a.pid")).await, pid_in(&agent.workdir().join("b.pid")).await);
    assert!(alive(a) && alive(b));
    let state = client.kill("tree", "newer patch set").await.unwrap();
    assert_eq!(state.ended_by.as_deref(), Some("killed:newer patch set"));
    assert_eq!(state.state, RunState::Exited);
    assert!(!alive(a) && !alive(b));
    assert_eq!(read(&client, "tree", 0).await, "before\n");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_whose_first_thread_has_ended_is_ended_too() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    // Its first thread leaves by the system call that ends no others; it is a zombie from then on, that works.
    let script = r#"setsid python3 -c '
import ctypes, os, threading, time
def work():
    while True:
        open("beat", "a").write("x")
        time.sleep(0.02)
threading.Thread(target=work).start()
open("pid", "w").write(str(os.getpid()))
ctypes.CDLL(None).syscall(93 if os.uname().machine == "aarch64" else 60, 0)
' >/dev/null 2>&1 &
until [ -s pid ] && grep -q "State:.Z" /proc/$(cat pid)/status; do sleep 0.02; done"#;
    client.start(&shell("ghost", script)).await.unwrap();
    let state = end(&client, "ghost").await;
    assert_eq!(state.process_state, "ok");
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    // Whoever went on would have written again by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!agent.workdir().join("beat").exists());
    assert_eq!(state.leftovers.len(), 1, "{state:?}");
}

#[tokio::test]
async fn a_daemon_is_ended_and_reported() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    // Double fork, a session of its own, no marker in its environment.
    let script =
        "(env -i /usr/bin/env setsid sleep 63 >/dev/null 2>&1 & echo $! >d.pid) ; sleep 0.05; echo done";
    client.start(&shell("d", script)).await.unwrap();
    let state = end(&client, "d").await;
    assert_eq!((state.process_state.as_str(), state.ended_by.as_deref()), ("ok", None));
    assert_eq!(state.leftovers.len(), 1, "{state:?}");
    assert_eq!(state.leftovers[0].cmd, "sleep 63");
    assert!(!alive(state.leftovers[0].pid));
    assert_eq!(read(&client, "d", 0).await, "done\n");
}

#[tokio::test]
async fn an_ordinary_pipeline_leaves_nothing_to_report() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    client.start(&shell("p", "yes | head -1")).await.unwrap();
    let state = end(&client, "p").await;
    assert_eq!((state.process_state.as_str(), state.leftovers.len()), ("ok", 0));
}

#[tokio::test]
async fn the_environment_is_only_what_it_should_be() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let request = ExecRequest {
        env: vec![("X".into(), "1".into()), ("X".into(), "in $WORKDIR".into())],
        env_pass: vec!["PASS_*".into()],
        ..shell("env", "exec env")
    };
    client.start(&request).await.unwrap();
    end(&client, "env").await;
    let text = read(&client, "env", 0).await;
    let env: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
    let workdir = agent.workdir().canonicalize().unwrap();
    let workdir = workdir.to_str().unwrap();
    // PWD and the like are the shell's own.
    let names: Vec<&str> =
        env.keys().copied().filter(|n| !matches!(*n, "PWD" | "OLDPWD" | "SHLVL" | "_")).collect();
    assert_eq!(names, ["BW_EXEC_ID", "HOME", "PASS_ME", "PATH", "TMPDIR", "WORKDIR", "X"]);
    assert_eq!((env["X"], env["PASS_ME"]), (format!("in {workdir}").as_str(), "passed"));
    assert_eq!((env["HOME"], env["WORKDIR"]), (format!("{workdir}/.home").as_str(), workdir));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    std::fs::write(agent.workdir().join("plain"), "x").unwrap();
    let cases = [
        ("nosuch-program", "", "exec: \"nosuch-program\": executable file not found in $PATH"),
        ("./none", "", "fork/exec ./none: no such file or directory"),
        ("./plain", "", "fork/exec ./plain: permission denied"),
        ("true", "no/dir", "chdir no/dir: No such file or directory (os error 2)"),
    ];
    for (index, (program, dir, want)) in cases.into_iter().enumerate() {
        let id = format!("s{index}");
        let request =
            ExecRequest { id: id.clone(), argv: vec![program.into()], dir: dir.into(), ..Default::default() };
        client.start(&request).await.unwrap();
        let state = end(&client, &id).await;
        assert_eq!((state.start_error.as_deref(), state.exit_code), (Some(want), None), "{program}");
        assert_eq!(read(&client, &id, 0).await, "", "{program}");
    }
    for (id, argv, dir) in [("../x", "true", ""), ("", "true", ""), ("ok", "true", "../up"), ("ok2", "", "")]
    {
        let request =
            ExecRequest { id: id.into(), argv: vec![argv.into()], dir: dir.into(), ..Default::default() };
        let refused = client.start(&request).await;
        assert!(matches!(refused, Err(Error::Refused { status: 400, .. })), "{id} {dir}: {refused:?}");
    }
    // 127 of the job's own is its own.
    client.start(&shell("own", "exit 127")).await.unwrap();
    let state = end(&client, "own").await;
    assert_eq!((state.exit_code, state.start_error), (Some(127), None));
}

async fn wipe_removes_everything(flags: &[&str]) {
    let agent = Agent::start(flags).await;
    let client = agent.client();
    let script = "mkdir -p ro/deep; echo x >ro/deep/f; chmod 000 ro/deep; chmod 555 ro; echo x >$HOME/h; \
                  echo x >$TMPDIR/t; setsid sleep 64 & echo $! >pid; wait";
    client.start(&shell("job", script)).await.unwrap();
    let pid = pid_in(&agent.workdir().join("pid")).await;
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    let names: Vec<&str> = report.canaries.keys().map(String::as_str).collect();
    assert_eq!(names, ["home", "locked", "process", "shm", "tmpdir", "workdir"]);
    assert!(report.canaries.values().all(|gone| *gone));
    assert!(!alive(pid));
    assert_eq!(std::fs::read_dir(agent.workdir()).unwrap().count(), 0);
    assert!(matches!(client.exec_state("job", Duration::ZERO).await, Err(Error::Gone { .. })));
    // Ready for the next, and the id may be used again.
    client.start(&shell("job", "ls -A /dev/shm | grep canary; ls")).await.unwrap();
    end(&client, "job").await;
    assert_eq!(read(&client, "job", 0).await, "");
}

#[tokio::test]
async fn a_wipe_removes_everything_and_proves_it() {
    wipe_removes_everything(&[]).await;
}

#[tokio::test]
async fn a_wipe_without_the_kernels_help_does_too() {
    wipe_removes_everything(&["--no-kernel-help"]).await;
}

#[tokio::test]
async fn a_wipe_whose_asker_is_gone_ends_before_the_next_begins() {
    let agent = Agent::start(&[]).await;
    for round in 0..2 {
        let id = format!("fill-{round}");
        let fill = "for d in $(seq 40); do mkdir $d && (cd $d && seq 100 | xargs touch); done";
        agent.client().start(&shell(&id, fill)).await.unwrap();
        assert_eq!(end(&agent.client(), &id).await.process_state, "ok");
        let asker = agent.client();
        let asking = tokio::spawn(async move { asker.wipe().await });
        soon("something is planted, or all is over", || planted(&agent) || asking.is_finished()).await;
        asking.abort();
        let report = agent.client().wipe().await.unwrap();
        assert!(report.clean, "{report:?}");
    }
}

#[tokio::test]
async fn what_was_outrun_while_it_waited_for_a_wipe_is_not_done() {
    let agent = Agent::start(&[]).await;
    // Until the newer holder comes while the first wipe is at work, and something waits for it.
    for round in 0..5 {
        let older = || agent.client().with_fence(2 * round + 1, "older");
        let fill = "for d in $(seq 100); do mkdir $d && (cd $d && seq 200 | xargs touch); done";
        let id = format!("fill-{round}");
        older().start(&shell(&id, fill)).await.unwrap();
        assert_eq!(end(&agent.client(), &id).await.process_state, "ok");
        let wipe = |client: BuildletClient| tokio::spawn(async move { client.wipe().await.map(drop) });
        let first = wipe(older());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let again = wipe(older());
        let late = older();
        let start = tokio::spawn(async move { late.start(&shell("late", "true")).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        agent.client().with_fence(2 * round + 2, "newer").extend().await.unwrap();
        if first.is_finished() {
            continue;
        }
        first.await.unwrap().unwrap();
        for waiting in [again, start] {
            let refused = waiting.await.unwrap();
            assert!(matches!(refused, Err(Error::StaleFence { .. })), "{refused:?}");
        }
        return;
    }
    panic!("no wipe was long enough for somebody to wait for it");
}

#[tokio::test]
async fn what_is_to_be_done_is_said_too_late_once_a_newer_holder_is_there() {
    let agent = Agent::start(&[]).await;
    let (keep, made) = (agent.workdir().join("keep"), agent.workdir().join("made"));
    std::fs::write(&keep, "x").unwrap();
    for (fence, path, form) in [
        (1, "/removeall", "path=.".to_owned()),
        (3, "/exec", format!("mode=sys&cmd=touch&cmdArg={}", made.display())),
    ] {
        let answer = late(&agent, fence, path, &form).await;
        assert!(answer.starts_with("HTTP/1.1 409 "), "{path}: {answer}");
    }
    assert!(keep.exists() && !made.exists());
}

/// The answer to a form whose second half comes once a newer holder is there.
async fn late(agent: &Agent, fence: u64, path: &str, form: &str) -> String {
    use std::io::{Read as _, Write as _};
    let (first, second) = form.split_at(3);
    let mut older = crate::raw::connect(agent);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nBw-Fence: {fence}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{first}",
        form.len()
    );
    older.write_all(head.as_bytes()).unwrap();
    // Until it is let in, which its fence shows.
    for _ in 0..500 {
        if agent.client().status().await.unwrap().bellwether.unwrap().fence == fence {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.client().with_fence(fence + 1, "newer").extend().await.unwrap();
    older.write_all(second.as_bytes()).unwrap();
    let mut answer = String::new();
    older.read_to_string(&mut answer).unwrap();
    answer
}

fn planted(agent: &Agent) -> bool {
    std::fs::read_dir(agent.workdir()).unwrap().flatten().any(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name.starts_with(".bellwether-canary") && name.ends_with("-locked")
    })
}

#[tokio::test]
async fn shared_memory_of_a_job_is_gone_after_a_wipe() {
    for flags in [&[][..], &["--no-kernel-help"]] {
        let agent = Agent::start(flags).await;
        let client = agent.client();
        let name = format!("bw-test-{}", agent.pid());
        client.start(&shell("s", &format!("echo x >/dev/shm/{name}"))).await.unwrap();
        end(&client, "s").await;
        assert!(client.wipe().await.unwrap().clean);
        client.start(&shell("look", &format!("ls /dev/shm/{name} 2>/dev/null"))).await.unwrap();
        end(&client, "look").await;
        assert_eq!(read(&client, "look", 0).await, "");
        assert!(!std::path::Path::new("/dev/shm").join(name).exists());
    }
}

#[tokio::test]
async fn an_agent_that_cannot_be_cleaned_sets_itself_aside_until_it_is() {
    let mut agent = Agent::start(&[]).await;
    let client = agent.client();
    // A process that moved out of reach holds on: here, a directory that is busy because it is a mount point.
    let mount = agent.workdir().join("busy");
    std::fs::create_dir(&mount).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mount).status();
    let root = mounted.is_ok_and(|status| status.success());
    if !root {
        // Without the right to mount, the same is shown by a file where the state says so.
        std::fs::write(agent.dir.path().join("state/set_aside"), "busy").unwrap();
        agent.kill();
        agent.launch().await;
    } else {
        let report = client.wipe().await.unwrap();
        assert!(!report.clean);
        assert!(report.problems[0].contains("busy"), "{report:?}");
        assert!(std::process::Command::new("umount").arg(&mount).status().unwrap().success());
    }
    for _ in 0..2 {
        let refused = client.start(&shell("no", "true")).await;
        assert!(
            matches!(&refused, Err(Error::SetAside { reason }) if reason.contains("busy")),
            "{refused:?}"
        );
        assert!(client.status().await.unwrap().bellwether.unwrap().set_aside.is_some());
        agent.kill();
        agent.launch().await;
    }
    // Somebody has put it right, and had it cleaned again.
    assert!(client.wipe().await.unwrap().clean);
    for id in ["yes", "again"] {
        client.start(&shell(id, "true")).await.unwrap();
        assert_eq!(end(&client, id).await.process_state, "ok");
        assert_eq!(client.status().await.unwrap().bellwether.unwrap().set_aside, None);
        agent.kill();
        agent.launch().await;
    }
}

#[tokio::test]
async fn files_are_found_and_read_but_never_outside() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    client.write_file("a/b.log", 0o640, Bytes::from("hello")).await.unwrap();
    client.write_file("a/b.txt", 0o755, Bytes::from("no")).await.unwrap();
    std::os::unix::fs::symlink("/etc/passwd", agent.workdir().join("p.log")).unwrap();
    let report = client.glob("", &["**/*.log".to_owned()]).await.unwrap();
    assert_eq!(report.files.len(), 1);
    assert_eq!(
        (report.files[0].path.as_str(), report.files[0].size, report.files[0].mode),
        ("a/b.log", 5, 0o640)
    );
    assert!(!report.truncated);
    let (size, mut stream) = client.file("a/b.log").await.unwrap();
    assert_eq!((size, stream.next().await.unwrap().unwrap()), (5, Bytes::from("hello")));
    for path in ["p.log", "../state/fence", "/etc/passwd", "a"] {
        assert!(matches!(client.file(path).await, Err(Error::Refused { status: 400, .. })), "{path}");
    }
    assert!(matches!(client.file("none").await, Err(Error::Refused { status: 404, .. })));
}

#[tokio::test]
async fn an_idle_agent_ends_itself_and_its_commands() {
    let mut agent = Agent::start(&["--idle-exit", "300ms"]).await;
    agent.client().start(&shell("s", "sleep 65 & echo $! >pid; wait")).await.unwrap();
    let pid = pid_in(&agent.workdir().join("pid")).await;
    assert_eq!(agent.wait().await, 0);
    soon("its command's end", || !alive(pid)).await;
    assert!(!agent.socket().exists());
}

#[tokio::test]
async fn an_open_stream_is_contact() {
    let mut agent = Agent::start(&["--idle-exit", "300ms"]).await;
    let client = agent.client();
    client.start(&shell("s", "sleep 1; echo late")).await.unwrap();
    assert_eq!(read(&client, "s", 0).await, "late\n");
    assert_eq!(agent.wait().await, 0);
}

#[tokio::test]
async fn halt_ends_the_agent() {
    let mut agent = Agent::start(&[]).await;
    agent.client().halt().await.unwrap();
    assert_eq!(agent.wait().await, 0);
}
