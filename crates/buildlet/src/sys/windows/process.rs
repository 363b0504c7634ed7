//! Processes and their jobs, which end together.
#![allow(unsafe_code, reason = "the kernel is asked by pointers")]

use std::ffi::OsStr;
use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle};
use std::ptr::{from_mut, from_ref, null, null_mut};

use windows_sys::Win32::Foundation::{
    FILETIME, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation, WAIT_OBJECT_0,
    WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_CPU_RATE_CONTROL_ENABLE,
    JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP, JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_JOB_MEMORY,
    JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_CPU_RATE_CONTROL_INFORMATION,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JOBOBJECTINFOCLASS, JobObjectBasicProcessIdList,
    JobObjectCpuRateControlInformation, JobObjectExtendedLimitInformation, OpenJobObjectW,
    QueryInformationJobObject, SetInformationJobObject,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemServices::{JOB_OBJECT_ASSIGN_PROCESS, JOB_OBJECT_QUERY};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
};

use super::kernel::wide;

/// The code of what was ended by force.
const KILLED: u32 = 1;
/// Processes of one job that are told of.
const MOST: usize = 4096;

/// What a process is told. Only its end by force is known here; the others tell it nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::upper_case_acronyms, reason = "the names that everybody knows")]
pub(crate) enum Signal {
    /// To leave what it does, which a terminal has a key for.
    #[cfg(feature = "ssh")]
    INT,
    /// To end.
    TERM,
    /// To end at once.
    KILL,
    /// To stand still.
    STOP,
    /// To go on.
    CONT,
    /// That a file is too large.
    XFSZ,
}

impl Signal {
    /// Its number on Unix.
    pub(crate) const fn as_raw(self) -> i32 {
        match self {
            #[cfg(feature = "ssh")]
            Self::INT => 2,
            Self::KILL => 9,
            Self::TERM => 15,
            Self::CONT => 18,
            Self::STOP => 19,
            Self::XFSZ => 25,
        }
    }
}

/// A process in a list of all.
pub(crate) struct Listed {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) threads: u32,
    pub(crate) program: String,
}

/// What a process has used.
pub(crate) struct Used {
    /// When it began, in units of the system's.
    pub(crate) start: u64,
    pub(crate) cpu_ms: u64,
    pub(crate) rss_bytes: u64,
    /// Whether it lives.
    pub(crate) lives: bool,
}

/// Takes a handle that a call has returned.
///
/// # Safety
/// It must be a handle that nobody else closes, or one of the two values that tell of failure.
unsafe fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: by this function's condition.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn open(pid: u32, rights: u32) -> io::Result<OwnedHandle> {
    // SAFETY: the call takes numbers alone; what it returns is a new handle or null.
    unsafe { owned(OpenProcess(rights, 0, pid)) }
}

/// Returns all processes of the machine.
pub(crate) fn all() -> Vec<Listed> {
    // SAFETY: the call takes numbers alone; what it returns is a new handle or the value that tells of failure.
    let Ok(list) = (unsafe { owned(CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0)) }) else {
        return Vec::new();
    };
    let mut entry =
        PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..PROCESSENTRY32W::default() };
    let mut found = Vec::new();
    // SAFETY: the handle is open while `list` lives, and the entry says its own size as the call wants.
    let mut more = unsafe { Process32FirstW(list.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        let name: Vec<u16> = entry.szExeFile.iter().copied().take_while(|unit| *unit != 0).collect();
        found.push(Listed {
            pid: entry.th32ProcessID,
            parent: entry.th32ParentProcessID,
            threads: entry.cntThreads,
            program: String::from_utf16_lossy(&name),
        });
        // SAFETY: as above.
        more = unsafe { Process32NextW(list.as_raw_handle(), &raw mut entry) };
    }
    found
}

/// Looks at a process; `None` if it is gone, or not ours to look at.
pub(crate) fn used(pid: u32) -> Option<Used> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE).ok()?;
    let (mut start, mut end, mut kernel, mut user) =
        (FILETIME::default(), FILETIME::default(), FILETIME::default(), FILETIME::default());
    // SAFETY: the handle is open while `process` lives, and each answer goes to a value of its type that outlives the call.
    let done = unsafe {
        GetProcessTimes(process.as_raw_handle(), &raw mut start, &raw mut end, &raw mut kernel, &raw mut user)
    };
    if done == 0 {
        return None;
    }
    let mut memory = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: as above; the size is that of what it may write to. A failure leaves the zeros.
    let _zeros = unsafe { K32GetProcessMemoryInfo(process.as_raw_handle(), &raw mut memory, size) };
    // SAFETY: the handle is open, and is only asked.
    let lives = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == WAIT_TIMEOUT;
    let whole = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    // In units of 100 ns.
    let cpu_ms = (whole(kernel) + whole(user)) / 10_000;
    Some(Used { start: whole(start), cpu_ms, rss_bytes: memory.WorkingSetSize as u64, lives })
}

/// Whether a process has ended, so that its code is what it will be.
pub(crate) fn has_ended(process: BorrowedHandle<'_>) -> bool {
    // SAFETY: the handle is open while it is borrowed, and is only asked.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_OBJECT_0 }
}

