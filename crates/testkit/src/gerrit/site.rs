//! A Gerrit of a test's own: a fresh site, a port of loopback, gone with the value.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::jars;
use super::rest::User;
use crate::wait::{free_port, wait_for};

const LAUNCH: &str = include_str!("Launch.java");
/// From the start to the first answer, the site's making included: some 15 s on a quiet machine.
const START_LIMIT: Duration = Duration::from_secs(240);
/// From the end of its input to its own.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// What stands behind the `@` of each person in NoteDb: the same for each site, so that dumps differ in less.
const SERVER_ID: &str = "5f0d2c1e-8a57-4f6b-9a3e-7b1c2d3e4f50";

/// A running Gerrit. It ends with the value, and with the test's process however that ends.
///
/// Its daemon is the real one, `com.google.gerrit.pgm.Daemon`, with its own web server, Git over HTTP, Lucene and NoteDb on disk. SSH,
/// mail, plugins and the pages are off. Everybody may say who they are (`DEVELOPMENT_BECOME_ANY_ACCOUNT`), so it listens on 127.0.0.1
/// alone.
#[derive(Debug)]
pub struct Gerrit {
    site: PathBuf,
    address: SocketAddr,
    java: Option<Child>,
    init: Duration,
    start: Duration,
}

impl Gerrit {
    /// Makes a site in `site` (made if need be; kept as it is if there is one) and starts Gerrit there.
    ///
    /// # Errors
    /// When its files are not there (`cargo xtask setup --only gerrit` installs them), or it does not answer within four minutes;
    /// carries the end of what it printed.
    pub fn start(site: &Path) -> Result<Self> {
        std::fs::create_dir_all(site.join("etc")).with_context(|| format!("making {}", site.display()))?;
        let site = site.canonicalize()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let none = Duration::ZERO;
        let mut gerrit = Self { site, address, java: None, init: none, start: none };
        gerrit.resume()?;
        Ok(gerrit)
    }

    /// Starts it again after [`Gerrit::stop`] or [`Gerrit::crash`], on the same port and data.
    ///
    /// # Errors
    /// As [`Gerrit::start`], and when it runs already.
    pub fn resume(&mut self) -> Result<()> {
        if self.java.is_some() {
            bail!("Gerrit runs already");
        }
        std::fs::write(self.site.join("etc/gerrit.config"), config(self.address))?;
        let launch = self.site.join("Launch.java");
        std::fs::write(&launch, LAUNCH)?;
        let before = self.printed().len();
        let began = Instant::now();
        let mut java = self.spawn(&launch)?;
        let ready = wait_for("Gerrit's first answer", START_LIMIT, || {
            if let Some(status) = java.try_wait()? {
                bail!("Gerrit ended: {status}");
            }
            Ok(User::nobody(self.address).get("/config/server/version").ok())
        });
        self.java = Some(java);
        let printed = self.printed();
        if let Err(error) = ready {
            let lines: Vec<&str> = printed.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            return Err(error.context(format!("it printed:\n{end}")));
        }
        let said = printed.get(before..).unwrap_or_default();
        self.init = init_time(said).unwrap_or_default();
        self.start = began.elapsed().saturating_sub(self.init);
        Ok(())
    }

    fn spawn(&self, launch: &Path) -> Result<Child> {
        let out = OpenOptions::new().create(true).append(true).open(self.log())?;
        let java = java();
        Command::new(&java)
            // It lives a minute: what a better compiler and collector need to start costs more than they bring.
            .args(["-Xmx512m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            // The jars are those of the list, by digest: not to look through all of their classes saves a seventh of the start.
            .args(["-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"])
            .arg(format!("-Duser.home={}", self.site.display()))
            .arg("-Djava.awt.headless=true")
            .arg("-cp")
            .arg(std::env::join_paths(jars()?)?)
            .arg(launch)
            .arg(&self.site)
            .current_dir(&self.site)
            // It has a group of its own, so that nothing which it starts is left when it is killed; Ctrl-C reaches it by the end of this
            // pipe, which no other child has.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {}", java.display()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for people and git.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The folder of the site; `git/` in it has the repositories.
    #[must_use]
    pub fn site(&self) -> &Path {
        &self.site
    }

    /// Its pid while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.java.as_ref().map(Child::id)
    }

    /// How long it took to make the site; nothing after a start on one that was there.
    #[must_use]
    pub fn init_time(&self) -> Duration {
        self.init
    }

    /// From the last start to the first answer, without the time to make the site.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start
    }

    /// The version that it answers. Its jars come from the acceptance framework, which has no stamp: it says `(dev)`, and
    /// components.toml says what was fetched.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn version(&self) -> Result<String> {
        let said = User::nobody(self.address).get("/config/server/version")?;
        Ok(said.as_str().context("a version is a text")?.to_owned())
    }

