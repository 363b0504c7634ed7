//! Chapters of the manual, followed word for word: every block of shell, in order, in an empty directory, with a network
//! of its own, so that the server's usual port is free.
//!
//! A block's first line may say more than `sh`: `sh,server` runs until the end of the chapter or until the next such block,
//! `sh,beside` runs until the end of the chapter beside the server, `sh,wait=WORD` is given again until its output has the
//! word.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{Kill, kill, wait_for};

mod deploying;

const LONG: Duration = Duration::from_secs(120);

/// A block of shell: its options, its text and its line.
struct Block {
    options: Vec<String>,
    text: String,
    line: usize,
}

fn blocks(chapter: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (n, line) in chapter.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let options: Vec<String> = info.split(',').map(str::to_owned).collect();
                open = Some(Block { options, text: String::new(), line: n + 1 });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that does not end");
    found.retain(|block| block.options[0] == "sh");
    found
}

/// A network with nothing but the loopback, held by a process that does nothing.
struct Network {
    holder: Child,
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Network {
    fn new() -> Network {
        let mut command = Command::new("unshare");
        command.arg("--net");
        if !root() {
            command.arg("--map-root-user");
        }
        let script = "ip link set lo up && echo up && exec sleep 600";
        let holder = command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut holder = holder.expect("unshare of util-linux");
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(holder.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        assert_eq!(line, "up\n", "a network namespace, and `ip` of iproute2");
        Network { holder }
    }

    fn shell(&self, world: &Path, dir: &Path, script: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_bellwether")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        if !root() {
            command.args([&format!("--user=/proc/{}/ns/user", self.holder.id()), "--preserve-credentials"]);
        }
        command
            .args(["timeout", "-k", "5", "300", "sh", "-e", "-c", script])
            .current_dir(dir)
            .env("PATH", path)
            .env("HOME", world)
            .env("XDG_STATE_HOME", world.join("state"))
            .env_remove("BELLWETHER_TOKEN")
            .env_remove("BELLWETHER_SERVER")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Both may have ended by themselves.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The server of a chapter, and the workers it leaves; ended with it.
struct World {
    dir: tempfile::TempDir,
    server: Option<Child>,
    /// What runs beside it.
    beside: Vec<Child>,
}

impl World {
    fn end_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = kill(server.id(), Kill::Terminate);
            let _ = server.wait();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end_server();
        for mut other in self.beside.drain(..) {
            let _ = kill(other.id(), Kill::Terminate);
            let _ = other.wait();
        }
        let workers = ["state/bellwether/workers", "empty/data/workers"].map(|dir| self.dir.path().join(dir));
        for entry in workers.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten() {
            let Ok(text) = std::fs::read(entry.path().join("worker.json")) else { continue };
            let kept: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            if let Some(pid) = kept["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
                let _ = kill(pid, Kill::Crash);
            }
        }
    }
}

/// The blocks of a chapter, each with its place.
fn chapter(name: &str, least: usize) -> Vec<(String, Block)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let blocks = blocks(&std::fs::read_to_string(&file).unwrap());
    assert!(blocks.len() >= least, "{name} has {} blocks of shell", blocks.len());
    blocks.into_iter().map(|block| (format!("docs/{name}:{}", block.line), block)).collect()
}

/// Follows blocks, each where the one before ended; gives all that was printed.
fn follow(blocks: Vec<(String, Block)>) -> String {
    let network = Network::new();
    let mut world = World { dir: tempfile::tempdir().unwrap(), server: None, beside: Vec::new() };
    let home = world.dir.path().to_owned();
    let mut dir = home.join("empty");
    std::fs::create_dir(&dir).unwrap();
    let mut printed = String::new();
    for (place, block) in blocks {
        if block.options.iter().any(|option| option == "server") {
            world.end_server();
            // By way of `env`, since a shell's `exec` takes no variables.
            let mut server = network.shell(&home, &dir, &format!("exec env {}", block.text));
            let output = std::fs::File::create(home.join("server.log")).unwrap();
            server.stdout(output.try_clone().unwrap()).stderr(output);
            world.server = Some(server.spawn().unwrap());
            let ready =
                "python3 -c 'import urllib.request as r; r.urlopen(\"http://localhost:8119/readyz\")'";
            wait_for(&place, LONG, || {
                let asked = network.shell(&home, &dir, ready).stderr(Stdio::null()).status()?;
                Ok(asked.success().then_some(()))
            })
            .unwrap_or_else(|error| panic!("{error}\n{}", log(&home)));
            continue;
        }
        if block.options.iter().any(|option| option == "beside") {
            let mut other = network.shell(&home, &dir, &format!("exec env {}", block.text));
            let output =
                std::fs::File::options().create(true).append(true).open(home.join("server.log")).unwrap();
            other.stdout(output.try_clone().unwrap()).stderr(output);
            world.beside.push(other.spawn().unwrap());
            continue;
        }
        let word = block.options.iter().find_map(|option| option.strip_prefix("wait="));
        let said = wait_for(&format!("{place}: {}", block.text), LONG, || {
            let (said, at) = run(&network, &home, &dir, &place, &block.text);
            dir = at;
            Ok(word.is_none_or(|word| said.contains(word)).then_some(said))
        });
        printed.push_str(&said.unwrap_or_else(|error| panic!("{error}\n{}", log(&home))));
    }
    printed
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("server.log")).unwrap_or_default()
}

