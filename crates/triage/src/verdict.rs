//! The verdict on a failing test of a try run: which re-runs are wanted, and what they say.
//!
//! A [`Case`] is all that is known; [`judge`] answers what to run next, or the verdict. Whoever runs it adds the runs that
//! came back to the case and asks again. It ends for every case: each answer asks for at least one run, and
//! [`Limits`] bounds how many there are.
//!
//! How the numbers become a verdict is told in [`mod@evidence`].

mod attribute;
mod counts;
pub mod evidence;
mod next;
mod say;

use serde::{Deserialize, Serialize};

pub use attribute::Blame;
pub use counts::Count;
pub use evidence::{Cause, Evidence, Weight};
pub use next::{Wanted, Where};

/// What a failure looks like once what differs from run to run (times, addresses, paths) is taken out of its text. Two
/// failures of a test are the same failure if their signatures are equal; how one is made is not this crate's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub String);

/// Which tree a run was of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The tree of the try run: the branches as they would be after all its changes had landed.
    Changed,
    /// The same branches without any of them.
    Base,
    /// One ingredient without the others, numbered from 0: one change of several, or the change on its own old parent.
    Alone(u8),
}

/// What came of one run of the test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, and looked so.
    Failed(Signature),
    /// The machine, the network or the source was not there, or the run never came back: it says nothing.
    Infra,
    /// The tree was built and its tests were listed, and this one is not among them.
    Absent,
    /// The tree could not be built, so that the test could not be run.
    Unbuildable,
}

/// One run of the test, beside the failure that began the case.
///
/// It has to be run as it was when it failed, with the same tests before it in one process if that was so: a test that fails only after
/// another passes alone, and would look like a flake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which tree it was of.
    pub place: Place,
    /// The worker it ran on.
    pub worker: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What it cost, in seconds of a machine.
    pub seconds: u32,
}

/// How often the test ran at landed commits lately, and how often it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All runs that passed or failed.
    pub runs: u32,
    /// Those that failed with the signature of the case.
    pub same: u32,
    /// Those that failed in another way.
    pub other: u32,
}

/// The test's past at landed commits. Runs of a time in which it failed every time (a break that was mended) do not belong in
/// here: they say nothing of how often it fails by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// On the builder of the case.
    pub here: Tally,
    /// On all others.
    pub elsewhere: Tally,
}

/// Which workers a re-run can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workers {
    /// The one that saw the failure, and others.
    #[default]
    All,
    /// Only the one that saw it: there is no other of its kind.
    OnlyTheSame,
    /// It is gone.
    OnlyOthers,
}

/// How much a case may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Runs of the changed tree and of the base, those that said nothing included.
    pub runs: u32,
    /// Seconds of a machine for all of them; what runs beyond it is not stopped, but nothing more is asked for.
    pub seconds: u32,
    /// Runs asked for at a time.
    pub at_once: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 24, seconds: 3600, at_once: 4 }
    }
}

/// All that is known of one failing test of a try run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The test's name, for people.
    pub test: String,
    /// The builder it failed on, for people.
    pub builder: String,
    /// What the failure looks like.
    pub signature: Signature,
    /// The worker that saw it.
    pub worker: String,
    /// Which workers a re-run can have.
    pub workers: Workers,
    /// How many ingredients can be run alone; 0 or 1 if there is nothing to tell apart. More than [`MAX_PARTS`] are not told apart.
    pub parts: u8,
    /// What ran since.
    pub runs: Vec<Run>,
    /// The test's past.
    pub history: History,
    /// How much may be spent.
    pub limits: Limits,
}

/// Ingredients that are told apart, at most.
pub const MAX_PARTS: u8 = 8;

impl Case {
    /// A case of which nothing is known but the failure.
    #[must_use]
    pub fn new(test: &str, builder: &str, signature: Signature, worker: &str) -> Self {
        Self {
            test: test.to_owned(),
            builder: builder.to_owned(),
            signature,
            worker: worker.to_owned(),
            workers: Workers::default(),
            parts: 0,
            runs: Vec::new(),
            history: History::default(),
            limits: Limits::default(),
        }
    }
}

/// What a failing test of a try run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The change makes it fail, or brings it and it fails. It fails the run.
    Caused,
    /// It fails at times with and without the change. It does not fail the run.
    Flaky,
    /// It fails without the change. It does not fail the run.
    BrokenAtBase,
    /// The runs that could be had do not tell.
    Unknown,
}

impl Verdict {
    /// The name in data: `caused`, `flaky`, `broken_at_base`, `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caused => "caused",
            Self::Flaky => "flaky",
            Self::BrokenAtBase => "broken_at_base",
            Self::Unknown => "unknown",
        }
    }
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The numbers.
    pub evidence: Evidence,
    /// Which ingredient causes it, where there are several and the verdict is `caused`.
    pub blame: Option<Blame>,
    /// The same for people, in one or two sentences.
    pub sentence: String,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Run these, add what came back to the case, and ask again. A run that never comes back is [`Outcome::Infra`]. Never empty.
    Run(Vec<Wanted>),
    /// The verdict. What is still running can be ended.
    Done(Judged),
}

/// Says what to run next, or the verdict.
#[must_use]
pub fn judge(case: &Case) -> Decision {
    let counts = counts::Counts::of(case);
    let evidence = Evidence::of(case, &counts);
    let Some(verdict) = evidence.verdict() else {
        let wanted = next::wanted(case, &counts, &evidence);
        if !wanted.is_empty() {
            return Decision::Run(wanted);
        }
        return Decision::Done(judged(case, Verdict::Unknown, evidence, None));
    };
    let mut blame = None;
    if verdict == Verdict::Caused {
        match attribute::attribute(case) {
            attribute::Step::Run(wanted) => return Decision::Run(wanted),
            attribute::Step::Blame(found) => blame = found,
        }
    }
    Decision::Done(judged(case, verdict, evidence, blame))
}

fn judged(case: &Case, verdict: Verdict, evidence: Evidence, blame: Option<Blame>) -> Judged {
    let sentence = say::sentence(case, verdict, &evidence, blame.as_ref());
    Judged { verdict, evidence, blame, sentence }
}
