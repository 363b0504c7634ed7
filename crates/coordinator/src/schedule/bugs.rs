//! Bugs that can be planted in the scheduler, so that the simulation can show that it would find them.
//!
//! The scheduler is generic over who says whether a bug is planted. For [`Sound`], which every coordinator runs, the answer
//! is a constant `false`, so the compiler leaves nothing of the question; [`Planted`] is for `bellwether simulate --mutate`
//! and makes a second copy of the code, so that a user can check the checker with the very program they run.

/// Says which bug is planted.
pub trait Bugs: std::fmt::Debug + Default {
    /// Whether it is this one.
    fn has(&self, bug: Bug) -> bool;
}

/// No bug: what coordinators run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sound;

impl Bugs for Sound {
    #[inline(always)]
    fn has(&self, _: Bug) -> bool {
        false
    }
}

/// One bug, or none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planted(pub Option<Bug>);

impl Bugs for Planted {
    fn has(&self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }
}

/// What can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A build that got a machine of one host stays in the queues of its other hosts.
    StaysInOtherQueues,
    /// A limit lets one more in than it may.
    LimitOffByOne,
    /// What is resumed at a start does not count in its limits.
    ResumedUncounted,
    /// A slot that a build gives back wakes only the first kind of builds that waited for it.
    WakesOneShape,
    /// The machines that failed a build are forgotten.
    AvoidForgotten,
    /// A back-off ends when any other does.
    BackOffTooShort,
    /// A need is taken for met once a back-off is over.
    NeedForgotten,
    /// Nothing is promoted by age.
    NoPromotion,
    /// Turns are not counted, so whoever came first has them all.
    NoTurns,
    /// A machine that comes back after it was away wakes nobody.
    LostWakeUp,
    /// A build that is withdrawn while it waits for a limit stays there.
    WithdrawnStays,
    /// A pool that failed is asked again at once.
    FailureIgnored,
    /// Machines that start do not count among those there may be.
    StartingUncounted,
    /// A pair of repo and user stays known after its last build.
    FlowsLeak,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 14] = [
        Bug::StaysInOtherQueues,
        Bug::LimitOffByOne,
        Bug::ResumedUncounted,
        Bug::WakesOneShape,
        Bug::AvoidForgotten,
        Bug::BackOffTooShort,
        Bug::NeedForgotten,
        Bug::NoPromotion,
        Bug::NoTurns,
        Bug::LostWakeUp,
        Bug::WithdrawnStays,
        Bug::FailureIgnored,
        Bug::StartingUncounted,
        Bug::FlowsLeak,
    ];
}
