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

mod v2 {
    use super::*;
    use crate::whole_v2::{How, Report, session};

    /// What each end heard is no more than was said. A connection of its own has no end but the transport's, so that of a cut
    /// one is told by TLS and HTTP above.
    fn held(report: &Report, what: &dyn std::fmt::Debug) {
        for heard in report.answers.iter().chain(&report.questions) {
            assert!(heard.is_prefix(), "{what:?}: {heard:?}");
        }
    }

    fn complete(report: &Report) -> bool {
        let all = report.answers.iter().chain(&report.questions).all(|heard| heard.is_all());
        all && report.failed == 0 && (report.answers.len(), report.questions.len()) == (3, 4)
    }

    #[test]
    fn every_byte_of_a_session() {
        let talks = short();
        for (at_once, connections) in [(false, 0..3), (true, 0..1)] {
            let how = |faults| How { faults, at_once, holds: 4096 };
            let whole = alone(session(how(Vec::new()), &talks));
            assert!(complete(&whole), "{whole:?}");
            assert!(whole.bytes.len() == 5 && whole.bytes[0][1] > 400, "{:?}", whole.bytes);
            // The control connection; the first that is picked up, and one that nobody answers on.
            for (connection, end, kind) in
                connections.flat_map(|n| (0..2).flat_map(move |end| KINDS.map(|kind| (n, end, kind))))
            {
                for at in 0..=whole.bytes[connection][end] {
                    let mut faults = vec![[Fault::None; 2]; connection + 1];
                    faults[connection][end] = kind(at);
                    let report = alone(session(how(faults.clone()), &talks));
                    held(&report, &faults);
                    if !kind(at).cuts() {
                        assert!(complete(&report), "{faults:?}: {report:?}");
                    } else if connection > 0 {
                        // Which of those who wait is told of it, nobody knows: it is no more than one, beside the cut one.
                        let bad =
                            report.answers.iter().filter(|heard| !heard.is_all()).count() + report.failed;
                        assert!(bad <= 2, "{faults:?}: {report:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_byte_at_a_time_and_some_mebibytes() {
        for (faults, talks) in [(vec![[Fault::Bytes; 2]; 5], short()), (Vec::new(), long())] {
            let report = alone(session(How { faults, at_once: true, holds: 70_000 }, &talks));
            assert_eq!((report.questions.len(), report.failed), (talks.len(), 0));
            assert!(report.answers.iter().chain(&report.questions).all(|heard| heard.is_all()));
        }
    }
}
