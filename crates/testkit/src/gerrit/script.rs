//! The script's hands: each function does one thing by REST or git, and writes down what it meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::chance::Chance;
use super::change::{Kind, Meant, Status};
use super::git::{Clone, Content};
use super::rest::{User, piece};
use super::site::Gerrit;
use super::stories;
use super::world::{self, PEOPLE, PROJECTS, Person};

/// What [`run`] makes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// So many changes at least; a revert makes one more.
    pub changes: usize,
    /// What is done follows from it. Times, and so the ids of most commits, do not.
    pub seed: u64,
}

/// What [`run`] made.
#[derive(Debug)]
pub struct Made {
    /// Each change, by number.
    pub changes: Vec<Meant>,
    /// Numbers of changes that were deleted; Gerrit knows nothing of them any more.
    pub deleted: Vec<u64>,
    /// The accounts of those who did it; none of them sees others' private changes.
    pub people: Vec<User>,
    /// The account that sees all of it, see [`super::GROUP`].
    pub follower: User,
    /// How long it took.
    pub took: Duration,
}

/// Gives a fresh Gerrit people, projects and changes. Each story is told to `progress` in a line.
///
/// # Errors
/// When Gerrit or git refuses anything.
pub fn run(gerrit: &Gerrit, options: Options, progress: &mut dyn FnMut(&str)) -> Result<Made> {
    let began = Instant::now();
    world::make(gerrit).context("people, rights and projects")?;
    let clones = gerrit.site().join("clones");
    let clones: Result<Vec<_>> =
        (0..PROJECTS.len()).map(|n| Clone::create(clones.join(n.to_string()))).collect();
    let mut script = Script {
        admin: gerrit.admin(),
        users: PEOPLE.iter().map(|person| world::user(gerrit, person)).collect(),
        clones: clones?,
        known: BTreeSet::new(),
        chance: Chance::new(options.seed),
        works: Vec::new(),
        deleted: Vec::new(),
        made: 0,
    };
    for story in 0.. {
        if script.works.len() >= options.changes {
            break;
        }
        let name = stories::tell(&mut script, story).with_context(|| format!("story {story}"))?;
        progress(&format!(
            "{:>3} changes after {:.1} s: {name}",
            script.works.len(),
            began.elapsed().as_secs_f64()
        ));
    }
    let mut changes: Vec<Meant> = script.works.into_iter().map(|work| work.meant).collect();
    changes.sort_by_key(|change| change.number);
    let (people, follower) = (script.users, world::follower(gerrit));
    Ok(Made { changes, deleted: script.deleted, people, follower, took: began.elapsed() })
}

pub(super) struct Script {
    admin: User,
    users: Vec<User>,
    clones: Vec<Clone>,
    /// Commits of branches that a project's clone has; two projects may have the same first one.
    known: BTreeSet<(usize, String)>,
    pub(super) chance: Chance,
    works: Vec<Work>,
    deleted: Vec<u64>,
    /// Changes that were pushed, deleted ones too.
    made: usize,
}

/// A change and what the next patch set of it needs.
struct Work {
    meant: Meant,
    project: usize,
    parent: String,
    path: String,
    message: String,
}

/// Somebody, as an index of [`PEOPLE`].
pub(super) type Who = usize;
/// A change, as an index of the script's.
pub(super) type Which = usize;

impl Script {
    pub(super) fn meant(&self, change: Which) -> &Meant {
        &self.works[change].meant
    }

    /// Whose a change is.
    pub(super) fn owner(&self, change: Which) -> Who {
        PEOPLE
            .iter()
            .position(|person| person.name == self.meant(change).owner)
            .expect("only people own changes")
    }

    /// Pushes a new change. `options` are Gerrit's push options behind the `%`.
    pub(super) fn create(
        &mut self,
        project: usize,
        branch: &str,
        owner: Who,
        subject: &str,
        options: &str,
    ) -> Result<Which> {
        let parent = self.tip(project, branch)?;
        self.made += 1;
        let change_id = self.chance.change_id();
        let message = format!("{subject}\n\n{}\n\nChange-Id: {change_id}\n", stories::body(&mut self.chance));
        let path = if self.made % 7 == 3 {
            format!("docs/naïve – {}.txt", self.made)
        } else {
            format!("src/file{}.txt", self.made)
        };
        let commit = self.commit(project, owner, owner, &parent, &message, &path, 1)?;
        let percent = if options.is_empty() { "" } else { "%" };
        let to = format!("refs/for/{branch}{percent}{options}");
        self.clones[project].push(&self.users[owner], PROJECTS[project].0, &commit, &to)?;
        let id = format!("{}~{}~{change_id}", piece(PROJECTS[project].0), piece(branch));
        let info = self.users[owner].get(&format!("/changes/{id}"))?;
        let mut meant = new(&info, project, owner)?;
        for option in options.split(',') {
            match option.split_once('=') {
                Some(("topic", topic)) => meant.topic = Some(topic.to_owned()),
                Some(("t" | "hashtag", tag)) => _ = meant.hashtags.insert(tag.to_owned()),
                Some(("r", who)) => _ = meant.reviewers.insert(name_of(who)),
                Some(("cc", who)) => _ = meant.cc.insert(name_of(who)),
                _ => {}
            }
        }
        meant.private = options.split(',').any(|option| option == "private");
        meant.wip = options.split(',').any(|option| option == "wip");
        self.works.push(Work { meant, project, parent, path, message });
        Ok(self.works.len() - 1)
    }

