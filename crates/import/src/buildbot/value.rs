//! Values of a `master.cfg`, and the texts that are made of them.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value as Json;

/// Longer texts and lists are not made.
pub const LONGEST: usize = 10_000;

/// A value.
#[derive(Debug, Clone)]
pub enum Val {
    Text(String),
    Number(String),
    Flag(bool),
    None,
    List(Rc<RefCell<Vec<Val>>>),
    Dict(Rc<RefCell<Vec<(String, Val)>>>),
    Object(Rc<Object>),
    /// A name of a module: `util.BuildFactory`.
    Name(String),
    /// A function of the file.
    Function(Rc<Json>),
    /// What can't be followed, in words.
    Unknown(String),
}

/// What a call of one of Buildbot's classes made.
#[derive(Debug)]
pub struct Object {
    /// The class, without its module.
    pub kind: String,
    pub args: Vec<Val>,
    pub kwargs: Vec<(String, Val, u64)>,
    pub line: u64,
    /// Methods that were called on it: name, first argument, line.
    pub calls: RefCell<Vec<(String, Val, u64)>>,
}

impl Object {
    /// An argument by its name, or by its place.
    pub fn arg(&self, name: &str, place: usize) -> Option<&Val> {
        let named = self.kwargs.iter().find(|(key, ..)| key == name).map(|(_, value, _)| value);
        named.or_else(|| self.args.get(place))
    }
}

impl Val {
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn many(&self) -> Vec<Self> {
        match self {
            Self::List(items) => items.borrow().clone(),
            Self::None => Vec::new(),
            other => vec![other.clone()],
        }
    }

    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Text(text) => Some(!text.is_empty()),
            Self::Number(text) => Some(text != "0"),
            Self::Flag(flag) => Some(*flag),
            Self::None => Some(false),
            Self::List(items) => Some(!items.borrow().is_empty()),
            Self::Dict(items) => Some(!items.borrow().is_empty()),
            Self::Object(_) | Self::Name(_) | Self::Function(_) => Some(true),
            Self::Unknown(_) => None,
        }
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(RefCell::new(items)))
    }
}

/// What `text % values` makes.
pub fn format_percent(left: &Val, right: &Val) -> Val {
    let unknown = || Val::Unknown("a text made of what is not known".into());
    let Val::Text(template) = left else { return unknown() };
    let mut out = String::new();
    let mut rest = template.as_str();
    let list = match right {
        Val::Dict(_) => Vec::new(),
        other => other.many(),
    };
    let mut values = list.iter();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('(') {
            let Some((name, after)) = after.split_once(')') else { return unknown() };
            let Val::Dict(items) = right else { return unknown() };
            let value =
                items.borrow().iter().find(|(key, _)| key == name).and_then(|(_, value)| value.text());
            let Some(value) = value else { return unknown() };
            out.push_str(&value);
            rest = after.strip_prefix(['s', 'd']).unwrap_or(after);
        } else if let Some(after) = rest.strip_prefix(['s', 'd']) {
            let Some(value) = values.next().and_then(Val::text) else { return unknown() };
            out.push_str(&value);
            rest = after;
        } else {
            return unknown();
        }
        if out.len() > LONGEST {
            return unknown();
        }
    }
    out.push_str(rest);
    Val::Text(out)
}

/// What `text.format(…)` makes.
pub fn format_braces(template: &str, args: &[Val], kwargs: &[(String, Val, u64)]) -> Val {
    let unknown = || Val::Unknown("a text made of what is not known".into());
    let mut out = String::new();
    let mut rest = template;
    let mut next = 0;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let doubled = ["{{", "}}"].iter().find(|two| rest[at..].starts_with(**two));
        if let Some(two) = doubled {
            out.push_str(&two[1..]);
            rest = &rest[at + 2..];
            continue;
        }
        let Some((name, after)) = rest[at + 1..].split_once('}') else { return unknown() };
        let value = if name.is_empty() {
            next += 1;
            args.get(next - 1)
        } else if let Ok(n) = name.parse::<usize>() {
            args.get(n)
        } else {
            kwargs.iter().find(|(key, ..)| key == name).map(|(_, value, _)| value)
        };
        let Some(text) = value.and_then(Val::text) else { return unknown() };
        out.push_str(&text);
        rest = after;
        if out.len() > LONGEST {
            return unknown();
        }
    }
    out.push_str(rest);
    Val::Text(out)
}
