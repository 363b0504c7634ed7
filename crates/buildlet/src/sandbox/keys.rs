//! Keys that the kernel holds for a session or a user (keyrings(7)). They are no files and no processes, and a session's go from
//! parent to child whoever the child is made: so a job would have those of who started the agent.
//!
//! Where the kernel has none, or a container keeps all its processes from them, a job has none either.

use std::ffi::CStr;
use std::io;

use rustix::io::Errno;

// Numbers of the kernel's `linux/keyctl.h`.
const GET_KEYRING_ID: libc::c_long = 0;
const JOIN_SESSION_KEYRING: libc::c_long = 1;
const CLEAR: libc::c_long = 7;
const SEARCH: libc::c_long = 10;
const GET_PERSISTENT: libc::c_long = 22;
const SESSION: libc::c_long = -3;
const USER: libc::c_long = -4;
const USER_SESSION: libc::c_long = -5;

/// Gives this process an empty session of its own, which goes with the last process that it starts. What keeps it from that counts
/// only if it must: who is not root has a quota of keys, and shares it with all that runs as the same user.
pub(super) fn own_session(must: bool) -> io::Result<()> {
    match keyctl([JOIN_SESSION_KEYRING, 0, 0, 0, 0]) {
        // A filter of system calls may say that it is forbidden, and then is the job's too.
        Err(error) if must && !unknown(error) && error != Errno::ACCESS => Err(error.into()),
        _ => Ok(()),
    }
}

/// Puts a key where it stays for the user that this process is, as a job might.
pub(super) fn plant(name: &CStr) -> io::Result<()> {
    let content = b"planted by a wipe";
    #[allow(unsafe_code, reason = "rustix has no call for it")]
    // SAFETY: both texts end with a zero, the content is as long as is said, and the kernel only reads them, before it returns.
    let added = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            name.as_ptr(),
            content.as_ptr(),
            content.len(),
            USER,
        )
    };
    match Errno::from_io_error(&io::Error::last_os_error()) {
        // A job has used up what its user may have, or locked it up: that is for `forget` to see.
        Some(Errno::DQUOT | Errno::ACCESS | Errno::KEYREVOKED | Errno::KEYEXPIRED) => Ok(()),
        Some(error) if added < 0 && !unknown(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes away all keys that are kept for the user that this process is; says whether the one of this name is gone.
pub(super) fn forget(name: &CStr) -> io::Result<bool> {
    // Kept beyond a user's last process. First, and named in our own session, so that no quota of the user's is in the way.
    emptied(keyctl([GET_PERSISTENT, -1, SESSION, 0, 0]))?;
    for kept in [USER, USER_SESSION] {
        // Makes it, if there is none; else the name would mean another one.
        match keyctl([GET_KEYRING_ID, kept, 1, 0, 0]) {
            // No room to make it: there is none.
            Err(Errno::DQUOT) => {}
            found => emptied(found)?,
        }
    }
    let found = keyctl([SEARCH, USER, c"user".as_ptr() as libc::c_long, name.as_ptr() as libc::c_long, 0]);
    Ok(matches!(found, Err(error) if unknown(error) || is_over(error) || error == Errno::NOKEY))
}

/// Empties a keyring, if there are any.
fn emptied(ring: Result<libc::c_long, Errno>) -> io::Result<()> {
    match ring.and_then(|ring| keyctl([CLEAR, ring, 0, 0, 0])) {
        Err(error) if !unknown(error) && !is_over(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Nobody finds anything in it any more.
fn is_over(error: Errno) -> bool {
    matches!(error, Errno::KEYREVOKED | Errno::KEYEXPIRED)
}

fn unknown(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP)
}

#[allow(unsafe_code, reason = "rustix has no call for it")]
fn keyctl([operation, a, b, c, d]: [libc::c_long; 5]) -> Result<libc::c_long, Errno> {
    // SAFETY: the callers pass numbers, no name (0) where there may be one, and for a search two texts that end with a zero and live
    // until this returns. The kernel writes to none of them.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, operation, a, b, c, d) };
    if answer < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(answer)
}
