//! A connection that is split, delayed and cut at every byte of a session.

use super::whole::{long, short};
use super::whole_v1::{How, session};
use super::wire::Fault;

/// Runs something on a clock that stands while there is something to do; nothing of it may be left afterwards.
pub(crate) fn alone<T>(what: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let came = runtime.block_on(what);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "a task is left");
    came
}

/// What may happen at a byte.
const KINDS: [fn(usize) -> Fault; 4] = [Fault::Split, Fault::Delay, Fault::End, Fault::Reset];

mod v1 {
    use super::*;
    use revdial::v1::Limits;

    fn how(faults: [Fault; 2], joined: bool) -> How {
        How { faults, joined, holds: 4096, limits: Limits { backlog: 2, frame: 11, ..Limits::default() } }
    }

    #[test]
    fn every_byte_of_a_session() {
        let talks = short();
        for joined in [false, true] {
            let whole = alone(session(how([Fault::None; 2], joined), &talks));
            assert!(whole.bytes.iter().all(|count| *count > 150), "{:?}", whole.bytes);
            for (end, kind, at) in (0..2)
                .flat_map(|end| KINDS.map(|kind| (end, kind)))
                .flat_map(|(end, kind)| (0..=whole.bytes[end]).map(move |at| (end, kind, at)))
            {
                let mut faults = [Fault::None; 2];
                faults[end] = kind(at);
                let report = alone(session(how(faults, joined), &talks));
                let heard = || report.answers.iter().chain(&report.questions);
                for heard in heard() {
                    assert!(heard.is_prefix(), "{faults:?}: {heard:?}");
                    assert!(!heard.ended || heard.is_all(), "an end that is none, {faults:?}: {heard:?}");
                }
                if !faults[end].cuts() {
                    assert!(heard().all(|heard| heard.is_all()), "{faults:?}: {report:?}");
                    assert_eq!((report.answers.len(), report.questions.len()), (3, 4), "{faults:?}");
                }
            }
        }
    }

    #[test]
    fn a_byte_at_a_time_and_some_mebibytes() {
        for (faults, talks) in [([Fault::Bytes; 2], short()), ([Fault::None; 2], long())] {
            let how = How { limits: Limits::default(), holds: 70_000, ..how(faults, true) };
            let report = alone(session(how, &talks));
            assert_eq!(report.questions.len(), talks.len());
            assert!(report.answers.iter().chain(&report.questions).all(|heard| heard.is_all()), "{faults:?}");
        }
    }
}
