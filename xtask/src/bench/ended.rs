//! Workers end with the measurement that had them.

use std::path::Path;

use testkit::{Kill, kill, workers};

/// Ends the workers of a data directory, which would outlive the server for a while.
pub(super) struct Ended<'a>(pub(super) &'a Path);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for worker in workers(self.0) {
            let _ = kill(worker.pid, Kill::Crash);
        }
    }
}
