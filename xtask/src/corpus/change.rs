//! A change on Gerrit, from its first patch set until it is merged, abandoned or left alone.

use std::fmt::Write;

use anyhow::Result;
use maintpb::{GitCommit, GitDiffTreeFile};

use super::commit::{self, Parts, Signed};
use super::note;
use super::past::PROJECTS;
use super::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Merged,
    Abandoned,
    Open,
}

pub struct Change {
    pub project: usize,
    pub number: u32,
    pub owner: usize,
    /// `I` and forty digits.
    pub id: String,
    pub subject: String,
    /// Without `refs/heads/`.
    pub branch: String,
    pub patch_set: u32,
    /// Of the newest patch set.
    pub commit: String,
    pub hashtags: Vec<String>,
    /// Who voted on what.
    pub votes: Vec<(&'static str, usize)>,
    pub wip: bool,
    /// What it does to files.
    pub files: Vec<GitDiffTreeFile>,
    /// The newest of its notes.
    pub meta: Option<String>,
    body: String,
    end: End,
    times: u32,
}

impl Change {
    /// The `nth` of all is new.
    pub fn begin(world: &mut World, nth: u32) -> Result<Self> {
        let mut share = world.random.below(100);
        let mut project = 0;
        while share >= PROJECTS[project].1 {
            share -= PROJECTS[project].1;
            project += 1;
        }
        world.change += 1 + world.random.below(9);
        world.log.counts.changes += 1;
        let mut change = Self::new(world, project);
        let refs = format!("refs/changes/{:02}/{}/", change.number % 100, change.number);
        let at = world.now;
        let commit = change.pushed(world, false);
        let note = note::created(world, &change);
        let meta = change.noted(world, change.owner, &note);
        world.log.commit(at, &world.projects[project].name, commit)?;
        world.log.commit(at, &world.projects[project].name, meta)?;
        world.projects[project].moved(&format!("{refs}1"), &change.commit);
        if nth % 1500 == 3 {
            // Found when it had many already: they come in the order of their names, not of their numbers.
            for _ in 0..10 {
                change.next_patch_set(world)?;
            }
        }
        change.tell(world)?;
        Ok(change)
    }

    fn new(world: &mut World, project: usize) -> Self {
        let mut subject = format!("{}: ", world.words.name(&mut world.random));
        let length = 15 + world.random.below(30) as usize;
        world.words.line(&mut world.random, &mut subject, length);
        let mut body = String::new();
        let length = world.random.length() / 3;
        world.words.prose(&mut world.random, &mut body, length, "\n");
        let issue = 1 + world.random.below(world.words.issues);
        let verb = ["Fixes", "Updates", "For"][world.random.skewed(3)];
        // Writing to a string cannot fail.
        let _ = match world.random.below(10) {
            0..3 if project == 0 => write!(body, "\n\n{verb} #{issue}"),
            0..5 => write!(body, "\n\n{verb} golang/go#{issue}"),
            5 => write!(body, "\n\n{verb} golang/vscode-go#{}\n{verb} golang/go#{issue}.", 1 + issue / 16),
            _ => Ok(()),
        };
        let branches = &world.projects[project].branches;
        let branch = if !branches.is_empty() && world.random.percent(8) {
            branches[branches.len() - 1 - world.random.skewed(branches.len())].0["refs/heads/".len()..]
                .to_owned()
        } else {
            "master".to_owned()
        };
        Self {
            project,
            number: world.change,
            owner: world.people.author(&mut world.random),
            id: format!("I{}", world.random.hash()),
            subject,
            branch,
            patch_set: 0,
            commit: String::new(),
            hashtags: Vec::new(),
            votes: Vec::new(),
            wip: world.random.one_in(25),
            body,
            files: world.projects[project].files(&mut world.random),
            meta: None,
            end: match world.random.below(100) {
                0..75 => End::Merged,
                75..90 => End::Abandoned,
                _ => End::Open,
            },
            times: 1 + world.random.several(140),
        }
    }

    pub fn left(&self) -> u32 {
        self.times
    }

    /// Something happens to it: as a rule one thing, and the leader looks; at times two before it does.
    pub fn step(&mut self, world: &mut World) -> Result<()> {
        self.times -= 1;
        if self.times == 0 {
            match self.end {
                End::Merged => self.merge(world)?,
                End::Abandoned => {
                    let note = note::abandoned(world, self);
                    self.note(world, self.owner, &note)?;
                }
                End::Open => return Ok(()),
            }
            return self.tell(world);
        }
        if world.random.percent(28) {
            self.next_patch_set(world)?;
        } else if self.times > 1 && world.random.percent(35) {
            self.times -= 1;
            let (first, second) = (note::anything(world, self), note::anything(world, self));
            let old = self.noted(world, first.0, &first.1);
            let new = self.noted(world, second.0, &second.1);
            // Notes are found from the newest back.
            let name = &world.projects[self.project].name;
            world.log.commit(world.now, name, new)?;
            world.log.commit(world.now, name, old)?;
        } else {
            let note = note::anything(world, self);
            self.note(world, note.0, &note.1)?;
        }
        self.tell(world)
    }

