//! YAML as a tree that knows its lines, with limits: files to import come from anywhere.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::Refused;

/// Deeper files are refused.
const MAX_DEPTH: usize = 64;
/// Files with more nodes are refused, each alias counted as all that it stands for.
const MAX_NODES: u64 = 50_000;

/// A document of a file.
#[derive(Debug)]
pub struct Document {
    /// The file's shown name.
    pub file: String,
    /// Its root.
    pub root: Rc<Node>,
}

/// A value with its place.
#[derive(Debug)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// A tag of an application, like `reference` for `!reference`.
    pub tag: Option<String>,
    /// What it is.
    pub value: Value,
    /// How many nodes it holds, itself included, with aliases spelled out.
    weight: u64,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// A scalar as it is written; `plain` if without quotes.
    Text {
        /// The text.
        text: String,
        /// Whether it stands without quotes, so that it may be a number, a truth value or nothing.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Tells the key from all others of all files. Those that an alias or `<<` repeats have the same.
    pub id: u32,
    /// The key's text.
    pub key: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The value.
    pub node: Rc<Node>,
}

impl Node {
    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether it is null or left out.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A truth value.
    pub fn flag(&self) -> Option<bool> {
        match &self.value {
            Value::Text { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" | "yes" | "on" => Some(true),
                "false" | "False" | "FALSE" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The entries of a mapping; none for everything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key; the last one if it is given twice.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }

    /// The items of a list; a scalar or mapping stands for a list of one, null for none.
    pub fn many(self: &Rc<Self>) -> Vec<Rc<Self>> {
        match &self.value {
            Value::List(items) => items.clone(),
            _ if self.is_null() => Vec::new(),
            _ => vec![Rc::clone(self)],
        }
    }

    /// The scalars of a list, or of one scalar.
    pub fn texts(self: &Rc<Self>) -> Vec<String> {
        self.many().iter().filter_map(|node| node.text().map(str::to_owned)).collect()
    }

    /// The same mapping with other entries.
    pub fn with_entries(&self, entries: Vec<Entry>) -> Self {
        let (line, column, tag, weight) = (self.line, self.column, self.tag.clone(), self.weight);
        Self { line, column, tag, value: Value::Map(entries), weight }
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }
}

enum Open {
    List { anchor: usize, node: Node, items: Vec<Rc<Node>> },
    Map { anchor: usize, node: Node, entries: Vec<Entry>, key: Option<(String, usize, usize)> },
}

struct Builder<'a> {
    file: &'a str,
    next_id: &'a mut u32,
    anchors: HashMap<usize, Rc<Node>>,
    open: Vec<Open>,
    documents: Vec<Document>,
    nodes: u64,
}

/// Parses the documents of a file.
///
/// # Errors
/// When it is no YAML, or too deep, or too much.
pub fn parse(file: &str, text: &str, next_id: &mut u32) -> Result<Vec<Document>, Refused> {
    let mut builder =
        Builder { file, next_id, anchors: HashMap::new(), open: Vec::new(), documents: Vec::new(), nodes: 0 };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Refused::Syntax {
            file: file.to_owned(),
            line: error.marker().line(),
            column: error.marker().col() + 1,
            why: format!("this is no YAML: {}", error.info()),
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

impl Builder<'_> {
    fn refuse(&self, span: Span, why: String) -> Refused {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        Refused::Syntax { file: self.file.to_owned(), line, column, why }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        let blank = |tag: Option<std::borrow::Cow<'_, Tag>>| Node {
            line: span.start.line(),
            column: span.start.col() + 1,
            tag: tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.suffix.clone()),
            value: Value::List(Vec::new()),
            weight: 1,
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.as_ref().is_none_or(|tag| tag.suffix != "str");
                let mut node = blank(tag);
                node.value = Value::Text { text: text.into_owned(), plain };
                self.done(node, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.deeper(Open::List { anchor, node: blank(tag), items: Vec::new() }, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.deeper(Open::Map { anchor, node: blank(tag), entries: Vec::new(), key: None }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { anchor, mut node, items }) => {
                    node.value = Value::List(items);
                    self.done(node, anchor, span)
                }
                Some(Open::Map { anchor, mut node, entries, .. }) => {
                    node.value = Value::Map(merged(entries));
                    self.done(node, anchor, span)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.put(node, span),
                None => Err(self.refuse(span, "an alias of what encloses it".into())),
            },
            _ => Ok(()),
        }
    }

    fn deeper(&mut self, open: Open, span: Span) -> Result<(), Refused> {
        self.open.push(open);
        match self.open.len() > MAX_DEPTH {
            true => Err(self.refuse(span, format!("nested over {MAX_DEPTH} deep"))),
            false => Ok(()),
        }
    }

    fn done(&mut self, mut node: Node, anchor: usize, span: Span) -> Result<(), Refused> {
        let inside: u64 = match &node.value {
            Value::Text { .. } => 0,
            Value::List(items) => items.iter().map(|item| item.weight).fold(0, u64::saturating_add),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.weight).fold(0, u64::saturating_add),
        };
        node.weight = inside.saturating_add(1);
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node, span)
    }

