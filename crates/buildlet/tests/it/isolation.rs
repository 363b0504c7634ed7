//! Jobs that run as another user than the agent, which is root: what they can't read, can't end and can't leave behind.
//!
//! Only root can become somebody else, so elsewhere these say that they did not run.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use buildlet_client::{BuildletClient, ExecState, Limits};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::agent::{Agent, alive, end, limited, pid_in, read, shell};
use crate::raw::{bare, body, post, send, status};

/// A user that nobody else of this machine has, another for each agent: all that runs as it is ended.
pub fn job_user() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    20_000 + std::process::id() % 2000 * 20 + NEXT.fetch_add(1, Ordering::Relaxed) % 20
}

/// An agent whose jobs run as a user of their own, and that user; none where this is not root.
async fn apart(flags: &[&str]) -> Option<(Agent, u32)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can give jobs another user");
        return None;
    }
    let user = job_user();
    let named = format!("{user}:{user}");
    let agent = Agent::start_reachable(&[&["--job-user", named.as_str()], flags].concat()).await;
    Some((agent, user))
}

/// Runs a script to its end.
async fn run(client: &BuildletClient, id: &str, script: &str) -> (ExecState, String) {
    client.start(&shell(id, script)).await.unwrap();
    let state = end(client, id).await;
    (state, read(client, id, 0).await)
}

/// Runs one as the original does.
fn original(agent: &Agent, script: &str) -> String {
    let script: String = form_urlencoded::byte_serialize(script.as_bytes()).collect();
    send(agent, post("/exec", &format!("mode=sys&cmd=sh&cmdArg=-c&cmdArg={script}")))
}

fn owner(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().uid()
}

/// Files of a user in a place where everybody may write.
fn left_in(place: &str, user: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).unwrap().flatten();
    let theirs = |path: &PathBuf| path.symlink_metadata().is_ok_and(|stat| stat.uid() == user);
    entries.map(|entry| entry.path()).filter(theirs).collect()
}

#[tokio::test]
async fn a_job_is_its_user_and_nobody_else() {
    let Some((agent, user)) = apart(&[]).await else { return };
    let client = agent.client();
    let script = "id -u; id -g; id -G; umask; grep NoNewPrivs /proc/self/status | tr -d '\\t'; \
                  echo $HOME; pwd; touch $HOME/h $TMPDIR/t f; echo $USER; ls /proc/self/fd | wc -l";
    let (state, said) = run(&client, "who", script).await;
    assert_eq!(state.process_state, "ok", "{said}");
    let work = agent.workdir();
    // Three streams, and the directory that is listed.
    let want =
        format!("{user}\n{user}\n{user}\n0022\nNoNewPrivs:1\n{0}/.home\n{0}\n{user}\n4\n", work.display());
    assert_eq!(said, want);
    assert_eq!((owner(&work), work.metadata().unwrap().mode() & 0o7777), (user, 0o700));
    assert_eq!(client.status().await.unwrap().bellwether.unwrap().isolation.split('+').next(), Some("user"));

    let answer = original(&agent, "id -u; echo $HOME; grep NoNewPrivs /proc/self/status; touch o");
    for want in [
        &format!("{user}\n"),
        &format!("{}/.home\n", work.display()),
        "NoNewPrivs:\t1\n",
        "process-state: ok",
    ] {
        assert!(answer.contains(want), "{want}: {answer}");
    }
    assert_eq!(owner(&work.join("o")), user);
}

