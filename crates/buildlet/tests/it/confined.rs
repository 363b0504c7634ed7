//! An agent in namespaces of its own: what its jobs find of the machine, and what is left of them.
//!
//! Each runs as whom the tests run as; if that is root, also as another user, who needs the other of the two ways into namespaces.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use buildlet_client::{BuildletClient, ExecState};

use crate::agent::{Agent, alive, end, read, shell, soon};

/// A confined agent as each user that there can be here.
async fn each() -> Vec<Agent> {
    let mut agents = vec![Agent::start_confined(None, &[]).await];
    if rustix::process::geteuid().is_root() {
        let program = Path::new(env!("CARGO_BIN_EXE_buildlet"));
        let open = |path: &Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
        if program.ancestors().all(open) {
            agents.push(Agent::start_confined(Some(crate::isolation::job_user()), &[]).await);
        } else {
            eprintln!("not run as another user: {} is out of its reach", program.display());
        }
    }
    agents
}

/// Something of this user's home that no program is in; if there is nothing, a name for it.
fn in_home() -> std::path::PathBuf {
    let home = std::env::home_dir().unwrap();
    let programs = std::env::var_os("PATH").unwrap_or_default();
    let mut entries = std::fs::read_dir(&home).into_iter().flatten().flatten().map(|entry| entry.path());
    let private =
        |path: &std::path::PathBuf| std::env::split_paths(&programs).all(|dir| !dir.starts_with(path));
    entries.find(private).unwrap_or_else(|| home.join("nothing"))
}

async fn run(client: &BuildletClient, id: &str, script: &str) -> (ExecState, String) {
    client.start(&shell(id, script)).await.unwrap();
    let state = end(client, id).await;
    (state, read(client, id, 0).await)
}

#[tokio::test]
async fn a_job_finds_nothing_of_the_machine_but_programs() {
    for agent in each().await {
        let client = agent.client();
        let (dir, pid) = (agent.dir.path().display().to_string(), agent.pid());
        let home = in_home().display().to_string();
        // Each line says what was tried, and `got` where it went through.
        let script = format!(
            r#"try() {{ what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what got"; else echo "$what no"; fi; }}
            try secret cat {dir}/secret
            try state ls {dir}/confined
            try home test -e {home}
            try run ls /run/user
            try signal kill -0 {pid}
            try usr touch /usr/in-here
            try etc touch /etc/in-here
            try root mkdir /in-here
            try sysctl sh -c 'echo 1 > /proc/sys/vm/drop_caches'
            try disk ls /dev/vda /dev/sda /dev/nvme0 /dev/kmsg /dev/mem
            try reveal unshare -rm sh -c 'umount -l {dir}; cat {dir}/secret'
            try remount unshare -rm sh -c 'mount -o remount,rw,bind /usr && touch /usr/in-here'
            try first cat /proc/1/environ
            try root-of-first readlink -e /proc/1/cwd
            ls -d /proc/[0-9]* | wc -l | while read n; do [ $n -lt 12 ] && echo few processes; done
            grep -h NoNewPrivs /proc/self/status | tr -d '\t'; id -u
            grep CapEff /proc/self/status | tr -d '\t'"#
        );
        let (state, said) = run(&client, "look", &script).await;
        assert_eq!(state.process_state, "ok", "{said}");
        let got: Vec<&str> = said.lines().filter(|line| line.ends_with(" got")).collect();
        assert!(got.is_empty(), "a job got: {got:?}\n{said}");
        assert_eq!(said.lines().filter(|line| line.ends_with(" no")).count(), 14, "{said}");
        assert!(said.contains("few processes\nNoNewPrivs:1\n"), "{said}");
        assert!(!said.contains("\n0\n"), "a job is root: {said}");
        assert!(said.ends_with("CapEff:0000000000000000\n"), "{said}");
    }
}

#[tokio::test]
async fn a_job_has_what_a_build_needs() {
    for agent in each().await {
        let script = "set -e; echo x > f; echo y > /tmp/t; echo z > /var/tmp/v; echo s > /dev/shm/s; echo $HOME > $HOME/h
            cat f /tmp/t /var/tmp/v /dev/shm/s; echo gone > /dev/null; head -c 4 /dev/urandom | wc -c
            ls /proc/self/fd/0 /usr/bin/env; sh -c 'kill -0 $$'; getent hosts localhost >/dev/null; cp /usr/bin/env e; ./e true";
        let (state, said) = run(&agent.client(), "work", script).await;
        assert_eq!(
            (state.process_state.as_str(), said.as_str()),
            ("ok", "x\ny\nz\ns\n4\n/proc/self/fd/0\n/usr/bin/env\n")
        );
        assert_eq!(std::fs::read_to_string(agent.workdir().join("f")).unwrap(), "x\n");
        assert!(!Path::new("/tmp/t").exists() && !Path::new("/dev/shm/s").exists());
    }
}

#[tokio::test]
async fn nothing_of_a_job_outlives_its_agent() {
    for mut agent in each().await {
        let mark = format!("BW_MARK={}", agent.dir.path().display());
        let script =
            format!("{mark} setsid sh -c 'sleep 600 & sleep 600' </dev/null >/dev/null 2>&1 & sleep 600");
        agent.client().start(&shell("stay", &script)).await.unwrap();
        soon("two processes with the mark", || marked(&mark).len() >= 2).await;
        let left = marked(&mark);
        agent.kill();
        soon("their end", || left.iter().all(|pid| !alive(*pid))).await;
        assert!(marked(&mark).is_empty());
    }
}

/// The processes with this in their environment.
fn marked(mark: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    pids.filter(has).collect()
}

#[tokio::test]
async fn one_that_can_not_be_confined_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (at, program) = (|name: &str| dir.path().join(name), env!("CARGO_BIN_EXE_buildlet"));
    let mut command = std::process::Command::new(program);
    command.arg("--listen").arg(format!("unix:{}", at("s").join("s").display()));
    command
        .arg("--workdir")
        .arg(at("work"))
        .arg("--state-dir")
        .arg(at("state"))
        .arg("--confine")
        .arg(at("c"));
    if !rustix::process::geteuid().is_root() {
        command.args(["--confine-as", "77"]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("jobs can't be confined here: --confine-as UID is for an agent that root starts"),
        "{said}"
    );
}
