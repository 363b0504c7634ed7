//! The agent's command line and what follows from it.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::fetch::FetchFrom;
use crate::keep::docker::DockerArgs;
use crate::keep::qemu::QemuArgs;
use crate::reverse::{self, Coordinator};
use crate::user::JobUserName;

/// The worker agent: writes files, runs commands, streams output.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Prints which buildlet this is, and ends
    #[arg(long, short = 'V')]
    pub version: bool,
    /// Where to listen: unix:/path, or ADDRESS:PORT (then with a password); AUTO is localhost:5936, on a cloud's machine :443
    #[arg(long, default_value = "AUTO")]
    pub listen: Listen,
    /// Lets --listen and --health-addr be an address that other machines reach
    #[arg(long)]
    pub allow_public: bool,
    /// Lets a port be listened on without a password: whoever reaches it owns this account
    #[arg(long)]
    pub allow_no_password: bool,
    /// The directory that jobs work in, made if missing; by default workdir (workdir-HOST) in $TMPDIR or /tmp
    #[arg(long)]
    pub workdir: Option<PathBuf>,
    /// The agent's own state, outside of the work directory; by default buildlet-state (-HOST) beside the default workdir
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Runs jobs as this user, by name or UID:GID, with nothing else of its own on the machine; only for an agent that is root
    #[arg(long, value_name = "USER")]
    pub job_user: Option<JobUserName>,
    /// A file with the password that requests must carry; not used with --reverse-type
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// A file with the certificate, in PEM, to listen with TLS by; with --tls-key
    #[arg(long, value_name = "FILE", conflicts_with = "reverse_type")]
    pub tls_cert: Option<PathBuf>,
    /// A file with the certificate's key, in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "reverse_type")]
    pub tls_key: Option<PathBuf>,
    /// Who is asked for password and certificate of a port: variables META_password, META_tls_cert, META_tls_key, or a cloud
    #[arg(long, value_enum, default_value_t = MetadataFrom::Env)]
    pub metadata: MetadataFrom,
    /// A host that /writetgz may fetch a url from, as HOST or HOST:PORT; or "public": any with a public address. May repeat
    #[arg(long, value_name = "HOST")]
    pub fetch_from: Vec<FetchFrom>,
    /// The most that one upload or one fetched archive may have, packed and unpacked, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
    pub upload_bytes: u64,
    /// Lets /connect-ssh lead to the sshd on this port of this machine, and add keys to its users' authorized_keys; by default it
    /// leads to an SSH server of the agent's own
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// Where the homes of those users are; by default where this system has them
    #[arg(long, value_name = "DIR", requires = "ssh_port")]
    pub ssh_homes: Option<PathBuf>,
    /// Starts nothing but by orders that were signed with the private half of this key, Ed25519 in hexadecimal digits; a machine
    /// that dials out has it from its coordinator
    #[arg(long, value_name = "HEX", requires = "order_machine", conflicts_with = "reverse_type")]
    pub order_key: Option<String>,
    /// As what this machine is named in orders
    #[arg(long, value_name = "NAME", requires = "order_key")]
    pub order_machine: Option<String>,
    /// Another port with nothing but /healthz, for a machine that dials out, as ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS", requires = "reverse_type", value_parser = tcp)]
    pub health_addr: Option<SocketAddr>,
    /// End everything after this long without a request, for example 15m or 90s; not used with --reverse-type
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub idle_exit: Duration,
    /// Dial out to --coordinator as a host of this name in its configuration, and serve it over what was dialled
    #[arg(long, value_name = "HOST", requires = "coordinator", value_parser = name)]
    pub reverse_type: Option<String>,
    /// Whom to dial: `https://ci.example.org`, HOST:PORT (also TLS), or http:// with an address of this machine
    #[arg(long, value_name = "URL", requires = "reverse_type")]
    pub coordinator: Option<Coordinator>,
    /// What this machine is called at the coordinator; by default $HOSTNAME, else the system's name, else "buildlet"
    #[arg(long, value_name = "NAME", requires = "reverse_type", value_parser = name)]
    pub hostname: Option<String>,
    /// A file with the builder key for the host; by default $HOME/.gobuildkey-HOST
    #[arg(long, value_name = "FILE", requires = "reverse_type")]
    pub key_file: Option<PathBuf>,
    /// A file with the token that was made for this machine, which is used once; its identity is kept in --state-dir from then on
    #[arg(
        long,
        value_name = "FILE",
        requires = "reverse_type",
        requires = "state_dir",
        conflicts_with = "key_file"
    )]
    pub token_file: Option<PathBuf>,
    /// Certificates in PEM of a private CA that the coordinator's is signed by, trusted beside the public ones
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Whether /halt powers the machine down (true) or only ends the agent
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub halt: bool,
    /// /halt starts the machine anew; wins over --halt
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub reboot: bool,
    /// Output kept on disk per command before the command has to wait, in bytes
    #[arg(long, default_value_t = 256 << 20, hide = true)]
    pub spool_bytes: u64,
    /// Time between asking a command to end and forcing it
    #[arg(long, default_value = "2s", value_parser = duration, hide = true)]
    pub grace: Duration,
    /// Hold limits by watching and commands unseparated, as where the kernel offers nothing better
    #[arg(long, hide = true)]
    pub no_kernel_help: bool,
    /// How long a request may bring no byte before it is given up
    #[arg(long, default_value = "2m", value_parser = duration, hide = true)]
    pub stall: Duration,
    /// Run in a session of one's own, so that the end of the terminal it was started from does not end it
    #[arg(long)]
    pub own_session: bool,
    /// Go into namespaces of its own before anything else, with a root that is built in this directory; Linux, with a socket
    #[arg(long, value_name = "DIR", requires = "state_dir", hide = true)]
    pub confine: Option<PathBuf>,
    /// Confined, as whom it runs if root starts it
    #[arg(long, value_name = "UID", requires = "confine", value_parser = clap::value_parser!(u32).range(1..), hide = true)]
    pub confine_as: Option<u32>,
    /// Confined, what it sees beside the system's directories
    #[arg(long, value_name = "PATH", requires = "confine", hide = true)]
    pub confine_show: Vec<PathBuf>,
    /// Confined, what it does not see wherever it lies
    #[arg(long, value_name = "PATH", requires = "confine", hide = true)]
    pub confine_hide: Vec<PathBuf>,
    /// It is in its namespaces, which were made by this user and group
    #[arg(long, value_name = "UID:GID", requires = "confine", value_parser = ids, hide = true)]
    pub confined: Option<(u32, u32)>,
    /// Arguments with which this executable reaches the agent's `main` again, set by a host with subcommands
    #[arg(skip)]
    pub reexec_prefix: Vec<OsString>,
    /// The part that becomes a job
    #[command(subcommand)]
    pub helper: Option<Helper>,
}

