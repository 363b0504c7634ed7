//! The user that jobs run as, on a machine whose agent runs as root: who that is, and what may be done in its name.
//!
//! The agent holds the key of its host, and a job is somebody else's program. So a job has another user's rights, and so has the
//! agent for as long as it touches what a job owns: a link that a job has made then leads nowhere that the job could not go by itself.

#[cfg_attr(windows, path = "user/none.rs")]
pub(crate) mod apart;
mod rights;
#[cfg(unix)]
pub(crate) mod traces;
#[cfg(windows)]
pub(crate) use apart as traces;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

#[cfg(unix)]
pub(crate) use rights::give_up;
pub(crate) use rights::of;

/// Groups of a user that are taken; the kernel takes no more.
const MOST_GROUPS: usize = 65_536;

/// How an operator names the user that jobs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobUserName {
    /// By the name that the system has for it.
    Name(String),
    /// By its numbers; the system need not know it.
    Ids {
        /// Its own.
        uid: u32,
        /// Its group's.
        gid: u32,
    },
}

impl FromStr for JobUserName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected the name of a user, or UID:GID".to_owned();
        if let Some((uid, gid)) = text.split_once(':') {
            let uid = number(uid).ok_or_else(expected)?;
            return Ok(Self::Ids { uid, gid: number(gid).ok_or_else(expected)? });
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) || !crate::args::is_name(text) {
            // A number alone says nothing of the group.
            return Err(expected());
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for JobUserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ids { uid, gid } => write!(f, "{uid}:{gid}"),
        }
    }
}

/// A number of a user or a group; the greatest means "unchanged" to the kernel.
fn number(text: &str) -> Option<u32> {
    // `parse` alone would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

/// Why jobs can't run as the user that was named.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(windows, expect(dead_code, reason = "most is of systems where jobs can have a user"))]
pub(crate) enum UserError {
    #[error("--job-user works on Linux only; leave it away, and run the agent itself as a user of its own")]
    System,
    #[error(
        "--job-user needs an agent that runs as root, to become that user; start it as root, \
         or leave the flag away and run the agent itself as a user of its own"
    )]
    NotRoot,
    #[error("{0} can't be read: {1}; name the user of --job-user by UID:GID")]
    Unreadable(&'static str, io::Error),
    #[error(
        "there is no user {0:?} in /etc/passwd; make one (useradd --system --no-create-home {0}), or give --job-user UID:GID"
    )]
    Unknown(String),
    #[error(
        "--job-user {0} is root, or in root's group, which may read what jobs must not; name a user that is for jobs alone"
    )]
    Root(String),
    #[error(
        "--job-user {0}: jobs can't be given its rights: {1}; the agent needs the capabilities SETUID and SETGID"
    )]
    Become(String, io::Error),
    #[error(
        "user {user} has processes that no agent has started, such as {pid} ({cmd}), and all that runs as it is ended at each \
         wipe; end them, or name a user with --job-user that is for the jobs of this agent alone"
    )]
    Shared { user: String, pid: i32, cmd: String },
    #[error(
        "the jobs of another agent of this machine run as {0} ({1} is locked); give each agent a --job-user of its own"
    )]
    Taken(String, PathBuf),
    #[error("user {user} can read {}, which is the agent's alone; chmod 600 it, and let root own it", file.display())]
    Readable { user: String, file: PathBuf },
    #[error(
        "user {user} can't get into the work directory {}: {source}; every directory above it must let others through \
         (chmod o+x), or name another with --workdir, such as /var/lib/buildlet/work",
        dir.display()
    )]
    Unreachable { user: String, dir: PathBuf, source: io::Error },
    #[error(
        "user {user} can put something else in the place of {}, since {} lets it write; name a --workdir in a directory of root's, \
         such as /var/lib/buildlet/work",
        dir.display(), above.display()
    )]
    Movable { user: String, dir: PathBuf, above: PathBuf },
    #[error("{} belongs to user {owner} and not to root; chown it, or name another --state-dir", dir.display())]
    State { dir: PathBuf, owner: u32 },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
}

/// A user that jobs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Its other groups.
    pub(crate) groups: Vec<u32>,
}

