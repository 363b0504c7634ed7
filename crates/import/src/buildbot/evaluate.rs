//! Follows a `master.cfg` as far as it can be followed without running it: values, lists, loops over known lists, calls of
//! its own functions. What it makes of Buildbot's classes are objects with their arguments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::Told;
use super::value::{LONGEST, Object, Val, format_braces, format_percent};
use crate::ledger::Verdict;

/// Statements that are followed at most, those of loops and functions each time.
const MOST: usize = 20_000;
/// Calls of the file's own functions nested deeper are not followed.
const MAX_DEPTH: usize = 12;
/// So many items that are put into lists count as a statement.
const ITEMS: usize = 64;

/// The state of the walk.
pub struct Walk<'a> {
    pub told: &'a mut Told,
    scopes: Vec<BTreeMap<String, Val>>,
    left: usize,
    ended: bool,
    result: Option<Val>,
}

fn kind(node: &Json) -> &str {
    node["t"].as_str().unwrap_or_default()
}

fn line(node: &Json) -> u64 {
    node["l"].as_u64().unwrap_or(1)
}

fn items(node: &Json) -> &[Json] {
    node.as_array().map_or(&[], Vec::as_slice)
}

impl<'a> Walk<'a> {
    pub fn new(told: &'a mut Told) -> Self {
        Self { told, scopes: vec![BTreeMap::new()], left: MOST, ended: false, result: None }
    }

    /// The value of a name at the top of the file.
    pub fn global(&self, name: &str) -> Option<&Val> {
        self.scopes.first()?.get(name)
    }

    /// Whether there was more to follow than is followed.
    pub fn ended(&self) -> bool {
        self.ended
    }

