//! `gomote ssh`: OpenSSH's client, with a key that is signed for the machine, by way of the pages' port.
//!
//! What the client needs is kept in a directory for each machine, its configuration included, so that sftp, scp, rsync and
//! editors work with it as well: that renews the certificate when it is used.

use std::fmt::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gomote::{SignSshKeyRequest, SignSshKeyResponse};
use tokio::io::AsyncWriteExt as _;

use super::desk::Desk;
use super::{dirs, several};
use crate::args::{Server, Shell};

/// What was signed so shortly before is not signed again: `gomote ssh` has it signed, and then its own configuration asks.
const FRESH: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &Shell) -> Result<ExitCode> {
    if args.tunnel {
        return tunnel(&args.server).await;
    }
    let name = several::one(&args.name)?;
    let place = Place::of(&args.server, &name)?;
    if args.renew && place.is_fresh() {
        return Ok(ExitCode::SUCCESS);
    }
    let desk = Desk::new(&args.server)?;
    place.ready()?;
    let public = place.public_key()?;
    let request = SignSshKeyRequest { gomote_id: name.clone(), public_ssh_key: public.into() };
    let signed = desk.done(|mut api| async move { api.sign_ssh_key(request).await }).await?;
    place.write(&signed, &configuration(&place, &args.server, &name)?)?;
    if args.renew {
        return Ok(ExitCode::SUCCESS);
    }
    if args.config {
        println!("{}", place.config().display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(place.config()).arg(&name).args(&args.command);
    become_(ssh)
}

/// Becomes another program.
#[cfg(unix)]
fn become_(mut program: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let error = program.exec();
    Err(error).context("starting ssh: OpenSSH's client is needed, of 7.3 or later")
}

/// Where what the client needs for one machine is kept.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn of(server: &Server, name: &str) -> Result<Place> {
        // Of what the server gives out it always is.
        if !dirs::is_plain(name) {
            bail!("{name:?} is no name of a machine; `bellwether gomote list` has yours");
        }
        Ok(Place { dir: dirs::of_server(server, "XDG_CACHE_HOME", ".cache", "ssh")?.join(name) })
    }

    fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join("key-cert.pub")
    }

    fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    fn is_fresh(&self) -> bool {
        let age = std::fs::metadata(self.certificate()).and_then(|file| file.modified());
        age.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < FRESH))
    }

    /// Makes the directory, for nobody else.
    fn ready(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.with_context(|| format!("making {}", self.dir.display()))
    }

    /// The public key; its key is made where there is none.
    fn public_key(&self) -> Result<String> {
        let key = self.key();
        let public = key.with_extension("pub");
        if !key.exists() || !public.exists() {
            // Under another name until both halves are there: somebody else may make one meanwhile.
            let new = self.dir.join(format!("new-{}", std::process::id()));
            let new_public = new.with_extension("pub");
            let _ = std::fs::remove_file(&new);
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-C", "bellwether", "-f"]).arg(&new);
            let made = make.stdin(Stdio::null()).output();
            let made = made.context("starting ssh-keygen: OpenSSH's client is needed, of 7.3 or later")?;
            if !made.status.success() {
                bail!("ssh-keygen made no key: {}", String::from_utf8_lossy(&made.stderr).trim());
            }
            std::fs::rename(&new, &key)
                .and_then(|()| std::fs::rename(&new_public, &public))
                .with_context(|| format!("writing {}", key.display()))?;
        }
        std::fs::read_to_string(&public).with_context(|| format!("reading {}", public.display()))
    }

    fn write(&self, signed: &SignSshKeyResponse, config: &str) -> Result<()> {
        let name = self.dir.file_name().unwrap_or_default().display();
        let known = format!("{name} {}\n", signed.host_key);
        for (path, content) in [
            (self.certificate(), signed.signed_public_ssh_key.as_slice()),
            (self.known_hosts(), known.as_bytes()),
            (self.config(), config.as_bytes()),
        ] {
            // Whoever reads it meanwhile has the old one or the new one.
            let new = self.dir.join(format!("new-{}", std::process::id()));
            let written = std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, &path));
            written.with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// What OpenSSH's programs are to know of a machine.
