//! Directories, what is secret, and where it listens.

#[cfg_attr(unix, path = "places/unix.rs")]
#[cfg_attr(windows, path = "places/windows.rs")]
mod system;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::args::{Args, Listen};
use crate::listen::{self, Plan};
use crate::reverse;

const GIB: u64 = 1 << 30;
/// With less, hardly anything can be built.
const LITTLE: u64 = GIB;
/// With less, large projects can't be built.
const ENOUGH: u64 = 10 * GIB;

pub(super) fn look(args: &Args) -> Vec<Finding> {
    let (workdir, state) = (args.workdir(), args.state_dir());
    let mut findings = vec![directory("workdir", &workdir), directory("state", &state)];
    findings.extend(apart(&workdir, &state));
    if findings.iter().all(|finding| finding.verdict == super::Verdict::Ok) {
        findings.extend(system::disk(&nearest(&workdir)));
        findings.push(running(&state));
    }
    if let Some(host) = &args.reverse_type {
        findings.push(match &args.token_file {
            Some(file) => token(file, &state),
            None => key(&reverse::key_file(args.key_file.as_deref(), host)),
        });
    }
    let others = args.password_file.iter().chain(&args.tls_key);
    findings.extend(others.filter_map(|file| system::open_to_others("secret", file)));
    findings
}

/// The directory itself, or where it would be made.
fn nearest(dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).unwrap_or_else(|_unknown| dir.to_owned());
    dir.ancestors().find(|above| above.symlink_metadata().is_ok()).unwrap_or(Path::new("/")).to_owned()
}

/// Whether the agent can have a directory.
fn directory(check: &'static str, dir: &Path) -> Finding {
    let there = nearest(dir);
    let flag = if check == "state" { "--state-dir" } else { "--workdir" };
    match there.metadata() {
        Err(error) => Finding::fail(check, format!("{}: {error}; name another with {flag}", there.display())),
        Ok(stat) if !stat.is_dir() => {
            Finding::fail(check, format!("{} is no directory; name another with {flag}", there.display()))
        }
        Ok(_) if !system::can_write(&there) => {
            let text = format!(
                "{} can't be written by this user (or its file system is read-only); chown it, or name another with {flag}",
                there.display()
            );
            Finding::fail(check, text)
        }
        Ok(_) if there == std::path::absolute(dir).unwrap_or_default() => Finding::ok(check, dir.display()),
        Ok(_) => Finding::ok(check, format!("{}, which will be made", dir.display())),
    }
}

fn apart(workdir: &Path, state: &Path) -> Option<Finding> {
    // Links on the way to what is there are seen through, as the agent does.
    let real = |dir: &Path| {
        let there = nearest(dir);
        let rest = std::path::absolute(dir).ok()?.strip_prefix(&there).ok()?.to_owned();
        Some(there.canonicalize().ok()?.join(rest))
    };
    let (workdir, state) = (real(workdir)?, real(state)?);
    (state.starts_with(&workdir) || workdir.starts_with(&state)).then(|| {
        let text = "the work directory and the state directory lie in each other, and a wipe would take both; \
                    name two that lie apart with --workdir and --state-dir";
        Finding::fail("state", text)
    })
}

fn room(dir: &Path, free: u64, inodes: u64, inodes_free: u64) -> Finding {
    let text = format!("{:.1} GiB are free in {}", free as f64 / GIB as f64, dir.display());
    let more = "make room, or name a --workdir on a larger disk";
    if free < LITTLE {
        Finding::fail("disk", format!("only {text}; {more}"))
    } else if free < ENOUGH {
        Finding::warn("disk", format!("only {text}, which is little for a large project; {more}"))
    } else if inodes > 0 && inodes_free < 100_000 {
        // Some file systems have no such number.
        Finding::warn("disk", format!("{text}, but only for {inodes_free} more files; {more}"))
    } else {
        Finding::ok("disk", text)
    }
}

/// Whether an agent has these directories already.
fn running(state: &Path) -> Finding {
    let Ok(lock) = File::open(state.join("lock")) else {
        return Finding::ok("agent", "none runs with this state directory yet");
    };
    match filelock::Held::take(lock) {
        Err(std::fs::TryLockError::WouldBlock) => {
            let text = "an agent runs with this state directory already, and a second one would end at once; \
                        end it first, or name another --state-dir (and --workdir)";
            Finding::warn("agent", text)
        }
        _ => Finding::ok("agent", "none runs with this state directory now"),
    }
}

