//! A process with all that it started, also in groups and sessions of their own.

use std::collections::{BTreeMap, BTreeSet};

use testkit::{Kill, kill};

/// Looks after which what goes on is let be: each finds what was started since the one before.
const LOOKS: usize = 20;

/// Kills all that a process started and that has a parent in between; the process itself is stopped, and is the caller's to be ended.
/// A child whose parent has ended is nobody's any more, and not found.
pub(super) fn end_below(root: u32) {
    // What is stopped starts nothing more, so the last look finds nothing new. What has ended meanwhile is as good.
    let _ = kill(root, Kill::Pause);
    let mut found = BTreeSet::new();
    for _ in 0..LOOKS {
        let new: Vec<u32> = below(root, &parents()).difference(&found).copied().collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            let _ = kill(pid, Kill::Pause);
            found.insert(pid);
        }
    }
    for pid in found {
        let _ = kill(pid, Kill::Crash);
    }
}

/// All processes with their parents.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let parent = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, in which anything may stand: the state and the parent.
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

fn below(root: u32, parents: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    loop {
        let is_new = |(pid, parent): &(&u32, &u32)| {
            **pid != root && (**parent == root || found.contains(*parent)) && !found.contains(*pid)
        };
        let new: Vec<u32> = parents.iter().filter(is_new).map(|(pid, _)| *pid).collect();
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_generations_are_below_and_nobody_else() {
        let parents = BTreeMap::from([(2, 1), (5, 2), (3, 5), (9, 3), (4, 1), (6, 4), (7, 7)]);
        assert_eq!(below(2, &parents), BTreeSet::from([3, 5, 9]));
        assert_eq!(below(7, &parents), BTreeSet::new());
    }
}
