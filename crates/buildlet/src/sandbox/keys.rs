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
const PROCESS: libc::c_long = -2;
const USER: libc::c_long = -4;
const USER_SESSION: libc::c_long = -5;

/// Gives this process an empty session of its own, which goes with the last process that it starts.
pub(super) fn own_session() -> io::Result<()> {
    match keyctl([JOIN_SESSION_KEYRING, 0, 0, 0, 0]) {
        Err(error) if !unknown(error) => Err(error.into()),
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
        // A job has used up what its user may have; what matters is that it is taken away.
        Some(error) if added < 0 && error != Errno::DQUOT && !unknown(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes away all keys that are kept for the user that this process is; says whether the one of this name is gone.
pub(super) fn forget(name: &CStr) -> io::Result<bool> {
    for kept in [USER, USER_SESSION] {
        // Makes it, if there is none; else the name would mean another one.
        match keyctl([GET_KEYRING_ID, kept, 1, 0, 0]).and_then(|id| keyctl([CLEAR, id, 0, 0, 0])) {
            Err(error) if !unknown(error) => return Err(error.into()),
            _ => {}
        }
    }
    // Not every kernel keeps any beyond a user's last process.
    if let Ok(kept) = keyctl([GET_PERSISTENT, -1, PROCESS, 0, 0]) {
        keyctl([CLEAR, kept, 0, 0, 0])?;
    }
    let found = keyctl([SEARCH, USER, c"user".as_ptr() as libc::c_long, name.as_ptr() as libc::c_long, 0]);
    Ok(found.is_err())
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
