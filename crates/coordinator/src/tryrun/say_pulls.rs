//! What a run of a pull request's commit says on GitHub: a check run where an app posts, else a commit status. Both are called
//! [`NAME`], and both are on the one commit that was tried.

use buildenv::Config;
use github::post::{Annotation, Check, Output, Status};
use store::Micros;
use store::builds::BuildRow;
use store::try_runs::TryRunRow;

use super::asked::Review;
use super::chosen::{LeftOut, Said};
use super::decide::Verdict;
use super::pulls;
use super::text::{self, Kind};
use crate::outbox::Message;
use crate::outbox::github::Post;

/// What checks and statuses are called: rules of branches name it.
const NAME: &str = "bellwether";

/// Where a run's commit is.
pub struct Place {
    repo: String,
    url: String,
    /// Whether there are check runs.
    checks: bool,
}

/// Nothing where it is no pull request, or nobody may post there.
pub fn place(config: &Config, run: &TryRunRow) -> Option<Place> {
    let review = Review::parse(&run.review)?;
    let repo = pulls::repo_of(&review)?.to_owned();
    let checks = config.outbox().github.as_ref()?.checks;
    Some(Place { repo, url: config.environment().url.clone(), checks })
}

/// What is shown.
struct Shown<'a> {
    /// `in_progress` or how it ended, in a check's words.
    conclusion: Option<&'a str>,
    /// The same in a status's words.
    state: &'a str,
    /// One line.
    title: String,
    /// Markdown.
    summary: String,
    /// Beside lines.
    notes: Vec<Annotation>,
}

impl Place {
    /// Whether there are check runs, which have notes beside lines.
    pub fn has_checks(&self) -> bool {
        self.checks
    }
}

fn message(place: &Place, run: &TryRunRow, kind: Kind, shown: Shown<'_>) -> Message {
    let page = text::page(&place.url, run);
    // Of a server that does not know its own address there is none to give.
    let page = page.starts_with("http").then_some(page);
    let repo = place.repo.clone();
    let post = if place.checks {
        let status = if shown.conclusion.is_some() { "completed" } else { "in_progress" };
        let check = Check {
            name: NAME.to_owned(),
            head_sha: run.commit.clone(),
            external_id: run.id.to_string(),
            details_url: page,
            status: status.to_owned(),
            conclusion: shown.conclusion.map(str::to_owned),
            output: Output {
                title: shown.title,
                summary: shown.summary,
                annotations: shown.notes,
                ..Output::default()
            },
            actions: Vec::new(),
        };
        Post::Check { repo, check: Box::new(check) }
    } else {
        let status = Status {
            state: shown.state.to_owned(),
            target_url: page,
            description: Some(shown.title),
            context: NAME.to_owned(),
        };
        Post::Status { repo, commit: run.commit.clone(), status }
    };
    post.message(&format!("try/{}/{}", run.id, kind.point()))
}

/// A comment on a run's pull request.
pub fn comment(run: &TryRunRow, text: &str, now: Micros) -> Option<Post> {
    let review = Review::parse(&run.review)?;
    let repo = pulls::repo_of(&review)?.to_owned();
    // GitHub's clock may be behind ours.
    let since = now.0 / 1_000_000 - 600;
    Some(Post::Comment { repo, number: review.number, text: text.to_owned(), since })
}

/// That a run began.
pub fn beginning(place: &Place, run: &TryRunRow, said: &Said, builds: usize) -> Message {
    let title = format!("{builds} {}", if builds == 1 { "build" } else { "builds" });
    let summary = text::beginning(&place.url, run, said, builds, &[], 0);
    message(
        place,
        run,
        Kind::Beginning,
        Shown { conclusion: None, state: "pending", title, summary, notes: Vec::new() },
    )
}

/// That a build failed while others go on.
pub fn progress(place: &Place, run: &TryRunRow, failed: &BuildRow) -> Message {
    let title = format!("Failed on {}; others go on", failed.builder);
    let summary = text::progress(&place.url, run, failed);
    message(
        place,
        run,
        Kind::Progress,
        Shown { conclusion: None, state: "pending", title, summary, notes: Vec::new() },
    )
}

/// What a run came to. What is not known must let nothing pass: GitHub takes `neutral` for good.
pub fn ending(
    place: &Place,
    run: &TryRunRow,
    verdict: Verdict,
    builds: &[BuildRow],
    told: &[String],
    notes: Vec<Annotation>,
) -> Message {
    let left: Vec<LeftOut> = serde_json::from_str(&run.left_out).unwrap_or_default();
    let (kind, summary) = text::ending(&place.url, run, verdict, builds, &left, told);
    let total = builds.len();
    let (conclusion, state, title) = match verdict {
        Verdict::Passed => ("success", "success", format!("All {total} are well")),
        Verdict::Failed(count) => ("failure", "failure", format!("{count} of {total} failed")),
        Verdict::Unknown(0) if total == 0 => ("action_required", "error", "No builder tries it".to_owned()),
        Verdict::Unknown(_) => {
            ("action_required", "error", "Not known: not all builds could be made".to_owned())
        }
    };
    message(place, run, kind, Shown { conclusion: Some(conclusion), state, title, summary, notes })
}

/// That a run is over before its end.
pub fn cancelled(place: &Place, run: &TryRunRow, why: &str) -> Message {
    let summary = format!("Cancelled: {why}.\n\nAll builds: {}\n", text::page(&place.url, run));
    let title = format!("Cancelled: {why}");
    message(
        place,
        run,
        Kind::Cancelled,
        Shown { conclusion: Some("cancelled"), state: "error", title, summary, notes: Vec::new() },
    )
}
