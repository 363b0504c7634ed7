//! Questions to the kernel that the standard library has no words for.
#![allow(unsafe_code, reason = "the kernel is asked by pointers")]

use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, GetDiskFreeSpaceExW, GetFileInformationByHandle,
};

/// A text as the kernel takes it: in units of UTF-16 that end with a zero.
pub(super) fn wide(text: &std::ffi::OsStr) -> Vec<u16> {
    text.encode_wide().filter(|unit| *unit != 0).chain([0]).collect()
}

/// How many names a file has.
pub(super) fn links(file: &File) -> io::Result<u64> {
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open for as long as `file` is borrowed, and the answer is written to a value of the right type that
    // outlives the call.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(told.nNumberOfLinks.into()) }
}

/// How many bytes a file system has for us.
pub(crate) fn disk_free(dir: &Path) -> io::Result<u64> {
    let name = wide(dir.as_os_str());
    let mut free = 0;
    // SAFETY: the name ends with a zero and lives until the call returns; the one answer that is wanted goes to a number of ours, and
    // null means that the others are not.
    let done = unsafe { GetDiskFreeSpaceExW(name.as_ptr(), &raw mut free, null_mut(), null_mut()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(free) }
}
