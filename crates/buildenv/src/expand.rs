//! Templates and matrices: from what was written to one whole table per builder, host and repository.

use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::load::{Gathered, Id};
use crate::name::{EnvironmentName, RepoName, check_name};
use crate::schema::{BUILDER, SECTIONS};
use crate::source::Place;
use crate::tree::{Entry, Node, Table, Value};
use crate::values::Checker;

/// A matrix that makes more builders than this is a mistake, and says so.
const MAX_COMBINATIONS: usize = 100_000;

/// Builders of a server's files, or of one project file, that take more memory than this together are a mistake.
const MAX_WEIGHT: usize = 256 << 20;
const MAX_PROJECT_WEIGHT: usize = 16 << 20;

/// A builder with all its keys.
pub(crate) struct Whole {
    /// Where its name stands, or its matrix's.
    pub place: Place,
    pub table: Table,
}

/// Makes the table of every builder.
pub(crate) fn builders(checker: &mut Checker, all: &Gathered) -> BTreeMap<Id, Whole> {
    let mut expander = Expander { checker, all, vias: BTreeMap::new(), weights: BTreeMap::new() };
    let mut made = BTreeMap::new();
    for (id, item) in all.section("builder") {
        let table = expander.resolve("template", &item.table, id.0.as_ref(), &mut Vec::new());
        if expander.too_heavy(id, &table, item.place) {
            break;
        }
        made.insert(id.clone(), Whole { place: item.place, table });
    }
    for (id, item) in all.section("matrix") {
        expander.matrix(id, &item.table, item.place, &mut made);
    }
    // What only a template or matrix knows is checked as a part of each builder.
    for (id, whole) in &made {
        let path = format!("builder.{}.recipe", id.1);
        if whole.table.get("recipe").is_none() && !expander.checker.problems.iter().any(|p| p.key == path) {
            let message = format!("builder {} has no recipe", id.1);
            let problem = expander.checker.problem(whole.place, &path, message);
            expander.checker.report(problem.expected("recipe = \"NAME\", here or in a template"));
        }
    }
    made
}

/// Texts in which `{name}` and the like stand for something.
const FILLED: [(&str, &str, &[&str]); 2] =
    [("repo", "repo_template", &["url", "import_path", "mirrors"]), ("host", "host_template", &HOST_TEXTS)];
/// The same of hosts, where what the environment's `cloud` says is filled in too.
pub(crate) const HOST_TEXTS: [&str; 4] = ["image", "container", "buildlet", "bootstrap"];

/// Puts repositories and hosts over the templates they name, and fills in what is known of each.
pub(crate) fn things(checker: &mut Checker, all: &mut Gathered) {
    for (section, templates, texts) in FILLED {
        let Some(known) = SECTIONS.iter().find(|s| s.name == section) else { continue };
        let mut expander = Expander { checker, all, vias: BTreeMap::new(), weights: BTreeMap::new() };
        let mut made = Vec::new();
        for (id, item) in expander.all.section(section) {
            let mut table = item.table.clone();
            if let Some(names) = table.get("template").cloned() {
                table = expander.resolve(templates, &table, None, &mut Vec::new());
                table.take("template");
                let path = format!("{section}.{}", id.1);
                table = expander.checker.table(known, &table, &path, item.place);
                table.put(names);
            }
            let mut values = vec![("name".to_owned(), id.1.clone())];
            values.extend(Fields(&table).labels("labels"));
            let values: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            for entry in table.0.iter_mut().filter(|entry| texts.contains(&entry.key.as_str())) {
                entry.node.map_text(&|text| fill(text, &values));
            }
            made.push((id.clone(), table));
        }
        let Some(items) = all.items.get_mut(section) else { continue };
        for (id, table) in made {
            items.entry(id).and_modify(|item| item.table = table);
        }
    }
}

/// Fills in what the chosen environment's `cloud` says.
pub(crate) fn cloud(all: &mut Gathered, chosen: Option<&EnvironmentName>) {
    let Some(item) = chosen.and_then(|name| all.find("environment", None, name.as_str())) else { return };
    let values = Fields(&item.table).vars("cloud");
    let values: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    for host in all.items.get_mut("host").into_iter().flat_map(|hosts| hosts.values_mut()) {
        for entry in host.table.0.iter_mut().filter(|entry| HOST_TEXTS.contains(&entry.key.as_str())) {
            entry.node.map_text(&|text| fill(text, &values));
        }
    }
}