/// Runs a block; gives what it printed, and the directory in which it ended.
fn run(network: &Network, home: &Path, dir: &Path, place: &str, text: &str) -> (String, PathBuf) {
    let mark = home.join("cwd");
    let script = format!("trap 'pwd > {}' EXIT\n{text}", mark.display());
    let output = network.shell(home, dir, &script).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{place}: {}\n{text}\n{said}\n{}", output.status, log(home));
    (said, std::fs::read_to_string(mark).unwrap().trim_end().into())
}

#[test]
fn the_first_hour_is_as_it_is_written() {
    let mut blocks = chapter("first-hour.md", 10);
    // What is said of tokens needs a server of that name.
    blocks.extend(chapter("ACCESS.md", 1));
    let printed = follow(blocks);
    for words in [
        "1 built in this run",
        "0 built in this run",
        "failed",
        "AssertionError",
        "test_two",
        "ada is revoked",
    ] {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

#[test]
fn the_example_of_coming_from_elsewhere_is_as_it_is_written() {
    let printed = follow(chapter("MIGRATING.md", 3));
    for words in
        ["could not: on.schedule", "Python", "2 builders", "test-low", "test-high", "2 cells: 2 ok, 0 not ok"]
    {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

#[test]
fn a_machine_is_added_as_it_is_written() {
    let printed = follow(chapter("machines.md", 8));
    for words in ["there is none now", "on the strange machine", "\"Name\": \"box\"", "\"Busy\": false"] {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

#[test]
fn a_machine_is_held_as_it_is_written() {
    let printed = follow(chapter("gomote.md", 15));
    for words in [
        "flock:strange",
        "admin-flock-strange-0",
        "flock: 3 sent, 0 removed, of 3",
        "it fails here too: 7",
        "counted eight sheep",
        "flock: 1 sent, 0 removed, of 3",
        "counted seven sheep",
        "and its output matches",
        "if it fails, its machine is held for you",
        "-rwxr-xr-x\ttools/empty.sh\t10\t",
        "count.log\ncount.sh\n",
        "both: admin-flock-strange-0 admin-flock-strange-1\n",
        "admin-flock-strange-1: flock: 3 sent, 0 removed, of 3",
        "admin-flock-strange-0: counted seven sheep\n",
        "admin-flock-strange-1: counted seven sheep\n",
        "the worst is 3",
        "you hold no machine",
    ] {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

#[test]
fn a_shell_is_had_as_it_is_written() {
    let printed = follow(chapter("shell.md", 6));
    for words in
        ["seven sheep in work", "it said 7", "the same", "back.toml\ncarried.toml\n", "counted\n", "there\n"]
    {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

// Traces are part of the feature.
#[cfg(feature = "full")]
#[test]
fn what_an_operator_does_is_as_it_is_written() {
    let printed = follow(chapter("OPERATING.md", 8));
    for words in [
        "backed up to backups/2026-11-25",
        "restored from backups/2026-11-25",
        "nothing would go",
        "- host local",
        "the configuration was read again and is in effect",
        "flock@main is closed, by admin: the release is cut",
        "flock@main is open, by the rules",
        "admin reload prod",
        "3 rows, each as it was written",
    ] {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
}

#[test]
fn the_server_files_of_deploy_are_right() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for file in ["docker/server.toml", "kubernetes/server.toml"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bellwether"))
            .args(["config", "check", "--config"])
            .arg(deploy.join(file))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.starts_with("ok: environment prod"),
            "{file}: {said}\n{output:?}"
        );
    }
}
