//! Memory is asked for before it is needed: a replay waits for it half of its time otherwise.

/// Bytes that come together.
pub const LINE: usize = 64;

/// Asks for the line that the first element is in.
#[inline]
#[allow(unsafe_code, reason = "there is no safe way to ask for memory ahead")]
pub fn ask<T>(elements: &[T]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: A prefetch gives the program nothing and faults at no address, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(elements.as_ptr().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = elements;
}
