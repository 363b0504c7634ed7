//! Try runs: every change that somebody votes for is built before it lands.
//!
//! What is asked for is read from the corpus ([`asked`]), which builders a change gets is said by the configuration
//! ([`chosen`], [`cross`]), with which other changes it is tried by [`subject`], and what is to be done about it all is decided by one plain function ([`decide`]); [`keeper`] does it. An
//! approval is for one commit: a newer patch set, a vote that was taken back or a change that is no longer open ends its run.
//!
//! What fails is run again with the change and without it before anybody is blamed ([`verdicts`]).
//!
//! Nobody has reviewed what is tried, so its builds are `untrusted` for good, whoever asks for them once more: they run on hosts
//! that take such work and nowhere else, get no secret and write nothing that others start from.
//!
//! Source: spec/coordinator.md §1.2, §1.3, §1.11.

mod annotate;
pub(crate) mod asked;
pub(crate) mod chosen;
mod cross;
pub(crate) mod decide;
mod footers;
pub(crate) mod keeper;
mod landing;
pub(crate) mod own_file;
mod places;
pub(crate) mod pulls;
mod related;
mod rules;
pub(crate) mod say;
mod say_pulls;
pub(crate) mod subject;
mod terms;
pub(crate) mod text;
pub(crate) mod verdicts;

use std::sync::Arc;

use maintner::corpus::Corpus;

pub use own_file::Recompose;

/// Gives what is known of changes by now. A copy is cheap.
pub type Changes = Arc<dyn Fn() -> Arc<Corpus> + Send + Sync>;

/// Somebody pressed the button of a check on GitHub.
#[derive(Debug)]
pub struct Press {
    /// `OWNER/REPO`.
    pub repo: String,
    /// The commit whose check it is.
    pub commit: String,
    /// The run, as the check's `external_id` has it; the commit's last one where there is none.
    pub run: Option<String>,
    /// Who pressed it, as GitHub names them. GitHub tells only of people who may write to the repository.
    pub by: String,
    /// What the press is known by: told again, it is the same one.
    pub id: String,
    /// Told once it is written down, or means nothing.
    pub done: tokio::sync::oneshot::Sender<()>,
}

/// By what pull requests are looked after.
#[derive(Debug)]
pub struct PullRequests {
    /// Who asks GitHub for their heads.
    pub client: github::Client,
    /// Buttons that are pressed.
    pub presses: tokio::sync::mpsc::Receiver<Press>,
}
