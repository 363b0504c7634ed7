//! A shell on a machine with the original's buildlet, which leads to the sshd that runs there.
//!
//! The buildlet writes into the homes of the machine, and the sshd asks its list of users: both see a home and a list of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use testkit::wait_for;

use super::{Background, PATIENCE, Server, builds};
use crate::process;

/// Who logs in on machines with the original's buildlet.
pub(super) const USER: &str = "gopher";
/// Where original buildlets of each time look for an sshd (spec 1.18).
const PORTS: [u16; 2] = [22, 2200];
/// OpenSSH wants its whole path, since it starts itself again for each connection.
const SSHD: &str = "/usr/sbin/sshd";

/// The sshd of a machine, and what it and the buildlet see of that machine.
pub(super) struct Machine {
    homes: PathBuf,
    users: PathBuf,
    _sshd: Background,
}

impl Machine {
    pub(super) fn start(dir: &Path) -> Result<Machine> {
        // Whoever is root only by a name space may not change groups, which an sshd does for each session.
        let real = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|may| may.trim() == "allow");
        ensure!(rustix::process::geteuid().is_root() && real, "an sshd wants to be started by root");
        let (homes, users, key) = (dir.join("homes"), dir.join("users"), dir.join("sshd-key"));
        std::fs::create_dir_all(homes.join(USER))?;
        // Below a folder of ours that nobody else may enter: the buildlet and the sshd are root's.
        let known = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        std::fs::write(&users, format!("{known}{USER}:x:0:0::/home/{USER}:/bin/sh\n"))?;
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
        process::output(&mut keygen, PATIENCE)?;
        std::fs::create_dir_all("/run/sshd").context("the folder that an sshd has nothing in")?;
        let mut sshd = seen(&homes, &users, Path::new(SSHD));
        sshd.args(["-D", "-e", "-f", "none", "-h"]).arg(key);
        for port in PORTS {
            sshd.arg("-o").arg(format!("ListenAddress=127.0.0.1:{port}"));
        }
        for option in [
            "AuthorizedKeysFile=.ssh/authorized_keys",
            "PasswordAuthentication=no",
            "PermitRootLogin=prohibit-password",
            "PidFile=none",
            // The folder of the homes is in one where everybody may write.
            "StrictModes=no",
            "Subsystem=sftp internal-sftp",
        ] {
            sshd.args(["-o", option]);
        }
        let sshd = Background::start(&mut sshd, dir.join("sshd.log"))?;
        for port in PORTS {
            let there = wait_for("the sshd", PATIENCE, || {
                Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()))
            });
            there.with_context(|| sshd.said())?;
        }
        Ok(Machine { homes, users, _sshd: sshd })
    }

    /// Has the buildlet dial in from there, and logs in to it as somebody who holds it.
    pub(super) fn entered(
        &self,
        server: &Server,
        program: &Path,
        buildlet: &Path,
        dir: &Path,
        version: &str,
    ) -> Result<String> {
        let place = dir.join(format!("shell{version}"));
        std::fs::create_dir_all(&place)?;
        // What is below the homes of this machine is not to be seen from there.
        let copy = place.join("buildlet");
        std::fs::copy(buildlet, &copy)?;
        let running = builds::run_by(seen(&self.homes, &self.users, &copy), version, &place)?;
        builds::here(server, version).with_context(|| running.said())?;
        let guest = Guest { program, dir, place: &place };
        guest.logs_in(version).with_context(|| running.said())
    }
}

/// A program that sees these homes, and these users.
fn seen(homes: &Path, users: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /home && mount --bind \"$2\" /etc/passwd && shift 2 && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(homes).arg(users).arg(program);
    command
}

/// Somebody who holds a machine, by our command line.
struct Guest<'a> {
    program: &'a Path,
    /// The server's folder.
    dir: &'a Path,
    /// What is theirs.
    place: &'a Path,
}

impl Guest<'_> {
    fn command(&self, program: &Path) -> Result<Command> {
        let token = std::fs::read_to_string(self.dir.join("data/admin-token"))?;
        let mut command = Command::new("timeout");
        command
            .arg(PATIENCE.as_secs().to_string())
            .arg(program)
            .current_dir(self.place)
            .env("HOME", self.place)
            .env("XDG_CACHE_HOME", self.place.join("cache"))
            .env("BELLWETHER_SERVER", "https://localhost")
            .env("BELLWETHER_CA_FILE", self.dir.join("data/tls/self-signed.pem"))
            .env("BELLWETHER_TOKEN", token.trim());
        Ok(command)
    }

    fn gomote(&self, words: &[&str]) -> Result<Output> {
        Ok(self.command(self.program)?.arg("gomote").args(words).output()?)
    }

    fn by_config(&self, program: &str, config: &str, words: &[&str]) -> Result<String> {
        said(self.command(Path::new(program))?.args(["-F", config]).args(words).output()?)
    }

    fn logs_in(&self, version: &str) -> Result<String> {
        let name = said(self.gomote(&["create", &format!("sync{version}")])?)?;
        let ended = self.gomote(&["ssh", &name, "echo $HOME; echo aside >&2; cat >there; exit 7"])?;
        ensure!(ended.status.code() == Some(7), "{ended:?}");
        ensure!(ended.stdout == format!("/home/{USER}\n").as_bytes(), "{ended:?}");
        ensure!(String::from_utf8_lossy(&ended.stderr).contains("aside"), "{ended:?}");
        let config = said(self.gomote(&["ssh", "--config", &name])?)?;
        let terminal = self.by_config("ssh", &config, &["-tt", &name, "tty"])?;
        ensure!(terminal.starts_with("/dev/pts/"), "{terminal}");
        let words: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
        std::fs::write(self.place.join("words"), &words)?;
        self.by_config("scp", &config, &["-q", "words", &format!("{name}:carried")])?;
        std::fs::write(self.place.join("batch"), "get carried back\nls -1 carried\n")?;
        let listed = self.by_config("sftp", &config, &["-q", "-b", "batch", &name])?;
        ensure!(listed.lines().any(|line| line == "carried"), "{listed}");
        ensure!(std::fs::read_to_string(self.place.join("back"))? == words, "not as it was");
        said(self.gomote(&["destroy", &name])?)?;
        let after = self.gomote(&["ssh", &name, "true"])?;
        ensure!(!after.status.success(), "let in after the end: {after:?}");
        Ok("words and exit code 7, a terminal, a file there by scp and back by sftp, nobody after the end"
            .to_owned())
    }
}

/// What a program printed, if it went well.
fn said(output: Output) -> Result<String> {
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