/// What the agent starts itself as.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Helper {
    /// Sets a job apart and becomes it
    #[command(name = crate::sandbox::COMMAND, hide = true, disable_help_flag = true)]
    SandboxExec {
        /// How, and what
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Looks at this machine with the flags it is to be started with, changes nothing, and says what is wrong
    #[command(disable_help_flag = true)]
    Check {
        /// The same flags, and --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Keeps containers with buildlets that dial out: a new one for each that has ended
    RunDocker(DockerArgs),
    /// Keeps a virtual machine with a buildlet: a new one when it has ended, or is not well
    RunQemu(QemuArgs),
}

impl Args {
    /// The directory that jobs work in.
    pub(crate) fn workdir(&self) -> PathBuf {
        self.workdir.clone().unwrap_or_else(|| {
            if cfg!(windows) {
                // Where the original has it, and where paths are short.
                return r"C:\workdir".into();
            }
            // A file system in memory that somebody put there for it, as the original's machines have.
            let memory = Path::new("/workdir");
            if usable_tmpfs(memory) { memory.to_owned() } else { self.beside("workdir") }
        })
    }

    /// The agent's own state.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| self.beside("buildlet-state"))
    }

    /// The files that only the agent may read.
    pub(crate) fn secrets(&self) -> Vec<PathBuf> {
        let shown = match (&self.token_file, &self.reverse_type) {
            (Some(token), _) => vec![token.clone(), reverse::identity_file(&self.state_dir())],
            (None, Some(host)) => vec![reverse::key_file(self.key_file.as_deref(), host)],
            (None, None) => Vec::new(),
        };
        shown.into_iter().chain(self.password_file.clone()).chain(self.tls_key.clone()).collect()
    }

    fn beside(&self, name: &str) -> PathBuf {
        let name = match &self.reverse_type {
            Some(host) => format!("{name}-{host}"),
            None => name.to_owned(),
        };
        std::env::temp_dir().join(name)
    }
}

