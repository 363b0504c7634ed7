//! `strategy.matrix`: axes whose values may stand in names, and what each value means to the job.

use std::rc::Rc;

use super::expression::matrix_variable;
use crate::draft::{Axis, Builder, Labels, Set, slug};
use crate::ledger::Ledger;
use crate::yaml::{Entry, Node, Value};

/// A job with more combinations is refused.
const MOST: usize = 256;

/// A matrix as it was read.
#[derive(Debug, Default)]
pub struct Matrix {
    pub axes: Vec<Axis>,
    pub exclude: Vec<Labels>,
    pub set: Vec<Set>,
    pub env: Vec<(String, String)>,
    /// Rows of `include` that make builders of their own: name and variables.
    pub rows: Vec<(String, Vec<(String, String)>)>,
    /// All paths that expressions may name: `os`, `target.triple`.
    pub paths: Vec<String>,
}

impl Matrix {
    /// Gives a value of each combination of `path`, with the axis value that brings it.
    pub fn values(&self, path: &str) -> Vec<(Option<(String, String)>, String)> {
        let variable = matrix_variable(path);
        let mut found = Vec::new();
        let of = |axis: &&Axis| {
            path.strip_prefix(&axis.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        for axis in self.axes.iter().filter(of) {
            for value in &axis.values {
                let pair = (axis.name.clone(), value.clone());
                let set = self.set.iter().filter(|set| set.when == [pair.clone()]);
                let own = set.flat_map(|set| &set.env).find(|(name, _)| *name == variable);
                found.push((Some(pair), own.map_or_else(|| value.clone(), |(_, value)| value.clone())));
            }
        }
        found
    }

    /// Gives it to a builder.
    pub fn apply(self, builder: &mut Builder) {
        builder.axes = self.axes;
        builder.exclude = self.exclude;
        builder.set = self.set;
        builder.env.extend(self.env);
    }
}

/// The scalars of a value with their paths: `os` or `os.name`.
fn scalars(path: &str, node: &Rc<Node>, out: &mut Vec<(String, String)>) -> bool {
    match &node.value {
        Value::Text { text, .. } => {
            out.push((path.to_owned(), if node.is_null() { String::new() } else { text.clone() }));
            true
        }
        Value::Map(entries) => {
            entries.iter().all(|entry| scalars(&format!("{path}.{}", entry.key), &entry.node, out))
        }
        Value::List(_) => false,
    }
}

/// Reads `matrix`; nothing if it can't be said as one.
pub fn read(entry: &Entry, ledger: &mut Ledger) -> Option<Matrix> {
    let mut matrix = Matrix::default();
    let refuse = |ledger: &mut Ledger, at: &Entry, why: &str| {
        ledger.open(at, why, "write the builders of this job by hand, as [matrix.NAME] or one by one");
        None
    };
    if !entry.node.is_map() {
        return refuse(ledger, entry, "the matrix is made while the workflow runs");
    }
    ledger.enter(entry);
    for axis in entry.node.entries().iter().filter(|axis| axis.key != "include" && axis.key != "exclude") {
        let Value::List(items) = &axis.node.value else {
            return refuse(ledger, axis, "the values of this axis are made while the workflow runs");
        };
        if !self::axis(axis, items, &mut matrix) {
            return refuse(ledger, axis, "the values of this axis hold lists, or expressions");
        }
        ledger
            .carried(axis, format!("an axis of the matrix; jobs find it in ${}", matrix_variable(&axis.key)));
        for item in items {
            number(axis, item, ledger);
        }
    }
    if matrix.axes.iter().map(|axis| axis.values.len().max(1)).product::<usize>() > MOST {
        return refuse(ledger, entry, "the matrix has over 256 combinations");
    }
    if let Some(exclude) = entry.node.get("exclude") {
        for row in exclude.node.many() {
            match keyed(&row, &matrix) {
                Some(row) => matrix.exclude.push(row),
                None => return refuse(ledger, exclude, "a row of exclude names what is no value of an axis"),
            }
        }
        ledger.carried(exclude, "exclude");
    }
    if let Some(include) = entry.node.get("include") {
        for row in include.node.many() {
            if !self::include(&row, &mut matrix) {
                return refuse(
                    ledger,
                    include,
                    "rows of include hold lists, or are made while the workflow runs",
                );
            }
        }
        ledger.carried(include, "set of the matrix, and builders of their own for further combinations");
    }
    Some(matrix)
}

/// GitHub reads `3.10` as the number 3.1; what stands there is kept, for it is what was meant.
fn number(axis: &Entry, item: &Node, ledger: &mut Ledger) {
    if let Value::Text { text, plain: true } = &item.value
        && text.contains('.')
        && text.ends_with('0')
        && text.parse::<f64>().is_ok()
    {
        let message =
            format!("{text:?} is kept as it is written; GitHub takes it for a number, without the last 0");
        ledger.carried(axis, message);
    }
}

fn axis(entry: &Entry, items: &[Rc<Node>], matrix: &mut Matrix) -> bool {
    let name = Axis::new(&entry.key, Vec::new(), &matrix.axes).name;
    let mut values: Vec<String> = Vec::new();
    let mut sets = Vec::new();
    let mut paths: Vec<String> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let mut found = Vec::new();
        if !scalars(&entry.key, item, &mut found) || found.iter().any(|(_, text)| text.contains("${{")) {
            return false;
        }
        let mut value = found.first().map_or_else(|| format!("{n}"), |(_, text)| slug(text));
        if values.contains(&value) {
            value = format!("{value}-{n}");
        }
        let env: Vec<_> = found.iter().map(|(path, text)| (matrix_variable(path), text.clone())).collect();
        paths.extend(found.into_iter().map(|(path, _)| path));
        sets.push(Set { when: vec![(name.clone(), value.clone())], needs: Vec::new(), env });
        values.push(value);
    }
    for path in paths {
        if !matrix.paths.contains(&path) {
            matrix.paths.push(path);
        }
    }
    let variable = matrix_variable(&entry.key);
    let same = |set: &Set| set.env.len() == 1 && set.env[0] == (variable.clone(), set.when[0].1.clone());
    if sets.iter().all(same) {
        matrix.env.push((variable, format!("{{{name}}}")));
    } else {
        matrix.set.extend(sets);
    }
    matrix.axes.push(Axis { key: entry.key.clone(), name, values });
    !items.is_empty()
}

/// The axis values that a row names; nothing if one of its keys is no axis or one of its values none of the axis's.
fn keyed(row: &Rc<Node>, matrix: &Matrix) -> Option<Labels> {
    let mut pairs = Labels::new();
    for entry in row.entries() {
        pairs.push(pair(entry, matrix)??);
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// For a key that is an axis: its value there, or nothing if it has no such value. Otherwise nothing at all.
fn pair(entry: &Entry, matrix: &Matrix) -> Option<Option<(String, String)>> {
    let axis = matrix.axes.iter().find(|axis| axis.key == entry.key)?;
    let mut found = Vec::new();
    scalars(&entry.key, &entry.node, &mut found);
    let wanted: Vec<_> = found.iter().map(|(path, text)| (matrix_variable(path), text.clone())).collect();
    let is = |value: &&String| {
        let when = [(axis.name.clone(), (*value).clone())];
        match matrix.set.iter().find(|set| set.when == when) {
            Some(set) => wanted.iter().all(|one| set.env.contains(one)),
            None => wanted.len() == 1 && wanted[0].1 == **value,
        }
    };
    Some(axis.values.iter().find(is).map(|value| (axis.name.clone(), value.clone())))
}

fn include(row: &Rc<Node>, matrix: &mut Matrix) -> bool {
    if !row.is_map() {
        return false;
    }
    let mut all = Vec::new();
    let (mut when, mut env, mut other) = (Labels::new(), Vec::new(), false);
    for entry in row.entries() {
        let mut found = Vec::new();
        if !scalars(&entry.key, &entry.node, &mut found) || found.iter().any(|(_, text)| text.contains("${{"))
        {
            return false;
        }
        for (path, _) in &found {
            if !matrix.paths.contains(path) {
                matrix.paths.push(path.clone());
            }
        }
        let variables: Vec<_> =
            found.iter().map(|(path, text)| (matrix_variable(path), text.clone())).collect();
        all.extend(variables.clone());
        match pair(entry, matrix) {
            Some(Some(pair)) => when.push(pair),
            Some(None) => other = true,
            None => env.extend(variables),
        }
    }
    // A row that fits combinations adds to them; one that fits none is a combination of its own.
    let excluded =
        !when.is_empty() && matrix.exclude.iter().any(|not| not.iter().all(|pair| when.contains(pair)));
    if other || excluded || matrix.axes.is_empty() {
        let name: Vec<String> = all.iter().take(3).map(|(_, value)| slug(value)).collect();
        matrix.rows.push((name.join("-"), all));
        return matrix.rows.len() <= MOST;
    }
    if when.is_empty() {
        matrix.env.extend(env);
    } else if !env.is_empty() {
        matrix.set.push(Set { when, needs: Vec::new(), env });
    }
    true
}