fn configuration(place: &Place, server: &Server, name: &str) -> Result<String> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut call = format!("{} gomote ssh --server {}", shell(&program)?, shell(Path::new(&server.server))?);
    for (option, value) in [("--data", &server.data), ("--ca-file", &server.ca_file)] {
        if let Some(value) = value {
            let value =
                std::path::absolute(value).with_context(|| format!("{option} {}", value.display()))?;
            write!(call, " {option} {}", shell(&value)?)?;
        }
    }
    let mut text = String::new();
    writeln!(
        text,
        "# Of bellwether, and made anew by it. Use it by: ssh -F THIS_FILE {name}; sftp and scp know -F too."
    )?;
    // Not in quotes of the configuration's own: it takes the rest of the line.
    writeln!(text, "Match originalhost {name} exec {}", quoted(&format!("{call} --renew {name}"))?)?;
    writeln!(text, "Host {name}")?;
    writeln!(text, "  HostName {name}\n  User {name}")?;
    writeln!(text, "  ProxyCommand {call} --tunnel {name}")?;
    writeln!(text, "  IdentityFile {}", quoted(&path(&place.key())?)?)?;
    writeln!(text, "  CertificateFile {}", quoted(&path(&place.certificate())?)?)?;
    writeln!(text, "  UserKnownHostsFile {}", quoted(&path(&place.known_hosts())?)?)?;
    writeln!(text, "  HostKeyAlias {name}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes")?;
    writeln!(text, "  IdentitiesOnly yes\n  ForwardAgent no\n  ServerAliveInterval 30")?;
    Ok(text)
}

/// A path in a configuration, where `%` means something.
fn path(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
    Ok(text.replace('%', "%%"))
}

/// A word of a shell's command in a configuration.
fn shell(word: &Path) -> Result<String> {
    let text = path(word)?;
    if text.contains('\'') {
        bail!("{text:?} can't be written in a configuration of OpenSSH; choose paths without '");
    }
    Ok(format!("'{text}'"))
}

/// A value in quotes.
fn quoted(text: &str) -> Result<String> {
    if text.contains(['"', '\n', '\\']) {
        bail!("{text:?} can't be written in a configuration of OpenSSH; choose paths without \" and \\");
    }
    Ok(format!("\"{text}\""))
}

/// Carries standard input and output to the server's door and back.
async fn tunnel(server: &Server) -> Result<ExitCode> {
    let desk = Desk::new(server)?;
    let stream = desk.upgraded("/gomote/ssh", "ssh").await?;
    // Files, as the library has them: whatever they are, they are read and written beside all else.
    let file = |of: std::io::Result<OwnedFd>| of.map(|fd| tokio::fs::File::from_std(fd.into()));
    let input = file(std::io::stdin().as_fd().try_clone_to_owned()).context("standard input")?;
    let output = file(std::io::stdout().as_fd().try_clone_to_owned()).context("standard output")?;
    let (mut input, mut output) = (input, output);
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let there = async {
        let sent = tokio::io::copy(&mut input, &mut to_server).await;
        let _ = to_server.shutdown().await;
        sent
    };
    let back = async {
        let came = tokio::io::copy(&mut from_server, &mut output).await;
        let _ = output.flush().await;
        came
    };
    // Once the server says no more there is nothing to wait for. What is still to be sent is not the end of what comes.
    tokio::pin!(there, back);
    let carried = tokio::select! {
        came = &mut back => came,
        sent = &mut there => match sent {
            Ok(_) => back.await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = carried {
        // Whose session it was tells what matters.
        tracing::debug!(%error, "a tunnel has ended");
    }
    // Something may still wait for standard input, in a way that can't be called off.
    std::process::exit(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server { server: url.into(), data: None, ca_file: Some("/a dir/ca.pem".into()), json: false }
    }

    #[test]
    fn a_name_is_one_of_a_directory() {
        let place = Place::of(&server("https://ci.example.org:8443/"), "ann-linux-0").unwrap();
        assert!(place.dir.ends_with("bellwether/ssh/ci.example.org-8443/ann-linux-0"), "{:?}", place.dir);
        for name in ["", "..", "a/b", "-oProxyCommand=x", "a b"] {
            assert!(Place::of(&server("https://x"), name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn openssh_reads_the_configuration_as_it_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { dir: dir.path().join("100% of a place").join("ann-0") };
        place.ready().unwrap();
        let mut server = server("http://127.0.0.1:1");
        server.data = Some("/it is % here".into());
        let text = configuration(&place, &server, "ann-0").unwrap();
        // `exec` is run when the configuration is read.
        let text = text.replace(" --renew ", " --help ");
        std::fs::write(place.config(), text).unwrap();
        let shown = Command::new("ssh").arg("-F").arg(place.config()).args(["-G", "ann-0"]).output().unwrap();
        let shown =
            format!("{}{}", String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        for line in [
            "user ann-0",
            "hostkeyalias ann-0",
            "stricthostkeychecking true",
            "identitiesonly yes",
            "--data '/it is %% here'",
            "--ca-file '/a dir/ca.pem' --tunnel ann-0",
        ] {
            assert!(shown.contains(line), "{line} is not in {shown}");
        }
    }
}
