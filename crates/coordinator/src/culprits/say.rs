//! What is said of a bisection.

use buildenv::Config;
use store::Micros;
use store::bisections::BisectionRow;
use store::try_runs::TryRunRow;
use triage::bisect::Answer;

use super::range::Doc;
use crate::outbox::Message;
use crate::outbox::mail::Mail;
use crate::remark;

/// The most commits that are named.
const NAMED: usize = 10;

/// What failed, in words.
fn what(row: &BisectionRow) -> String {
    match row.test.is_empty() {
        true => format!("the build of {} on {}", row.repo, row.builder),
        false => format!("{} of {} on {}", row.test, row.repo, row.builder),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A commit with its title.
fn titled(doc: &Doc, hash: &str) -> String {
    let title = doc.commit(hash).map_or("", |one| one.title.as_str());
    format!("{} ({title})", short(hash))
}

/// The answer for people.
pub(super) fn sentence(row: &BisectionRow, doc: &Doc, answer: &Answer, tests: u64) -> String {
    let (what, count) = (what(row), doc.commits.len().saturating_sub(1));
    let how = format!("{tests} builds, {count} commits");
    match answer {
        Answer::Culprit { commit, parent } => format!(
            "{} broke {what}: with it it fails, with its parent {} it goes well ({how})",
            titled(doc, commit),
            short(parent)
        ),
        Answer::OneOf { commits, or_not_the_code, or_gone } => {
            let named: Vec<_> = commits.iter().take(NAMED).map(|hash| titled(doc, hash)).collect();
            let more = commits.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let code = if *or_not_the_code { ", or something beside the code" } else { "" };
            let gone = if *or_gone { ", or it has gone away" } else { "" };
            let named = named.join(", ");
            format!("one of these broke {what}, and which can't be tested: {named}{more}{code}{gone} ({how})")
        }
        Answer::NotTheCode { commit } => format!(
            "{what} broke for reasons of the builder's own: {} went well before and fails now ({how})",
            short(commit)
        ),
        Answer::Gone { commit } => format!("{what} goes well again at {} ({how})", short(commit)),
        Answer::GaveUp { likeliest } => {
            let named: Vec<_> =
                likeliest.iter().map(|(hash, percent)| format!("{} ({percent} %)", short(hash))).collect();
            format!("which commit broke {what} is not clear; the likeliest: {} ({how})", named.join(", "))
        }
    }
}

/// What the author of a culprit is told, once: in the review where the commit was tried, or on the commit on GitHub, else by mail.
pub(super) fn message(
    config: &Config,
    row: &BisectionRow,
    doc: &Doc,
    commit: &str,
    said: &str,
    tried: Option<&TryRunRow>,
    now: Micros,
) -> Option<Message> {
    let key = format!("bisect/{}/culprit", row.id);
    let url = config.environment().url.trim_end_matches('/').to_owned();
    let text = format!(
        "{said}.\n\nThe failure: {url}/builds/{}\nHow it was found: {url}/bisections/{}\n",
        row.build, row.id
    );
    if let Some(message) = remark::on_commit(config, (row.repo.as_str(), commit), tried, &key, &text, now) {
        return Some(message);
    }
    config.outbox().mail.as_ref()?;
    let author = doc.commit(commit)?;
    let to =
        author.email.clone().filter(|email| email.contains('@') && !email.contains(char::is_whitespace))?;
    let subject = format!("{} broke {}", short(commit), what(row));
    Some(Mail { to: vec![to], subject, text }.message(&key))
}
