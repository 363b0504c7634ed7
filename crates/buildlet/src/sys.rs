//! What differs between systems, under one face: files by descriptor, pipes, processes, a machine's own words.
//!
//! On Unix nearly all of it is another name for what rustix and tokio have, and costs nothing. On Windows it is written here, as much
//! as the agent needs: a directory that is open can't be moved, so a name in it is as good as a descriptor.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
