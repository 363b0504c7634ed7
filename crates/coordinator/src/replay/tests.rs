//! Days that the simulation made, replayed.

use super::*;
use crate::simulate::{self, Size};

#[test]
fn an_unchanged_replay_gives_each_build_its_machine_at_the_same_moment() {
    for seed in 1..=10 {
        let (outcome, recorded) = simulate::record(seed, Size::Small);
        let trace = Trace::new(recorded);
        assert_eq!(trace.doubts, Doubts::default(), "seed {seed}");
        let (course, not_built) = replay(&trace, None);
        let compared = compare(&trace.course, &course, 0);
        assert!(
            compared.both > 100 && not_built.is_empty(),
            "seed {seed} of {} builds: {compared:?}",
            outcome.builds
        );
        assert!(compared.is_near(), "seed {seed}: {compared:?}");
        assert_eq!(compared.same, compared.both, "seed {seed}");
    }
}
