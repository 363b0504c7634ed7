//! Closes what this process was given beside its standard streams.
//!
//! Descriptors without close-on-exec come from whoever started the server: a lock of their shell's, a pipe that somebody
//! waits on the end of. An agent that outlives them must not hold these, and no job may see them.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

/// The standard streams are below.
const FIRST: RawFd = 3;
const OPEN: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Closes every descriptor but the standard streams.
///
/// For the first moment of a process of ours: nothing in it may have opened anything yet, and it has one thread. Without
/// the directory that lists them nothing is closed.
pub(crate) fn close_inherited() {
    let Ok(listed) = std::fs::read_dir(OPEN) else { return };
    let open: Vec<RawFd> =
        listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The list was a descriptor itself, and is gone from it now.
    let open = open.into_iter().filter(|fd| Path::new(OPEN).join(fd.to_string()).symlink_metadata().is_ok());
    for fd in open.filter(|fd| *fd >= FIRST) {
        close(fd);
    }
}

#[allow(
    unsafe_code,
    reason = "a descriptor that nobody in this process has opened has no owner to borrow it from"
)]
fn close(fd: RawFd) {
    // SAFETY: it is open, as the system said just now, and with a single thread nothing can have closed it since. It was open
    // when the process began, before any code of ours ran, so no value in this process owns or uses it; the standard
    // library itself knows of 0, 1 and 2 only, which are never passed.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}
