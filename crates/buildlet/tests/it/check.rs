//! `buildlet check`, and each thing that it looks at broken once.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::coordinator::KEY;
use crate::raw::{free_port, serve};

/// A machine that nothing is wrong with but what a test breaks.
struct Machine {
    dir: tempfile::TempDir,
    /// Whom it is to dial.
    coordinator: String,
}

/// What was said of one thing, and how it was judged.
type Said = (String, String);

impl Machine {
    fn new(coordinator: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let machine = Self { dir, coordinator: coordinator.to_owned() };
        std::fs::write(machine.at("key"), KEY).unwrap();
        std::fs::set_permissions(machine.at("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_buildlet"));
        for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.arg("check");
        let mut given = vec![
            ("--reverse-type", "host-a".to_owned()),
            ("--coordinator", self.coordinator.clone()),
            ("--key-file", self.at("key").display().to_string()),
            ("--workdir", self.at("work").display().to_string()),
            ("--state-dir", self.at("state").display().to_string()),
        ];
        given.retain(|(flag, _)| !flags.contains(flag));
        for (flag, value) in given {
            command.arg(flag).arg(value);
        }
        command.args(flags);
        command
    }

    /// Checks, and returns whether it is well and what was said of each thing of this name.
    fn check(&self, flags: &[&str], of: &str) -> (bool, Vec<Said>) {
        self.run(self.command(flags), of)
    }

    fn run(&self, mut command: Command, of: &str) -> (bool, Vec<Said>) {
        let output = command.arg("--json").output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let ok = report["ok"].as_bool().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!ok)), "{report:#}");
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let found = report["checks"].as_array().unwrap().iter().filter(|finding| finding["check"] == of);
        let found = found.map(|finding| (text(finding, "verdict"), text(finding, "said"))).collect();
        assert!(!String::from_utf8_lossy(&output.stdout).contains(KEY), "no key in it");
        (ok, found)
    }

    /// Whether one thing is judged so, with these words.
    fn says(&self, flags: &[&str], of: &str, verdict: &str, words: &str) {
        let (ok, found) = self.check(flags, of);
        assert!(
            found.iter().any(|(judged, said)| judged == verdict && said.contains(words)),
            "{of}: {found:?}"
        );
        assert!(verdict != "fail" || !ok);
    }
}

fn dated(date: &str) -> impl Fn(&str) -> Vec<u8> + Send + Sync + 'static + use<> {
    let answer = format!("HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\n\r\n");
    move |head| {
        assert!(head.starts_with("HEAD / HTTP/1.1\r\n") && !head.contains(KEY), "nothing registers: {head}");
        answer.clone().into_bytes()
    }
}

