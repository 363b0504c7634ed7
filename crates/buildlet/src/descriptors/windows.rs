//! Keeps what this process was given to itself.
//!
//! A process of Windows gives its children every handle that may be inherited, asked or not, and those that were inherited may be. So a
//! job's leftover would hold the pipes of whoever started the helper open. What a child is to have is given to it as a copy.

/// Lets no child have what was inherited but by being given it.
pub(crate) fn close_inherited() {
    crate::sys::process::keep_streams();
}