/// Makes or looks for a key of this name; python has no words of its own for it.
#[cfg(target_os = "linux")]
fn key(what: &str, name: &str, ring: i32) -> String {
    let call = match what {
        "add" => format!("{}, b'user', b'{name}', b'x', 1, {ring}", libc::SYS_add_key),
        _ => format!("{}, 10, {ring}, b'user', b'{name}', 0", libc::SYS_keyctl),
    };
    let numbers = format!("l = ctypes.c_long; a = [l(v) if type(v) is int else v for v in ({call})]");
    format!("python3 -c \"import ctypes; {numbers}; print('{name}', ctypes.CDLL(None).syscall(*a) > 0)\"\n")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_key_of_one_job_is_not_the_nexts() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    // Of the session, of the user, of the user's sessions.
    let rings = [("session", -3), ("user", -4), ("usersession", -5)];
    let all = |what: &str| rings.map(|(name, ring)| key(what, name, ring)).concat();
    let (_, made) = run(&client, "one", &(all("add") + &all("find"))).await;
    let lines = |session, user| format!("session {session}\nuser {user}\nusersession {user}\n");
    if made == lines("False", "False").repeat(2) {
        eprintln!("not run: this machine lets nobody have keys");
        return;
    }
    assert_eq!(made, lines("True", "True").repeat(2));
    // A step of the same build has what was kept for its user, and a session of its own.
    assert_eq!(run(&client, "two", &all("find")).await.1, lines("False", "True"));
    let report = client.wipe().await.unwrap();
    assert!(report.clean && report.canaries["keys"], "{report:?}");
    assert_eq!(run(&client, "three", &all("find")).await.1, lines("False", "False"));
}

#[tokio::test]
async fn what_is_written_for_a_job_is_the_jobs() {
    let Some((agent, user)) = apart(&[]).await else { return };
    let client = agent.client();
    client.write_file("a/b/file", 0o755, Bytes::from("#!/bin/sh\necho run\n")).await.unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, kind, target) in [
        ("d/deep/f", tar::EntryType::Regular, ""),
        ("d/link", tar::EntryType::Symlink, "deep/f"),
        ("d/early", tar::EntryType::Symlink, "later"),
        ("d/hard", tar::EntryType::Link, "d/deep/f"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        match target {
            "" => tar.append_data(&mut header, name, [].as_slice()).unwrap(),
            target => tar.append_link(&mut header, name, target).unwrap(),
        }
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    client.write_tgz("tree", futures::stream::iter([Ok(Bytes::from(archive))])).await.unwrap();
    for path in ["a", "a/b/file", "tree", "tree/d", "tree/d/deep/f", "tree/d/link", "tree/d/early"] {
        assert_eq!(owner(&agent.workdir().join(path)), user, "{path}");
    }
    let (_, said) =
        run(&client, "use", "a/b/file && echo x >tree/d/hard && cat tree/d/link && rm -r a tree").await;
    assert_eq!(said, "run\nx\n");
}

#[tokio::test]
async fn what_is_the_agents_is_out_of_a_jobs_reach() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let pid = agent.pid();
    let state = agent.dir.path().join("state").display().to_string();
    let socket = agent.socket().display().to_string();
    let script = format!(
        "for f in /proc/{pid}/environ /proc/{pid}/mem /proc/{pid}/maps {state}/lock {state}/exec {socket}; do \
           cat $f >/dev/null 2>&1 && echo read $f; ls $f/ >/dev/null 2>&1 && echo listed $f; done; \
         ls /proc/{pid}/fd 2>/dev/null; ls {state} 2>/dev/null; kill -9 {pid} 2>/dev/null && echo killed; \
         kill -STOP {pid} 2>/dev/null && echo stopped; mkdir {state}/x 2>/dev/null && echo made; \
         tr '\\0' '\\n' </proc/self/environ | grep BW_AGENT_SECRET; echo end"
    );
    let (_, said) = run(&client, "spy", &script).await;
    assert_eq!(said, "end\n");
    assert!(
        original(&agent, &script).contains("\nend\n"),
        "the original's passes the agent's environment on"
    );
    assert!(alive(pid));
}

