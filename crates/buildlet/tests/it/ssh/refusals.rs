//! What is refused, and whom.

use std::path::Path;

use super::client::{Client, knock};
use super::guest::{Guest, end, enter, make_key, request, text};
use crate::agent::Agent;
use crate::raw::{send, status};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_lets_in_one_key() {
    let agent = Agent::start(&[]).await;
    let (one, other) = (Guest::of(&agent).await, Guest::of(&agent).await);
    assert!(knock(&agent, &one.key(), &one.key()).await.1.success());
    // It is no stranger: there is a connection for it as well.
    assert!(knock(&agent, &other.key(), &other.key()).await.1.success());
    assert!(!knock(&agent, &one.key(), &other.key()).await.1.success());
    let (mut session, refused) = knock(&agent, &one.key(), &other.key()).await;
    assert!(!refused.success());
    assert!(!session.authenticate_password("gopher", "").await.unwrap().success());
    assert!(!session.authenticate_none("gopher").await.unwrap().success());
    // And by OpenSSH's own.
    let at = format!("Port={}", one.port);
    let flags: Vec<String> =
        other.flags().into_iter().map(|f| if f.starts_with("Port=") { at.clone() } else { f }).collect();
    let mut command = tokio::process::Command::new("ssh");
    command.args(flags).args(["gopher@127.0.0.1", "true"]).kill_on_drop(true);
    let output = end(command).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("Permission denied (publickey)"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_ecdsa_opens_too_and_one_of_rsa_does_not() {
    let agent = Agent::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let (ecdsa, rsa) = (dir.path().join("ecdsa"), dir.path().join("rsa"));
    make_key(&ecdsa, "ecdsa");
    make_key(&rsa, "rsa");
    assert!(knock(&agent, &ecdsa, &ecdsa).await.1.success());
    let key = |at: &Path| std::fs::read_to_string(at.with_extension("pub")).unwrap();
    for (request, want) in [
        (request(&key(&rsa), ""), "only ed25519 and ECDSA"),
        (request(&format!("command=\"x\" {}", key(&ecdsa)), ""), "not one public key"),
        (crate::raw::bare("POST /connect-ssh"), "requires X-Go-Ssh-User and X-Go-Authorized-Key"),
        ("POST /connect-ssh HTTP/1.1\r\nHost: x\r\nX-Go-Ssh-User: g\r\n\r\n".to_owned(), "go together"),
    ] {
        let answer = send(&agent, &request);
        assert!(status(&answer) == "400" && answer.contains(want), "{request}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_further() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    let target = crate::raw::free_port();
    assert!(
        client.0.channel_open_direct_tcpip("127.0.0.1", target.port().into(), "127.0.0.1", 1).await.is_err()
    );
    assert!(client.0.channel_open_direct_streamlocal("/run/x").await.is_err());
    assert!(client.0.tcpip_forward("127.0.0.1", 0).await.is_err());
    assert!(client.0.streamlocal_forward("/tmp/x").await.is_err());
    let output = end(guest.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], "true")).await;
    assert_ne!(output.status.code(), Some(0));
    // It goes on without, as sshd's would that forbids it.
    let output = end(guest.ssh(&["-A", "-X"], "echo ${SSH_AUTH_SOCK-none} ${DISPLAY-none}")).await;
    assert_eq!(text(&output.stdout), "none none\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_channels_enough_and_no_more() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(client.channel().await.unwrap());
    }
    let refused = client.channel().await.unwrap_err();
    assert!(
        matches!(refused, russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ResourceShortage)),
        "{refused}"
    );
    // One that is over makes room.
    let mut channel = open.pop().unwrap();
    channel.exec(true, "exit 4").await.unwrap();
    let mut code = None;
    while let Some(message) = channel.wait().await {
        if let russh::ChannelMsg::ExitStatus { exit_status } = message {
            code = Some(exit_status);
        }
    }
    assert_eq!(code, Some(4));
    let mut again = client.channel().await;
    for _ in 0..200 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        again = client.channel().await;
    }
    again.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_says_why() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let output = end(guest.ssh(&["-s"], "netconf")).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("no subsystem \"netconf\""), "{}", text(&output.stderr));
    let bare = Agent::start_in(&[], &[("PATH", "/nowhere")]).await;
    let guest = Guest::of(&bare).await;
    let output = guest.run("scp -t x").await;
    assert!(text(&output.stderr).contains("no scp program"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_connections_enough_and_no_more() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let asking = request(&std::fs::read_to_string(guest.key().with_extension("pub")).unwrap(), "");
    let mut open = Vec::new();
    for _ in 0..64 {
        let stream = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
        open.push(enter(stream, &asking).await);
    }
    let answer = send(&agent, &asking);
    assert!(status(&answer) == "503" && answer.contains("64 ssh sessions already"), "{answer}");
    open.pop();
    let mut code = None;
    for _ in 0..200 {
        code = guest.run("exit 6").await.status.code();
        if code == Some(6) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_has_its_bounds() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let client = Client::enter(&agent, &guest.key()).await;
    for (number, value, set) in [(70, 1, 64), (40, 1000, 32)] {
        let mut channel = client.channel().await.unwrap();
        let mut taken = 0;
        for at in 0..number {
            channel.set_env(true, format!("N{at}"), "x".repeat(value)).await.unwrap();
            loop {
                match channel.wait().await.expect("an answer") {
                    russh::ChannelMsg::Success => taken += 1,
                    russh::ChannelMsg::Failure => {}
                    _ => continue,
                }
                break;
            }
        }
        assert_eq!(taken, set, "of {number} with {value} bytes");
    }
}