    /// Pushes the next patch set, with another text in its file.
    pub(super) fn amend(&mut self, change: Which, by: Who) -> Result<()> {
        let work = &self.works[change];
        let (project, parent, message, path) =
            (work.project, work.parent.clone(), work.message.clone(), work.path.clone());
        let (owner, number) = (self.owner(change), work.meant.uploaders.len() + 1);
        let commit = self.commit(project, owner, by, &parent, &message, &path, number)?;
        let to = format!("refs/for/{}", self.meant(change).branch);
        self.clones[project].push(&self.users[by], PROJECTS[project].0, &commit, &to)?;
        self.works[change].meant.new_patch_set(Kind::Rework, PEOPLE[by].name);
        Ok(())
    }

    /// Changes the commit's message by REST, which makes a patch set.
    pub(super) fn reword(&mut self, change: Which, by: Who, subject: &str) -> Result<()> {
        let (_, rest) = self.works[change].message.split_once('\n').context("a message has lines")?;
        let message = format!("{subject}\n{rest}");
        self.users[by].put(&self.path(change, "/message"), &json!({ "message": message }))?;
        let work = &mut self.works[change];
        work.message = message;
        work.meant.subject = subject.to_owned();
        work.meant.new_patch_set(Kind::NoCodeChange, PEOPLE[by].name);
        Ok(())
    }

    /// Pushes a commit past review, and rebases the change onto it.
    pub(super) fn rebase(&mut self, change: Which, by: Who) -> Result<()> {
        let (project, branch) = (self.works[change].project, self.meant(change).branch.clone());
        let tip = self.tip(project, &branch)?;
        let admin = Person { name: "admin", full_name: "Administrator", email: "admin@example.com" };
        let text = format!("{tip}\n");
        let content = Content {
            parent: &tip,
            author: &PEOPLE[by],
            committer: &admin,
            message: "Go past review\n",
            path: "VERSION",
            text: &text,
        };
        let commit = self.clones[project].commit(&content)?;
        self.clones[project].push(
            &self.admin,
            PROJECTS[project].0,
            &commit,
            &format!("refs/heads/{branch}"),
        )?;
        self.known.insert((project, commit.clone()));
        self.users[by].post(&self.path(change, "/rebase"), &json!({}))?;
        let work = &mut self.works[change];
        work.parent = commit;
        work.meant.new_patch_set(Kind::TrivialRebase, PEOPLE[by].name);
        Ok(())
    }

    /// Votes and writes; `text` may be empty, and `tag` says what program it was, if one.
    pub(super) fn vote(
        &mut self,
        change: Which,
        by: Who,
        votes: &[(&str, i64)],
        text: &str,
        tag: Option<&str>,
    ) -> Result<()> {
        let labels: BTreeMap<&str, i64> = votes.iter().copied().collect();
        let mut body = json!({ "labels": labels });
        if !text.is_empty() {
            body["message"] = text.into();
        }
        if let Some(tag) = tag {
            body["tag"] = tag.into();
        }
        self.users[by].post(&self.path(change, "/revisions/current/review"), &body)?;
        let meant = &mut self.works[change].meant;
        for (label, value) in votes {
            meant.vote(label, PEOPLE[by].name, *value);
        }
        if !text.is_empty() {
            meant.messages.push(text.to_owned());
        }
        Ok(())
    }

    /// Comments on a line, a range and the whole patch set, with a message above them.
    pub(super) fn comment(&mut self, change: Which, by: Who, text: &str) -> Result<()> {
        let path = self.works[change].path.clone();
        let range = json!({ "start_line": 2, "start_character": 0, "end_line": 3, "end_character": 4 });
        let comments = json!({
            path: [
                { "line": 1, "message": "Why „this“?\n\nSee below – 😀.", "unresolved": true },
                { "range": range, "message": text },
            ],
            "/PATCHSET_LEVEL": [{ "message": "In general: fine.", "unresolved": false }],
        });
        let body = json!({ "message": text, "comments": comments });
        self.users[by].post(&self.path(change, "/revisions/current/review"), &body)?;
        self.works[change].meant.messages.push(text.to_owned());
        Ok(())
    }