fn token(file: &Path, state: &Path) -> Finding {
    if let Err(error) = reverse::check_token(file, state) {
        return Finding::fail("token", error);
    }
    let kept = reverse::identity_file(state);
    for secret in [file, &kept] {
        if let Some(open) = system::open_to_others("token", secret) {
            return open;
        }
    }
    let text = match kept.exists() {
        true => format!("this machine's identity is in {}; the token was shown already", kept.display()),
        false => {
            format!("{}; whether it is good, the coordinator says when the agent starts", file.display())
        }
    };
    Finding::ok("token", text)
}

fn key(file: &Path) -> Finding {
    match reverse::look_at_key(file) {
        Err(error) => Finding::fail("key", error),
        Ok(_) if let Some(open) = system::open_to_others("key", file) => open,
        Ok(reverse::KeyShape::Strange) => {
            let text = format!(
                "what is in {} does not look like the keys that coordinators give out (32 digits 0-9, a-f); \
                 is it the key of the host, and not the master key?",
                file.display()
            );
            Finding::warn("key", text)
        }
        Ok(reverse::KeyShape::Usual) => {
            let text = format!(
                "{}; whether it is the host's, its coordinator says when the agent starts",
                file.display()
            );
            Finding::ok("key", text)
        }
    }
}

/// Whether it could listen where it is told to.
pub(super) async fn listen(args: &Args, findings: &mut Vec<Finding>) -> Option<Plan> {
    let told = match crate::start::told(args).await {
        Ok(told) => told,
        Err(error) => {
            findings.push(Finding::fail("listen", error));
            return None;
        }
    };
    let plan = match listen::plan(args, told) {
        Ok(plan) => plan,
        Err(error) => {
            findings.push(Finding::fail("listen", error));
            return None;
        }
    };
    findings.push(match &plan.listen {
        Listen::Tcp(address) => match std::net::TcpListener::bind(address) {
            Ok(_) => Finding::ok("listen", address),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::fail(
                "listen",
                format!("something listens on {address} already; end it, or name another port with --listen"),
            ),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::fail(
                "listen",
                format!("this user may not listen on {address}; name a port over 1023 with --listen, or start as root"),
            ),
            Err(error) => Finding::fail("listen", format!("{address} can't be listened on: {error}; name another with --listen")),
        },
        other => Finding::ok("listen", other),
    });
    Some(plan)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_directory_is_judged_by_where_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(directory("workdir", dir.path()).verdict, Verdict::Ok);
        let made = directory("workdir", &dir.path().join("a/b"));
        assert!(made.verdict == Verdict::Ok && made.said.contains("will be made"), "{made}");
        assert!(!dir.path().join("a").exists(), "it is only looked at");
        for (check, flag) in [("workdir", "--workdir"), ("state", "--state-dir")] {
            let bad = directory(check, &file.join("below"));
            assert!(bad.verdict == Verdict::Fail && bad.said.contains(flag), "{bad}");
        }
    }

    #[test]
    fn directories_in_each_other_are_told_whatever_links_lead_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir(at("work")).unwrap();
        std::os::unix::fs::symlink(at("work"), at("link")).unwrap();
        for (workdir, state, fine) in [
            ("work", "state", true),
            ("work", "work/s", false),
            ("work", "link/s", false),
            ("n/w", "n", false),
        ] {
            assert_eq!(apart(&at(workdir), &at(state)).is_none(), fine, "{workdir} {state}");
        }
    }

    #[test]
    fn room_is_judged_by_bytes_and_by_files() {
        let judge = |free, inodes, left| room(Path::new("/w"), free, inodes, left).verdict;
        assert_eq!(judge(100 * GIB, 0, 0), Verdict::Ok);
        assert_eq!(judge(100 * GIB, 1 << 30, 1 << 29), Verdict::Ok);
        assert_eq!(judge(100 * GIB, 1 << 30, 5), Verdict::Warn);
        assert_eq!(judge(5 * GIB, 0, 0), Verdict::Warn);
        assert_eq!(judge(GIB / 2, 0, 0), Verdict::Fail);
    }

    #[test]
    fn a_key_is_judged_by_its_form_and_by_who_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        assert_eq!(key(&file).verdict, Verdict::Fail);
        for (text, mode, want) in [
            ("3bbd3cc17b04ff172add770f85794dc5\n", 0o600, Verdict::Ok),
            ("3bbd3cc17b04ff172add770f85794dc5\n", 0o644, Verdict::Warn),
            ("gophers\n", 0o600, Verdict::Warn),
            ("\n", 0o600, Verdict::Fail),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let found = key(&file);
            assert_eq!(found.verdict, want, "{found}");
            assert!(!found.said.contains("3bbd") && !found.said.contains("gophers"), "{found}");
        }
    }
}
