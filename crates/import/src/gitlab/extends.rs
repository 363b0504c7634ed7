//! `extends`, `default` and `!reference`: the keys of a job, wherever they come from.

use std::rc::Rc;

use crate::ledger::Ledger;
use crate::yaml::{Entry, Node, Value};

/// Templates nested deeper are not followed.
const MAX_DEPTH: usize = 11;

/// A job with everything it takes over.
pub struct Whole {
    pub keys: Vec<Entry>,
}

impl Whole {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.keys.iter().find(|entry| entry.key == key)
    }
}

/// Gathers the keys of a job: its own, over those of its templates, over the defaults.
pub fn whole(job: &Entry, root: &Node, ledger: &mut Ledger) -> Whole {
    let mut keys = Vec::new();
    gather(job, root, &mut keys, 0, ledger);
    let inherit = keys.iter().find(|entry: &&Entry| entry.key == "inherit").cloned();
    let inherits = |what: &str, key: &str| {
        let asked = inherit.as_ref().and_then(|entry| entry.node.get(what));
        asked.is_none_or(|asked| match &asked.node.value {
            Value::List(_) => asked.node.texts().iter().any(|one| one == key),
            _ => asked.node.flag() != Some(false),
        })
    };
    let defaults = root.get("default").map_or(&[][..], |default| default.node.entries());
    let global = ["image", "services", "before_script", "after_script", "cache"];
    let global = root.entries().iter().filter(|entry| global.contains(&entry.key.as_str()));
    for entry in defaults.iter().chain(global) {
        if !keys.iter().any(|known| known.key == entry.key) && inherits("default", &entry.key) {
            keys.push(entry.clone());
        }
    }
    Whole { keys }
}

fn gather(entry: &Entry, root: &Node, keys: &mut Vec<Entry>, depth: usize, ledger: &mut Ledger) {
    ledger.enter(entry);
    for own in entry.node.entries() {
        match keys.iter_mut().find(|known| known.key == own.key) {
            None => keys.push(own.clone()),
            // Tables are merged, key by key; the nearer one counts.
            Some(known) if known.node.is_map() && own.node.is_map() && known.id != own.id => {
                ledger.enter(own);
                known.node = merge(&known.node, &own.node);
            }
            Some(_) => ledger.unless_said(own, "a job that extends this has its own"),
        }
    }
    let Some(extends) = entry.node.get("extends") else { return };
    for name in extends.node.texts().iter().rev() {
        match root.get(name) {
            Some(_) if depth >= MAX_DEPTH => {
                ledger.open(extends, "templates are nested over 11 deep", "write the keys into the job");
            }
            Some(base) => {
                ledger.carried(extends, format!("the keys of {name} are spelled out"));
                gather(base, root, keys, depth + 1, ledger);
            }
            None => ledger.open(
                extends,
                format!("{name} is not in this file"),
                "import the full configuration: `glab ci config compile`, or the pipeline editor",
            ),
        }
    }
}

fn merge(near: &Rc<Node>, far: &Rc<Node>) -> Rc<Node> {
    let mut entries = near.entries().to_vec();
    for entry in far.entries() {
        if !entries.iter().any(|known| known.key == entry.key) {
            entries.push(entry.clone());
        }
    }
    Rc::new(near.with_entries(entries))
}

/// The lines of a script: lists in lists are flattened, references followed. Nothing if one leads nowhere.
pub fn lines(node: &Rc<Node>, root: &Node, depth: usize) -> Option<Vec<String>> {
    if depth > MAX_DEPTH {
        return None;
    }
    if node.tag.as_deref() == Some("reference") {
        let mut found: Option<Rc<Node>> = None;
        for part in node.texts() {
            let next = found.as_ref().map_or_else(|| root.get(&part), |node| node.get(&part));
            found = Some(Rc::clone(&next?.node));
        }
        return lines(&found?, root, depth + 1);
    }
    match &node.value {
        Value::List(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(lines(item, root, depth + 1)?);
            }
            Some(all)
        }
        // `- echo: text` is a slip that GitLab refuses too.
        Value::Map(_) => None,
        Value::Text { text, .. } => Some(if node.is_null() { Vec::new() } else { vec![text.clone()] }),
    }
}
