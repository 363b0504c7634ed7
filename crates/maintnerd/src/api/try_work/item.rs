//! What is said of one change.

use maintner::corpus::Corpus;
use maintner::lines::value;
use maintpb::api::{GerritTryWorkItem, GoRelease, MajorMinor, TryVoteMessage};

use crate::api::Home;
use crate::api::refs::{at, hex, project};
use crate::api::version::{of_internal_branch, of_release_branch};

/// A change that waits, as Gerrit tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Its project, such as `net`.
    pub project: String,
    /// Its number.
    pub number: i32,
    /// The current patch set's commit and number.
    pub current: Option<(String, i32)>,
    /// What was said on it, in order.
    pub messages: Vec<Posted>,
}

/// A message on a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// Whose account.
    pub author: i64,
    /// When, as Gerrit writes it.
    pub date: String,
    /// On which patch set.
    pub version: i32,
    /// The text.
    pub text: String,
}

/// A comment on a patch set as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// Whose account.
    pub author: i64,
    /// When, as Gerrit writes it.
    pub date: String,
    /// The text.
    pub text: String,
}

/// The number of a change in the corpus, if all is known of it that has to be.
pub(super) fn known(corpus: &Corpus, home: &Home, waiting: &Waiting) -> Option<u32> {
    let project = project(corpus, &home.server, &waiting.project)?;
    let change = corpus.gerrit.change(project, waiting.number)?;
    corpus.gerrit.changes().get(change).is_complete().then_some(change)
}

/// What is said of a change; none of a branch for which there is nothing to try it with.
pub(super) fn item(
    corpus: &Corpus,
    home: &Home,
    waiting: &Waiting,
    number: u32,
    comments: &[Comment],
    releases: &[GoRelease; 2],
) -> Option<GerritTryWorkItem> {
    let gerrit = &corpus.gerrit;
    let change = gerrit.changes().get(number);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let branch = text(gerrit.name(change.branch));
    let change_id = value(gerrit.message(&corpus.log, change.commit), b"Change-Id:", gerrit.rules());
    let first = gerrit.patch_sets(change).find(|one| one.version == 1).map(|first| first.commit);
    let author =
        first.map(|first| text(maintner::commit::email(gerrit.name(gerrit.commits().get(first).author))));
    let (commit, version) = waiting.current.clone().unwrap_or_else(|| (hex(corpus, change.commit), 0));
    let with = tried_with(&waiting.project, &branch, home, releases, |branch| {
        at(corpus, home.main(corpus)?, &format!("refs/heads/{branch}"))
    })?;
    Some(GerritTryWorkItem {
        project: waiting.project.clone(),
        branch,
        change_id: if change_id.len() == 41 && change_id.starts_with(b"I") {
            text(change_id)
        } else {
            String::new()
        },
        commit,
        go_commit: with.iter().filter_map(|with| with.commit.clone()).collect(),
        go_branch: with.iter().filter_map(|with| with.branch.clone()).collect(),
        go_version: with.iter().map(|with| with.version).collect(),
        try_message: messages(&waiting.messages, comments),
        version,
        author_email: author.unwrap_or_default(),
    })
}

/// What a change is tried with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct With {
    commit: Option<String>,
    branch: Option<String>,
    version: MajorMinor,
}

fn tried_with(
    project: &str,
    branch: &str,
    home: &Home,
    releases: &[GoRelease; 2],
    head: impl Fn(&str) -> Option<String>,
) -> Option<Vec<With>> {
    let of = |(major, minor): (u16, u16)| MajorMinor { major: major.into(), minor: minor.into() };
    let newest = MajorMinor { major: releases[0].major, minor: releases[0].minor + 1 };
    if project == home.project {
        let version = of_release_branch(branch).map_or(newest, of);
        return Some(vec![With { commit: None, branch: None, version }]);
    }
    if let Some(series) = of_internal_branch(branch) {
        let (major, minor) = series;
        let name = if minor == 0 {
            format!("release-branch.go{major}")
        } else {
            format!("release-branch.go{major}.{minor}")
        };
        return Some(vec![With { commit: Some(head(&name)?), branch: Some(name), version: of(series) }]);
    }
    let mut with =
        vec![With { commit: Some(head("master")?), branch: Some("master".into()), version: newest }];
    if branch == "master" || (project == "tools" && branch.starts_with("gopls-release-branch.")) {
        with.extend(releases.iter().map(|release| With {
            commit: Some(release.branch_commit.clone()),
            branch: Some(release.branch_name.clone()),
            version: MajorMinor { major: release.major, minor: release.minor },
        }));
    }
    Some(with)
}