#[tokio::test]
async fn an_agent_whose_key_a_job_could_read_does_not_start() {
    let Some((mut agent, user)) = apart(&[]).await else { return };
    agent.kill();
    let dir = agent.dir.path();
    let password = dir.join("password");
    std::fs::write(&password, "hunter2\n").unwrap();
    let start = |user: &str, flags: &[(&str, &Path)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_buildlet"));
        let mut places = vec![("--workdir", dir.join("work")), ("--state-dir", dir.join("other"))];
        for (flag, value) in flags {
            places.retain(|(known, _)| known != flag);
            places.push((flag, value.to_path_buf()));
        }
        command.args(["--job-user", user, "--listen", "localhost:0", "--password-file"]).arg(&password);
        for (flag, place) in places {
            command.arg(flag).arg(place);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "it must not start");
        String::from_utf8(output.stderr).unwrap()
    };
    let named = format!("{user}:{user}");
    let readable = start(&named, &[]);
    assert!(readable.contains("can read") && readable.contains("chmod 600"), "{readable}");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();

    let closed = dir.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let unreachable = start(&named, &[("--workdir", &closed.join("work"))]);
    assert!(unreachable.contains("chmod o+x"), "{unreachable}");
    let open = dir.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let movable = start(&named, &[("--workdir", &open.join("work"))]);
    assert!(movable.contains("/var/lib/buildlet/work"), "{movable}");
    let others = dir.join("others");
    std::fs::create_dir(&others).unwrap();
    std::os::unix::fs::chown(&others, Some(user), None).unwrap();
    let state = start(&named, &[("--state-dir", &others)]);
    assert!(state.contains("--state-dir") && state.contains("not to root"), "{state}");

    let mut sleep = Command::new("setpriv")
        .args(["--reuid", &user.to_string(), "--clear-groups", "sleep", "60"])
        .spawn()
        .unwrap();
    crate::agent::soon("the other's process", || owner(Path::new(&format!("/proc/{}", sleep.id()))) == user)
        .await;
    let shared = start(&named, &[]);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(shared.contains("sleep 60") && shared.contains("jobs of this agent alone"), "{shared}");
    let root = start("root", &[]);
    assert!(root.contains("for jobs alone"), "{root}");
}

#[tokio::test]
async fn a_dedicated_machine_whose_jobs_are_root_says_so() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root's agent gives root's rights to jobs");
        return;
    }
    let coordinator = format!("http://{}", crate::raw::free_port());
    let agent = Agent::dialling_out("key", &["--coordinator", &coordinator], &[]);
    crate::agent::soon("the warning", || agent.log().contains("--job-user")).await;
    // One on a socket is somebody's own, who has that user's rights already.
    let agent = Agent::start(&[]).await;
    assert!(!agent.log().contains("--job-user"), "{}", agent.log());
}

