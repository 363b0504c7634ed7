//! Recorded weeks again, in virtual time: what came is queued as it came, machines boot and die as they did, builds take as
//! long as they took, and the scheduler decides anew, from the same configuration or from another one.
//!
//! Of what is recorded only what came from outside is taken as it was: builds that were asked for or withdrawn, machines
//! that came by themselves or went out of reach. All else hangs on what it followed from: the end of a build on its lease,
//! what becomes of a machine on the end of its build, a boot on the scheduler's wish for the machine. So nothing decided
//! then decides now, and where nothing is changed each build gets its machine at the moment it got it then
//! (docs/scheduler.md).

mod compare;
mod configured;
mod course;
mod guess;
mod read;
mod record;
mod run;
mod shadow;
mod trace;

#[cfg(test)]
mod tests;

pub use compare::{Compared, FLOOR, PART, compare};
pub use configured::{Caught, Cell, Configured};
pub use course::{Course, Figures, HostFigures, Leased, Lived, Told, Waiting};
pub use read::{ReadError, built, read, rows};
pub use record::{Mark, Record, Recorded, Unreadable};
pub use run::{Setting, replay};
pub use trace::{Doubts, Reading, Trace};
