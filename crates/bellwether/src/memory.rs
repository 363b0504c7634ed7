//! How the allocator keeps what was given back.

/// Lets glibc have two arenas in place of eight for each core.
///
/// What a thread gives back stays in the arena that it came from, and each of SQLite's, git's and the runtime's blocking
/// threads would have one of its own: over thousands of builds their free room was half of the server's memory
/// (docs/performance.md). Said by whoever starts the server (`MALLOC_ARENA_MAX`), that counts. To be called before there is
/// a second thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other way to be told")]
pub fn few_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: mallopt(3) takes two numbers, keeps no pointer and touches nothing but the allocator's own settings,
        // under its own lock. M_ARENA_MAX with a positive number is one that it documents; where it is not taken the
        // call answers 0, and all stays as it was.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 2);
        }
    }
}

/// Other C libraries have no arenas for each thread.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn few_arenas() {}