#[tokio::test]
async fn two_agents_do_not_share_a_user() {
    let Some((agent, user)) = apart(&[]).await else { return };
    let other = tempfile::tempdir().unwrap();
    std::fs::set_permissions(other.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_buildlet"))
        .args(["--job-user", &format!("{user}:{user}"), "--listen"])
        .arg(format!("unix:{}", other.path().join("s/sock").display()))
        .arg("--workdir")
        .arg(other.path().join("work"))
        .arg("--state-dir")
        .arg(other.path().join("state"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("a --job-user of its own"), "{said}");
    drop(agent);
}

const TREES: &str = "sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' & echo $! >ignores; \
    setsid sh -c 'echo $$ >session; exec sleep 61' & \
    (setsid env -i sh -c 'echo $$ >daemon; exec sleep 62' &) ; \
    sleep 63 & kill -STOP $!; echo $! >stopped; \
    for f in ignores session daemon stopped; do until [ -s $f ]; do sleep 0.01; done; done";

#[tokio::test]
async fn nothing_of_a_job_goes_on() {
    let Some((mut agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let names = ["ignores", "session", "daemon", "stopped"];
    let pids = async |agent: &Agent| {
        let mut pids = Vec::new();
        for name in names {
            pids.push(pid_in(&agent.workdir().join(name)).await);
        }
        pids
    };
    // At the end of its step.
    let (state, _) = run(&client, "trees", TREES).await;
    let first = pids(&agent).await;
    assert_eq!(first.iter().filter(|pid| alive(**pid)).count(), 0, "{state:?}");
    assert!(state.leftovers.len() >= 4, "{state:?}");
    // At the wipe, what an original's command has left: nothing says whose it is but its user.
    original(&agent, &format!("exec >/dev/null 2>&1; rm -f ignores session daemon stopped; {TREES}"));
    let second = pids(&agent).await;
    assert!(second.iter().any(|pid| alive(*pid)), "or there is nothing to end");
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(second.iter().filter(|pid| alive(**pid)).count(), 0, "{report:?}");
    // After kill -9 of the agent, the next one's wipe.
    original(&agent, &format!("exec >/dev/null 2>&1; {TREES}"));
    let third = pids(&agent).await;
    agent.kill();
    agent.launch().await;
    let report = agent.client().wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(third.iter().filter(|pid| alive(**pid)).count(), 0, "{report:?}");
}

#[tokio::test]
async fn a_job_that_kills_whatever_has_its_user_does_not_hinder_the_wipe() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let killer = "setsid env -i sh -c 'trap \"\" TERM; echo $$ >killer; while :; do for p in /proc/[0-9]*; do \
                  p=${p#/proc/}; [ $p = $$ ] || kill -9 $p; done; done' >/dev/null 2>&1 & \
                  until [ -s killer ]; do :; done";
    original(&agent, killer);
    let pid = pid_in(&agent.workdir().join("killer")).await;
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    assert!(!alive(pid));
}

#[tokio::test]
async fn nothing_of_a_job_stays_anywhere() {
    let Some((agent, user)) = apart(&[]).await else { return };
    let client = agent.client();
    let theirs = tempfile::Builder::new().prefix("open-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(theirs.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let kept = theirs.path().join("kept");
    std::fs::write(&kept, "root's").unwrap();
    let script = format!(
        "n=job-$(id -u); for d in /tmp /var/tmp; do mkdir -p $d/$n/deep/er; echo x >$d/$n/deep/er/f; \
           chmod 000 $d/$n/deep; echo y >$d/$n.file; ln -s {kept} $d/$n.link; done; \
         echo z >{open}/mine; ln -s / {open}/root; mkdir hostile; echo h >hostile/f; chmod 000 hostile; chmod 000 .; \
         echo s >/dev/shm/$n",
        kept = kept.display(),
        open = theirs.path().display()
    );
    let (state, said) = run(&client, "litter", &script).await;
    assert_eq!((state.process_state.as_str(), said.as_str()), ("ok", ""));
    assert_eq!(left_in("/tmp", user).len(), 3);
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    let names: Vec<&str> = report.canaries.keys().map(String::as_str).collect();
    assert_eq!(names, ["home", "keys", "locked", "process", "shm", "tmp", "tmpdir", "var_tmp", "workdir"]);
    for place in ["/tmp", "/var/tmp", "/dev/shm"] {
        assert_eq!(left_in(place, user), Vec::<PathBuf>::new());
    }
    let here: Vec<_> = std::fs::read_dir(theirs.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(here, ["kept"]);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "root's");
    assert_eq!(agent.workdir().metadata().unwrap().mode() & 0o7777, 0o700);
    let (_, said) = run(&client, "next", "ls; echo fine").await;
    assert_eq!(said, "fine\n");
}

#[tokio::test]
async fn what_cant_be_removed_sets_the_machine_aside() {
    let Some((agent, user)) = apart(&[]).await else { return };
    let client = agent.client();
    // As only root can make it: the file system itself refuses to let it go.
    let place = agent.workdir().join("held");
    let held = PathBuf::from(format!("/var/tmp/held-{user}"));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(&held, "x").unwrap();
    std::os::unix::fs::chown(&held, Some(user), Some(user)).unwrap();
    let immutable =
        |word: &str| Command::new("chattr").arg(word).arg(&held).status().is_ok_and(|s| s.success());
    if !immutable("+i") {
        std::fs::remove_file(&held).unwrap();
        eprintln!("not run: this file system has no immutable files");
        return;
    }
    let report = client.wipe().await;
    assert!(immutable("-i"));
    std::fs::remove_file(&held).unwrap();
    let report = report.unwrap();
    assert!(!report.clean && report.problems.iter().any(|said| said.contains("held-")), "{report:?}");
    assert!(client.status().await.unwrap().bellwether.unwrap().set_aside.is_some());
    client.start(&shell("no", "true")).await.unwrap_err();
}

#[tokio::test]
async fn links_of_a_job_lead_the_agent_nowhere() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let outside = agent.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let secret = outside.join("secret");
    std::fs::write(&secret, "the key").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let script = format!(
        "ln -s {0} key; ln -s {1} dir; ln -s / root; ln {0} hard 2>/dev/null && echo linked; \
         ln -s /proc/self/root proc; ln -s ../outside/secret up; echo mine >mine",
        secret.display(),
        outside.display()
    );
    let (_, said) = run(&client, "links", &script).await;
    assert_eq!(said, "");
    // A link that the agent makes itself, which a job could not: it is then the agent's reading that counts.
    std::fs::hard_link(&secret, agent.workdir().join("hard")).unwrap();
    symlink(&secret, agent.workdir().join("roots")).unwrap();

    for path in ["key", "dir/secret", "root/etc/shadow", "proc/etc/shadow", "hard", "roots", "up"] {
        client.file(path).await.map(drop).unwrap_err();
        let write =
            format!("PUT /write?path={path}&mode=420 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nbad");
        assert_ne!(status(&send(&agent, write)), "200", "{path}");
    }
    let listed = send(&agent, bare("GET /ls?recursive=true"));
    assert!(!body(&listed).contains("secret\t") && body(&listed).contains("mine\t5\t"), "{listed}");
    // A digest of it would be an oracle; an archive would be the thing itself.
    let digests = send(&agent, bare("GET /ls?digest=true"));
    assert!(status(&digests) == "500" || !digests.contains("hard\t7\t"), "{digests}");
    let archive = archive(&agent);
    assert!(!String::from_utf8_lossy(&archive).contains("the key"));
    let put = "PUT /writetgz?dir=dir HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_ne!(status(&send(&agent, put)), "200");
    for path in ["dir/secret", "root/etc/hostname"] {
        let answer = send(&agent, post("/removeall", &format!("path={path}")));
        assert_ne!(status(&answer), "200", "{path}: {answer}");
    }
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the key");
}

/// As much of the work directory's archive as there is, unpacked.
fn archive(agent: &Agent) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut stream = crate::raw::connect(agent);
    stream.write_all(b"GET /tgz?dir=. HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _broken_off = stream.read_to_end(&mut answer);
    // Broken off at once, there is not even a head.
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Vec::new() };
    let mut tar = Vec::new();
    let _cut = GzDecoder::new(&answer[at + 4..]).read_to_end(&mut tar);
    tar
}

#[tokio::test]
async fn a_job_that_swaps_directories_for_links_gets_nothing_of_roots() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let outside = agent.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("f"), "the key").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!(
        "mkdir a; echo up; while :; do mv a b; ln -s {0} a; rm a; mv b a; done 2>/dev/null",
        outside.display()
    );
    client.start(&shell("swap", &script)).await.unwrap();
    let mut output = client.output("swap", 0).await.unwrap();
    futures::StreamExt::next(&mut output).await.unwrap().unwrap();
    for _ in 0..100 {
        let write = "PUT /write?path=a/f&mode=511 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nbad";
        send(&agent, write);
        assert!(!String::from_utf8_lossy(&archive(&agent)).contains("the key"));
        send(&agent, post("/removeall", "path=a/f"));
        send(&agent, post("/removeall", "path=a"));
    }
    let stat = outside.join("f").metadata().unwrap();
    assert_eq!(
        (stat.uid(), stat.mode() & 0o777, outside.metadata().unwrap().mode() & 0o777),
        (0, 0o644, 0o700)
    );
    assert_eq!(std::fs::read_to_string(outside.join("f")).unwrap(), "the key");
    assert!(client.wipe().await.unwrap().clean);
}

