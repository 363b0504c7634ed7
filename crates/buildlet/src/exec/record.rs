//! What is kept on disk of a command, so that the next process of the agent knows of it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::wire::ExecState;

/// A command's record; its environment is not in it, because that may hold secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) state: ExecState,
    /// The boot, pid and start that name its first process.
    pub(crate) boot: String,
    pub(crate) pid: Option<i32>,
    pub(crate) start: Option<u64>,
    /// How often it was stored.
    #[serde(skip)]
    pub(crate) stored: u32,
}

fn name(number: u32) -> String {
    match number {
        0 => "record.json".to_owned(),
        number => format!("record-{number}.json"),
    }
}

impl Record {
    /// Writes it in one step; not synced, since it need not outlive the machine.
    ///
    /// Each time under a new name: a file system may flush what replaces a file before it goes on.
    pub(crate) fn store(&mut self, dir: &Path) -> io::Result<()> {
        let partial = dir.join("record.partial");
        std::fs::write(&partial, serde_json::to_vec(self)?)?;
        std::fs::rename(partial, dir.join(name(self.stored)))?;
        self.stored += 1;
        Ok(())
    }

    /// Reads the newest.
    pub(crate) fn load(dir: &Path) -> io::Result<Self> {
        let stored = (1..).take_while(|n| dir.join(name(*n)).exists()).last().map_or(1, |n| n + 1);
        let record: Self = serde_json::from_slice(&std::fs::read(dir.join(name(stored - 1)))?)?;
        Ok(Self { stored, ..record })
    }
}