    fn put(&mut self, node: Rc<Node>, span: Span) -> Result<(), Refused> {
        self.nodes += 1;
        if node.weight > MAX_NODES || self.nodes > MAX_NODES {
            return Err(self.refuse(span, format!("over {MAX_NODES} values, with aliases spelled out")));
        }
        match self.open.last_mut() {
            None => self.documents.push(Document { file: self.file.to_owned(), root: node }),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((text, line, column)) => {
                    *self.next_id += 1;
                    entries.push(Entry { id: *self.next_id, key: text, line, column, node });
                }
                None => {
                    let (line, column) = (span.start.line(), span.start.col() + 1);
                    let Value::Text { text, .. } = &node.value else {
                        return Err(self.refuse(span, "a key that is a list or a mapping".into()));
                    };
                    *key = Some((text.clone(), line, column));
                }
            },
        }
        Ok(())
    }
}

/// Spells out `<<`: keys of those mappings that are not given beside it.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.iter().any(|entry| entry.key == "<<") {
        return entries;
    }
    let (from, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key == "<<");
    let mut known: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
    for map in from.iter().flat_map(|entry| entry.node.many()) {
        for entry in map.entries() {
            if known.insert(entry.key.clone()) {
                own.push(entry.clone());
            }
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_columns_tags_aliases_and_merges() {
        let text = "a: &x\n  k: 1\n  l: \"2\"\nb:\n  <<: *x\n  l: 3\nc: !reference [a, k]\n";
        let documents = parse("f", text, &mut 0).unwrap();
        let root = &documents[0].root;
        let l = root.get("b").unwrap().node.get("l").unwrap();
        assert_eq!((l.line, l.column, l.node.text()), (6, 3, Some("3")));
        let k = root.get("b").unwrap().node.get("k").unwrap();
        assert_eq!((k.line, k.id), (2, root.get("a").unwrap().node.get("k").unwrap().id));
        assert_eq!(root.get("c").unwrap().node.tag.as_deref(), Some("reference"));
    }

    #[test]
    fn depth_and_aliases_are_limited_and_faults_have_a_place() {
        let deep = "[".repeat(100);
        let why = |text: &str| parse("f", text, &mut 0).unwrap_err().to_string();
        assert!(why(&deep).contains("nested over 64 deep"), "{}", why(&deep));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let list = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb += &format!("a{n}: &a{n} [{list}]\n");
        }
        assert!(why(&bomb).contains("over 50000 values"), "{}", why(&bomb));
        assert!(why("a: b\n  c: d\n").starts_with("f:2:"), "{}", why("a: b\n  c: d\n"));
        assert!(why("a: &a [*a]\n").contains("alias"), "{}", why("a: &a [*a]\n"));
        assert!(why("? [a]\n: b\n").contains("key"), "{}", why("? [a]\n: b\n"));
    }
}