fn now() -> String {
    format!("Date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_well_is_told_so_and_nothing_is_changed() {
    let (at, _serving) = serve(dated(&now()));
    let machine = Machine::new(&format!("http://{at}"));
    let (ok, found) = machine.check(&[], "clock");
    assert!(ok && found == [("ok".to_owned(), "as the coordinator's".to_owned())], "{found:?}");
    for of in ["kernel", "path", "workdir", "state", "agent", "key", "name", "connection", "http"] {
        assert_eq!(machine.check(&[], of).1[0].0, "ok", "{of}");
    }
    assert!(!machine.at("work").exists() && !machine.at("state").exists());
    let output = machine.command(&[]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("ok    clock: as the coordinator's\n"), "{text}");
    assert!(
        text.lines().all(|line| ["ok    ", "warn  "].iter().any(|word| line.starts_with(word))),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_and_files_that_will_not_do_are_told() {
    let (at, _serving) = serve(dated(&now()));
    let machine = Machine::new(&format!("http://{at}"));
    std::fs::write(machine.at("file"), "").unwrap();
    let path = |name: &str| machine.at(name).display().to_string();
    machine.says(&["--workdir", &path("file")], "workdir", "fail", "is no directory");
    machine.says(&["--state-dir", &path("work/state")], "state", "fail", "lie in each other");
    std::fs::set_permissions(machine.at("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    machine.says(&[], "key", "warn", "chmod 600");
    std::fs::write(machine.at("key"), "gophers rule").unwrap();
    machine.says(&[], "key", "fail", "is no builder key");
    std::fs::remove_file(machine.at("key")).unwrap();
    machine.says(&[], "key", "fail", "--key-file");
    machine.says(&[], "coordinator", "warn", "no key");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_to_the_coordinator_is_told_by_its_name() {
    let nobody = Machine::new(&format!("http://{}", free_port()));
    nobody.says(&[], "connection", "fail", "is the server running");
    let nowhere = Machine::new("https://coordinator.invalid");
    nowhere.says(&[], "name", "fail", "spelled right");
    let (at, _serving) = serve(|_| b"SSH-2.0-x\r\n\r\n".to_vec());
    Machine::new(&format!("http://{at}")).says(&[], "http", "fail", "no HTTP");
    let (at, _serving) = serve(|_| b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec());
    let busy = Machine::new(&format!("http://{at}"));
    busy.says(&[], "http", "warn", "503");
    busy.says(&[], "clock", "warn", "not compared");
    let (at, _serving) = serve(dated("Date: Thu, 26 Nov 2015 16:40:18 GMT\r\n"));
    Machine::new(&format!("http://{at}")).says(&[], "clock", "fail", "timedatectl");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_told_and_so_is_one_that_is_none() {
    let (at, _serving) = serve(|_| b"HTTP/1.1 403 Not You\r\n\r\n".to_vec());
    let machine = Machine::new("https://coordinator.invalid");
    let with = |proxy: &str, of: &str| {
        let mut command = machine.command(&[]);
        command.env("HTTPS_PROXY", proxy);
        machine.run(command, of).1
    };
    let found = with(&format!("http://user:word@{at}"), "proxy");
    assert!(
        found[0].0 == "ok" && found[0].1.contains(&at.to_string()) && !found[0].1.contains("word"),
        "{found:?}"
    );
    assert!(found[1].0 == "fail" && found[1].1.contains("403"), "{found:?}");
    assert_eq!(with(&format!("http://{at}"), "name")[0].0, "warn");
    let found = with("socks5://x", "coordinator");
    assert!(found[0].0 == "fail" && found[0].1.contains("HTTPS_PROXY is no address"), "{found:?}");
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_or_for_another_name_is_told() {
    use crate::coordinator::Coordinator;
    use crate::reverse::tls::certified;
    let (pem, wrap) = certified(&["elsewhere.example"]);
    let coordinator = Coordinator::start(wrap).await;
    let machine = Machine::new(&format!("https://{}", coordinator.address));
    machine.says(&[], "tls", "fail", "--ca-file");
    std::fs::write(machine.at("ca.pem"), pem).unwrap();
    let ca = machine.at("ca.pem").display().to_string();
    machine.says(&["--ca-file", &ca], "tls", "fail", "elsewhere.example");
    machine.says(&["--ca-file", "/nowhere/ca"], "coordinator", "fail", "can't be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_would_listen_is_tried() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let check = |listen: &str, flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_buildlet"));
        command.args(["check", "--listen", listen]).args(flags).env("TMPDIR", dir.path());
        for name in ["META_password", "META_tls_cert", "META_tls_key", "GCE_METADATA_HOST"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text.lines().find(|line| line.contains("  listen: ")).unwrap().to_owned(), text)
    };
    let (line, _) = check(&taken.local_addr().unwrap().to_string(), &["--allow-no-password"]);
    assert!(line.starts_with("FAIL") && line.contains("listens on"), "{line}");
    let (line, _) = check("localhost:0", &[]);
    assert!(line.starts_with("FAIL") && line.contains("--password-file"), "{line}");
    let word = dir.path().join("word");
    std::fs::write(&word, "hunter2\n").unwrap();
    std::fs::set_permissions(&word, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (line, text) = check("localhost:0", &["--password-file", word.to_str().unwrap()]);
    assert!(line.starts_with("ok"), "{line}");
    assert!(
        text.contains("warn  secret: ") && text.contains("chmod 600") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn little_that_is_allowed_is_told() {
    let (at, _serving) = serve(dated(&now()));
    let machine = Machine::new(&format!("http://{at}"));
    let mut command = Command::new("sh");
    let inner = machine.command(&[]);
    command.args(["-c", "ulimit -n 100; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    let (ok, found) = machine.run(command, "descriptors");
    assert!(!ok && found[0].0 == "fail" && found[0].1.contains("LimitNOFILE"), "{found:?}");
    let mut command = machine.command(&["--no-kernel-help"]);
    command.env("PATH", machine.at("nothing"));
    let (ok, found) = machine.run(command, "path");
    assert!(!ok && found[0].1.contains("no sh in PATH"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_for_jobs_that_will_not_do_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can give jobs another user");
        return;
    }
    let (at, _serving) = serve(dated(&now()));
    let machine = Machine::new(&format!("http://{at}"));
    machine.says(&[], "user", "warn", "--job-user");
    let user = crate::isolation::job_user();
    let named = format!("{user}:{user}");
    machine.says(&["--job-user", &named], "user", "ok", &named[..named.len() / 2]);
    machine.says(&["--job-user", "nobody-of-this-name"], "user", "fail", "useradd");
    machine.says(&["--job-user", "root"], "user", "fail", "for jobs alone");
    std::fs::set_permissions(machine.at("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    machine.says(&["--job-user", &named], "user", "fail", "can read");
    machine.says(
        &["--job-user", &named, "--workdir", "/tmp/bellwether-check"],
        "user",
        "fail",
        "in the place of",
    );
    let file = Path::new("/tmp").join(format!("of-{user}"));
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(user), None).unwrap();
    machine.says(&["--job-user", &named], "user", "warn", "owns 1 files");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn one_that_runs_already_is_told() {
    let agent = crate::agent::Agent::start(&[]).await;
    let machine = Machine::new("http://127.0.0.1:1");
    let (work, state) = (agent.workdir(), agent.dir.path().join("state"));
    let flags = ["--workdir", work.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    machine.says(&flags, "agent", "warn", "a second one would end at once");
}

#[test]
fn what_is_no_flag_is_told_as_ever() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_buildlet")).arg("check").args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = run(&["--no-such-flag"]);
    assert!(code == Some(2) && text.contains("--no-such-flag"), "{text}");
    let (code, text) = run(&["--help"]);
    assert!(code == Some(0) && text.contains("--json") && text.contains("--job-user"), "{text}");
}
