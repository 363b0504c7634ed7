//! Limits, by the kernel and by watching.

use buildlet_client::{Limits, RunState};

use crate::agent::{Agent, alive, end, limited, pid_in, read};

const BOTH: [&[&str]; 2] = [&["--grace", "100ms"], &["--grace", "100ms", "--no-kernel-help"]];

#[tokio::test]
async fn a_timeout_ends_the_whole_tree() {
    let agent = Agent::start(BOTH[0]).await;
    let client = agent.client();
    let script = "echo start; sleep 66 & echo $! >a; setsid sleep 67 & echo $! >b; wait";
    let limits = Limits { wall_ms: Some(500), ..Limits::default() };
    client.start(&limited("t", script, limits)).await.unwrap();
    let (a, b) = (pid_in(&agent.workdir().join("a")).await, pid_in(&agent.workdir().join("b")).await);
    let state = end(&client, "t").await;
    assert_eq!((state.ended_by.as_deref(), state.signal), (Some("timeout"), Some(15)));
    assert_eq!(state.process_state, "signal: terminated");
    assert!(!alive(a) && !alive(b));
    assert_eq!(read(&client, "t", 0).await, "start\n");
}

#[tokio::test]
async fn too_much_memory() {
    for flags in BOTH {
        let agent = Agent::start(flags).await;
        let client = agent.client();
        let limits = Limits { memory_bytes: Some(64 << 20), wall_ms: Some(30_000), ..Limits::default() };
        // A string that doubles; and a child that goes on, so that only the tree's end ends it.
        let script = "sleep 68 & awk 'BEGIN { s = \"0123456789abcdef\"; while (1) s = s s; }'; wait";
        client.start(&limited("m", script, limits)).await.unwrap();
        let state = end(&client, "m").await;
        assert_eq!(state.ended_by.as_deref(), Some("limit:memory"), "{flags:?} {state:?}");
        assert!(state.max_rss_bytes > 16 << 20, "{state:?}");
    }
}

#[tokio::test]
async fn too_many_processes() {
    for flags in BOTH {
        let agent = Agent::start(flags).await;
        let client = agent.client();
        let limits = Limits { processes: Some(10), wall_ms: Some(30_000), ..Limits::default() };
        let script = "i=0; while [ $i -lt 40 ]; do sleep 69 & i=$((i+1)); done; wait";
        client.start(&limited("p", script, limits)).await.unwrap();
        let state = end(&client, "p").await;
        assert_eq!(state.ended_by.as_deref(), Some("limit:processes"), "{flags:?} {state:?}");
    }
}

#[tokio::test]
async fn too_much_output() {
    let agent = Agent::start(BOTH[0]).await;
    let client = agent.client();
    let limits = Limits { log_bytes: Some(1000), ..Limits::default() };
    client.start(&limited("l", "yes", limits)).await.unwrap();
    let state = end(&client, "l").await;
    assert_eq!((state.ended_by.as_deref(), state.output_bytes), (Some("limit:log"), 1000));
    assert_eq!(read(&client, "l", 0).await, "y\n".repeat(500));
}

#[tokio::test]
async fn too_much_disk() {
    let agent = Agent::start(BOTH[0]).await;
    let client = agent.client();
    let limits = Limits { disk_bytes: Some(8 << 20), wall_ms: Some(30_000), ..Limits::default() };
    // One big file, many small ones, what is hidden deeper than anybody counts, and one that would be fine.
    let one = "head -c 20000000 /dev/zero >big; sleep 70";
    let many = "i=0; while :; do head -c 1000000 /dev/zero >f$i; i=$((i+1)); sleep 0.02; done";
    let deep = "i=0; while [ $i -lt 320 ]; do mkdir d && cd d; i=$((i+1)); done; sleep 70";
    for (id, script) in [("one", one), ("many", many), ("deep", deep)] {
        client.start(&limited(id, script, limits.clone())).await.unwrap();
        let state = end(&client, id).await;
        assert_eq!(state.ended_by.as_deref(), Some("limit:disk"), "{id} {state:?}");
        assert!(client.wipe().await.unwrap().clean);
    }
    client.start(&limited("fine", "head -c 1000000 /dev/zero >f", limits)).await.unwrap();
    let state = end(&client, "fine").await;
    assert_eq!((state.state, state.ended_by, state.process_state.as_str()), (RunState::Exited, None, "ok"));
}

#[tokio::test]
async fn processor_time_is_counted() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let limits = Limits { wall_ms: Some(60_000), ..Limits::default() };
    let script = "awk 'BEGIN { for (i = 0; i < 8000000; i++) x += i }'";
    client.start(&limited("c", script, limits)).await.unwrap();
    let state = end(&client, "c").await;
    assert_eq!(state.process_state, "ok");
    assert!(state.cpu_ms > 20, "{state:?}");
}

/// By the kernel where it can, else by stopping and continuing: in both cases what is finite ends, and what is not has
/// used no more than its share when it is ended.
#[tokio::test]
async fn a_share_of_a_processor() {
    for flags in [&["--no-kernel-help"][..], &[]] {
        let agent = Agent::start(flags).await;
        let client = agent.client();
        let limits = Limits { cpu_millis: Some(200), wall_ms: Some(2500), ..Limits::default() };
        let script = "(while :; do :; done) & while :; do :; done";
        client.start(&limited("endless", script, limits)).await.unwrap();
        let state = end(&client, "endless").await;
        assert_eq!(state.ended_by.as_deref(), Some("timeout"), "{flags:?} {state:?}");
        let passed_ms = (state.ended_us.unwrap() - state.started_us) / 1000;
        assert!(i64::try_from(state.cpu_ms).unwrap() * 2 < passed_ms, "{flags:?} {state:?}");
        let limits = Limits { cpu_millis: Some(500), wall_ms: Some(120_000), ..Limits::default() };
        let script = "awk 'BEGIN { for (i = 0; i < 8000000; i++) x += i }'";
        client.start(&limited("finite", script, limits)).await.unwrap();
        assert_eq!(end(&client, "finite").await.process_state, "ok", "{flags:?}");
    }
}

#[tokio::test]
async fn the_status_says_how_limits_are_held() {
    let agent = Agent::start(&["--no-kernel-help"]).await;
    let status = agent.client().status().await.unwrap().bellwether.unwrap();
    assert_eq!((status.limits.as_str(), status.isolation.as_str()), ("watch", "none"));
    assert_eq!(status.cpu_limit, "watch");
    let agent = Agent::start(&[]).await;
    let status = agent.client().status().await.unwrap().bellwether.unwrap();
    assert!(["cgroup1", "cgroup2", "watch"].contains(&status.limits.as_str()));
    assert!([status.limits.as_str(), "watch"].contains(&status.cpu_limit.as_str()), "{status:?}");
    assert_eq!(status.digest.len(), 64);
    assert_eq!(status.instance.len(), 32);
    assert!(status.disk_free > 0);
}
