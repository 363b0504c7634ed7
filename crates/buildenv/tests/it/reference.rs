//! docs/CONFIG.md: its reference is the schema's, and its examples load.

use std::fs;
use std::path::{Path, PathBuf};

use buildenv::{Source, embedded};

use crate::{load, name, no_includes};

const BEGIN: &str = "<!-- reference:begin -->\n";
const END: &str = "<!-- reference:end -->";

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIG.md")
}

/// The TOML examples of the manual, in order.
fn examples(manual: &str) -> Vec<String> {
    let blocks = manual.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_string()).collect()
}

#[test]
fn the_manual_holds_the_reference_of_all_keys() {
    let manual = fs::read_to_string(file()).unwrap();
    let (before, rest) = manual.split_once(BEGIN).expect("the reference has a beginning");
    let (written, after) = rest.split_once(END).expect("the reference has an end");
    if std::env::var_os("BELLWETHER_BLESS").is_some() {
        fs::write(file(), format!("{before}{BEGIN}{}{END}{after}", buildenv::reference())).unwrap();
        return;
    }
    assert_eq!(written, buildenv::reference());
    let keys = buildenv::all_keys();
    assert!(keys.len() > 150);
    for (section, key) in keys {
        assert!(
            manual.contains(&format!("### {section} —")) && manual.contains(&format!("`{key}`")),
            "{section}.{key}"
        );
    }
}

#[test]
fn the_examples_of_the_manual_load_and_plan() {
    let manual = fs::read_to_string(file()).unwrap();
    let examples = examples(&manual);
    assert_eq!(examples.len(), 3);
    let server = Source::server("server.toml", "[repo.site]\nurl = \"u\"\n[repo.go]\nurl = \"u\"\n");
    let project = Source::project(name("site"), "site:bellwether.toml", &*examples[0]);
    let sources = [embedded("linux", "amd64"), server, project];
    let config = buildenv::load(&sources, &no_includes, None).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(config.builders().len(), 2);
    let names: Vec<_> = load(&examples[1]).builders().iter().map(|b| b.name.to_string()).collect();
    assert_eq!(names, ["linux-386", "linux-amd64", "linux-amd64-race"]);
    load(&examples[2]);
}

#[test]
fn every_example_of_a_key_is_toml_with_that_key() {
    let reference = buildenv::reference();
    let rows = reference.lines().filter(|l| l.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<_> =
            row.replace("\\|", "\u{1}").split('|').map(|c| c.trim().replace('\u{1}', "|")).collect();
        let (key, example) = (cells[1].trim_matches('`'), cells[5].trim_matches('`'));
        let table: toml::Table = example.parse().unwrap_or_else(|e| panic!("{example}: {e}"));
        assert!(table.contains_key(key), "{example}");
        count += 1;
    }
    assert!(count > 120, "{count}");
}