#[tokio::test]
async fn limits_hold_for_a_jobs_user_too() {
    for flags in [&[][..], &["--no-kernel-help"]] {
        let Some((agent, _)) = apart(flags).await else { return };
        let client = agent.client();
        let many = Limits { processes: Some(20), ..Limits::default() };
        let script = "i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done; sleep 60";
        client.start(&limited("many", script, many)).await.unwrap();
        assert_eq!(end(&client, "many").await.ended_by.as_deref(), Some("limit:processes"), "{flags:?}");
        let big = Limits { disk_bytes: Some(4 << 20), ..Limits::default() };
        client.start(&limited("big", "head -c 9000000 /dev/zero >f; sleep 60", big)).await.unwrap();
        assert_eq!(end(&client, "big").await.ended_by.as_deref(), Some("limit:disk"), "{flags:?}");
        let fat = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let script = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 60";
        client.start(&limited("fat", script, fat)).await.unwrap();
        assert_eq!(end(&client, "fat").await.ended_by.as_deref(), Some("limit:memory"), "{flags:?}");
        assert!(client.wipe().await.unwrap().clean);
    }
}

#[tokio::test]
async fn what_does_not_start_says_so_as_ever() {
    let Some((agent, _)) = apart(&[]).await else { return };
    let client = agent.client();
    let mut request = shell("none", "");
    request.argv = vec!["/nowhere/program".to_owned()];
    client.start(&request).await.unwrap();
    let state = end(&client, "none").await;
    assert_eq!(state.start_error.as_deref(), Some("fork/exec /nowhere/program: no such file or directory"));
    let mut request = shell("dir", "true");
    request.dir = "not/there".to_owned();
    client.start(&request).await.unwrap();
    let said = end(&client, "dir").await.start_error.unwrap_or_default();
    assert!(said.starts_with("chdir ") && said.contains("not/there: no such file"), "{said}");
    let (state, _) = run(&client, "own", "exit 127").await;
    assert_eq!((state.exit_code, state.start_error), (Some(127), None));
    for (form, want) in [
        ("cmd=/bin/no-such-program", "fork/exec /bin/no-such-program: no such file or directory"),
        ("mode=sys&cmd=sh&cmdArg=-c&cmdArg=exit+127", "exit status 127"),
        ("mode=sys&cmd=sh&dir=/nowhere", "chdir /nowhere: no such file or directory"),
    ] {
        let answer = send(&agent, post("/exec", form));
        assert!(answer.contains(&format!("process-state: {want}\r\n")), "{form}: {answer}");
    }
    assert_eq!(
        std::fs::read_dir(agent.dir.path().join("state"))
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("start_error"))
            .count(),
        0
    );
}

