//! Since when a red cell is red: the last commit that was green, the first that was not, what lies between, and who
//! else failed alike.

use std::collections::{HashMap, HashSet};

use store::{Reader, branch_commits, commits, failures, results};

use super::refusal::Answer;
use super::visible::Eyes;
use crate::api::{Alike, CellRow, CommitBuild, Outcome, Since};

/// So many commits below the window are looked at for the last green one.
const DEEPER: u32 = 64;
/// So many commits between are named.
const NAMED: usize = 8;
/// So many failures of a window are compared with others.
const COMPARED: usize = 192;

/// How a builder judged a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Green(String),
    Red(String),
}

/// A commit and what the builders said of it, by builder.
#[derive(Debug, Default)]
struct Judged {
    hash: String,
    title: String,
    by: HashMap<String, Verdict>,
}

/// Fills in `since` and `alike` of the red cells of a window, from builds that exist for the viewer. `last` is the place of its oldest commit.
pub(super) async fn find(
    reader: &mut Reader,
    eyes: &Eyes,
    (repo, branch): (&str, &str),
    rows: &mut [CellRow],
    last: Option<i64>,
) -> Answer<()> {
    let mut line: Vec<Judged> = rows.iter().map(judged).collect();
    let open = unanswered(&line);
    if let Some(last) = last.filter(|_| !open.is_empty()) {
        line.extend(deeper(reader, eyes, (repo, branch), last, &open).await?);
    }
    for (at, row) in rows.iter_mut().enumerate() {
        for cell in &mut row.cells {
            let failed = cell.build.as_ref().is_some_and(|build| build.outcome == Some(Outcome::Failed));
            if failed {
                cell.since = Some(since(&line[at..], &cell.builder));
            }
        }
    }
    alike(reader, eyes, repo, rows).await
}

fn title(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(120).collect()
}

fn judged(row: &CellRow) -> Judged {
    let mut by: HashMap<String, Verdict> = HashMap::new();
    // What a force-push took away says nothing of the line that is left.
    for cell in row.cells.iter().filter(|_| row.reachable) {
        let Some(build) = &cell.build else { continue };
        note(&mut by, &cell.builder, &build.id, build.outcome.map(Outcome::as_str));
    }
    Judged { hash: row.commit.hash.clone(), title: title(&row.commit.message), by }
}

fn note(by: &mut HashMap<String, Verdict>, builder: &str, build: &str, outcome: Option<&str>) {
    match outcome {
        Some("failed") => {
            by.insert(builder.to_owned(), Verdict::Red(build.to_owned()));
        }
        Some("ok") => {
            by.entry(builder.to_owned()).or_insert_with(|| Verdict::Green(build.to_owned()));
        }
        _ => {}
    }
}

/// Builders whose oldest judged commit is red.
fn unanswered(line: &[Judged]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut open = Vec::new();
    for (builder, verdict) in line.iter().rev().flat_map(|judged| &judged.by) {
        if seen.insert(builder) && matches!(verdict, Verdict::Red(_)) {
            open.push(builder.clone());
        }
    }
    open.sort();
    open
}

async fn deeper(
    reader: &mut Reader,
    eyes: &Eyes,
    (repo, branch): (&str, &str),
    last: i64,
    builders: &[String],
) -> Answer<Vec<Judged>> {
    let mut places = branch_commits::window(reader, repo, branch, last, DEEPER).await?;
    places.retain(|place| place.reachable);
    let hashes: Vec<&str> = places.iter().map(|place| place.hash.as_str()).collect();
    let builders: Vec<&str> = builders.iter().map(String::as_str).collect();
    let mut titles: HashMap<String, String> = commits::many(reader, repo, &hashes)
        .await?
        .into_iter()
        .map(|commit| (commit.hash, title(&commit.message)))
        .collect();
    let mut by: HashMap<String, HashMap<String, Verdict>> = HashMap::new();
    let rows = results::of_columns(reader, repo, &hashes, &builders).await?;
    for row in rows.into_iter().filter(|row| eyes.revision(&row.revision)) {
        let of = by.entry(row.subject).or_default();
        note(of, &row.builder, &row.build.to_string(), row.outcome.as_deref());
    }
    let judged = places.into_iter().map(|place| Judged {
        title: titles.remove(&place.hash).unwrap_or_default(),
        by: by.remove(&place.hash).unwrap_or_default(),
        hash: place.hash,
    });
    Ok(judged.collect())
}