    pub fn block(&mut self, body: &Json) {
        for statement in items(body) {
            if self.ended || self.result.is_some() {
                return;
            }
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.ended = true;
                return;
            }
            self.statement(statement);
        }
    }

    fn open(&mut self, node: &Json, message: &str, remedy: &str) {
        self.told.say(line(node), kind(node), Verdict::Open, message, Some(remedy));
    }

    fn statement(&mut self, node: &Json) {
        match kind(node) {
            "Import" | "ImportFrom" => {
                self.told.say(
                    line(node),
                    "import",
                    Verdict::Meaningless,
                    "only names what is used below",
                    None,
                );
            }
            "Pass" | "Global" => {}
            "Assign" | "AnnAssign" => {
                let value = self.value(&node["value"]);
                let one = [node["target"].clone()];
                let targets = if node["targets"].is_array() { items(&node["targets"]) } else { &one };
                for target in targets {
                    self.assign(target, value.clone());
                }
            }
            "AugAssign" => {
                let (old, more) = (self.value(&node["target"]), self.value(&node["value"]));
                if let (Val::List(list), Val::List(more)) = (&old, &more) {
                    let more = more.borrow().clone();
                    self.extend(list, more);
                } else {
                    let sum = self.add(old, more);
                    self.assign(&node["target"], sum);
                }
            }
            "Expr" => {
                if kind(&node["value"]) != "Constant" {
                    let value = self.value(&node["value"]);
                    if let Val::Unknown(why) = value {
                        self.open(node, &why, "see what it does, and write by hand what comes of it");
                    }
                }
            }
            "For" => self.each(node),
            "If" => match self.value(&node["test"]).truth() {
                Some(true) => self.block(&node["body"]),
                Some(false) => self.block(&node["orelse"]),
                None => self.open(
                    node,
                    "a condition that is known only when it runs: neither side was followed",
                    "write by hand what the side makes that holds",
                ),
            },
            "FunctionDef" => {
                let name = node["name"].as_str().unwrap_or_default().to_owned();
                self.set(&name, Val::Function(Rc::new(node.clone())));
                self.told.say(
                    line(node),
                    &name,
                    Verdict::Meaningless,
                    "a function: followed where it is called",
                    None,
                );
            }
            "Return" => self.result = Some(self.value(&node["value"])),
            other => self.open(
                node,
                &format!("a statement that is not followed ({other})"),
                "write by hand what comes of it",
            ),
        }
    }

    fn each(&mut self, node: &Json) {
        let over = self.value(&node["iter"]);
        let rows = match &over {
            Val::List(items) => items.borrow().clone(),
            Val::Dict(items) => items.borrow().iter().map(|(key, _)| Val::Text(key.clone())).collect(),
            _ => {
                let message = "a loop over what is known only when it runs: not followed";
                return self.open(node, message, "write by hand what each round makes");
            }
        };
        for row in rows {
            self.assign(&node["target"], row);
            self.block(&node["body"]);
        }
    }

    fn set(&mut self, name: &str, value: Val) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), value);
        }
    }

    fn assign(&mut self, target: &Json, value: Val) {
        match kind(target) {
            "Name" => self.set(target["id"].as_str().unwrap_or_default(), value),
            "Tuple" | "List" => {
                let values = value.many();
                for (n, one) in items(&target["elts"]).iter().enumerate() {
                    let value = values.get(n).cloned();
                    self.assign(
                        one,
                        value.unwrap_or_else(|| Val::Unknown("a part that is not there".into())),
                    );
                }
            }
            "Subscript" => {
                let key = self.value(&target["slice"]);
                if let (Val::Dict(dict), Some(key)) = (self.value(&target["value"]), key.text()) {
                    self.told.set.push((key.clone(), line(target)));
                    let mut dict = dict.borrow_mut();
                    match dict.iter().position(|(known, _)| *known == key) {
                        Some(at) => dict[at].1 = value,
                        None if dict.len() < LONGEST => dict.push((key, value)),
                        None => {}
                    }
                } else {
                    self.open(target, "set in what is not known", "write by hand what comes of it");
                }
            }
            _ => self.open(
                target,
                "an attribute is set",
                "see what it does, and write by hand what comes of it",
            ),
        }
    }

    fn extend(&mut self, list: &Rc<RefCell<Vec<Val>>>, more: Vec<Val>) {
        self.left = self.left.saturating_sub(more.len() / ITEMS);
        let mut list = list.borrow_mut();
        let room = LONGEST.saturating_sub(list.len());
        list.extend(more.into_iter().take(room));
    }

    fn add(&mut self, left: Val, right: Val) -> Val {
        match (left, right) {
            (Val::Text(a), Val::Text(b)) if a.len() + b.len() < LONGEST => Val::Text(a + &b),
            (Val::List(a), Val::List(b)) if a.borrow().len() + b.borrow().len() < LONGEST => {
                let mut all = a.borrow().clone();
                self.left = self.left.saturating_sub((all.len() + b.borrow().len()) / ITEMS);
                all.extend(b.borrow().iter().cloned());
                Val::list(all)
            }
            _ => Val::Unknown("a sum of what is not known".into()),
        }
    }

    pub fn value(&mut self, node: &Json) -> Val {
        match kind(node) {
            "Constant" => match (node["k"].as_str().unwrap_or_default(), &node["v"]) {
                ("str", Json::String(text)) => Val::Text(text.clone()),
                ("bool", Json::Bool(flag)) => Val::Flag(*flag),
                ("NoneType", _) => Val::None,
                ("int" | "float", Json::String(text)) => Val::Number(text.clone()),
                _ => Val::Unknown("a constant that no configuration here takes".into()),
            },
            "List" | "Tuple" | "Set" => {
                let mut all = Vec::new();
                for one in items(&node["elts"]) {
                    match kind(one) {
                        "Starred" => all.extend(self.value(&one["value"]).many()),
                        _ => all.push(self.value(one)),
                    }
                }
                Val::list(all)
            }
            "Dict" => {
                let mut all = Vec::new();
                for (key, value) in items(&node["keys"]).iter().zip(items(&node["values"])) {
                    let value = self.value(value);
                    if key.is_null() {
                        if let Val::Dict(more) = value {
                            all.extend(more.borrow().iter().cloned());
                        }
                    } else if let Some(key) = self.value(key).text() {
                        all.push((key, value));
                    }
                }
                Val::Dict(Rc::new(RefCell::new(all)))
            }
            "Name" => {
                let name = node["id"].as_str().unwrap_or_default();
                let found =
                    [self.scopes.last(), self.scopes.first()].into_iter().flatten().find_map(|s| s.get(name));
                found.cloned().unwrap_or_else(|| Val::Name(name.to_owned()))
            }
            "Attribute" => match self.value(&node["value"]) {
                Val::Name(name) => Val::Name(format!("{name}.{}", node["attr"].as_str().unwrap_or_default())),
                Val::Unknown(why) => Val::Unknown(why),
                _ => Val::Unknown(format!("the attribute {}", node["attr"].as_str().unwrap_or_default())),
            },
            "Subscript" => self.subscript(node),
            "JoinedStr" => self.joined(&node["values"]),
            "FormattedValue" => match self.value(&node["value"]) {
                Val::Text(text) | Val::Number(text) => Val::Text(text),
                _ => Val::Unknown("a text made of what is not known".into()),
            },
            "BinOp" => {
                let (left, right) = (self.value(&node["left"]), self.value(&node["right"]));
                match kind(&node["op"]) {
                    "Add" => self.add(left, right),
                    "Mod" => format_percent(&left, &right),
                    _ => Val::Unknown("arithmetic".into()),
                }
            }
            "IfExp" => match self.value(&node["test"]).truth() {
                Some(true) => self.value(&node["body"]),
                Some(false) => self.value(&node["orelse"]),
                None => Val::Unknown("a choice that is made when it runs".into()),
            },
            "Compare" => self.compare(node),
            "UnaryOp" if kind(&node["op"]) == "Not" => match self.value(&node["operand"]).truth() {
                Some(flag) => Val::Flag(!flag),
                None => Val::Unknown("a condition".into()),
            },
            "UnaryOp" if kind(&node["op"]) == "USub" => match self.value(&node["operand"]) {
                Val::Number(text) => Val::Number(format!("-{text}")),
                _ => Val::Unknown("arithmetic".into()),
            },
            "ListComp" => self.comprehension(node),
            "Call" => self.call(node),
            other => Val::Unknown(format!("an expression that is not followed ({other})")),
        }
    }

    fn joined(&mut self, parts: &Json) -> Val {
        let mut text = String::new();
        for part in items(parts) {
            match self.value(part) {
                Val::Text(more) if text.len() + more.len() < LONGEST => text.push_str(&more),
                _ => return Val::Unknown("a text made of what is not known".into()),
            }
        }
        Val::Text(text)
    }

    fn subscript(&mut self, node: &Json) -> Val {
        let (of, key) = (self.value(&node["value"]), self.value(&node["slice"]));
        let found = match (&of, key.text()) {
            (Val::Dict(items), Some(key)) => {
                items.borrow().iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
            }
            (Val::List(items), Some(key)) => {
                key.parse::<usize>().ok().and_then(|n| items.borrow().get(n).cloned())
            }
            _ => None,
        };
        found.unwrap_or_else(|| Val::Unknown("a part of what is not known".into()))
    }

    fn compare(&mut self, node: &Json) -> Val {
        let left = self.value(&node["left"]);
        let right = items(&node["comparators"]).first().map(|one| self.value(one));
        let ([op], Some(right)) = (items(&node["ops"]), right) else {
            return Val::Unknown("a comparison".into());
        };
        match (kind(op), left.text(), &right) {
            ("Eq", Some(a), Val::Text(b) | Val::Number(b)) => Val::Flag(a == *b),
            ("NotEq", Some(a), Val::Text(b) | Val::Number(b)) => Val::Flag(a != *b),
            ("In", Some(a), Val::List(items)) => {
                Val::Flag(items.borrow().iter().any(|one| one.text().as_ref() == Some(&a)))
            }
            ("In", Some(a), Val::Dict(items)) => Val::Flag(items.borrow().iter().any(|(key, _)| *key == a)),
            ("In", Some(a), Val::Text(b)) => Val::Flag(b.contains(&a)),
            _ => Val::Unknown("a comparison".into()),
        }
    }

    fn comprehension(&mut self, node: &Json) -> Val {
        let [generator] = items(&node["generators"]) else { return Val::Unknown("a nested list".into()) };
        let Val::List(rows) = self.value(&generator["iter"]) else {
            return Val::Unknown("a list of what is known only when it runs".into());
        };
        let rows = rows.borrow().clone();
        let mut all = Vec::new();
        for row in rows {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return Val::Unknown(format!("over {MOST} statements"));
            }
            self.assign(&generator["target"], row);
            let mut wanted = true;
            for test in items(&generator["ifs"]) {
                match self.value(test).truth() {
                    Some(flag) => wanted &= flag,
                    None => {
                        return Val::Unknown(
                            "a list with a condition that is known only when it runs".into(),
                        );
                    }
                }
            }
            if wanted {
                all.push(self.value(&node["elt"]));
            }
        }
        Val::list(all)
    }

    fn call(&mut self, node: &Json) -> Val {
        let mut args = Vec::new();
        for one in items(&node["args"]) {
            match kind(one) {
                "Starred" => args.extend(self.value(&one["value"]).many()),
                _ => args.push(self.value(one)),
            }
        }
        let mut kwargs = Vec::new();
        for one in items(&node["keywords"]) {
            let value = self.value(&one["value"]);
            match (one["arg"].as_str(), value) {
                (Some(name), value) => kwargs.push((name.to_owned(), value, line(one))),
                (None, Val::Dict(more)) => {
                    kwargs.extend(
                        more.borrow().iter().map(|(key, value)| (key.clone(), value.clone(), line(one))),
                    );
                }
                (None, _) => self.open(one, "arguments that are not known", "write them out"),
            }
        }
        let function = &node["func"];
        if kind(function) == "Attribute" {
            let on = self.value(&function["value"]);
            let method = function["attr"].as_str().unwrap_or_default();
            if !matches!(on, Val::Name(_)) {
                return self.method(node, &on, method, args, kwargs);
            }
        }
        match self.value(function) {
            Val::Function(function) => self.own(&function, &args, kwargs),
            Val::Name(name) => {
                let kind = name.rsplit('.').next().unwrap_or(&name).to_owned();
                match (kind.as_str(), args.first()) {
                    ("list" | "sorted" | "tuple", Some(Val::List(items))) => {
                        Val::list(items.borrow().clone())
                    }
                    ("str", Some(Val::Text(text) | Val::Number(text))) => Val::Text(text.clone()),
                    ("dict", None) => {
                        let all = kwargs.into_iter().map(|(key, value, _)| (key, value)).collect();
                        Val::Dict(Rc::new(RefCell::new(all)))
                    }
                    ("list", None) => Val::list(Vec::new()),
                    _ if kind.starts_with(|c: char| c.is_uppercase()) || kind.starts_with("render") => {
                        let calls = RefCell::new(Vec::new());
                        Val::Object(Rc::new(Object { kind, args, kwargs, line: line(node), calls }))
                    }
                    _ => Val::Unknown(format!("a call of {name}, which is not run")),
                }
            }
            _ => Val::Unknown("a call of what is not known".into()),
        }
    }

    fn method(
        &mut self,
        node: &Json,
        on: &Val,
        method: &str,
        args: Vec<Val>,
        kwargs: Vec<(String, Val, u64)>,
    ) -> Val {
        let first = args.first().cloned();
        match (on, method, first) {
            (Val::List(list), "append", Some(value)) => {
                self.extend(list, vec![value]);
                Val::None
            }
            (Val::List(list), "extend", Some(value)) => {
                self.extend(list, value.many());
                Val::None
            }
            (Val::Dict(dict), "update", Some(Val::Dict(more))) => {
                let more = more.borrow().clone();
                let mut dict = dict.borrow_mut();
                for (key, value) in more {
                    dict.retain(|(known, _)| *known != key);
                    dict.push((key, value));
                }
                Val::None
            }
            (Val::Dict(dict), "items", None) => Val::list(
                dict.borrow()
                    .iter()
                    .map(|(key, value)| Val::list(vec![Val::Text(key.clone()), value.clone()]))
                    .collect(),
            ),
            (Val::Dict(dict), "keys", None) => {
                Val::list(dict.borrow().iter().map(|(key, _)| Val::Text(key.clone())).collect())
            }
            (Val::Dict(dict), "values", None) => {
                Val::list(dict.borrow().iter().map(|(_, value)| value.clone()).collect())
            }
            (Val::Dict(dict), "copy", None) => Val::Dict(Rc::new(RefCell::new(dict.borrow().clone()))),
            (Val::Text(text), "format", _) => format_braces(text, &args, &kwargs),
            (Val::Text(text), "lower", None) => Val::Text(text.to_lowercase()),
            (Val::Text(text), "split", None) => {
                Val::list(text.split_whitespace().map(|word| Val::Text(word.to_owned())).collect())
            }
            (Val::Text(text), "join", Some(Val::List(list))) => {
                let words: Option<Vec<String>> = list.borrow().iter().map(Val::text).collect();
                words.map_or_else(
                    || Val::Unknown("a text of what is not known".into()),
                    |words| Val::Text(words.join(text)),
                )
            }
            (Val::Object(object), _, first) => {
                let value = first.or_else(|| kwargs.into_iter().next().map(|(_, value, _)| value));
                object.calls.borrow_mut().push((method.to_owned(), value.unwrap_or(Val::None), line(node)));
                Val::None
            }
            _ => Val::Unknown(format!("a call of {method}, which is not run")),
        }
    }

    /// Calls a function of the file.
    fn own(&mut self, function: &Json, args: &[Val], kwargs: Vec<(String, Val, u64)>) -> Val {
        if self.scopes.len() > MAX_DEPTH {
            return Val::Unknown(format!("calls nested over {MAX_DEPTH} deep"));
        }
        let names: Vec<&str> =
            items(&function["args"]["args"]).iter().filter_map(|one| one["arg"].as_str()).collect();
        let defaults = items(&function["args"]["defaults"]);
        let mut scope = BTreeMap::new();
        for (n, name) in names.iter().enumerate() {
            let default = (n + defaults.len()).checked_sub(names.len()).and_then(|n| defaults.get(n));
            let value = match (args.get(n), default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => self.value(default),
                (None, None) => Val::Unknown(format!("the argument {name}, which is not given")),
            };
            scope.insert((*name).to_owned(), value);
        }
        scope.extend(kwargs.into_iter().map(|(name, value, _)| (name, value)));
        self.scopes.push(scope);
        self.block(&function["body"]);
        self.scopes.pop();
        self.result.take().unwrap_or(Val::None)
    }
}
