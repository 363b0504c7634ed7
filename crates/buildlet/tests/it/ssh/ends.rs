//! What ends a session, and what ends with it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::client::Client;
use super::guest::{Guest, PATIENCE, end, start, text};
use crate::agent::{Agent, alive, pid_in, soon};
use crate::coordinator::{Coordinator, KEY, plain};

/// Leaves a process that is in a session of its own, and one that is not; says so, and waits.
const HAUNT: &str = "setsid sh -c 'echo $$ >far; exec sleep 62' </dev/null >/dev/null 2>&1 & \
                     sleep 63 & echo $! >near; echo up; wait";

/// Starts that, and returns both processes once they are there.
async fn haunt(agent: &Agent, guest: &Guest) -> (Child, [u32; 2]) {
    let mut child = start(guest.ssh(&[], HAUNT));
    let mut up = [0; 3];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut up);
    tokio::time::timeout(PATIENCE, read).await.expect("it is up").unwrap();
    let pids = [pid_in(&agent.workdir().join("far")).await, pid_in(&agent.workdir().join("near")).await];
    assert!(pids.iter().all(|pid| alive(*pid)));
    (child, pids)
}

async fn gone(pids: [u32; 2]) {
    soon("the end of what a session left", || pids.iter().all(|pid| !alive(*pid))).await;
}

/// Waits for a client's end, and returns what it said.
async fn farewell(child: Child) -> String {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(255));
    text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_takes_all_with_it() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let (mut child, pids) = haunt(&agent, &guest).await;
    child.kill().await.unwrap();
    gone(pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_takes_all_with_it() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let line =
        "setsid sh -c 'echo $$ >far; exec sleep 64' & while ! test -s far; do sleep 0.01; done; exit 5";
    let output = guest.run(line).await;
    assert_eq!(output.status.code(), Some(5), "though the other holds its output open");
    let far = pid_in(&agent.workdir().join("far")).await;
    assert!(!alive(far));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_closed_takes_its_own_and_no_others() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    let mut channels = Vec::new();
    for name in ["one", "other"] {
        let channel = client.channel().await.unwrap();
        channel.exec(true, format!("setsid sh -c 'echo $$ >{name}; exec sleep 65' & wait")).await.unwrap();
        channels.push((channel, pid_in(&agent.workdir().join(name)).await));
    }
    let (other, one) = (channels.pop().unwrap(), channels.pop().unwrap());
    one.0.close().await.unwrap();
    soon("the end of one", || !alive(one.1)).await;
    assert!(alive(other.1));
    client.0.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    soon("the end of the other", || !alive(other.1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_holder_ends_it() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::with(&agent, "Bw-Fence: 7\r\n").await;
    let (child, pids) = haunt(&agent, &guest).await;
    let client = agent.client();
    client.with_fence(7, "same").extend().await.unwrap();
    assert!(pids.iter().all(|pid| alive(*pid)), "the same holder changes nothing");
    client.with_fence(8, "newer").extend().await.unwrap();
    assert!(farewell(child).await.contains("another holds this machine now"));
    gone(pids).await;
    let key = std::fs::read_to_string(guest.key().with_extension("pub")).unwrap();
    let answer = crate::raw::send(&agent, super::guest::request(&key, "Bw-Fence: 7\r\n"));
    assert_eq!(crate::raw::status(&answer), "409", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_ends_it_and_is_clean() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let (child, pids) = haunt(&agent, &guest).await;
    let report = agent.client().wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(report.leftovers, [], "nothing of it was left by then");
    assert!(farewell(child).await.contains("this machine is wiped"));
    gone(pids).await;
    assert_eq!(guest.run("ls -A . | wc -l").await.status.code(), Some(0), "and the next is let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_takes_it_along() {
    let mut agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let (child, pids) = haunt(&agent, &guest).await;
    let agent_pid = rustix::process::Pid::from_raw(agent.pid().cast_signed()).unwrap();
    rustix::process::kill_process(agent_pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(agent.wait().await, 0);
    assert!(pids.iter().all(|pid| !alive(*pid)), "before it has ended");
    assert!(farewell(child).await.contains("agent ends"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_passed_on_and_its_name_comes_back() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    let mut channel = client.channel().await.unwrap();
    channel.exec(true, "echo up; exec sleep 66").await.unwrap();
    let mut name = None;
    let talk = async {
        while let Some(message) = channel.wait().await {
            match message {
                russh::ChannelMsg::Data { .. } => channel.signal(russh::Sig::TERM).await.unwrap(),
                russh::ChannelMsg::ExitSignal { signal_name, core_dumped, .. } => {
                    name = Some((format!("{signal_name:?}"), core_dumped));
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("it ends");
    assert_eq!(name, Some(("TERM".to_owned(), false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_dials_out_is_entered_backwards_and_left_with_its_coordinator() {
    let mut coordinator = Coordinator::start(plain()).await;
    let agent = Agent::dialling_out(KEY, &["--coordinator", &coordinator.url()], &[]);
    let machine = coordinator.registered().await;
    let guest = Guest::by(Arc::clone(&machine.way), "Bw-Fence: 1\r\n").await;
    let mut command = guest.ssh(&["-tt"], "cat");
    command.env("TERM", "xterm");
    let mut child = start(command);
    child.stdin.take().unwrap().write_all(b"over here\n\x04").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "over here\r\nover here\r\n")
    );
    let (here, back) = (guest.dir.path().join("here"), guest.dir.path().join("back"));
    std::fs::write(&here, vec![0xff; 3 << 20]).unwrap();
    for (from, to) in [
        (here.as_path(), "gopher@127.0.0.1:there"),
        ("gopher@127.0.0.1:there".as_ref(), back.to_str().unwrap()),
    ] {
        let mut copy = guest.program("scp");
        copy.arg(from).arg(to);
        let output = end(copy).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(std::fs::read(&back).unwrap() == vec![0xff; 3 << 20]);
    let (_child, pids) = haunt(&agent, &guest).await;
    machine.client.with_fence(2, "newer").extend().await.unwrap();
    gone(pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_leaves_that_was_killed_the_next_one_ends() {
    let mut agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let (_child, pids) = haunt(&agent, &guest).await;
    agent.kill();
    assert!(alive(pids[0]), "it has a session of its own, and nobody above it");
    agent.launch().await;
    gone(pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_waits_for_nobody_who_says_nothing() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let key = std::fs::read_to_string(guest.key().with_extension("pub")).unwrap();
    let stream = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
    let mut silent = super::guest::enter(stream, &super::guest::request(&key, "")).await;
    // Less than it has to prove its key.
    let client = agent.client();
    let wiped = tokio::time::timeout(std::time::Duration::from_secs(20), client.wipe()).await;
    assert!(wiped.expect("it is wiped at once").unwrap().clean);
    let mut greeting = Vec::new();
    silent.read_to_end(&mut greeting).await.unwrap();
    assert!(greeting.starts_with(b"SSH-2.0-bellwether_"), "{}", text(&greeting));
}
