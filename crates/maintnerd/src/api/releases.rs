//! The releases that are supported. Source: spec/maintner.md §5.3.

use std::collections::BTreeMap;

use maintner::corpus::Corpus;
use maintpb::api::GoRelease;

use super::refs::{below, hex};
use super::version::{of_release_branch, of_tag};

/// A project has no two releases: those that can be told from tags and branches are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there was a problem finding supported Go releases")]
pub struct TooFew;

/// The two newest releases of a project: series of tags, the newest tag of each, that have a branch as well.
///
/// # Errors
/// Where there are no two.
pub fn supported(corpus: &Corpus, project: u32) -> Result<[GoRelease; 2], TooFew> {
    let tags = below(corpus, project, "refs/tags/");
    let branches = below(corpus, project, "refs/heads/");
    let names = |refs: Vec<(&str, u32)>| -> Vec<(String, String)> {
        refs.into_iter().map(|(name, commit)| (name.to_owned(), hex(corpus, commit))).collect()
    };
    of(&names(tags), &names(branches)).ok_or(TooFew)
}

fn of(tags: &[(String, String)], branches: &[(String, String)]) -> Option<[GoRelease; 2]> {
    let mut newest: BTreeMap<(u16, u16), (u16, &str, &str)> = BTreeMap::new();
    for (name, commit) in tags {
        let Some(version) = of_tag(name) else { continue };
        let entry = newest.entry(version.series()).or_insert((version.patch, name, commit));
        // Of two names of one version the smaller one.
        if version.patch > entry.0 || (version.patch == entry.0 && name.as_str() < entry.1) {
            *entry = (version.patch, name, commit);
        }
    }
    let branches: BTreeMap<(u16, u16), (&str, &str)> = branches
        .iter()
        .filter_map(|(name, commit)| Some((of_release_branch(name)?, (name.as_str(), commit.as_str()))))
        .collect();
    let mut releases = newest.iter().rev().filter_map(|(series, (patch, tag, tag_commit))| {
        let (branch, branch_commit) = branches.get(series)?;
        Some(GoRelease {
            major: series.0.into(),
            minor: series.1.into(),
            patch: (*patch).into(),
            tag_name: (*tag).to_owned(),
            tag_commit: (*tag_commit).to_owned(),
            branch_name: (*branch).to_owned(),
            branch_commit: (*branch_commit).to_owned(),
        })
    });
    Some([releases.next()?, releases.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tags: &[&str], branches: &[&str]) -> Option<Vec<String>> {
        let named = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().map(|name| ((*name).to_owned(), format!("at {name}"))).collect()
        };
        let all = of(&named(tags), &named(branches))?;
        assert!(all.iter().all(|one| one.tag_commit == format!("at {}", one.tag_name)));
        assert!(all.iter().all(|one| one.branch_commit == format!("at {}", one.branch_name)));
        let shown = |one: GoRelease| {
            format!("{} {} {}.{}.{}", one.tag_name, one.branch_name, one.major, one.minor, one.patch)
        };
        Some(all.into_iter().map(shown).collect())
    }

    #[test]
    fn the_two_newest_with_a_branch() {
        let tags = [
            "go1.5",
            "go1.42.1",
            "go1",
            "go2",
            "go1.11.111",
            "go1.43",
            "go3beta1",
            "weekly.2012",
            "release.r60",
        ];
        let branches: Vec<String> = ["1.5", "1.42", "1", "2", "1.11", "1.42-security", "3"]
            .iter()
            .map(|version| format!("release-branch.go{version}"))
            .collect();
        let branches: Vec<&str> = branches.iter().map(String::as_str).collect();
        let want = ["go2 release-branch.go2 2.0.0", "go1.42.1 release-branch.go1.42 1.42.1"];
        assert_eq!(found(&tags, &branches).unwrap(), want);
        assert_eq!(found(&tags, &branches[..1]), None);
    }

    #[test]
    fn the_highest_patch_and_of_two_names_the_smaller() {
        let branches = ["release-branch.go1.2", "release-branch.go1.3"];
        let all = found(&["go1.2.9", "go1.2.10", "go1.3.0", "go1.3"], &branches).unwrap();
        assert_eq!(all, ["go1.3 release-branch.go1.3 1.3.0", "go1.2.10 release-branch.go1.2 1.2.10"]);
    }
}