impl JobUser {
    /// Finds the user in this system's files.
    pub(crate) fn find(name: &JobUserName) -> Result<Self, UserError> {
        if !cfg!(target_os = "linux") {
            return Err(UserError::System);
        }
        if !crate::sys::is_root() {
            return Err(UserError::NotRoot);
        }
        let read = |file: &'static str| {
            std::fs::read_to_string(file).map_err(|error| UserError::Unreadable(file, error))
        };
        let user = match name {
            JobUserName::Ids { .. } => Self::of(name, "", "")?,
            JobUserName::Name(_) => Self::of(name, &read("/etc/passwd")?, &read("/etc/group")?)?,
        };
        // What can't be done for a file can't be done for a job.
        of(Some(&user)).map_err(|error| UserError::Become(user.name.clone(), error))?;
        Ok(user)
    }

    /// Finds a user in the texts of `passwd` and `group`.
    fn of(name: &JobUserName, passwd: &str, group: &str) -> Result<Self, UserError> {
        let user = match name {
            JobUserName::Ids { uid, gid } => {
                Self { name: uid.to_string(), uid: *uid, gid: *gid, groups: Vec::new() }
            }
            JobUserName::Name(name) => {
                let found = passwd.lines().find_map(|line| {
                    let mut fields = line.split(':');
                    (fields.next() == Some(name)).then(|| fields.nth(1).zip(fields.next()))?
                });
                let ids = found.and_then(|(uid, gid)| number(uid).zip(number(gid)));
                let (uid, gid) = ids.ok_or_else(|| UserError::Unknown(name.clone()))?;
                let groups = group.lines().filter_map(|line| {
                    let mut fields = line.split(':');
                    let (gid, members) = (number(fields.nth(2)?)?, fields.next()?);
                    members.split(',').any(|member| member == name).then_some(gid)
                });
                Self { name: name.clone(), uid, gid, groups: groups.take(MOST_GROUPS).collect() }
            }
        };
        if user.uid == 0 || user.gid == 0 || user.groups.contains(&0) {
            return Err(UserError::Root(user.name));
        }
        Ok(user)
    }

    /// All there is to it as one word, for the helper's command line.
    pub(crate) fn word(&self) -> String {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        format!("{}:{}:{}:{}", self.uid, self.gid, groups.join(","), self.name)
    }

    /// Reads such a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let mut parts = word.splitn(4, ':');
        let (uid, gid, groups) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?);
        let groups = groups.split(',').filter(|group| !group.is_empty()).map(number);
        Some(Self { uid, gid, groups: groups.collect::<Option<_>>()?, name: parts.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a line\njob:x:990:991::/nonexistent:/bin/false\n\
                          jo:x:1:1::/:/bin/sh\nbad:x:-1:5::/:/bin/sh\nadm:x:5:5::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:adm\nkvm:x:77:jo,job\nwheel:x:78:job2\ndocker:x:79:job\nbroken\n";

    fn of(name: &str) -> Result<JobUser, UserError> {
        JobUser::of(&name.parse().unwrap(), PASSWD, GROUP)
    }

    #[test]
    fn a_user_is_found_with_all_of_its_groups() {
        let want = JobUser { name: "job".to_owned(), uid: 990, gid: 991, groups: vec![77, 79] };
        assert_eq!(of("job").unwrap(), want);
        assert_eq!(JobUser::from_word(&want.word()), Some(want));
        let want = JobUser { name: "7".to_owned(), uid: 7, gid: 8, groups: Vec::new() };
        assert_eq!(of("7:8").unwrap(), want);
        assert_eq!(JobUser::from_word(&want.word()), Some(want));
        for bad in ["", "1:2", "1:2:x:n", "1::3:n"] {
            assert_eq!(JobUser::from_word(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn who_is_no_user_for_jobs_is_told_why() {
        for (name, remedy) in [
            ("nobody-here", "useradd"),
            ("bad", "useradd"),
            ("root", "for jobs alone"),
            ("adm", "for jobs alone"),
            ("0:5", "for jobs alone"),
            ("5:0", "for jobs alone"),
        ] {
            let error = of(name).unwrap_err().to_string();
            assert!(error.contains(remedy), "{name}: {error}");
        }
    }

    #[test]
    fn a_name_is_a_name_or_two_numbers() {
        let parse = |text: &str| text.parse::<JobUserName>();
        assert_eq!(parse("job"), Ok(JobUserName::Name("job".to_owned())));
        assert_eq!(parse("65534:65534"), Ok(JobUserName::Ids { uid: 65534, gid: 65534 }));
        for bad in ["", "7", "-x", "a b", "a:b", "1:", ":1", "+1:1", "4294967295:1", "1:2:3", "a\nb"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