    /// Takes a vote away, as its voter or, by the administrator, as somebody else.
    pub(super) fn remove_vote(
        &mut self,
        change: Which,
        label: &str,
        voter: Who,
        by_admin: bool,
    ) -> Result<()> {
        let path = self.path(change, &format!("/reviewers/{}/votes/{label}", PEOPLE[voter].name));
        let user = if by_admin { &self.admin } else { &self.users[voter] };
        user.delete(&path)?;
        self.works[change].meant.vote(label, PEOPLE[voter].name, 0);
        Ok(())
    }

    /// Asks somebody to review (`REVIEWER`) or puts them on CC (`CC`).
    pub(super) fn add(&mut self, change: Which, by: Who, whom: Who, state: &str) -> Result<()> {
        let body = json!({ "reviewer": PEOPLE[whom].name, "state": state });
        self.users[by].post(&self.path(change, "/reviewers"), &body)?;
        let meant = &mut self.works[change].meant;
        let name = PEOPLE[whom].name.to_owned();
        meant.cc.remove(&name);
        meant.reviewers.remove(&name);
        if state == "CC" {
            meant.cc.insert(name)
        } else {
            meant.reviewers.insert(name)
        };
        Ok(())
    }

    /// Takes somebody off, with their votes.
    pub(super) fn take_off(&mut self, change: Which, whom: Who) -> Result<()> {
        let name = PEOPLE[whom].name;
        self.admin.delete(&self.path(change, &format!("/reviewers/{name}")))?;
        let meant = &mut self.works[change].meant;
        meant.cc.remove(name);
        meant.reviewers.remove(name);
        meant.votes.retain(|(_, voter), _| voter != name);
        Ok(())
    }

    pub(super) fn hashtags(&mut self, change: Which, by: Who, add: &[&str], remove: &[&str]) -> Result<()> {
        self.users[by].post(&self.path(change, "/hashtags"), &json!({ "add": add, "remove": remove }))?;
        let tags = &mut self.works[change].meant.hashtags;
        tags.retain(|tag| !remove.contains(&tag.as_str()));
        tags.extend(add.iter().map(|&tag| tag.to_owned()));
        Ok(())
    }

    /// Sets the topic; an empty one is none.
    pub(super) fn topic(&mut self, change: Which, topic: &str) -> Result<()> {
        let owner = self.owner(change);
        self.users[owner].put(&self.path(change, "/topic"), &json!({ "topic": topic }))?;
        self.works[change].meant.topic = (!topic.is_empty()).then(|| topic.to_owned());
        Ok(())
    }

    pub(super) fn private(&mut self, change: Which, private: bool) -> Result<()> {
        let way = if private { "/private" } else { "/private.delete" };
        self.by_owner(change, way, "About what nobody should know yet")?;
        self.works[change].meant.private = private;
        Ok(())
    }

    pub(super) fn wip(&mut self, change: Which, wip: bool) -> Result<()> {
        self.by_owner(change, if wip { "/wip" } else { "/ready" }, "Not so fast:\n- tests\n- docs")?;
        self.works[change].meant.wip = wip;
        Ok(())
    }

    pub(super) fn abandon(&mut self, change: Which) -> Result<()> {
        self.by_owner(change, "/abandon", "Not worth it.\n\nThere is a better one:\n  another change")?;
        self.works[change].meant.status = Status::Abandoned;
        Ok(())
    }

    pub(super) fn restore(&mut self, change: Which) -> Result<()> {
        self.by_owner(change, "/restore", "It is worth it, after all ✨")?;
        self.works[change].meant.status = Status::New;
        Ok(())
    }

    fn by_owner(&mut self, change: Which, way: &str, text: &str) -> Result<()> {
        let owner = self.owner(change);
        self.users[owner].post(&self.path(change, way), &json!({ "message": text }))?;
        self.works[change].meant.messages.push(text.to_owned());
        Ok(())
    }

    /// Moves the change to the project's other branch. Votes stay behind, but for those that forbid it.
    pub(super) fn move_away(&mut self, change: Which) -> Result<()> {
        let branches = PROJECTS[self.works[change].project].1;
        let to = branches
            .into_iter()
            .find(|branch| *branch != self.meant(change).branch)
            .context("another branch")?;
        let owner = self.owner(change);
        let body = json!({ "destination_branch": to, "message": "It belongs there" });
        self.users[owner].post(&self.path(change, "/move"), &body)?;
        let meant = &mut self.works[change].meant;
        meant.branch = to.to_owned();
        meant.votes.retain(|(label, _), value| label == "Code-Review" && *value == -2);
        meant.messages.push("It belongs there".to_owned());
        Ok(())
    }

