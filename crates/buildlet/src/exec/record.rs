//! What is kept on disk of a command, so that the next process of the agent knows of it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::wire::ExecState;

const NAME: &str = "record.json";

/// A command's record; its environment is not in it, because that may hold secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) state: ExecState,
    /// The boot, pid and start that name its first process.
    pub(crate) boot: String,
    pub(crate) pid: Option<i32>,
    pub(crate) start: Option<u64>,
}

impl Record {
    /// Writes it in one step; not synced, since it need not outlive the machine.
    pub(crate) fn store(&self, dir: &Path) -> io::Result<()> {
        let partial = dir.join("record.partial");
        std::fs::write(&partial, serde_json::to_vec(self)?)?;
        std::fs::rename(partial, dir.join(NAME))
    }

    /// Reads it.
    pub(crate) fn load(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(dir.join(NAME))?)?)
    }
}