struct Expander<'a> {
    checker: &'a mut Checker,
    all: &'a Gathered,
    vias: BTreeMap<String, u32>,
    /// What the builders of each scope take so far.
    weights: BTreeMap<Option<RepoName>, usize>,
}

impl Expander<'_> {
    fn via(&mut self, what: String) -> u32 {
        let files = &mut self.checker.files;
        *self.vias.entry(what.clone()).or_insert_with(|| files.via(what))
    }

    /// Counts a builder in, and reports the first that is too much.
    fn too_heavy(&mut self, id: &Id, table: &Table, place: Place) -> bool {
        let most = if id.0.is_some() { MAX_PROJECT_WEIGHT } else { MAX_WEIGHT };
        let weight = self.weights.entry(id.0.clone()).or_default();
        *weight += table.weight();
        if *weight > most {
            let message = format!("the builders take over {} MiB together", most >> 20);
            let problem = self.checker.problem(place, &format!("builder.{}", id.1), message);
            self.checker.report(problem.expected("fewer builders, or less in their templates"));
        }
        self.weights.get(&id.0).is_some_and(|weight| *weight > most)
    }

    /// Puts a table over the templates it names.
    fn resolve(
        &mut self,
        templates: &'static str,
        table: &Table,
        scope: Option<&RepoName>,
        open: &mut Vec<String>,
    ) -> Table {
        let mut whole = Table::default();
        let names = table.get("template").map_or(&[][..], |e| e.node.many());
        for node in names {
            let Some(name) = node.text() else { continue };
            let Some(template) = self.all.find(templates, scope, name) else {
                let valid = self.all.names(templates, scope);
                let problem =
                    self.checker.problem(node.place, "template", format!("no {templates} {name:?}"));
                self.checker.report(problem.nearest(name, valid.iter().copied()));
                continue;
            };
            if open.iter().any(|o| o == name) {
                let message = format!("template {name:?} builds on itself: {} → {name}", open.join(" → "));
                let problem = self.checker.problem(node.place, "template", message);
                self.checker.report(problem);
                continue;
            }
            open.push(name.to_string());
            let mut inner = self.resolve(templates, &template.table, scope, open);
            open.pop();
            inner.take("template");
            inner.mark(self.via(format!("{templates} {name}")));
            whole.overlay(&inner);
        }
        whole.overlay(table);
        whole
    }

    fn matrix(&mut self, id: &Id, table: &Table, place: Place, made: &mut BTreeMap<Id, Whole>) {
        let mut base = table.clone();
        let (name, axes) = (base.take("name"), base.take("axes"));
        let (exclude, sets) = (base.take("exclude"), base.take("set"));
        let (Some(name), Some(axes)) = (name, axes) else { return };
        let axes = axes_of(&axes.node);
        let count = axes.iter().try_fold(1usize, |n, (_, list)| n.checked_mul(list.len()));
        if count.is_none_or(|n| n > MAX_COMBINATIONS) {
            let message = format!("the matrix makes over {MAX_COMBINATIONS} builders");
            let problem = self.checker.problem(place, &format!("matrix.{}.axes", id.1), message);
            return self.checker.report(problem.expected("fewer values, or several matrices"));
        }
        let excluded = tables(exclude.as_ref());
        let sets: Vec<_> = tables(sets.as_ref())
            .into_iter()
            .map(|mut set| (set.take("when").and_then(|e| e.node.table().cloned()).unwrap_or_default(), set))
            .collect();
        for table in excluded.iter().chain(sets.iter().map(|(when, _)| when)) {
            self.known_axes(table, &axes, &id.1);
        }
        let via = self.via(format!("matrix {}", id.1));
        let base = self.resolve("template", &base, id.0.as_ref(), &mut Vec::new());
        let sets: Vec<_> = sets
            .into_iter()
            .map(|(when, set)| (when, self.resolve("template", &set, id.0.as_ref(), &mut Vec::new())))
            .collect();
        for values in combinations(&axes) {
            if excluded.iter().any(|table| !table.0.is_empty() && agrees(table, &values)) {
                continue;
            }
            let mut whole = base.clone();
            sets.iter().filter(|(when, _)| agrees(when, &values)).for_each(|(_, set)| whole.overlay(set));
            whole.mark(via);
            let mut node = Node { value: Value::Table(whole), place };
            node.map_text(&|text| fill(text, &values));
            if let Some(table) = node.table()
                && self.too_heavy(id, table, place)
            {
                return;
            }
            let text = name.node.text().unwrap_or_default();
            self.add(id, tidy(&fill(text, &values)), node, &name, made);
        }
    }

    fn add(&mut self, id: &Id, name: String, node: Node, at: &Entry, made: &mut BTreeMap<Id, Whole>) {
        let key = format!("matrix.{}.name", id.1);
        if let Err(why) = check_name(&name) {
            let problem = self.checker.problem(at.node.place, &key, format!("bad name {name:?}: {why}"));
            return self.checker.report(problem.expected("a name in which each {axis} is an axis"));
        }
        let table = node.table().cloned().unwrap_or_default();
        let table = self.checker.table(&BUILDER, &table, &format!("builder.{name}"), node.place);
        let key_of = (id.0.clone(), name);
        let other = made.get(&key_of).or_else(|| made.get(&(None, key_of.1.clone())));
        if let Some(other) = other {
            let message = format!("matrix {} makes builder {}, which is defined already", id.1, key_of.1);
            let other = self.checker.files.locate(other.place);
            let problem = self.checker.problem(at.node.place, &key, message);
            return self.checker.report(problem.note(format!("the other one is at {other}")));
        }
        made.insert(key_of, Whole { place: at.node.place, table });
    }

    fn known_axes(&mut self, table: &Table, axes: &[(String, Vec<String>)], matrix: &str) {
        for entry in &table.0 {
            let Some((_, values)) = axes.iter().find(|(axis, _)| *axis == entry.key) else {
                let message = format!("matrix {matrix} has no axis {:?}", entry.key);
                let problem = self.checker.problem(entry.place, &format!("matrix.{matrix}.axes"), message);
                let names = axes.iter().map(|(axis, _)| axis.as_str());
                self.checker.report(problem.nearest(&entry.key, names));
                continue;
            };
            let value = entry.node.text().unwrap_or_default();
            if !values.iter().any(|v| v == value) {
                let message = format!("axis {:?} has no value {value:?}", entry.key);
                let problem =
                    self.checker.problem(entry.node.place, &format!("matrix.{matrix}.axes"), message);
                let problem = problem.expected(format!("one of {}", values.join(", ")));
                self.checker.report(problem.nearest(value, values.iter().map(String::as_str)));
            }
        }
    }
}

