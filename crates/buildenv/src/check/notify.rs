//! Checks of who is told and of alarms: words that are known, channels that there are, durations.

use crate::load::{Gathered, Item};
use crate::model::{Alarms, Tell};
use crate::pattern::Pattern;
use crate::quantity::parse_duration;
use crate::values::Checker;

/// The most people of one mail, who see each other.
const MOST: usize = 50;

pub(super) fn notify(checker: &mut Checker, all: &Gathered) {
    let words: Vec<&str> = Tell::NAMES.iter().map(|(word, _)| *word).collect();
    for ((_, name), item) in all.section("notify") {
        let path = format!("notify.{name}");
        known(checker, &format!("{path}.tell"), "tell", &words, item);
        let told = ["mail", "webhook", "review"].iter().any(|key| item.table.get(key).is_some());
        if !told && !checker.reported(&path) {
            let problem = checker.problem(item.place, &path, "nobody is told");
            checker.report(problem.expected("mail, webhook or review"));
        }
        if let Some(mail) = item.table.get("mail") {
            let to = mail.node.many();
            let at = format!("{path}.mail");
            if all.find("mail", None, "").is_none() {
                let problem = checker.problem(mail.place, &at, "no server takes our mail");
                checker.report(problem.expected("a section [mail]"));
            }
            let bad = |text: &str| !text.contains('@') || text.contains(char::is_control);
            if to.is_empty() || to.len() > MOST || to.iter().filter_map(|node| node.text()).any(bad) {
                let problem = checker.problem(mail.node.place, &at, "that is no list of addresses of mail");
                checker.report(problem.expected(format!("1 to {MOST} addresses like ci@example.org")));
            }
        }
        let webhooks = item.table.get("webhook").map_or(&[][..], |entry| entry.node.many());
        for node in webhooks {
            let Some(name) = node.text().filter(|name| all.find("webhook", None, name).is_none()) else {
                continue;
            };
            let problem =
                checker.problem(node.place, &format!("{path}.webhook"), format!("no webhook {name}"));
            let names = all.names("webhook", None);
            checker.report(
                problem.expected(format!("a section [webhook.{name}]")).nearest(name, names.iter().copied()),
            );
        }
    }
    let Some(item) = all.find("alarms", None, "") else { return };
    known(checker, "alarms.off", "off", &Alarms::KINDS, item);
    let Some(table) = item.table.get("budget").and_then(|entry| entry.node.table()) else { return };
    for entry in &table.0 {
        let path = format!("alarms.budget.{}", entry.key);
        if let Err(error) = entry.key.parse::<Pattern>() {
            let problem = checker.problem(entry.place, &path, error.to_string());
            checker.report(problem.expected("a pattern of builders"));
        }
        if entry.node.text().and_then(parse_duration).is_none_or(|time| time.is_zero()) {
            let problem = checker.problem(entry.node.place, &path, "that is no duration");
            checker.report(problem.expected("a duration like \"90s\", \"20m\" or \"1h30m\""));
        }
    }
}

/// Reports words of a list that are none of those.
fn known(checker: &mut Checker, path: &str, key: &str, words: &[&str], item: &Item) {
    let said = item.table.get(key).map_or(&[][..], |entry| entry.node.many());
    for node in said {
        let Some(word) = node.text().filter(|word| !words.contains(word)) else { continue };
        let problem = checker.problem(node.place, path, format!("{word:?} is nothing that can be said here"));
        checker.report(
            problem.expected(format!("of {}", words.join(", "))).nearest(word, words.iter().copied()),
        );
    }
}