#[cfg(feature = "ssh")]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_by_ssh_is_the_jobs_user_as_well() {
    use crate::ssh::guest::{Guest, end, text};
    let Some((agent, user)) = apart(&[]).await else { return };
    let guest = Guest::of(&agent).await;
    let output = guest.run("id -u; grep NoNewPrivs /proc/self/status | tr -d '\\t'; pwd; touch made").await;
    let work = agent.workdir();
    assert_eq!(text(&output.stdout), format!("{user}\nNoNewPrivs:1\n{}\n", work.display()));
    assert_eq!(owner(&work.join("made")), user);
    // The terminal can be opened by its name too.
    let output = end(guest.ssh(&["-tt"], "stat -c %u $(tty); : < $(tty) && echo opened")).await;
    assert_eq!(text(&output.stdout).replace('\r', ""), format!("{user}\nopened\n"));
    // Files are carried with the user's rights, whoever asks.
    let secret = guest.dir.path().join("secret");
    std::fs::write(&secret, "root's").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(
        guest.dir.path().join("batch"),
        format!("put {0} carried\n-get {0} stolen\n", secret.display()),
    )
    .unwrap();
    let mut sftp = guest.program("sftp");
    sftp.arg("-b").arg(guest.dir.path().join("batch")).arg("gopher@127.0.0.1").current_dir(guest.dir.path());
    let output = end(sftp).await;
    assert!(text(&output.stderr).contains("ermission denied"), "{}", text(&output.stderr));
    assert_eq!(owner(&work.join("carried")), user);
    assert!(!guest.dir.path().join("stolen").exists());
}