    /// Submits a change that may be. Where the project's way to do that makes a patch set, the votes go along.
    pub(super) fn submit(&mut self, change: Which, by: Who) -> Result<()> {
        self.users[by].post(&self.path(change, "/submit"), &json!({}))?;
        let info = self.admin.get(&self.path(change, "?o=CURRENT_REVISION"))?;
        let current =
            info["revisions"].as_object().and_then(|all| all.values().next()).context("no revision")?;
        let number = current["_number"].as_u64().context("a patch set has a number")?;
        let meant = &mut self.works[change].meant;
        if number == meant.uploaders.len() as u64 + 1 {
            meant.uploaders.push(PEOPLE[by].name.to_owned());
        }
        meant.status = Status::Merged;
        Ok(())
    }

    /// Makes the change that takes a submitted one back.
    pub(super) fn revert(&mut self, change: Which, by: Who) -> Result<Which> {
        let body = json!({ "message": "It broke the build.\n\nSorry!" });
        let info = self.users[by].post(&self.path(change, "/revert"), &body)?;
        let work = &self.works[change];
        let project = work.project;
        let mut meant = new(&info, project, by)?;
        // Whoever had to do with the one is asked about the other.
        meant.reviewers.extend((work.meant.owner != meant.owner).then(|| work.meant.owner.clone()));
        meant.messages.push("Uploaded patch set 1".to_owned());
        self.works[change].meant.messages.push("Created a revert of this change as ".to_owned());
        // Nobody pushes to it.
        let none = String::new();
        self.works.push(Work { meant, project, parent: none.clone(), path: none.clone(), message: none });
        Ok(self.works.len() - 1)
    }

    /// Deletes a change with all of its refs.
    pub(super) fn delete(&mut self, change: Which) -> Result<()> {
        if change + 1 != self.works.len() {
            bail!("only the newest can go without changing the others' places");
        }
        self.users[self.owner(change)].delete(&self.path(change, ""))?;
        self.deleted.extend(self.works.pop().map(|work| work.meant.number));
        Ok(())
    }

    fn path(&self, change: Which, rest: &str) -> String {
        let work = &self.works[change];
        format!("/changes/{}~{}{rest}", piece(PROJECTS[work.project].0), work.meant.number)
    }

    /// The newest commit of a branch, which the clone then has.
    fn tip(&mut self, project: usize, branch: &str) -> Result<String> {
        let name = PROJECTS[project].0;
        let info = self.admin.get(&format!("/projects/{}/branches/{}", piece(name), piece(branch)))?;
        let tip = info["revision"].as_str().context("a branch has a revision")?.to_owned();
        if self.known.insert((project, tip.clone())) {
            self.clones[project].fetch(&self.admin, name)?;
        }
        Ok(tip)
    }

    #[expect(clippy::too_many_arguments, reason = "a commit is made of these")]
    fn commit(
        &mut self,
        project: usize,
        author: Who,
        committer: Who,
        parent: &str,
        message: &str,
        path: &str,
        number: usize,
    ) -> Result<String> {
        let lines: String =
            (1..=4 + number).map(|line| format!("{line}: {}\n", self.chance.below(1000))).collect();
        let text = format!("Patch set {number}\n{lines}");
        let (author, committer) = (&PEOPLE[author], &PEOPLE[committer]);
        self.clones[project].commit(&Content { parent, author, committer, message, path, text: &text })
    }
}

/// A change as it is new.
fn new(info: &Value, project: usize, owner: Who) -> Result<Meant> {
    let text =
        |key: &str| info[key].as_str().map(str::to_owned).with_context(|| format!("a change has a {key}"));
    Ok(Meant {
        number: info["_number"].as_u64().context("a change has a number")?,
        change_id: text("change_id")?,
        project: PROJECTS[project].0.to_owned(),
        branch: text("branch")?,
        owner: PEOPLE[owner].name.to_owned(),
        subject: text("subject")?,
        status: Status::New,
        private: false,
        wip: false,
        hashtags: BTreeSet::new(),
        topic: None,
        uploaders: vec![PEOPLE[owner].name.to_owned()],
        votes: BTreeMap::new(),
        reviewers: BTreeSet::new(),
        cc: BTreeSet::new(),
        messages: Vec::new(),
    })
}

/// The name of whose address this is.
fn name_of(email: &str) -> String {
    let person = PEOPLE.iter().find(|person| person.email == email);
    person.map_or(email, |person| person.name).to_owned()
}
