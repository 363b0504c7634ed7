//! A configuration as the setting of a replay: who builds what, on which hosts, within which limits.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use buildenv::{Class as Kind, Config, Pool};
use serde::Serialize;
use store::builds::BuildRow;
use store::{BuildId, Micros};

use super::run::Setting;
use super::trace::Trace;
use crate::core::hosts;
use crate::resolve;
use crate::schedule::{Class, Event, Request};

/// Repo, branch, toolchain's branch, whether it is a try.
type Asked = (String, String, Option<String>, bool);

/// A configuration for a replay.
pub struct Configured<'c> {
    config: &'c Config,
    rows: &'c HashMap<BuildId, BuildRow>,
    /// As they were recorded last, for hosts that say nothing of it.
    capacities: HashMap<String, u32>,
    plans: RefCell<HashMap<Asked, Rc<BTreeSet<String>>>>,
}

/// A cell that one configuration builds and the other does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cell {
    /// Who builds.
    pub builder: String,
    /// Of which repo.
    pub repo: String,
    /// What.
    pub revision: String,
}

/// What would have been caught, or would not.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Caught {
    /// Built then and not by this configuration.
    pub dropped: usize,
    /// Of them, those that failed.
    pub dropped_failed: Vec<Cell>,
    /// Of those, the ones of which no other builder's build of the same revision failed: nobody would have known.
    pub missed: Vec<Cell>,
    /// Built by this configuration and not then: whether they fail is not known.
    pub new: Vec<Cell>,
}

/// When a revision came first, with what, whose it is, and which builders had it.
type Revision<'a> = (i64, &'a Request, &'a BuildRow, BTreeSet<&'a str>);

impl<'c> Configured<'c> {
    /// For builds whose rows are given.
    #[must_use]
    pub fn new(config: &'c Config, rows: &'c HashMap<BuildId, BuildRow>, trace: &Trace) -> Self {
        let capacities = trace.capacities().map(|(host, most)| (host.to_owned(), most)).collect();
        Configured { config, rows, capacities, plans: RefCell::default() }
    }

    /// Whether builders of the repo are in its own file, which is not read here: they stay as they were.
    fn is_unread(&self, repo: &str) -> bool {
        let name = repo.parse::<buildenv::RepoName>();
        name.is_ok_and(|name| {
            self.config.repo(repo).is_some() && self.config.builders_for(&name).next().is_none()
        })
    }

    /// Who builds a branch by itself.
    fn planned(&self, row: &BuildRow, tried: bool) -> Rc<BTreeSet<String>> {
        let asked = (row.repo.clone(), row.branch.clone(), row.toolchain_branch.clone(), tried);
        if let Some(known) = self.plans.borrow().get(&asked) {
            return Rc::clone(known);
        }
        let kind = if tried { Kind::Try } else { Kind::PostSubmit };
        let builders = row.repo.parse().map(|repo| {
            let plan = buildenv::plan(self.config, &repo, &row.branch, row.toolchain_branch.as_deref(), kind);
            plan.builds.iter().map(|one| one.builder.name.to_string()).collect()
        });
        let builders: Rc<BTreeSet<String>> = Rc::new(builders.unwrap_or_default());
        self.plans.borrow_mut().insert(asked, Rc::clone(&builders));
        builders
    }

    /// Whether the build is made by this configuration: what a person asked for is, if the builder is there.
    fn is_built(&self, row: &BuildRow, class: Class) -> bool {
        let known = resolve::builder(self.config, &row.repo, &row.builder).is_ok();
        let by_itself = (class.is_landed() || class.is_try()) && row.sample.is_empty();
        if !known {
            return self.is_unread(&row.repo);
        }
        !by_itself || self.planned(row, class.is_try()).contains(&row.builder)
    }