/// Whether a directory is a file system in memory from which programs may be run; asked on Linux, where the original's machines
/// have one.
#[cfg(target_os = "linux")]
fn usable_tmpfs(dir: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    // Its type is another one on each target.
    let is = rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type as u64 == TMPFS);
    is && rustix::fs::statvfs(dir)
        .is_ok_and(|stat| !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Whether a directory is a file system in memory from which programs may be run; not asked here.
#[cfg(not(target_os = "linux"))]
fn usable_tmpfs(_dir: &Path) -> bool {
    false
}

/// Who tells a machine its password and certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MetadataFrom {
    /// Variables of the environment; Google's server too if `GCE_METADATA_HOST` names it.
    Env,
    /// The server of Google's cloud.
    Gce,
    /// The user data of Amazon's cloud.
    Ec2,
    /// Whichever of them is there.
    Auto,
}

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Where a machine of this kind does.
    Auto,
    /// A Unix socket: mode 0600 in a directory of mode 0700.
    Unix(PathBuf),
    /// A TCP port; refused without a password.
    Tcp(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(_) if cfg!(windows) => {
                Err("there are no Unix sockets on Windows: listen on ADDRESS:PORT with \
                 --password-file, or dial out with --reverse-type"
                    .to_owned())
            }
            Some("") => Err("unix: needs a path".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None if text == "AUTO" => Ok(Self::Auto),
            None => tcp(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("AUTO"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(addr) => write!(f, "{addr}"),
        }
    }
}

/// An address with its port, `localhost:PORT`, or `:PORT` for all addresses there are.
fn tcp(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.starts_with(':') => format!("0.0.0.0{text}"),
        None => text.to_owned(),
    };
    whole
        .parse()
        .map_err(|_bad| "expected AUTO, unix:/path, ADDRESS:PORT, localhost:PORT or :PORT".to_owned())
}

fn ids(text: &str) -> Result<(u32, u32), String> {
    let read = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    read.ok_or_else(|| format!("{text:?} is not UID:GID"))
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_bad| "expected a number and ms, s, m or h".to_owned())?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number)),
        Some("s") => Ok(Duration::from_secs(number)),
        Some("m") => Ok(Duration::from_secs(number.saturating_mul(60))),
        Some("h") => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("expected a number and ms, s, m or h".to_owned()),
    }
}

/// The name of a host or a machine: it stands in a head of HTTP and in a file's name.
fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits and any of . _ - with a letter or digit first".to_owned())
    }
}

/// Whether a text can be the name of a host or a machine.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 253 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_addresses() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("90ms"), Ok(Duration::from_millis(90)));
        assert!(duration("15").is_err());
        assert!(duration("m").is_err());
        assert_eq!("unix:/a".parse(), Ok(Listen::Unix("/a".into())));
        assert!("unix:".parse::<Listen>().is_err());
        assert!("localhost".parse::<Listen>().is_err());
        assert_eq!("AUTO".parse(), Ok(Listen::Auto));
        for (text, want) in
            [("localhost:80", "127.0.0.1:80"), (":443", "0.0.0.0:443"), ("[::1]:80", "[::1]:80")]
        {
            assert_eq!(text.parse(), Ok(Listen::Tcp(want.parse().unwrap())));
        }
    }

    #[test]
    fn a_name_leads_nowhere_else_and_ends_no_line() {
        for good in ["host-linux-arm64", "host-darwin-10_12", "ci.example.org", "7"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".x", "-x", "../x", "a/b", "a b", "a\r\nX-B: c", "ä", &"a".repeat(254)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reverse_mode_needs_both_of_its_ends() {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let parse = |args: &[&str]| <Cli as clap::Parser>::try_parse_from([&["buildlet"], args].concat());
        let cli = parse(&["--reverse-type", "host-a", "--coordinator", "ci.example.org:443"]).unwrap();
        assert_eq!(cli.args.reverse_type.as_deref(), Some("host-a"));
        for bad in [
            &["--reverse-type", "host-a"][..],
            &["--coordinator", "https://ci.example.org"],
            &["--key-file", "/k"],
            &["--token-file", "/t"],
            &[
                "--reverse-type",
                "a",
                "--coordinator",
                "ci.example.org",
                "--key-file",
                "/k",
                "--token-file",
                "/t",
            ],
            &["--reverse-type", "a/b", "--coordinator", "https://ci.example.org"],
        ] {
            parse(bad).unwrap_err();
        }
        let error = parse(&["--reverse-type", "a", "--coordinator", "http://ci.example.org"]).unwrap_err();
        assert!(error.to_string().contains("use https://"), "{error}");
    }
}
