//! The allocator of this program: the system's, and a count of how often it was asked.
#![allow(unsafe_code, reason = "an allocator is unsafe to write; this one only counts and hands on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static COUNTED: Counted = Counted;

static TIMES: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: everything is the system allocator's; the count is no part of what is handed out.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TIMES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: handed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: handed on as it came.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TIMES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: handed on as it came.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often memory was asked for so far.
pub fn times() -> usize {
    TIMES.load(Ordering::Relaxed)
}
