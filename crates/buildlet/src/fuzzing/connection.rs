//! A connection on which bytes come, in pieces of any size.

#[path = "../../../revdial/src/fuzzing/wire.rs"]
mod wire;

use arbitrary::Unstructured;

pub(super) use wire::Wire;

use super::{number, one};

/// How many bytes come at once, one after another and from the start again.
pub(super) fn pieces(u: &mut Unstructured<'_>) -> Vec<usize> {
    (0..=number(u, 3)).map(|_| *one(u, &[1, 2, 3, 7, 64, 5000])).collect()
}

/// Runs to the end; nothing here waits for time to pass.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
