//! kill -9 of the agent, and the next one on the same directories.

use buildlet_client::{Error, RunState};

use crate::agent::{Agent, alive, end, pid_in, read, shell};

#[tokio::test]
async fn a_killed_agents_commands_are_ended_and_known() {
    let mut agent = Agent::start(&[]).await;
    let client = agent.client().with_fence(9, "l");
    client.start(&shell("done", "echo finished")).await.unwrap();
    end(&client, "done").await;
    let script = "echo early; sleep 71 & echo $! >a; setsid sleep 72 & echo $! >b; wait";
    client.start(&shell("cut", script)).await.unwrap();
    let (a, b) = (pid_in(&agent.workdir().join("a")).await, pid_in(&agent.workdir().join("b")).await);
    let before = client.status().await.unwrap().bellwether.unwrap();
    while client.exec_state("cut", std::time::Duration::from_millis(5)).await.unwrap().output_bytes < 6 {}
    agent.kill();
    assert!(alive(a) && alive(b), "nobody ends them with the agent gone");
    assert!(matches!(client.status().await, Err(Error::Unreachable { .. })));

    agent.launch().await;
    assert!(!alive(a) && !alive(b));
    let state = end(&client, "cut").await;
    assert_eq!((state.state, state.ended_by.as_deref()), (RunState::Exited, Some("agent_restart")));
    assert_eq!(read(&client, "cut", 0).await, "early\n");
    assert_eq!(read(&client, "done", 0).await, "finished\n");
    assert_eq!(end(&client, "done").await.process_state, "ok");
    // The same id starts nothing, the fence holds, and everyone can see that it is another process.
    assert_eq!(client.start(&shell("cut", "true")).await.unwrap().ended_by.as_deref(), Some("agent_restart"));
    let stale = agent.client().with_fence(8, "old").extend().await;
    assert!(matches!(stale, Err(Error::StaleFence { current: 9 })));
    let after = client.status().await.unwrap().bellwether.unwrap();
    assert_ne!(before.instance, after.instance);
    assert_eq!(before.digest, after.digest);
}

#[tokio::test]
async fn one_state_directory_has_one_agent() {
    let agent = Agent::start(&[]).await;
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_buildlet"))
        .args(["--listen", &format!("unix:{}", agent.dir.path().join("other.sock").display())])
        .arg("--workdir")
        .arg(agent.workdir())
        .arg("--state-dir")
        .arg(agent.dir.path().join("state"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("used by another agent"));
    agent.client().status().await.unwrap();
}

#[tokio::test]
async fn it_leaves_the_session_it_was_started_in_if_it_is_told_to() {
    let agent = Agent::start(&["--own-session"]).await;
    let session = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(session(agent.pid()), agent.pid());
    let other = Agent::start(&[]).await;
    assert_eq!(session(other.pid()), session(std::process::id()));
}
