//! Who jobs run as, and what that user could get at.

use super::Finding;
use crate::args::Args;
use crate::exec::tree;
use crate::user::{JobUser, apart, traces};

pub(super) fn look(args: &Args, dedicated: bool) -> Vec<Finding> {
    let Some(name) = &args.job_user else {
        return vec![own(crate::sys::is_root(), dedicated)];
    };
    let user = match JobUser::find(name) {
        Ok(user) => user,
        Err(error) => return vec![Finding::fail("user", error)],
    };
    let mut findings = Vec::new();
    for file in args.secrets() {
        if let Err(error) = apart::unreadable(&user, &file) {
            findings.push(Finding::fail("user", error));
        }
    }
    if let Err(error) = apart::place(&user, &args.workdir()) {
        findings.push(Finding::fail("user", error));
    }
    if let Err(error) = apart::free(&user, &args.state_dir()) {
        findings.push(Finding::fail("user", error));
    }
    match traces::count(&user, &args.workdir()) {
        Ok(0) => {}
        Ok(files) => {
            let text = format!(
                "user {} owns {files} files in /tmp and the like, which the first wipe removes; \
                 move away what is to be kept, or name a user for jobs alone",
                user.name
            );
            findings.push(Finding::warn("user", text));
        }
        Err(error) => {
            findings.push(Finding::warn("user", format!("the places where everybody may write: {error}")))
        }
    }
    if findings.is_empty() {
        let processes = tree::of_user(user.uid).len();
        findings.push(Finding::ok(
            "user",
            format!("jobs run as {} ({}); {processes} processes now", user.name, user.uid),
        ));
    }
    findings
}

/// Judges an agent that gives jobs its own rights.
fn own(root: bool, dedicated: bool) -> Finding {
    match (root, dedicated) {
        (true, true) => Finding::warn(
            "user",
            "jobs run as root: they can read the key and whatever else is on this machine; \
             make a user for them (useradd --system --no-create-home bellwether-job) and name it with --job-user",
        ),
        (true, false) => Finding::ok("user", "jobs run as root, as whoever can ask here"),
        (false, true) => Finding::warn(
            "user",
            "jobs run as the agent's own user and can read its key; give this host only work that you trust, \
             or start the agent as root with --job-user",
        ),
        (false, false) => Finding::ok("user", "jobs run as the agent's own user"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn whoever_gives_a_whole_machine_to_jobs_hears_of_a_user_for_them() {
        for root in [true, false] {
            let found = own(root, true);
            assert!(found.verdict == Verdict::Warn && found.said.contains("--job-user"), "{found}");
            assert_eq!(own(root, false).verdict, Verdict::Ok);
        }
    }
}
