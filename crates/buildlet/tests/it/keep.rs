//! `run-docker` and `run-qemu`: what they keep is started again, with programs in place of docker and of a virtual machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::agent::{alive, soon};
use crate::raw::serve;

/// A docker that keeps the state of each container in a file of its name.
const DOCKER: &str = r#"#!/bin/sh
cd "$(dirname "$0")/containers"
echo "$@" >>../log
case $1 in
ps) [ -e ../broken ] && { echo "no daemon here" >&2; exit 1; }
    for name in *; do [ -e "$name" ] && printf '%s\t%s\n' "$name" "$(cat "$name")"; done; exit 0 ;;
run) shift
    while [ $# -gt 0 ]; do
        [ "$1" = --name ] && name=$2
        [ "$1" = --volume ] && cp "${2%:/buildkey/}/gobuildkey" ../got-key
        shift
    done
    [ -e "$name" ] && exit 125
    echo running >"$name" ;;
rm) shift; rm -- "$3" ;;
esac
"#;

/// A keeper, until it is dropped.
struct Keeper {
    child: Child,
    log: PathBuf,
}

impl Keeper {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let log = dir.join("keeper");
        let child = Command::new(env!("CARGO_BIN_EXE_buildlet"))
            .args(args)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Tells it to end and returns its exit code.
    fn end(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- the keeper's log\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn program(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[tokio::test]
async fn containers_that_have_ended_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let docker = program(dir.path(), "docker", DOCKER);
    std::fs::create_dir(at("containers")).unwrap();
    std::fs::write(at("key"), "the key\n").unwrap();
    // One of an earlier run, and one of somebody else's.
    std::fs::write(at("containers/box01"), "exited\n").unwrap();
    std::fs::write(at("containers/boxer"), "exited\n").unwrap();
    let (key, keys) = (at("key").display().to_string(), at("keys").display().to_string());
    let args = [
        "run-docker",
        "-n",
        "2",
        "-basename=box",
        "-memory",
        "1g",
        "-image",
        "img:1",
        "-env",
        "host-x",
        "-cpu",
        "0-1",
        "--docker-arg=--network=none",
        "--docker",
        &docker,
        "--key",
        &key,
        "--key-dir",
        &keys,
        "--every",
        "10ms",
    ];
    let mut keeper = Keeper::start(dir.path(), &args);
    let running = |name: &str| text(&at("containers").join(name)) == "running\n";
    soon("two run", || running("box01") && running("box02")).await;
    let want = format!(
        "run --detach --memory 1g --name box02 --volume {keys}/box02:/buildkey/ --env HOSTNAME=box02 \
         --env GO_BUILD_KEY_PATH=/buildkey/gobuildkey --env GO_BUILD_KEY_DELETE_AFTER_READ=true \
         --env GO_BUILDER_ENV=host-x --tmpfs=/workdir:rw,exec --cpuset-cpus=0-1 --network=none img:1\n"
    );
    assert!(text(&at("log")).contains(&want), "{}", text(&at("log")));
    assert_eq!(text(&at("got-key")), "the key\n");
    std::fs::write(at("containers/box02"), "exited\n").unwrap();
    soon("a new one", || running("box02")).await;
    assert_eq!(text(&at("log")).matches("--name box02 ").count(), 2);
    assert_eq!(text(&at("containers/boxer")), "exited\n");
    // They finish what they do when their keeper ends.
    assert_eq!(keeper.end(), Some(0));
    assert!(running("box01") && running("box02"));
}

#[tokio::test]
async fn what_docker_says_is_told_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let docker = program(dir.path(), "docker", DOCKER);
    std::fs::create_dir(dir.path().join("containers")).unwrap();
    std::fs::write(dir.path().join("broken"), "").unwrap();
    let mut keeper = Keeper::start(dir.path(), &["run-docker", "--image", "i", "--docker", &docker]);
    soon("it is told", || text(&keeper.log).contains("no daemon here")).await;
    assert!(keeper.child.try_wait().unwrap().is_none());
    let keeper = Keeper::start(dir.path(), &["run-docker", "--image", "i", "--docker", "/nowhere/docker"]);
    soon("it is told", || text(&keeper.log).contains("is it installed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ends_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let starts = dir.path().join("starts");
    let machine = program(dir.path(), "machine", "#!/bin/sh\necho $1 >>\"$(dirname \"$0\")/starts\"\n");
    let _keeper = Keeper::start(dir.path(), &["run-qemu", "--", &machine, "-snapshot"]);
    soon("it was started thrice", || text(&starts).starts_with("-snapshot\n-snapshot\n-snapshot\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_well_is_ended_and_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let starts = dir.path().join("starts");
    let well = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&well);
    let (at, _serving) = serve(move |head| {
        assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        let status = if says.load(Ordering::Relaxed) { "200 OK" } else { "503 Busy" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    // It takes no notice of being asked to end.
    let script = "#!/bin/sh\ntrap '' INT\necho $$ >>\"$(dirname \"$0\")/starts\"\nexec sleep 60\n";
    let machine = program(dir.path(), "machine", script);
    let url = format!("http://{at}/healthz");
    let args = [
        "run-qemu",
        "-buildlet-healthz-url",
        &url,
        "--every",
        "10ms",
        "--unwell",
        "300ms",
        "--end-within",
        "50ms",
    ];
    let mut keeper = Keeper::start(dir.path(), &[&args[..], &["--", &machine]].concat());
    let pids = || text(&starts).lines().map(|line| line.parse::<u32>().unwrap()).collect::<Vec<_>>();
    soon("it was started", || pids().len() == 1).await;
    let first = pids()[0];
    well.store(false, Ordering::Relaxed);
    soon("the next", || pids().len() >= 2).await;
    assert!(!alive(first));
    well.store(true, Ordering::Relaxed);
    soon("one that stays", || pids().last().is_some_and(|pid| alive(*pid))).await;
    let last = *pids().last().unwrap();
    assert_eq!(keeper.end(), Some(0));
    soon("its machine ends with it", || !alive(last)).await;
}
