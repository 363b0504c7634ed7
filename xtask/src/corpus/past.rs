//! What projects have from before the log, what is done to them twice a year, and how the log ends.

use std::fmt::Write;

use anyhow::Result;
use maintpb::{GerritMutation, GitCommit, GitDiffTree, GitMutation, GitRepo};

use super::commit::{self, Parts, Signed};
use super::day::{BEGIN, DAY};
use super::label;
use super::project::Project;
use super::random::Random;
use super::words::Words;
use super::world::World;

/// Name, and how many of a hundred changes are its.
pub const PROJECTS: &[(&str, u32)] = &[
    ("go", 62),
    ("tools", 12),
    ("net", 5),
    ("sys", 5),
    ("build", 5),
    ("crypto", 4),
    ("website", 3),
    ("exp", 2),
    ("text", 1),
    ("oauth2", 1),
];

/// Commits of all projects from before the log, at scale 1.
const PAST: u32 = 18_000;

pub fn projects(random: &mut Random, words: &Words, changes: u32) -> Vec<Project> {
    PROJECTS
        .iter()
        .map(|&(name, share)| {
            let past = 4 + PAST * (changes / 100) / 1000 * share / 100;
            Project::new(
                random,
                words,
                &format!("go.googlesource.com/{name}"),
                past,
                40 + share as usize * 50,
            )
        })
        .collect()
}

/// The past of each project, as a leader finds it: from the newest commit back, each before its parents.
pub fn write(world: &mut World) -> Result<()> {
    for index in 0..world.projects.len() {
        let commits = past(world, index);
        let project = &mut world.projects[index];
        if index == 0 {
            // A part of it was followed in a folder before.
            for commit in commits.iter().take(1 + commits.len() / 40) {
                let repo = Some(GitRepo { go_repo: "go".into() });
                world.log.git(world.now, GitMutation { repo, commit: Some(commit.clone()) })?;
            }
        }
        for commit in commits.iter().rev() {
            world.log.commit(world.now, &project.name, commit.clone())?;
        }
        for commit in &commits[commits.len().saturating_sub(64)..] {
            project.merged(commit);
        }
        project.tell(&mut world.log, world.now)?;
    }
    Ok(())
}

fn past(world: &mut World, index: usize) -> Vec<GitCommit> {
    let count = world.projects[index].past;
    let mut commits: Vec<GitCommit> = Vec::new();
    for n in 0..count {
        let at = BEGIN - 1000 * DAY + u64::from(n) * 1000 * DAY / u64::from(count);
        let mut message = String::new();
        let who = world.people.author(&mut world.random);
        let length = 30 + world.random.below(400) as usize;
        message.push_str(world.words.name(&mut world.random));
        message.push_str(": ");
        world.words.line(&mut world.random, &mut message, 30);
        message.push_str("\n\n");
        world.words.prose(&mut world.random, &mut message, length, "\n");
        // Addresses of Mercurial's times.
        let _ = write!(
            message,
            "\n\nR=golang-dev, {}\nCC=golang-dev\nhttps://golang.org/cl/{}\n",
            world.words.name(&mut world.random),
            4000 + n
        );
        let head = if index == 0 && n < count / 3 {
            format!("golang-hg {}\n", world.random.hash())
        } else {
            String::new()
        };
        let author = &world.people.get(who).author;
        let mut parents: Vec<&str> = commits.last().map(|last| last.sha1.as_str()).into_iter().collect();
        if n > 20 && n % 37 == 0 {
            parents.push(&commits[commits.len() - 9].sha1);
        }
        let files =
            if parents.len() == 1 { world.projects[index].files(&mut world.random) } else { Vec::new() };
        let zone = commit::zone(&mut world.random);
        let parts = Parts {
            parents: &parents,
            author: Signed { who: author, at, zone },
            committer: Signed { who: author, at: at + 3, zone },
            head: &head,
            message: &message,
        };
        let commit = commit::make(&mut world.random, &parts, files);
        commits.push(commit);
    }
    commits
}

