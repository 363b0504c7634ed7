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
    assert_eq!(examples.len(), 4);
    let server = Source::server("server.toml", "[repo.site]\nurl = \"u\"\n[repo.go]\nurl = \"u\"\n");
    let project = Source::project(name("site"), "site:bellwether.toml", &*examples[0]);
    let sources = [embedded("linux", "amd64"), server, project];
    let config = buildenv::load(&sources, &no_includes, None).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(config.builders().len(), 2);
    let names: Vec<_> = load(&examples[1]).builders().iter().map(|b| b.name.to_string()).collect();
    assert_eq!(names, ["linux-386", "linux-amd64", "linux-amd64-race"]);
    let templates = load(&examples[2]);
    assert_eq!(templates.repo("mod").unwrap().url, "https://go.googlesource.com/mod");
    let container = templates.host("linux-arm64").unwrap().container.as_deref();
    assert_eq!(container, Some("gcr.io/my-project/linux-arm64:latest"));
    load(&examples[3]);
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

/// The rows of the reference's tables: section, key, example.
fn rows() -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in buildenv::reference().lines() {
        if let Some(rest) = line.strip_prefix("### ") {
            section = rest.split(' ').next().unwrap().to_string();
        } else if line.starts_with("| `") {
            let line = line.replace("\\|", "\u{1}");
            let cells: Vec<_> =
                line.split('|').map(|c| c.trim().trim_matches('`').replace('\u{1}', "|")).collect();
            rows.push((section.clone(), cells[1].clone(), cells[5].clone()));
        }
    }
    rows
}

#[test]
fn every_example_is_accepted_where_its_key_belongs() {
    let world = "[repo.go]\nurl = \"u\"\n[repo.exp]\nurl = \"u\"\n[repo.net]\nurl = \"u\"\n[host.linux-amd64]\n\
        labels = { os = \"linux\", arch = \"amd64\" }\n[recipe.r]\nrun = \"x\"\n[environment.prod]\n";
    let mut count = 0;
    for (section, key, example) in rows() {
        let around = match section.as_str() {
            "builder" => "[builder.thing]\nrecipe = \"r\"\n",
            "matrix" => {
                "[matrix.thing]\nrecipe = \"r\"\nname = \"m-{arch}-{variant}\"\naxes = { arch = [\"386\"], variant = [\"race\"] }\n"
            }
            "recipe" => "[recipe.thing]\nrun = \"x\"\n",
            "repo" => "[repo.thing]\nurl = \"u\"\n",
            "limit" => "[limit.thing]\nmax = 1\n",
            "secret" => "[secret.thing]\n",
            "host" => "[host.thing]\n",
            "environment" => "[environment.thing]\n",
            "access" => "[access]\n",
            "dashboard" => "[dashboard]\n",
            _ => continue,
        };
        // The example stands for a key that is there already.
        let around: String = around
            .lines()
            .filter(|l| !l.starts_with(&format!("{key} =")))
            .map(|l| format!("{l}\n"))
            .collect();
        let text = format!("{world}{around}{example}\n");
        count += 1;
        let sources = [embedded("linux", "amd64"), Source::server("server.toml", &*text)];
        let Err(problems) = buildenv::load(&sources, &no_includes, Some(&name("prod"))) else { continue };
        // What is missing or goes with something else is not here; the key and its value are understood.
        let fine = [
            "no ",
            "shares",
            "one place",
            "exists in",
            "list without run",
            "beside \"step\"",
            "junit",
            "JUnit",
            "excludes",
            "needs isolation",
            "nothing says how",
            "nobody watches",
            "pushes to",
            "does not name",
            "has no value",
            "without toolchain",
            "our secret there",
            "nobody gets a role",
            "leaves nothing of",
        ];
        for problem in problems.0 {
            let shown = problem.to_string();
            assert!(fine.iter().any(|f| problem.message.contains(f)), "{section}.{key}: {shown}");
            assert!(!problem.message.starts_with("no key"), "{shown}");
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn this_repositorys_own_file_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bellwether.toml");
    let text = fs::read_to_string(path).unwrap();
    let server = Source::server("server.toml", "[repo.bellwether]\nurl = \"u\"\n");
    let own = Source::project(name("bellwether"), "bellwether.toml", text);
    let config = buildenv::load(&[embedded("linux", "amd64"), server, own], &no_includes, None);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!config.builders().is_empty());
}

/// The text of all sources that use a configuration, outside the part that only reads it in.
fn readers() -> String {
    fn gather(path: &Path, text: &mut String) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| gather(&entry.unwrap().path(), text));
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for room in ["access", "bellwether", "coordinator", "dashboard", "gitmirror"] {
        gather(&crates.join(room).join("src"), &mut text);
    }
    for file in [
        "plan.rs",
        "check.rs",
        "check",
        "config.rs",
        "load.rs",
        "expand.rs",
        "model/policy.rs",
        "model/repo.rs",
    ] {
        gather(&crates.join("buildenv/src").join(file), &mut text);
    }
    text
}

/// Whether a field or key of that name is used: `.name`, `"name"`.
fn is_read(text: &str, name: &str) -> bool {
    let end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let field = format!(".{name}");
    text.contains(&format!("\"{name}\""))
        || text.match_indices(&field).any(|(at, _)| end(&text[at + field.len()..]))
}

#[test]
fn every_key_is_read_by_somebody_or_said_to_have_no_effect() {
    let text = readers();
    let without: Vec<_> = buildenv::keys_without_effect().iter().map(|(s, k, _)| (*s, *k)).collect();
    // Shown by `config explain` and meant for people alone.
    let for_people = ["owners", "notes"];
    // Read under another name.
    let renamed = [("as", "variable"), ("build", "builds"), ("list", "lists"), ("step", "steps")];
    for (section, key) in buildenv::all_keys() {
        let of = match section {
            "template" | "matrix" | "set" => "builder",
            "dependents" => "recipe",
            "host_template" => "host",
            "repo_template" => "repo",
            "oidc" | "github" => "access",
            section => section,
        };
        if for_people.contains(&key) || without.contains(&(of, key)) {
            continue;
        }
        let names = renamed.iter().filter(|(from, _)| *from == key).map(|(_, to)| *to);
        assert!(
            names.chain([key]).any(|name| is_read(&text, name)),
            "nothing reads {section}.{key}: it belongs in schema/later.rs"
        );
    }
}