/// Keeps the standard streams of this process from being inherited by themselves.
pub(crate) fn keep_streams() {
    let streams = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for stream in streams.into_iter().filter(|stream| !stream.is_null()) {
        // SAFETY: nobody in this process closes its standard streams. One that is not open makes the call fail, and there is nothing to keep.
        let _kept = unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}

/// Ends a process by force; one that is gone is fine.
pub(crate) fn kill(pid: u32) {
    if let Ok(process) = open(pid, PROCESS_TERMINATE) {
        // SAFETY: the handle is open while `process` lives. A process that ends by itself just now makes it fail, which is as good.
        let _gone = unsafe { TerminateProcess(process.as_raw_handle(), KILLED) };
    }
}

/// A job: processes that are counted and limited together, and end with the last handle to it.
#[derive(Debug)]
pub(crate) struct Job(OwnedHandle);

/// What a job may have.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct JobLimits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) processes: Option<u32>,
    /// Of all processors, in hundredths of a percent.
    pub(crate) cpu_rate: Option<u32>,
}

impl Job {
    /// Makes one, under a name by which a process can put itself into it.
    pub(crate) fn make(name: &OsStr, limits: JobLimits) -> io::Result<Self> {
        let name = wide(name);
        // SAFETY: null means that it has no special rights; the name ends with a zero and lives until the call returns.
        let job = Self(unsafe { owned(CreateJobObjectW(null(), name.as_ptr())) }?);
        let mut told = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        told.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        if let Some(bytes) = limits.memory_bytes {
            told.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
            told.JobMemoryLimit = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(processes) = limits.processes {
            told.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
            told.BasicLimitInformation.ActiveProcessLimit = processes;
        }
        job.set(JobObjectExtendedLimitInformation, &told)?;
        if let Some(rate) = limits.cpu_rate {
            let mut told = JOBOBJECT_CPU_RATE_CONTROL_INFORMATION {
                ControlFlags: JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP,
                ..JOBOBJECT_CPU_RATE_CONTROL_INFORMATION::default()
            };
            told.Anonymous.CpuRate = rate.clamp(1, 10_000);
            job.set(JobObjectCpuRateControlInformation, &told)?;
        }
        Ok(job)
    }

    fn set<T>(&self, class: JOBOBJECTINFOCLASS, told: &T) -> io::Result<()> {
        // SAFETY: the handle is open while `self` lives; the callers pass what belongs to the class, and its size is its type's.
        let done = unsafe {
            SetInformationJobObject(
                self.0.as_raw_handle(),
                class,
                from_ref(told).cast(),
                size_of::<T>() as u32,
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Puts this process into a job, to stay.
    pub(crate) fn join(name: &OsStr) -> io::Result<()> {
        let name = wide(name);
        // SAFETY: the name ends with a zero and lives until the call returns.
        let job = unsafe { owned(OpenJobObjectW(JOB_OBJECT_ASSIGN_PROCESS, 0, name.as_ptr())) }?;
        // SAFETY: the handle is open until `job` is dropped, and the other one means this process and is never closed.
        let done = unsafe { AssignProcessToJobObject(job.as_raw_handle(), GetCurrentProcess()) };
        // Our handle goes: the job ends with the agent's.
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Every process inside.
    pub(crate) fn pids(&self) -> Vec<u32> {
        pids(self.0.as_raw_handle())
    }

    /// The most memory that it had, in bytes.
    pub(crate) fn peak(&self) -> Option<u64> {
        let mut told = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        ask(self.0.as_raw_handle(), JobObjectExtendedLimitInformation, &mut told)
            .then_some(told.PeakJobMemoryUsed as u64)
    }
}

/// Makes a job for this process and all that it starts, which ends when this process does.
pub(crate) fn found_family() -> io::Result<()> {
    let job = Job::make(OsStr::new(&family_name()), JobLimits::default())?;
    // SAFETY: the handle is open while `job` lives, and the other one means this process and is never closed.
    let done = unsafe { AssignProcessToJobObject(job.0.as_raw_handle(), GetCurrentProcess()) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // Closed, it would end this process too; so the system does that, at its end.
    std::mem::forget(job);
    Ok(())
}

/// Every process of the family, this one too; nothing if there is none.
pub(crate) fn family() -> Vec<u32> {
    let name = wide(OsStr::new(&family_name()));
    // SAFETY: the name ends with a zero and lives until the call returns.
    let job = unsafe { owned(OpenJobObjectW(JOB_OBJECT_QUERY, 0, name.as_ptr())) };
    job.map_or_else(|_none| Vec::new(), |job| pids(job.as_raw_handle()))
}

/// What this process's family is called, which nobody else has while it lives.
fn family_name() -> String {
    format!(r"Local\bellwether-family-{}", std::process::id())
}

fn pids(job: HANDLE) -> Vec<u32> {
    /// The kernel's list, with more room.
    #[repr(C)]
    struct List {
        assigned: u32,
        listed: u32,
        pids: [usize; MOST],
    }
    let mut list = Box::new(List { assigned: 0, listed: 0, pids: [0; MOST] });
    // With more than there is room for, it fails and fills what there is.
    let _whole = ask(job, JobObjectBasicProcessIdList, &mut *list);
    let listed = usize::try_from(list.listed).unwrap_or(MOST).min(MOST);
    list.pids.iter().take(listed).filter_map(|pid| u32::try_from(*pid).ok()).collect()
}

/// Asks of a job that the caller holds open.
fn ask<T>(job: HANDLE, class: JOBOBJECTINFOCLASS, told: &mut T) -> bool {
    // SAFETY: the callers hold the handle open and pass plain data of the class's layout, of which no pattern of bits is wrong, and the
    // size is its type's, so nothing is written behind it.
    let done = unsafe {
        QueryInformationJobObject(job, class, from_mut(told).cast(), size_of::<T>() as u32, null_mut())
    };
    done != 0
}