/// Tags, branches that come and go, a merge, refs of which few know what to think, and new names.
pub fn half_year(world: &mut World, number: u64) -> Result<()> {
    label::half_year(world, number)?;
    let renamed = world.people.rename(&mut world.random);
    world.log.issue(
        world.now,
        maintpb::GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number: 1,
            user: Some(world.people.get(renamed).user()),
            ..maintpb::GithubIssueMutation::default()
        },
    )?;
    for index in 0..world.projects.len() {
        tag(world, index, number)?;
        merge(world, index)?;
        let project = &mut world.projects[index];
        let head = project.head.clone();
        for branch in [format!("refs/heads/release-branch.go1.{number}"), format!("refs/heads/dev.{number}")]
        {
            project.moved(&branch, &head);
            project.branches.push((branch, head.clone()));
        }
        // Old logs have refs like these.
        project.moved("refs/meta/config", &head);
        if world.change > 2000 {
            let change = world.change - 7;
            project.moved(&format!("refs/changes/{:02}/{change}/robot-comments", change % 100), &head);
        }
        project.tell(&mut world.log, world.now)?;
        let old = project
            .branches
            .iter()
            .position(|(branch, _)| branch.contains("dev.") && !branch.ends_with(&number.to_string()));
        if let Some(old) = old {
            let gone = GerritMutation {
                project: project.name.clone(),
                deleted_refs: vec![project.branches.remove(old).0],
                ..GerritMutation::default()
            };
            world.log.gerrit(world.now, gone)?;
        }
    }
    Ok(())
}

/// A tag with a note: what the log has by the tag's hash is the commit.
fn tag(world: &mut World, index: usize, number: u64) -> Result<()> {
    let project = &mut world.projects[index];
    let tag = GitCommit {
        sha1: world.random.hash(),
        raw: project.raw.clone(),
        diff_tree: Some(GitDiffTree::default()),
        ..GitCommit::default()
    };
    let name = format!("refs/tags/go1.{number}");
    project.moved(&name, &tag.sha1);
    let head = project.head.clone();
    project.moved(&format!("{name}^{{}}"), &head);
    world.log.commit(world.now, &project.name, tag)
}

/// A branch comes into the main one, by hand.
fn merge(world: &mut World, index: usize) -> Result<()> {
    let Some((name, other)) = world.projects[index].branches.last().cloned() else { return Ok(()) };
    let head = world.projects[index].head.clone();
    if head == other {
        return Ok(());
    }
    let who = world.people.author(&mut world.random);
    let author = &world.people.get(who).author;
    let zone = commit::zone(&mut world.random);
    let parts = Parts {
        parents: &[&head, &other],
        author: Signed { who: author, at: world.now, zone },
        committer: Signed { who: author, at: world.now, zone },
        head: "",
        message: &format!(
            "all: merge {} into master\n\nReviewer: {author}\n",
            name.trim_start_matches("refs/heads/")
        ),
    };
    let commit = commit::make(&mut world.random, &parts, Vec::new());
    world.projects[index].merged(&commit);
    world.log.commit(world.now, &world.projects[index].name, commit)
}

/// What moved last; and the leader was ended between a commit and its parent.
pub fn end(world: &mut World) -> Result<()> {
    for project in &mut world.projects {
        project.tell(&mut world.log, world.now)?;
    }
    let parent = world.random.hash();
    let author = &world.people.get(0).author;
    let parts = Parts {
        parents: &[&parent],
        author: Signed { who: author, at: world.now, zone: "+0000" },
        committer: Signed { who: author, at: world.now, zone: "+0000" },
        head: "",
        message: "doc: say what comes next\n",
    };
    let commit = commit::make(&mut world.random, &parts, Vec::new());
    world.log.commit(world.now, &world.projects[0].name, commit)
}
