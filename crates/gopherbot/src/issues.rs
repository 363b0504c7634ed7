//! Issues on GitHub: those that collect failures, read whole, and what is posted on them (`spec/services.md` §5.6, 5.12).
//!
//! What was posted is known by the issues alone: a build whose address stands in a comment of ours is not posted there again, so a run
//! that broke off is gone on with by the next. Two runs at the same time could post the same thing twice.

use github::post::NewIssue;
use github::{Client, Error, Repo};
use jiff::Timestamp;

use crate::watchflakes::{Comment, Intent, Issue, Planned};

/// More issues than this are not read: no plan is made of a part of them.
const MOST: usize = 10_000;
/// The most pages of an issue's comments.
const PAGES: usize = 100;

/// Why issues could not be read, or something not be posted.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// GitHub's.
    #[error(transparent)]
    Github(#[from] Error),
    /// Some issue could not be read whole, and what was posted on it would be posted again.
    #[error("{0}: no plan can be made of a part of the issues; mend that, or give another label")]
    Part(String),
}

/// Reads the issues that have a label, open and closed, with all their comments. Pull requests are passed over.
///
/// # Errors
/// If one of them can't be read whole.
pub async fn read(client: &Client, repo: &Repo, label: &str) -> Result<Vec<Issue>, Trouble> {
    let mut issues = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.issues_with(repo, label, cursor.as_ref()).await?;
        if page.unread > 0 {
            return Err(Trouble::Part(format!(
                "{} issues of {repo} are of no form that can be read",
                page.unread
            )));
        }
        for issue in page.items.into_iter().filter(|issue| !issue.pull_request) {
            if issues.len() >= MOST {
                return Err(Trouble::Part(format!(
                    "more than {MOST} issues of {repo} have the label {label}"
                )));
            }
            let comments = comments(client, repo, issue.number).await?;
            issues.push(Issue {
                number: u64::try_from(issue.number).unwrap_or_default(),
                title: issue.title,
                body: issue.body,
                created: issue.created_at.unwrap_or(Timestamp::UNIX_EPOCH),
                // GitHub does not say when a text was edited.
                edited: None,
                closed: issue.closed_at,
                comments,
            });
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(issues);
        }
    }
}

async fn comments(client: &Client, repo: &Repo, number: i32) -> Result<Vec<Comment>, Trouble> {
    let mut comments = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let page = client.comments(repo, number, None, cursor.as_ref()).await?;
        if page.unread > 0 {
            let what = format!("{} comments of {repo}#{number} are of no form that can be read", page.unread);
            return Err(Trouble::Part(what));
        }
        let one =
            |comment: github::model::Comment| Comment { body: comment.body, created: comment.created_at };
        comments.extend(page.items.into_iter().map(one));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(comments);
        }
    }
    Err(Trouble::Part(format!("{repo}#{number} has too many comments")))
}

/// Posts what was planned, in its order, and tells of each thing that was done.
///
/// # Errors
/// At the first thing that could not be posted. What was posted before is found again by the next run.
pub async fn post(
    client: &Client,
    repo: &Repo,
    planned: &Planned,
    mut done: impl FnMut(&str),
) -> Result<(), Trouble> {
    for intent in &planned.intents {
        match intent {
            Intent::NewIssue { title, body, labels, comment, .. } => {
                let issue = NewIssue { title: title.clone(), body: body.clone(), labels: labels.clone() };
                let made = client.create_issue(repo, &issue).await?;
                done(&format!("made {repo}#{}: {title}", made.number));
                client.create_comment(repo, made.number, comment).await?;
            }
            Intent::Comment { issue, body, reopen, builds } => {
                let number = number(*issue)?;
                if *reopen {
                    client.reopen_issue(repo, number).await?;
                    done(&format!("opened {repo}#{number} again"));
                }
                client.create_comment(repo, number, body).await?;
                done(&format!("posted {} builds on {repo}#{number}", builds.len()));
            }
            Intent::Complain { issue, body } => {
                let number = number(*issue)?;
                client.create_comment(repo, number, body).await?;
                done(&format!("said on {repo}#{number} what is wrong with its rules"));
            }
            Intent::Skip { .. } => {}
        }
    }
    Ok(())
}

fn number(issue: u64) -> Result<i32, Trouble> {
    i32::try_from(issue).map_err(|_| Trouble::Part(format!("issue {issue} has no number that GitHub gives")))
}
