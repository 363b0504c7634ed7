//! Commands: what they are given, what they give, and how they end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::guest::{Guest, PATIENCE, start, text};
use crate::agent::Agent;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_as_it_ends_and_both_outputs_are_told_apart() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    for (line, code) in [("true", 0), ("exit 7", 7), ("nosuch-program", 127), ("kill -9 $$", 255)] {
        let output = guest.run(line).await;
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
    }
    let output = guest.run("echo out; echo err >&2; pwd; echo $BW_AGENT_SECRET $HOME $BW_EXEC_ID").await;
    let workdir = agent.workdir().canonicalize().unwrap().display().to_string();
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.first().copied(), Some("out"));
    assert_eq!(lines.get(1).copied(), Some(workdir.as_str()));
    assert!(lines[2].starts_with(&format!("{workdir}/.home ssh-")), "{lines:?}");
    assert_eq!(text(&output.stderr), "err\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_though_neither_end_waits_for_the_other() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut child = start(guest.ssh(&[], "cat; echo end >&2"));
    let sent: Vec<u8> = (0..24_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let all = sent.clone();
    let writing = tokio::spawn(async move {
        stdin.write_all(&all).await.unwrap();
    });
    let mut got = Vec::new();
    tokio::time::timeout(PATIENCE, stdout.read_to_end(&mut got)).await.expect("all comes").unwrap();
    writing.await.unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "end\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_reads_nothing_keeps_no_other_from_being_heard() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut child = start(guest.ssh(&[], "echo up; read line; sleep 1; echo over; exec cat >/dev/null"));
    let mut stdin = child.stdin.take().unwrap();
    // Far more than may wait; it is read only once the command has said more.
    let writing = tokio::spawn(async move {
        stdin.write_all(b"line\n").await.unwrap();
        stdin.write_all(&vec![b'x'; 32 << 20]).await.unwrap();
    });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    writing.await.unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "up\nover\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_costs_no_memory() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut child = start(guest.ssh(&[], "head -c 300000000 /dev/zero; echo done >&2"));
    let mut stdout = child.stdout.take().unwrap();
    let mut bytes = vec![0; 1 << 20];
    let mut got = 0;
    let mut most = 0;
    loop {
        let read =
            tokio::time::timeout(PATIENCE, stdout.read(&mut bytes)).await.expect("more comes").unwrap();
        got += read;
        most = most.max(resident(agent.pid()));
        if read == 0 {
            break;
        }
    }
    assert_eq!(got, 300_000_000);
    assert!(most < 64 << 20, "the agent had {most} bytes");
    assert_eq!(text(&child.wait_with_output().await.unwrap().stderr), "done\n");
}

/// A process's memory, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_set_and_ours_are_not_forged() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut command =
        guest.ssh(&["-o", "SetEnv=GREETING=hello BW_EXEC_ID=forged"], "echo $GREETING; echo $BW_EXEC_ID");
    command.env("LC_ALL", "C");
    let output = super::guest::end(command).await;
    let out = text(&output.stdout);
    assert!(out.starts_with("hello\nssh-"), "{out}");
}
