//! What the scheduler is told of a build, by the rules that it is made by and the configuration in effect.

use std::sync::Arc;

use store::WorkerId;
use store::builds::BuildRow;

use super::Core;
use crate::own_rules::{self, NotBy};
use crate::resolve;
use crate::schedule::{Class, Event, Request};
use crate::tryrun::chosen::takes_untrusted;

impl Core {
    pub(super) fn request(&self, row: &BuildRow, avoid: Vec<WorkerId>) -> Request {
        let config = Arc::clone(&self.config.borrow());
        let rules = self.shared.own_rules.of(row, &config);
        if rules.as_ref().is_err_and(|error| *error == NotBy::Unread) {
            self.shared.own_rules.miss(row.id);
        }
        let found = rules.as_ref().map_err(ToString::to_string).and_then(|rules| {
            resolve::builder(rules, &row.repo, &row.builder).map_err(|error| error.to_string())
        });
        // Which hosts take what is no matter of rules that have not landed.
        let hosts = found.as_ref().map(|builder| hosts(&config, builder, row.untrusted)).unwrap_or_default();
        let blocked = match &found {
            Ok(_) if row.untrusted && hosts.is_empty() => {
                Some(format!("nobody has reviewed it, and no host of builder {} takes that", row.builder))
            }
            // A builder of that name in effect may be another one.
            Ok(_) if !row.rules.is_empty() => None,
            Ok(_) => (self.blocked)(&row.repo, &row.builder),
            Err(error) => Some(error.clone()),
        };
        let avoid = match avoid.is_empty() {
            true => self.scheduler.request(row.id).map(|request| request.avoid).unwrap_or_default(),
            false => avoid,
        };
        let width = found.as_ref().map_or(1, |builder| builder.width);
        let unlike = row.avoid.parse::<WorkerId>().ok().filter(|worker| !avoid.contains(worker));
        let avoid = avoid.into_iter().chain(unlike).collect();
        let priority = found.as_ref().map_or(0, |builder| own_rules::priority(&config, row, builder));
        Request {
            build: row.id,
            builder: row.builder.clone(),
            hosts,
            class: Class::parse(&row.class).unwrap_or(Class::PostSubmit),
            priority: row.priority + priority,
            commit_time: row.commit_time,
            requested: row.queued,
            limits: found.map(resolve::limits_of).unwrap_or_default(),
            avoid,
            not_before: (row.not_before.0 > 0).then_some(row.not_before),
            need: self.need(row),
            blocked,
            repo: row.repo.clone(),
            user: String::new(),
            width,
        }
    }

    /// Tells the scheduler of the limit that a builder has by a change's own rules, where it has none by those in effect.
    pub(super) fn tell_own_limit(&mut self, row: &BuildRow) {
        if row.rules.is_empty() {
            return;
        }
        let config = Arc::clone(&self.config.borrow());
        let Ok(rules) = self.shared.own_rules.of(row, &config) else { return };
        let Ok(builder) = resolve::builder(&rules, &row.repo, &row.builder) else { return };
        let landed = resolve::builder(&config, &row.repo, &row.builder);
        let has_none = landed.map_or(true, |landed| landed.max_at_once.is_none());
        if let Some(max) = builder.max_at_once.filter(|_| has_none) {
            self.apply(Event::Limit { limit: resolve::own_limit(builder), max });
        }
    }
}

/// The hosts that may have a build of a builder.
pub(crate) fn hosts(config: &buildenv::Config, builder: &buildenv::Builder, untrusted: bool) -> Vec<String> {
    match untrusted {
        true => takes_untrusted(config, &builder.hosts).into_iter().map(ToString::to_string).collect(),
        false => builder.hosts.iter().map(ToString::to_string).collect(),
    }
}