    fn next_patch_set(&mut self, world: &mut World) -> Result<()> {
        if !world.random.one_in(3) {
            self.files = world.projects[self.project].files(&mut world.random);
        }
        let commit = self.pushed(world, false);
        world.log.commit(world.now, &world.projects[self.project].name, commit)?;
        let name = self.reference(&self.patch_set.to_string());
        world.projects[self.project].moved(&name, &self.commit);
        let note = note::patch_set(world, self);
        self.note(world, self.owner, &note)
    }

    /// The last patch set is the commit on the branch.
    fn merge(&mut self, world: &mut World) -> Result<()> {
        let commit = self.pushed(world, true);
        let name = self.reference(&self.patch_set.to_string());
        let submitter = world.people.author(&mut world.random);
        let note = note::merged(world, self, submitter);
        let meta = self.noted(world, submitter, &note);
        let project = &mut world.projects[self.project];
        project.moved(&name, &self.commit);
        if self.branch == "master" {
            project.merged(&commit);
        } else {
            let branch = format!("refs/heads/{}", self.branch);
            if let Some((_, head)) = project.branches.iter_mut().find(|(name, _)| *name == branch) {
                head.clone_from(&commit.sha1);
                project.moved(&branch, &commit.sha1);
            }
        }
        world.log.commit(world.now, &project.name, commit)?;
        world.log.commit(world.now, &project.name, meta)
    }

    fn note(&mut self, world: &mut World, who: usize, message: &str) -> Result<()> {
        let meta = self.noted(world, who, message);
        world.log.commit(world.now, &world.projects[self.project].name, meta)
    }

    fn reference(&self, last: &str) -> String {
        format!("refs/changes/{:02}/{}/{last}", self.number % 100, self.number)
    }

    /// The leader has seen it, alone or with what others did.
    fn tell(&self, world: &mut World) -> Result<()> {
        if let Some(meta) = &self.meta {
            world.projects[self.project].moved(&self.reference("meta"), meta);
        }
        if world.random.one_in(6) {
            return Ok(());
        }
        world.projects[self.project].tell(&mut world.log, world.now)
    }

    /// A patch set, on what is the branch's newest commit now.
    fn pushed(&mut self, world: &mut World, last: bool) -> GitCommit {
        self.patch_set += 1;
        let mut message = format!("{}\n\n{}\n\n", self.subject, self.body);
        let _ = writeln!(message, "Change-Id: {}", self.id);
        let submitter = world.people.author(&mut world.random);
        let reviewer = &world.people.get(submitter).author;
        if last {
            let server = "https://go-review.googlesource.com";
            let project = world.projects[self.project].name.rsplit('/').next().unwrap_or_default();
            let _ = writeln!(message, "Reviewed-on: {server}/c/{project}/+/{}", self.number);
            let _ =
                writeln!(message, "Run-TryBot: {reviewer}\nTryBot-Result: Gopher Robot <gobot@golang.org>");
            let _ = writeln!(message, "Reviewed-by: {reviewer}");
        }
        let project = &world.projects[self.project];
        let branch = project.branches.iter().find(|(name, _)| name["refs/heads/".len()..] == self.branch);
        let parent = branch.map_or(&project.head, |(_, head)| head);
        let author = &world.people.get(self.owner).author;
        let zone = commit::zone(&mut world.random);
        let head = commit::head(&mut world.random);
        let parts = Parts {
            parents: &[parent],
            author: Signed { who: author, at: world.now - 500, zone },
            committer: if last {
                Signed { who: reviewer, at: world.now, zone: "+0000" }
            } else {
                Signed { who: author, at: world.now - 100, zone }
            },
            head: &head,
            message: &message,
        };
        let commit = commit::make(&mut world.random, &parts, self.files.clone());
        self.commit.clone_from(&commit.sha1);
        commit
    }

    /// One more of its notes.
    fn noted(&mut self, world: &mut World, who: usize, message: &str) -> GitCommit {
        let account = &world.people.get(who).account;
        let parents: Vec<&str> = self.meta.as_deref().into_iter().collect();
        let parts = Parts {
            parents: &parents,
            author: Signed { who: account, at: world.now, zone: "+0000" },
            committer: Signed {
                who: "Gerrit Code Review <noreply-gerritcodereview@google.com>",
                at: world.now,
                zone: "+0000",
            },
            head: "",
            message,
        };
        // Comments on lines are a file by the name of the commit that they are of.
        let (mut files, mut comments) = (Vec::new(), Vec::new());
        if !parents.is_empty() && world.random.one_in(4) {
            let added = 8 + i64::from(world.random.below(40));
            files.push(GitDiffTreeFile { file: self.commit.clone(), added, deleted: 0, binary: false });
            comments = note::comments(world, self, who, added);
        }
        let commit = GitCommit { comments, ..commit::make(&mut world.random, &parts, files) };
        self.meta = Some(commit.sha1.clone());
        commit
    }
}