/// What those who asked for a try said with it.
fn messages(posted: &[Posted], comments: &[Comment]) -> Vec<TryVoteMessage> {
    let mut said: Vec<TryVoteMessage> = Vec::new();
    for message in posted {
        let first = message.text.lines().next().unwrap_or_default();
        if !message.text.starts_with("Patch Set ") || !first.contains("Run-TryBot+1") {
            continue;
        }
        let with_it = comments.iter().filter(|one| one.date == message.date && one.author == message.author);
        for comment in with_it {
            let Some(text) = comment.text.split('\n').find_map(|line| line.strip_prefix("TRY=")) else {
                continue;
            };
            if said.last().is_some_and(|last| message.version < last.version) {
                continue;
            }
            said.push(TryVoteMessage {
                message: text.to_owned(),
                author_id: message.author,
                version: message.version,
            });
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases() -> [GoRelease; 2] {
        let of = |minor: i32| GoRelease {
            major: 1,
            minor,
            branch_name: format!("release-branch.go1.{minor}"),
            branch_commit: format!("head of 1.{minor}"),
            ..GoRelease::default()
        };
        [of(16), of(15)]
    }

    fn versions(project: &str, branch: &str) -> Option<Vec<String>> {
        let home = Home::default();
        let with = tried_with(project, branch, &home, &releases(), |branch| {
            (branch != "release-branch.go1.3").then(|| format!("head of {branch}"))
        })?;
        let shown = |with: &With| {
            let branch = with.branch.clone().unwrap_or_default();
            assert_eq!(with.commit.is_some(), with.branch.is_some());
            format!("{branch} {}.{}", with.version.major, with.version.minor)
        };
        Some(with.iter().map(shown).collect())
    }

    #[test]
    fn a_change_is_tried_with_what_its_branch_is_for() {
        let all = ["master 1.17", "release-branch.go1.16 1.16", "release-branch.go1.15 1.15"]
            .map(String::from)
            .to_vec();
        let one = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(versions("go", "master"), one(" 1.17"));
        assert_eq!(versions("go", "release-branch.go1.9"), one(" 1.9"));
        assert_eq!(versions("build", "master"), Some(all.clone()));
        assert_eq!(versions("net", "internal-branch.go1.16-vendor"), one("release-branch.go1.16 1.16"));
        assert_eq!(versions("net", "internal-branch.go1.3-vendor"), None);
        assert_eq!(versions("tools", "dev.go2go"), one("master 1.17"));
        assert_eq!(versions("tools", "gopls-release-branch.0.6"), Some(all));
        assert_eq!(versions("net", "gopls-release-branch.0.6"), one("master 1.17"));
    }

    #[test]
    fn what_is_said_with_a_vote_is_taken() {
        let posted = |version: i32, author: i64, date: &str, text: &str| Posted {
            author,
            date: date.into(),
            version,
            text: text.into(),
        };
        let comment =
            |author: i64, date: &str, text: &str| Comment { author, date: date.into(), text: text.into() };
        let said = messages(
            &[
                posted(1, 1234, "a", "Patch Set 1: Run-TryBot+1\n\n(1 comment)"),
                posted(2, 5678, "b", "Patch Set 2: Foo-2 Run-TryBot+1\n\n(1 comment)"),
                posted(1, 1, "c", "Patch Set 1: Run-TryBot+1"),
                posted(2, 2, "d", "Patch Set 2:\n\nRun-TryBot+1"),
                posted(2, 3, "e", "Uploaded patch set 2: Run-TryBot+1."),
                posted(2, 4, "f", "Patch Set 2: Run-TryBot+1"),
            ],
            &[
                comment(1234, "a", "TRY=foo"),
                comment(5678, "b", "A preceding sentence.\nTRY=bar, baz\nA following sentence."),
                comment(1234, "b", "TRY=of another"),
                comment(1, "c", "TRY=of an older patch set"),
                comment(2, "d", "TRY=without a vote"),
                comment(3, "e", "TRY=without a message"),
                comment(4, "f", "no\n TRY=x"),
                comment(4, "f", "TRY="),
            ],
        );
        let said: Vec<_> =
            said.iter().map(|one| (one.message.as_str(), one.author_id, one.version)).collect();
        assert_eq!(said, [("foo", 1234, 1), ("bar, baz", 5678, 2), ("", 4, 2)]);
    }
}
