//! The workers that a server's data directory knows of, and the processes behind them.

use std::path::Path;

use anyhow::Result;

use crate::process::{Kill, kill};

/// A local worker, by what the server keeps beside it in `worker.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// Its buildlet's process.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat` at its start, so that a reused pid is not taken for it.
    started: u64,
}

impl Worker {
    /// Whether its process is there and no zombie.
    #[must_use]
    pub fn alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// kill -9, if it is alive.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn kill(&self) -> Result<()> {
        if self.alive() { kill(self.pid, Kill::Crash) } else { Ok(()) }
    }
}

/// The workers under a data directory whose processes are alive.
#[must_use]
pub fn workers(data: &Path) -> Vec<Worker> {
    let entries = std::fs::read_dir(data.join("workers")).into_iter().flatten().flatten();
    let mut found: Vec<Worker> = entries
        .filter_map(|entry| {
            let text = std::fs::read(entry.path().join("worker.json")).ok()?;
            let kept: serde_json::Value = serde_json::from_slice(&text).ok()?;
            let pid = u32::try_from(kept["pid"].as_u64()?).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some(Worker { name, pid, started: kept["started"].as_u64()? })
        })
        .filter(Worker::alive)
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_living_are_listed_and_a_reused_pid_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let me = std::process::id();
        let started = start_time(me).unwrap();
        for (name, pid, started) in [("a", me, started), ("b", me, started + 1), ("c", u32::MAX, 1)] {
            let folder = dir.path().join("workers").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let text = serde_json::json!({"host": "h", "pid": pid, "started": started, "socket": "/s"});
            std::fs::write(folder.join("worker.json"), text.to_string()).unwrap();
        }
        let found = workers(dir.path());
        assert_eq!(found, [Worker { name: "a".into(), pid: me, started }]);
    }
}
