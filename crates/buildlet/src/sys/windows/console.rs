//! Consoles that show what programs print to a pipe, and take what is typed from one (ConPTY).
//!
//! Windows has them from version 1809 on, so their calls are looked for when they are wanted: without them the rest works.
#![allow(unsafe_code, reason = "the kernel is asked by pointers")]

use std::ffi::{CStr, OsStr, c_void};
use std::io;
use std::mem::{size_of, transmute};
use std::os::windows::io::{AsHandle, AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::{FARPROC, HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Console::{COORD, HPCON};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{
    CreateProcessW, DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess,
    INFINITE, InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST,
    PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW,
    UpdateProcThreadAttribute, WaitForSingleObject,
};
use windows_sys::core::HRESULT;

use super::kernel::wide;

type Create = unsafe extern "system" fn(COORD, HANDLE, HANDLE, u32, *mut HPCON) -> HRESULT;
type Resize = unsafe extern "system" fn(HPCON, COORD) -> HRESULT;
type Close = unsafe extern "system" fn(HPCON);

/// The calls, as far as this Windows has them.
#[derive(Clone, Copy)]
struct Calls {
    create: Create,
    resize: Resize,
    close: Close,
}

impl Calls {
    fn find() -> io::Result<Self> {
        let name = wide(OsStr::new("kernel32.dll"));
        // SAFETY: the name ends with a zero and lives until the call returns. What it finds is in every process until its end.
        let kernel = unsafe { GetModuleHandleW(name.as_ptr()) };
        let find = |name: &CStr| -> io::Result<FARPROC> {
            // SAFETY: the library is loaded (or null, which finds nothing), and the name ends with a zero.
            let found = unsafe { GetProcAddress(kernel, name.as_ptr().cast()) };
            if found.is_none() {
                let text = "terminals need Windows 10 or Server 2019, version 1809; ssh -T needs none";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Ok(found)
        };
        let (create, resize, close) =
            (find(c"CreatePseudoConsole")?, find(c"ResizePseudoConsole")?, find(c"ClosePseudoConsole")?);
        // SAFETY: none is null, as was just looked, so each is the address of the call of that name in a library that stays, and the
        // types are those that wincontypes.h and consoleapi.h give these three; a pointer to a function is as large as an optional one.
        unsafe {
            Ok(Self {
                create: transmute::<FARPROC, Create>(create),
                resize: transmute::<FARPROC, Resize>(resize),
                close: transmute::<FARPROC, Close>(close),
            })
        }
    }
}

/// One console.
pub(crate) struct Console {
    calls: Calls,
    /// Until it is closed.
    handle: Mutex<Option<HPCON>>,
}

impl Console {
    /// Makes one, which keeps ends of its own of where keys come from and what is shown goes.
    pub(crate) fn open(
        columns: u16,
        rows: u16,
        keys: &impl AsHandle,
        shown: &impl AsHandle,
    ) -> io::Result<Self> {
        let calls = Calls::find()?;
        let (keys, shown) = (keys.as_handle(), shown.as_handle());
        let mut handle = 0;
        // SAFETY: both handles are open while they are borrowed, which is longer than the call, and it makes its own of them; the
        // console is written to a value of ours.
        let made = unsafe {
            (calls.create)(
                size(columns, rows),
                keys.as_raw_handle(),
                shown.as_raw_handle(),
                0,
                &raw mut handle,
            )
        };
        result(made)?;
        Ok(Self { calls, handle: Mutex::new(Some(handle)) })
    }

    /// Changes its size; one that is closed has none.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = *handle else { return Ok(()) };
        // SAFETY: the console is there while the lock is held, since who closes it takes it out first.
        result(unsafe { (self.calls.resize)(handle, size(columns, rows)) })
    }

    /// Ends all that runs on it, and returns once what it showed is read; the second time it does nothing.
    pub(crate) fn close(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // SAFETY: it was taken out, so nobody else uses it now or later.
            unsafe { (self.calls.close)(handle) };
        }
    }

    /// Starts a command line on it, with the variables and in the directory of this process.
    pub(crate) fn start(&self, line: &OsStr) -> io::Result<Process> {
        let held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let console = held.ok_or(io::ErrorKind::BrokenPipe)?;
        let mut attributes = Attributes::of_console(console)?;
        let mut start = STARTUPINFOEXW::default();
        start.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
        // With none of these the system gives it the console's; without this flag it would give it ours, which are pipes.
        start.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        start.lpAttributeList = attributes.list();
        let mut line = wide(line);
        let mut told = PROCESS_INFORMATION::default();
        // SAFETY: the line ends with a zero and is ours to be written to; null means that the program is named by the line, that
        // nothing has special rights, and that variables and directory are this process's. The flag says that `start` is the longer
        // of its two kinds, which it is, and its list and the console in it live until the call returns, `attributes` and `held` being
        // dropped after it. The answer is written to a value of the right type.
        let done = unsafe {
            CreateProcessW(
                null(),
                line.as_mut_ptr(),
                null(),
                null(),
                0,
                EXTENDED_STARTUPINFO_PRESENT,
                null(),
                null(),
                &raw const start.StartupInfo,
                &raw mut told,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has returned two new handles that are ours to close; that of the thread nobody wants.
        unsafe {
            drop(OwnedHandle::from_raw_handle(told.hThread));
            Ok(Process(OwnedHandle::from_raw_handle(told.hProcess)))
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is said to the system of a process to start, beside what it always asks.
struct Attributes(Vec<usize>);

impl Attributes {
    fn of_console(console: HPCON) -> io::Result<Self> {
        let mut bytes = 0;
        // SAFETY: null asks only how much room a list of one takes, which is written to a number of ours.
        unsafe { InitializeProcThreadAttributeList(null_mut(), 1, 0, &raw mut bytes) };
        let mut room = vec![0_usize; bytes.div_ceil(size_of::<usize>()).max(1)];
        // SAFETY: the room has as many bytes as were asked for, at the place of a pointer; it stays where it is when the vector moves.
        let made =
            unsafe { InitializeProcThreadAttributeList(room.as_mut_ptr().cast(), 1, 0, &raw mut bytes) };
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        // From here on it is a list, which its drop takes down.
        let mut list = Self(room);
        // SAFETY: the list was made with room for one attribute. This one's value is the console's handle itself, not a place where it
        // stands, so nothing has to outlive the call.
        let set = unsafe {
            UpdateProcThreadAttribute(
                list.list(),
                0,
                PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE as usize,
                console as *const c_void,
                size_of::<HPCON>(),
                null_mut(),
                null(),
            )
        };
        if set == 0 { Err(io::Error::last_os_error()) } else { Ok(list) }
    }

    fn list(&mut self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.0.as_mut_ptr().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the list was made, and nobody uses it after this.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

/// A process that was started.
pub(crate) struct Process(OwnedHandle);

impl Process {
    /// Waits for its end, and returns its code.
    pub(crate) fn wait(&self) -> io::Result<u32> {
        let process = self.0.as_raw_handle();
        let mut code = 0;
        // SAFETY: the handle is open while `self` lives and is that of a process with all rights, as its maker gets it; the code is
        // written to a number of ours.
        let done = unsafe {
            WaitForSingleObject(process, INFINITE) == WAIT_OBJECT_0
                && GetExitCodeProcess(process, &raw mut code) != 0
        };
        if done { Ok(code) } else { Err(io::Error::last_os_error()) }
    }
}

fn size(columns: u16, rows: u16) -> COORD {
    let cut = |value: u16| i16::try_from(value).unwrap_or(i16::MAX).max(1);
    COORD { X: cut(columns), Y: cut(rows) }
}

/// What a call of this kind has returned. Most that fail hold an error of the system's.
fn result(result: HRESULT) -> io::Result<()> {
    const OF_THE_SYSTEM: u32 = 0x8007_0000;
    match result.cast_unsigned() {
        _ if result >= 0 => Ok(()),
        code if code & 0xffff_0000 == OF_THE_SYSTEM => {
            Err(io::Error::from_raw_os_error((code & 0xffff).cast_signed()))
        }
        code => Err(io::Error::other(format!("the console fails with {code:#x}"))),
    }
}