type Axes = Vec<(String, Vec<String>)>;

fn axes_of(node: &Node) -> Axes {
    let texts = |n: &Node| n.many().iter().filter_map(|v| v.text().map(Into::into)).collect();
    let table = node.table().map_or(&[][..], |t| &t.0);
    table.iter().map(|e| (e.key.clone(), texts(&e.node))).collect()
}

fn tables(entry: Option<&Entry>) -> Vec<Table> {
    let many = entry.map_or(&[][..], |e| e.node.many());
    many.iter().filter_map(|n| n.table().cloned()).collect()
}

fn combinations(axes: &Axes) -> Vec<Vec<(&str, &str)>> {
    let mut all: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
    for (axis, values) in axes {
        let mut longer = Vec::with_capacity(all.len() * values.len());
        for start in &all {
            for value in values {
                longer.push([start.as_slice(), &[(axis.as_str(), value.as_str())]].concat());
            }
        }
        all = longer;
    }
    all
}

fn agrees(table: &Table, values: &[(&str, &str)]) -> bool {
    table.0.iter().all(|e| values.iter().any(|(axis, value)| *axis == e.key && e.node.text() == Some(value)))
}

/// Puts values in place of `{key}`.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let filled = |text: String, (axis, value): &(&str, &str)| text.replace(&format!("{{{axis}}}"), value);
    values.iter().fold(text.to_string(), filled)
}

/// Takes out the dashes that an empty value leaves.
fn tidy(name: &str) -> String {
    name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
