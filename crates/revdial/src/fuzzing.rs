//! Bytes of the other end, whatever they are, in each protocol and role.
//!
//! The targets of `fuzz/` run these functions on a fuzzer's bytes, and the test below on their seeds and on random ones. No program
//! has them in it.

mod frames;
mod lines;
mod wire;

pub use frames::v1;
pub use lines::v2;

/// Runs to the end; nothing here waits for time to pass.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn frames_of_any_kind_reach_their_streams_or_end_the_session() {
        hold("revdial-v1", super::v1);
    }

    #[test]
    fn heads_and_lines_of_any_kind_are_read_or_refused() {
        hold("revdial-v2", super::v2);
    }
}
