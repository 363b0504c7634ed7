//! The reference part of docs/CONFIG.md, written from the tables of keys.

use std::fmt::Write;

use super::{AXIS, Key, SECTIONS, Section, TOP, Type, later};

/// Gives every section that can be reached, each once, in the order of the manual.
fn sections() -> Vec<&'static Section> {
    fn visit(section: &'static Section, seen: &mut Vec<&'static Section>) {
        if section.name == AXIS || seen.iter().any(|s| s.name == section.name) {
            return;
        }
        seen.push(section);
        for key in section.keys {
            if let Type::Table(inner) | Type::Tables(inner) | Type::BoolOrTables(inner) = key.kind {
                visit(inner, seen);
            }
        }
    }
    let mut seen = Vec::new();
    visit(&TOP, &mut seen);
    SECTIONS.iter().for_each(|s| visit(s, &mut seen));
    seen
}

/// Lists every key as `(section, key)`.
#[must_use]
pub fn all_keys() -> Vec<(&'static str, &'static str)> {
    sections().into_iter().flat_map(|s| s.names().map(|k| (s.name, k))).collect()
}

/// Writes the reference of all keys as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    let builder: Vec<_> = super::BUILDER.names().collect();
    for section in sections() {
        let _ = writeln!(out, "### {} — `{}`\n\n{}\n", section.name, section.header, section.doc);
        if section.name == "template" {
            let _ = writeln!(out, "Keys: {}.\n", names(&builder));
            continue;
        }
        if let Some(of) = section.name.strip_suffix("_template") {
            let keys: Vec<_> = section.names().collect();
            let _ = writeln!(out, "Keys of a {of}: {}.\n", names(&keys));
            continue;
        }
        let like_builder = matches!(section.name, "matrix" | "set");
        if like_builder {
            let _ = writeln!(out, "Keys of a builder: {}. And:\n", names(&builder));
        }
        out.push_str("| key | type | default | meaning | example |\n|---|---|---|---|---|\n");
        for key in section.keys.iter().filter(|k| !(like_builder && builder.contains(&k.name))) {
            row(&mut out, section, key);
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn names(list: &[&str]) -> String {
    list.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn row(out: &mut String, section: &Section, key: &Key) {
    let mark = if later(section.name, key.name).is_some() { " *No effect yet.*" } else { "" };
    let bar = |text: &str| text.replace('|', "\\|");
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {}{mark} | `{}` |",
        key.name,
        key.kind.short(),
        bar(key.default),
        bar(key.doc),
        bar(key.example)
    );
}
