//! A terminal: its kind, its size, what is typed and what is shown.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::Client;
use super::guest::{Guest, PATIENCE, end, start, text};
use crate::agent::Agent;

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_on_a_terminal_is_talked_to() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut command = guest.ssh(&["-tt"], "");
    command.env("TERM", "xterm-bell");
    let mut child = start(command);
    let mut stdin = child.stdin.take().unwrap();
    let typed = "test -t 0 && test -t 1 && test -t 2 && echo ter''minal $TERM; tty; echo flags $-; exit 9\n";
    stdin.write_all(typed.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("terminal xterm-bell\r\n"), "{shown}");
    assert!(shown.contains("\r\n/dev/"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("flags ") && line.contains('i')), "{shown}");
    assert_eq!(output.status.code(), Some(9), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_what_is_typed_ends_what_reads_lines() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let output = end(guest.ssh(&["-tt"], "cat; echo over")).await;
    assert!(text(&output.stdout).ends_with("over\r\n"), "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_size_is_the_clients_and_changes_with_it() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    let mut channel = client.channel().await.unwrap();
    channel.request_pty(true, "vt100", 101, 37, 0, 0, &[]).await.unwrap();
    let script = "trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.05; done";
    channel.exec(true, script).await.unwrap();
    let mut shown = String::new();
    let mut code = None;
    let talk = async {
        while let Some(message) = channel.wait().await {
            match message {
                russh::ChannelMsg::Data { data } => {
                    shown.push_str(&text(&data));
                    if shown == "37 101\r\n" {
                        channel.window_change(64, 12, 0, 0).await.unwrap();
                    }
                }
                russh::ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("it ends");
    assert_eq!((shown.as_str(), code), ("37 101\r\n12 64\r\n", Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_interrupts_what_is_in_front() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut child = start(guest.ssh(&["-tt"], "echo up; sleep 61; echo \"code $?\""));
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut up = [0; 4];
    tokio::time::timeout(PATIENCE, stdout.read_exact(&mut up)).await.expect("it is up").unwrap();
    assert_eq!(&up, b"up\r\n");
    // It may not be in front yet: it is typed until it was heard.
    let typing = tokio::spawn(async move {
        while stdin.write_all(b"\x03").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    typing.abort();
    // The shell ends by the signal too, or says what it ended its command with.
    assert!(matches!(status.code(), Some(0 | 130 | 255)), "{status}");
}
