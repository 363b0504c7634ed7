//! Checks of what environments share, and of who gets which secret.

use std::collections::BTreeMap;

use super::{literals, named_builders, refer, unknown};
use crate::config::secret_sources;
use crate::expand::Whole;
use crate::fields::Fields;
use crate::load::{Gathered, Id, Item};
use crate::model::Environment;
use crate::values::{Checker, path_stays_inside};

const POOLS: &[&str] = &["local", "reverse", "kubernetes", "gce", "ec2", "qemu"];

pub(super) fn environments(checker: &mut Checker, all: &Gathered, builders: &BTreeMap<Id, Whole>) {
    let read = |(id, item): (&Id, &Item)| {
        let at = checker.files.locate(item.place);
        let name = id.1.parse().ok()?;
        Some((Environment::read(name, Fields(&item.table), at, Default::default()), item.clone()))
    };
    let list: Vec<_> = all.section("environment").filter_map(read).collect();
    for (environment, item) in &list {
        let path = format!("environment.{}", environment.name);
        addresses(checker, &path, item);
        access_key(checker, &path, item);
        let nodes = item.table.get("builders").into_iter().flat_map(|e| literals(&e.node));
        named_builders(checker, all, builders, &format!("{path}.builders"), nodes);
        for node in item.table.get("builders_on").map_or(&[][..], |e| e.node.many()) {
            unknown(checker, node, &format!("{path}.builders_on"), "pool", POOLS);
        }
        for (prod, _) in list.iter().filter(|(p, _)| p.production && !environment.production) {
            apart(checker, &path, environment, item, prod);
        }
    }
}

fn addresses(checker: &mut Checker, path: &str, item: &Item) {
    let kinds: [(&str, &str, &[&str]); 2] = [
        ("database", "sqlite:FILE or postgres://…", &["sqlite:", "postgres://", "postgresql://"]),
        ("objects", "file:DIR, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX", &["file:", "s3://", "gs://"]),
    ];
    for (key, expected, schemes) in kinds {
        let Some(entry) = item.table.get(key) else { continue };
        let text = entry.node.text().unwrap_or_default();
        let scheme = schemes.iter().find(|s| text.starts_with(**s));
        let wrong = match scheme {
            None => Some(format!("{text:?} is of no kind that is known")),
            Some(s) if s.ends_with("//") => None,
            Some(s) => path_stays_inside(&text[s.len()..]).err(),
        };
        if let Some(why) = wrong {
            let problem = checker.problem(entry.node.place, &format!("{path}.{key}"), why);
            checker.report(problem.expected(expected));
        }
    }
}

/// An access key has an id and one place for its secret, or is not there.
fn access_key(checker: &mut Checker, path: &str, item: &Item) {
    let Some(entry) = item.table.get("object_store") else { return };
    let Some(table) = entry.node.table() else { return };
    let count = |keys: &[&str]| keys.iter().filter(|key| table.get(key).is_some()).count();
    if count(&["key_id"]) != count(&["secret_key_file", "secret_key_env"]) {
        let message = "an access key has an id and one place for its secret";
        let problem = checker.problem(entry.place, &format!("{path}.object_store"), message);
        checker.report(problem.expected("key_id with secret_key_file or secret_key_env, or none of them"));
    }
    let named = item.table.get("objects").and_then(|e| e.node.text()).unwrap_or_default();
    if !(named.starts_with("s3://") || named.starts_with("gs://")) {
        let problem =
            checker.problem(entry.place, &format!("{path}.object_store"), "`objects` names no bucket");
        checker.report(problem.expected("objects = \"s3://BUCKET/PREFIX\" or \"gs://BUCKET/PREFIX\""));
    }
}

/// Reports what an environment shares with production.
fn apart(checker: &mut Checker, path: &str, own: &Environment, item: &Item, prod: &Environment) {
    let pairs = [
        ("url", &own.url, &prod.url),
        ("database", &own.database, &prod.database),
        ("objects", &own.objects, &prod.objects),
    ];
    for (key, mine, theirs) in pairs {
        // On this machine only, or under the data directory: that is one environment's, and refuses another at the start.
        let own_place = mine.starts_with("sqlite:") || mine.starts_with("file:");
        let relative = own_place && !mine.contains(":/");
        if mine != theirs || relative || mine.contains("//localhost") || mine.contains("//127.") {
            continue;
        }
        let place = item.table.get(key).map_or(item.place, |e| e.node.place);
        let message = format!("{} shares its {key} with {}, which is production", own.name, prod.name);
        let problem = checker.problem(place, &format!("{path}.{key}"), message);
        let note = format!("{} is at {}", prod.name, prod.at);
        checker.report(problem.expected("one of its own").note(note));
    }
    if own.push_mirrors {
        let place = item.table.get("push_mirrors").map_or(item.place, |e| e.node.place);
        let message = format!("{} pushes to the mirrors of {}, which is production", own.name, prod.name);
        let problem = checker.problem(place, &format!("{path}.push_mirrors"), message);
        checker.report(problem.expected("push_mirrors = false"));
    }
}

pub(super) fn secrets(checker: &mut Checker, all: &Gathered, builders: &BTreeMap<Id, Whole>) {
    let full = |id: &Id| id.0.as_ref().map_or_else(|| id.1.clone(), |repo| format!("{repo}:{}", id.1));
    for ((_, name), item) in all.section("secret") {
        let path = format!("secret.{name}");
        if secret_sources(item).len() != 1 && !checker.reported(&path) {
            let problem = checker.problem(item.place, &path, format!("{path} comes from one place"));
            checker.report(problem.expected("one of file and env"));
        }
        let nodes = item.table.get("builders").map_or(&[][..], |e| e.node.many());
        named_builders(checker, all, builders, &format!("{path}.builders"), nodes);
        refer(checker, all, None, "environment", &path, &item.table, "environments");
        shared_secret(checker, all, &path, item);
    }
    for (id, whole) in builders {
        for node in whole.table.get("secrets").map_or(&[][..], |e| e.node.many()) {
            let Some(item) = node.text().and_then(|name| all.find("secret", None, name)) else { continue };
            if !Fields(&item.table).texts("builders").contains(&full(id)) {
                let message = format!("the secret does not name builder {}", full(id));
                let problem = checker.problem(node.place, &format!("builder.{}.secrets", id.1), message);
                let at = checker.files.locate(item.place);
                checker.report(problem.expected(format!("{:?} among its `builders`, at {at}", full(id))));
            }
        }
    }
}

fn shared_secret(checker: &mut Checker, all: &Gathered, path: &str, item: &Item) {
    let named = Fields(&item.table).texts("environments");
    let production =
        |name: &str, item: &Item| Fields(&item.table).bool("production").unwrap_or(name == "prod");
    let inside = all.section("environment").filter(|(id, _)| named.is_empty() || named.contains(&id.1));
    let (prod, other): (Vec<_>, Vec<_>) = inside.partition(|(id, item)| production(&id.1, item));
    if let (Some(prod), Some(other)) = (prod.first(), other.first()) {
        let place = item.table.get("environments").map_or(item.place, |e| e.node.place);
        let message = format!("{path} exists in {} and in {}, which is production", other.0.1, prod.0.1);
        let problem = checker.problem(place, &format!("{path}.environments"), message);
        checker.report(
            problem.expected(format!("environments = [\"{}\"], and another secret for the rest", prod.0.1)),
        );
    }
}
