//! A terminal for a session, as the system makes one: what a command runs on, and our end of it.

#[cfg_attr(unix, path = "terminal/unix.rs")]
#[cfg_attr(windows, path = "terminal/windows.rs")]
mod system;

pub(super) use system::Terminal;
#[cfg(windows)]
pub(crate) use system::host;

/// The size of a terminal as a client tells it, in characters and in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: u32,
    pub(super) rows: u32,
    #[cfg_attr(windows, expect(dead_code, reason = "nobody is told of pixels there"))]
    pub(super) width: u32,
    #[cfg_attr(windows, expect(dead_code, reason = "nobody is told of pixels there"))]
    pub(super) height: u32,
}