    /// Cells of what was built in that time that this configuration builds and that one did not, each as a build that comes
    /// with the first of its revision.
    #[must_use]
    pub fn more(&self, trace: &Trace, since: i64) -> Vec<(Cell, i64, Request)> {
        let mut revisions: BTreeMap<(&str, bool), Revision<'_>> = BTreeMap::new();
        for (when, request) in trace.arrivals().filter(|(when, _)| *when >= since) {
            let Some(row) = self.rows.get(&request.build).filter(|row| row.sample.is_empty()) else {
                continue;
            };
            if !(request.class.is_landed() || request.class.is_try()) || self.is_unread(&row.repo) {
                continue;
            }
            let known = revisions
                .entry((&row.revision, request.class.is_try()))
                .or_insert_with(|| (when, request, row, BTreeSet::new()));
            known.3.insert(&row.builder);
        }
        let mut more = Vec::new();
        for ((revision, tried), (when, first, row, had)) in revisions {
            for builder in self.planned(row, tried).iter().filter(|name| !had.contains(name.as_str())) {
                let number = more.len() as u64 + 1;
                let build = BuildId::new(Micros(when), &mut |to| {
                    to.fill(0xff);
                    for (to, byte) in to.iter_mut().rev().zip(number.to_le_bytes()) {
                        *to = byte;
                    }
                });
                let cell =
                    Cell { builder: builder.clone(), repo: row.repo.clone(), revision: revision.to_owned() };
                let request = Request {
                    build,
                    builder: builder.clone(),
                    avoid: Vec::new(),
                    need: None,
                    not_before: None,
                    blocked: None,
                    ..first.clone()
                };
                more.extend(
                    self.resolved(request, row.untrusted, row.priority).map(|request| (cell, when, request)),
                );
            }
        }
        more
    }

    fn resolved(&self, request: Request, untrusted: bool, priority: i64) -> Option<Request> {
        let builder = resolve::builder(self.config, &request.repo, &request.builder).ok()?;
        Some(Request {
            hosts: hosts(self.config, builder, untrusted),
            limits: resolve::limits_of(builder),
            priority: priority + i64::from(builder.priority),
            width: builder.width,
            ..request
        })
    }

    /// What is not built any more, and what of it failed.
    #[must_use]
    pub fn caught(&self, not_built: &BTreeSet<BuildId>, new: Vec<Cell>) -> Caught {
        let failed = |row: &&BuildRow| row.outcome.as_deref() == Some("failed");
        let of = |row: &BuildRow| Cell {
            builder: row.builder.clone(),
            repo: row.repo.clone(),
            revision: row.revision.clone(),
        };
        let kept = self.rows.iter().filter(|(build, _)| !not_built.contains(build)).map(|(_, row)| row);
        let elsewhere: BTreeSet<&str> = kept.filter(failed).map(|row| row.revision.as_str()).collect();
        let dropped = not_built.iter().filter_map(|build| self.rows.get(build));
        let mut dropped_failed: Vec<Cell> = dropped.filter(failed).map(of).collect();
        dropped_failed.sort_unstable();
        let alone = |cell: &&Cell| !elsewhere.contains(cell.revision.as_str());
        let missed = dropped_failed.iter().filter(alone).cloned().collect();
        Caught { dropped: not_built.len(), dropped_failed, missed, new }
    }
}

impl Setting for Configured<'_> {
    fn configuration(&self) -> Vec<Event> {
        let limits = resolve::all_limits(self.config).into_iter();
        let limits = limits.map(|(limit, max)| Event::Limit { limit, max });
        let host = |host: &buildenv::Host| {
            let name = host.name.to_string();
            let fixed = host.pool == Pool::Reverse;
            let known = self.capacities.get(&name).copied();
            // Of one that nobody has told of: a machine, if machines are made.
            let capacity = if fixed { known.unwrap_or(0) } else { host.capacity.or(known).unwrap_or(1) };
            Event::Host { host: name, capacity, blocked: None, fixed }
        };
        limits.chain(resolve::quotas(self.config)).chain(self.config.hosts().iter().map(host)).collect()
    }

    fn event(&self, recorded: Event) -> Option<Event> {
        match recorded {
            Event::Host { host, capacity, blocked, .. } => {
                let known = self.config.host(&host)?;
                let fixed = known.pool == Pool::Reverse;
                let most =
                    if fixed || blocked.is_some() { capacity } else { known.capacity.unwrap_or(capacity) };
                Some(Event::Host { host, capacity: most, blocked, fixed })
            }
            // Its own are told of at the beginning. Those of builders in files that are not read stay.
            Event::Limit { limit, max } => {
                let of = limit.strip_prefix("max_at_once of ")?.split_once(':')?.0.to_owned();
                self.is_unread(&of).then_some(Event::Limit { limit, max })
            }
            _ => None,
        }
    }

    fn request(&self, recorded: Request) -> Option<Request> {
        let kept = |request: Request| {
            let there = |host: &String| self.config.host(host).is_some();
            Some(Request {
                hosts: request.hosts.iter().filter(|host| there(host)).cloned().collect(),
                ..request
            })
        };
        let Some(row) = self.rows.get(&recorded.build) else { return kept(recorded) };
        if !self.is_built(row, recorded.class) {
            return None;
        }
        match resolve::builder(self.config, &row.repo, &row.builder) {
            Ok(_) => self.resolved(Request { blocked: None, ..recorded }, row.untrusted, row.priority),
            Err(_) => kept(recorded),
        }
    }
}
