//! Shells on held machines, by OpenSSH's own programs.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use gomote::{Instance, SignSshKeyRequest, SignSshKeyResponse};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;
use transport::{Role, Standing, Viewer};

use crate::held::{Client, client, client_of, configuration, create, destroy};
use crate::world::{PATIENCE, Running, World, kill, worker_pid};

/// The port of the door, and what somebody needs to go through it.
struct Door {
    port: u16,
    dir: tempfile::TempDir,
    _serving: AbortOnDropHandle<()>,
}

impl Door {
    async fn open(running: &Running) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shells = running.shells.clone();
        let serving = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, from)) = listener.accept().await {
                let shells = shells.clone();
                open.spawn(async move { shells.serve(stream, from.to_string()).await });
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let door = Door { port, dir, _serving: AbortOnDropHandle::new(serving) };
        door.key("key", "ed25519").await;
        door
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn key(&self, name: &str, kind: &str) {
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", kind, "-N", "", "-f"]).arg(self.path(name));
        assert!(make.status().await.unwrap().success(), "{kind}");
    }

    async fn sign(&self, client: &mut Client, name: &str, key: &str) -> Result<SignSshKeyResponse, Code> {
        let public_ssh_key = std::fs::read(self.path(key).with_extension("pub")).unwrap();
        let request = SignSshKeyRequest { gomote_id: name.into(), public_ssh_key };
        client.sign_ssh_key(request).await.map(tonic::Response::into_inner).map_err(|status| status.code())
    }

    /// Has the key signed, and knows the server by what it says of itself.
    async fn know(&self, client: &mut Client, name: &str) {
        let signed = self.sign(client, name, "key").await.unwrap();
        std::fs::write(self.path("key-cert.pub"), &signed.signed_public_ssh_key).unwrap();
        let known = format!("[127.0.0.1]:{} {}\n", self.port, signed.host_key);
        std::fs::write(self.path("known_hosts"), known).unwrap();
    }

    /// One of OpenSSH's programs, with a key.
    fn program(&self, program: &str, key: &str) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-F",
            "none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
        ]);
        command.arg("-o").arg(format!("IdentityFile={}", self.path(key).display()));
        command.arg("-o").arg(format!("CertificateFile={}", self.path("key-cert.pub").display()));
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("known_hosts").display()));
        command.arg(if program == "ssh" { "-p" } else { "-P" }).arg(self.port.to_string());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn ssh(&self, name: &str, more: &[&str]) -> Output {
        let mut ssh = self.program("ssh", "key");
        ended(ssh.arg("-l").arg(name).args(more)).await
    }

    /// Begins a command that first says that it is here, and then stays; with what keeps its output open.
    async fn begun(&self, name: &str, script: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut ssh = self.program("ssh", "key");
        ssh.args(["-l", name, "127.0.0.1", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh = ssh.spawn().unwrap();
        let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(line.as_deref(), Some("here"));
        (ssh, lines)
    }
}

async fn ended(command: &mut Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("OpenSSH ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn held(world: &World) -> (Running, Client, Instance, Door) {
    let running = world.start().await;
    let mut ann = client(&running, "ann@example.org", Role::Developer);
    let (one, _) = create(&mut ann).await;
    let door = Door::open(&running).await;
    door.know(&mut ann, &one.gomote_id).await;
    (running, ann, one, door)
}

fn noise(path: &Path, length: usize) -> Vec<u8> {
    let mut state = 7u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(length)
    .collect();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

pub async fn a_command_a_shell_and_files_go_through_the_door(world: World) {
    world.configure(&configuration(&world));
    let (running, mut ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    let out = door.ssh(name, &["127.0.0.1", "pwd; echo $A $B $GO_BUILDER_NAME; echo no >&2; exit 7"]).await;
    assert_eq!(
        (text(&out.stdout), text(&out.stderr), out.status.code()),
        (format!("{}\nhost builder b\n", one.working_dir), "no\n".into(), Some(7))
    );
    let out = door.ssh(name, &["127.0.0.1", "kill -KILL $$"]).await;
    assert_eq!(out.status.code(), Some(255), "OpenSSH's own code for a signal: {}", text(&out.stderr));

    // More than any window has room for, both ways at once.
    let much = noise(&door.path("much"), 24_000_000);
    let mut cat = door.program("ssh", "key");
    cat.args(["-l", name, "127.0.0.1", "cat"]).stdin(std::fs::File::open(door.path("much")).unwrap());
    let out = ended(&mut cat).await;
    assert!(out.stdout == much, "{} bytes came back", out.stdout.len());
    // What nobody reads is in nobody's way.
    let mut unread = door.program("ssh", "key");
    unread.args(["-l", name, "127.0.0.1", "head -c 20000000 /dev/zero | wc -c; sleep 0.1"]);
    let out = ended(unread.stdin(std::fs::File::open(door.path("much")).unwrap())).await;
    assert_eq!((text(&out.stdout).trim(), out.status.code()), ("20000000", Some(0)));

    // A terminal, as it is told.
    let mut shell = door.program("ssh", "key");
    let mut shell = shell.args(["-tt", "-l", name, "127.0.0.1"]);
    shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"test -t 0 && echo a term''inal; exit 3\n").await.unwrap();
    let out = tokio::time::timeout(PATIENCE, shell.wait_with_output()).await.unwrap().unwrap();
    assert!(text(&out.stdout).contains("a terminal"), "{}", text(&out.stdout));
    assert_eq!(out.status.code(), Some(3));

    // Files both ways, by each program.
    let sent = noise(&door.path("sent"), 3_000_000);
    let batch = format!(
        "put {0} by-sftp\nget by-sftp {1}\n",
        door.path("sent").display(),
        door.path("got").display()
    );
    std::fs::write(door.path("batch"), batch).unwrap();
    let mut sftp = door.program("sftp", "key");
    let out = ended(sftp.arg("-b").arg(door.path("batch")).arg(format!("{name}@127.0.0.1"))).await;
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(std::fs::read(door.path("got")).unwrap() == sent);
    for old in [false, true] {
        let there = format!("{name}@127.0.0.1:by-scp-{old}");
        let mut put = door.program("scp", "key");
        let mut get = door.program("scp", "key");
        if old {
            put.arg("-O");
            get.arg("-O");
        }
        let out = ended(put.arg(door.path("sent")).arg(&there)).await;
        assert!(out.status.success(), "{old}: {}", text(&out.stderr));
        let got = door.path(&format!("got-{old}"));
        let out = ended(get.arg(&there).arg(&got)).await;
        assert!(out.status.success(), "{old}: {}", text(&out.stderr));
        assert!(std::fs::read(got).unwrap() == sent, "{old}");
    }
    // They lie where commands run.
    let out =
        door.ssh(name, &["127.0.0.1", "cksum by-sftp by-scp-* | cut -d' ' -f1,2 | sort -u | wc -l"]).await;
    assert_eq!(text(&out.stdout).trim(), "1");
    destroy(&mut ann, name).await;
    running.end().await;
}

pub async fn nobody_else_is_let_in(world: World) {
    let two = configuration(&world).replace("capacity = 1", "capacity = 2");
    world.configure(&two);
    let (running, mut ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    let (other, _) = create(&mut ann).await;
    let out = door.ssh(&other.gomote_id, &["127.0.0.1", "true"]).await;
    assert_eq!(out.status.code(), Some(255), "a certificate is for one machine");
    assert!(text(&out.stderr).contains("Permission denied"), "{}", text(&out.stderr));
    // The key alone, and another key with this certificate.
    door.key("other", "ed25519").await;
    let mut stranger = door.program("ssh", "other");
    let out = ended(stranger.args(["-l", name, "127.0.0.1", "true"])).await;
    assert_eq!(out.status.code(), Some(255), "{}", text(&out.stderr));
    std::fs::rename(door.path("key-cert.pub"), door.path("away")).unwrap();
    assert_eq!(door.ssh(name, &["127.0.0.1", "true"]).await.status.code(), Some(255));
    std::fs::rename(door.path("away"), door.path("key-cert.pub")).unwrap();
    assert_eq!(door.ssh(name, &["127.0.0.1", "true"]).await.status.code(), Some(0));
    // Of somebody else nothing is signed, and of bad keys.
    let mut bob = client(&running, "bob", Role::Developer);
    assert_eq!(door.sign(&mut bob, name, "key").await.unwrap_err(), Code::PermissionDenied);
    assert_eq!(door.sign(&mut ann, "nobody-b-0", "key").await.unwrap_err(), Code::NotFound);
    door.key("rsa", "rsa").await;
    assert_eq!(door.sign(&mut ann, name, "rsa").await.unwrap_err(), Code::InvalidArgument);
    std::fs::write(door.path("bad.pub"), [0xff; 10]).unwrap();
    assert_eq!(door.sign(&mut ann, name, "bad").await.unwrap_err(), Code::InvalidArgument);
    // After its five minutes a certificate lets nobody in; nor does it at the next hold by the same name.
    world.clock.turn(301);
    assert_eq!(door.ssh(name, &["127.0.0.1", "true"]).await.status.code(), Some(255));
    world.clock.turn(-301);
    assert_eq!(door.ssh(name, &["127.0.0.1", "true"]).await.status.code(), Some(0));
    destroy(&mut ann, name).await;
    let again = loop {
        let (again, _) = create(&mut ann).await;
        if again.gomote_id == name {
            break again;
        }
        destroy(&mut ann, &again.gomote_id).await;
    };
    assert_eq!(again.gomote_id, name);
    assert_eq!(door.ssh(name, &["127.0.0.1", "true"]).await.status.code(), Some(255));
    running.end().await;
}

pub async fn no_port_is_forwarded(world: World) {
    world.configure(&configuration(&world));
    let (running, _ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    // Somebody who listens here, and is not reached.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let out = door.ssh(name, &["-W", &target, "127.0.0.1"]).await;
    assert_ne!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let reverse = format!("0:{target}");
    let out = door.ssh(name, &["-o", "ExitOnForwardFailure=yes", "-R", &reverse, "127.0.0.1", "true"]).await;
    assert_eq!(out.status.code(), Some(255), "{}", text(&out.stderr));
    let came = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(came.is_err(), "somebody was led to this machine's ports");
    running.end().await;
}

pub async fn a_session_ends_with_the_hold(world: World) {
    world.configure(&configuration(&world));
    let (running, mut ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    let (ssh, _open) = door.begun(name, "echo here; setsid sleep 300 & sleep 300").await;
    destroy(&mut ann, name).await;
    let out = tokio::time::timeout(PATIENCE, ssh.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains(&format!("{name} is not held any more")), "{}", text(&out.stderr));
    running.end().await;
}

pub async fn who_is_known_no_longer_is_out_and_let_in_no_more(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let standing = Standing::revocable();
    let known = |standing| Viewer { standing, ..Viewer::known("ann@example.org", Role::Developer) };
    let mut ann = client_of(&running, known(standing.clone()));
    let (one, _) = create(&mut ann).await;
    let door = Door::open(&running).await;
    door.know(&mut ann, &one.gomote_id).await;
    let name = one.gomote_id.as_str();
    let (ssh, _open) = door.begun(name, "echo here; sleep 300").await;
    standing.end();
    let out = tokio::time::timeout(PATIENCE, ssh.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains("showed counts no longer"), "{}", text(&out.stderr));
    // The certificate was good for minutes still.
    let out = door.ssh(name, &["127.0.0.1", "true"]).await;
    assert!(text(&out.stderr).contains("Permission denied"), "{}", text(&out.stderr));
    // What they show next lets them in again, and nothing of what they had is lost.
    let mut again = client_of(&running, known(Standing::revocable()));
    door.know(&mut again, name).await;
    let out = door.ssh(name, &["127.0.0.1", "true"]).await;
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    running.end().await;
}

pub async fn a_machine_that_is_gone_is_told(world: World) {
    world.configure(&configuration(&world));
    let (running, _ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    let (ssh, _open) = door.begun(name, "echo here; sleep 300").await;
    for worker in std::fs::read_dir(world.dir.path().join("workers")).unwrap() {
        kill(worker_pid(&worker.unwrap().path()).unwrap());
    }
    let out = tokio::time::timeout(PATIENCE, ssh.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(out.status.code(), Some(255));
    let said = text(&out.stderr);
    assert!(said.contains("is lost") || said.contains("is not held any more"), "{said}");
    running.end().await;
}

pub async fn what_is_seen_is_kept_if_that_is_configured(world: World) {
    world.configure(&format!("[environment.dev.ssh]\nrecord = true\n{}", configuration(&world)));
    let (running, mut ann, one, door) = held(&world).await;
    let name = one.gomote_id.as_str();
    let out =
        door.ssh(name, &["-tt", "127.0.0.1", "echo se''en; stty -echo; read x < /dev/null; exit 4"]).await;
    assert_eq!(out.status.code(), Some(4), "{}", text(&out.stdout));
    let out = door.ssh(name, &["127.0.0.1", "echo not kept"]).await;
    assert_eq!(text(&out.stdout), "not kept\n");
    destroy(&mut ann, name).await;
    running.end().await;
    let mut kept = Vec::new();
    for object in world.objects.list("recordings").await.unwrap() {
        assert!(object.path.starts_with(&format!("recordings/{name}-")), "{}", object.path);
        kept.push(text(&world.objects.get(&object.path).await.unwrap()));
    }
    assert_eq!(kept.len(), 2, "{kept:?}");
    let (seen, done): (Vec<_>, Vec<_>) = kept.into_iter().partition(|one| one.contains("seen"));
    let mut lines = seen[0].lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!((&header["version"], &header["title"]), (&2.into(), &header["title"]));
    assert!(header["command"].as_str().unwrap().starts_with("echo se''en"), "{header}");
    let output: String =
        lines.filter(|event| event[1] == "o").map(|event| event[2].as_str().unwrap().to_owned()).collect();
    assert!(output.starts_with("seen\r\n"), "{output:?}");
    assert!(done[0].contains("echo not kept") && done[0].lines().count() == 1, "{}", done[0]);
}