/// The pure part. `line` begins with the commit of the cell, and goes back.
fn since(line: &[Judged], builder: &str) -> Since {
    let named = |judged: &Judged| CommitBuild {
        commit: judged.hash.clone(),
        title: judged.title.clone(),
        build: match judged.by.get(builder) {
            Some(Verdict::Green(build) | Verdict::Red(build)) => Some(build.clone()),
            None => None,
        },
    };
    let is = |green: bool| {
        move |judged: &Judged| match judged.by.get(builder) {
            Some(Verdict::Green(_)) => green,
            Some(Verdict::Red(_)) => !green,
            None => false,
        }
    };
    let green = line.iter().position(is(true));
    let red = line[..green.unwrap_or(line.len())].iter().rposition(is(false)).unwrap_or(0);
    let mut since = Since { first_red: line.get(red).map(named).unwrap_or_default(), ..Since::default() };
    if let Some(green) = green {
        since.last_green = Some(named(&line[green]));
        since.commits = (green - red) as u32;
        since.between = line[red..green].iter().take(NAMED).map(named).collect();
    }
    since
}

async fn alike(reader: &mut Reader, eyes: &Eyes, repo: &str, rows: &mut [CellRow]) -> Answer<()> {
    let red = rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.since.is_some());
    let builds: Vec<String> =
        red.filter_map(|cell| cell.build.as_ref()).take(COMPARED).map(|build| build.id.clone()).collect();
    if builds.is_empty() {
        return Ok(());
    }
    let builds: Vec<&str> = builds.iter().map(String::as_str).collect();
    let found = failures::many(reader, repo, &builds).await?;
    let mut signatures: Vec<&str> = found.iter().map(|failure| failure.signature.as_str()).collect();
    signatures.sort_unstable();
    signatures.dedup();
    let counts = failures::counts(reader, repo, &signatures, &eyes.hidden()).await?;
    let counts: HashMap<&str, _> = counts.iter().map(|group| (group.signature.as_str(), group)).collect();
    let found: HashMap<String, _> =
        found.iter().map(|failure| (failure.build.to_string(), failure)).collect();
    for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
        let Some(failure) = cell.build.as_ref().and_then(|build| found.get(&build.id)) else { continue };
        let Some(group) = counts.get(failure.signature.as_str()) else { continue };
        let number = |value: i64| u32::try_from(value).unwrap_or(0);
        cell.alike = Some(Alike {
            signature: failure.signature.clone(),
            headline: failure.test.clone().unwrap_or_else(|| failure.headline.clone()),
            builds: number(group.builds),
            builders: number(group.builders),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `g`reen, `r`ed or not judged, newest first; commits are named by their place.
    fn line(verdicts: &str) -> Vec<Judged> {
        let judged = verdicts.chars().enumerate().map(|(at, c)| {
            let verdict = match c {
                'g' => Some(Verdict::Green(format!("b{at}"))),
                'r' => Some(Verdict::Red(format!("b{at}"))),
                _ => None,
            };
            let by = verdict.map(|verdict| ("x".to_owned(), verdict)).into_iter().collect();
            Judged { hash: at.to_string(), title: String::new(), by }
        });
        judged.collect()
    }

    fn told(verdicts: &str) -> (Option<String>, String, Vec<String>) {
        let since = since(&line(verdicts), "x");
        let between = since.between.into_iter().map(|one| one.commit).collect();
        (since.last_green.map(|green| green.commit), since.first_red.commit, between)
    }

    #[test]
    fn the_first_red_commit_is_the_oldest_after_the_last_green_one() {
        assert_eq!(told("rg"), (Some("1".into()), "0".into(), vec!["0".into()]));
        assert_eq!(told("rrrgr"), (Some("3".into()), "2".into(), vec!["2".into()]));
        assert_eq!(told("r-r--g"), (Some("5".into()), "2".into(), vec!["2".into(), "3".into(), "4".into()]));
        assert_eq!(told("r-r"), (None, "2".into(), vec![]));
        assert_eq!(since(&line("r"), "y").last_green, None);
    }

    #[test]
    fn only_a_column_that_ends_red_is_looked_at_further() {
        assert_eq!(unanswered(&line("rrg")), Vec::<String>::new());
        assert_eq!(unanswered(&line("grr--")), ["x"]);
        assert_eq!(unanswered(&line("---")), Vec::<String>::new());
    }
}