    /// The account that `init --dev` makes, which may do everything.
    #[must_use]
    pub fn admin(&self) -> User {
        User::new(self.address, "admin", "secret")
    }

    /// Nobody in particular.
    #[must_use]
    pub fn nobody(&self) -> User {
        User::nobody(self.address)
    }

    /// What it printed so far, all starts together.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    fn log(&self) -> PathBuf {
        self.site.join("output")
    }

    /// Tells it to end and waits for that. Nothing happens if it does not run.
    ///
    /// # Errors
    /// When it had to be killed after half a minute.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut java) = self.java.take() else { return Ok(()) };
        drop(java.stdin.take());
        let ended = wait_for("Gerrit's end", STOP_LIMIT, || Ok(java.try_wait()?));
        end_group(&mut java);
        ended.map(|_| ())
    }

    /// kill -9. Nothing happens if it does not run.
    pub fn crash(&mut self) {
        if let Some(mut java) = self.java.take() {
            end_group(&mut java);
        }
    }

    /// Waits for its end, which somebody else brings about.
    ///
    /// # Errors
    /// When it does not run.
    pub fn await_end(&mut self) -> Result<()> {
        let mut java = self.java.take().context("Gerrit does not run")?;
        // `Child::wait` would close its input first, and so end it.
        let input = java.stdin.take();
        java.wait()?;
        drop(input);
        Ok(())
    }
}

impl Drop for Gerrit {
    fn drop(&mut self) {
        self.crash();
    }
}

fn end_group(java: &mut Child) {
    if let Some(pid) = i32::try_from(java.id()).ok().and_then(Pid::from_raw) {
        // Gone already is as good.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = java.wait();
}

/// The JDK that this Gerrit is made for where there are several, else the one on the PATH.
fn java() -> PathBuf {
    let fits = |path: &PathBuf| path.to_string_lossy().contains("java-17-openjdk");
    std::fs::read_dir("/usr/lib/jvm")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/java"))
        .find(|path| fits(path) && File::open(path).is_ok())
        .unwrap_or_else(|| PathBuf::from("java"))
}

fn init_time(printed: &str) -> Option<Duration> {
    let (_, after) = printed.rsplit_once("bellwether: init took ")?;
    Some(Duration::from_millis(after.split(' ').next()?.parse().ok()?))
}

/// By default the index of changes is written after five minutes: what was killed in the sixth knows some changes and not the others.
fn config(address: SocketAddr) -> String {
    format!(
        "[gerrit]\n\tbasePath = git\n\tcanonicalWebUrl = http://{address}/\n\tserverId = {SERVER_ID}\n\
         [auth]\n\ttype = DEVELOPMENT_BECOME_ANY_ACCOUNT\n\
         [httpd]\n\tlistenUrl = http://{address}/\n\trequestLog = false\n\
         [sshd]\n\tlistenAddress = off\n\
         [sendemail]\n\tenable = false\n\
         [index]\n\ttype = lucene\n\
         [index \"changes_open\"]\n\tcommitWithin = 0\n\
         [index \"changes_closed\"]\n\tcommitWithin = 0\n\
         [receive]\n\tautogc = false\n\
         [user]\n\tname = Gerrit\n\temail = gerrit@example.org\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_init_is_read_from_what_is_printed() {
        let printed = "x\nbellwether: init took 8629 ms\ny\n";
        assert_eq!(init_time(printed), Some(Duration::from_millis(8629)));
        assert_eq!(init_time("nothing"), None);
    }

    #[test]
    fn it_listens_on_loopback_alone() {
        let text = config(SocketAddr::from(([127, 0, 0, 1], 4711)));
        assert_eq!(text.matches("127.0.0.1:4711/").count(), 2);
        assert!(
            text.contains("[sshd]\n\tlistenAddress = off") && text.contains("[sendemail]\n\tenable = false")
        );
    }
}
