//! The JSON bodies of the `/bw1` protocol (docs/PROTOCOL.md). `buildlet` holds the same file's content as
//! its own module, and a test there compares both, because the agent must not depend on this crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a command may use; an absent limit is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Time from start to forced end, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Memory of the whole process tree, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processes and threads alive at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Disk use of the work directory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Bytes of output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Processor time of the whole process tree, in thousandths of a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
}

/// A command to run; the answer to the same `id` again is the state of the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Chosen by the caller: 1 to 64 of `[A-Za-z0-9._-]`, not starting with a dot.
    pub id: String,
    /// The program and its arguments; never passed through a shell.
    pub argv: Vec<String>,
    /// Added to the command's environment in order, the later winning; `$WORKDIR` in a value is replaced.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where to run, relative to the work directory; empty is the work directory itself.
    #[serde(default)]
    pub dir: String,
    /// What the command may use.
    #[serde(default)]
    pub limits: Limits,
    /// Names, or `NAME_*` patterns, taken over from the agent's own environment.
    #[serde(default)]
    pub env_pass: Vec<String>,
}

/// Whether a command still runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It runs, or its last output is being collected.
    #[default]
    Running,
    /// It and all it started are gone, and `output_bytes` is final.
    Exited,
}

/// A process that outlived its command and was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// Its command line, cut to 200 characters.
    pub cmd: String,
}

/// What is known of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    /// The caller's id.
    pub id: String,
    /// Whether it still runs.
    pub state: RunState,
    /// Start, in microseconds since 1970.
    pub started_us: i64,
    /// End, in microseconds since 1970.
    #[serde(default)]
    pub ended_us: Option<i64>,
    /// The exit code, if it exited by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The number of the signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Empty while running; then `ok`, `exit status 3`, `signal: killed`, or why it could not be started.
    #[serde(default)]
    pub process_state: String,
    /// Set if it was ended from outside: `timeout`, `limit:memory`, `limit:processes`, `limit:disk`,
    /// `limit:log`, `killed:REASON`, `agent_restart`, `worker:disk_full`.
    #[serde(default)]
    pub ended_by: Option<String>,
    /// Bytes of output so far.
    #[serde(default)]
    pub output_bytes: u64,
    /// Bytes acknowledged, which are no longer readable.
    #[serde(default)]
    pub acked: u64,
    /// Processes that were still there when it had ended.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
    /// The greatest memory use seen of the tree, in bytes.
    #[serde(default)]
    pub max_rss_bytes: u64,
    /// Processor time of the tree, in milliseconds.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Why it could not be started at all.
    #[serde(default)]
    pub start_error: Option<String>,
}

/// One command in a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecBrief {
    /// The caller's id.
    pub id: String,
    /// Whether it still runs.
    pub state: RunState,
}

/// What only our own agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// Version of the `/bw1` protocol.
    pub protocol: u32,
    /// Version of the agent's crate.
    pub version: String,
    /// SHA-256 of the agent's executable, hex.
    pub digest: String,
    /// Random, new with every start of the process.
    pub instance: String,
    /// The highest fencing token seen.
    pub fence: u64,
    /// The last `Bw-Lease` seen.
    pub lease: Option<String>,
    /// How limits are held: `cgroup2`, `cgroup1` or `watch`.
    pub limits: String,
    /// How `cpu_millis` is held: `cgroup2`, `cgroup1`, or `watch`, by stopping the processes for a while.
    pub cpu_limit: String,
    /// How commands are kept apart: `namespaces` or `none`.
    pub isolation: String,
    /// The commands it knows.
    pub execs: Vec<ExecBrief>,
    /// Free bytes on the disk of the work directory.
    pub disk_free: u64,
    /// Why it takes no more commands.
    pub set_aside: Option<String>,
    /// Milliseconds since the process began: what the end of an order is told by.
    pub uptime_ms: u64,
    /// The key, Ed25519 in hex, without whose orders it starts nothing.
    pub order_key: Option<String>,
}

/// The answer to `GET /status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the original protocol.
    #[serde(rename = "Version")]
    pub version: i32,
    /// Absent from an original buildlet.
    #[serde(rename = "Bellwether", default, skip_serializing_if = "Option::is_none")]
    pub bellwether: Option<AgentStatus>,
}

/// The answer to a wipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WipeReport {
    /// Everything is gone; otherwise the agent has set itself aside.
    pub clean: bool,
    /// For each of `workdir`, `tmpdir`, `home`, `shm`, `process`: whether what was planted is gone.
    pub canaries: BTreeMap<String, bool>,
    /// Processes that had to be ended.
    pub leftovers: Vec<Leftover>,
    /// What could not be removed, first 20.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Which files to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobRequest {
    /// Shell patterns over slash-separated paths relative to `dir`; `**` is any number of directories.
    pub patterns: Vec<String>,
    /// Relative to the work directory.
    #[serde(default)]
    pub dir: String,
}

/// A regular file found by a glob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobFile {
    /// Relative to the request's `dir`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Last change, in microseconds since 1970.
    pub mtime_us: i64,
    /// Permission bits.
    pub mode: u32,
}

/// The answer to a glob, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobReport {
    /// At most 10,000.
    pub files: Vec<GlobFile>,
    /// There were more.
    pub truncated: bool,
}

/// An error on `/bw1`, and of every request refused for its fence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// With `stale_fence`: the highest token seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
}
