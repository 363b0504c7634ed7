//! One rule per kind of project: which file shows it, and what is run.

use super::{Found, FoundStep, ProjectKind, Tree};
use crate::name::{BuilderName, RecipeName};

/// A rule: gives the project of a directory, if it has one of this kind.
pub(super) struct Rule {
    pub find: fn(&Tree<'_>, &str) -> Option<Found>,
}

pub(super) const ALL: &[Rule] = &[
    Rule { find: cargo },
    Rule { find: go },
    Rule { find: npm },
    Rule { find: python },
    Rule { find: cmake },
    Rule { find: make },
];

/// Tells whether a project holds all of its kind below it. The rules of Cargo, Go and npm say for themselves what
/// stands alone.
pub(super) fn covers(kind: ProjectKind) -> bool {
    !matches!(kind, ProjectKind::Go | ProjectKind::Cargo | ProjectKind::Npm)
}

fn found(
    dir: &str,
    kind: ProjectKind,
    manifest: &str,
    tools: Vec<&'static str>,
    steps: Vec<(&'static str, String)>,
    because: Vec<String>,
) -> Option<Found> {
    Some(Found {
        dir: dir.to_string(),
        kind,
        manifest: Tree::path(dir, manifest),
        tools,
        builder_name: BuilderName::new(kind.as_str()).ok()?,
        recipe_name: RecipeName::new(kind.as_str()).ok()?,
        steps: steps.into_iter().map(|(name, run)| FoundStep { name, run }).collect(),
        because,
    })
}

/// The directories above, nearest first: of `a/b` these are `a` and the root.
fn above(dir: &str) -> Vec<&str> {
    let mut list: Vec<&str> = dir.match_indices('/').map(|(at, _)| &dir[..at]).collect();
    list.reverse();
    if !dir.is_empty() {
        list.push("");
    }
    list
}

fn cargo(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    if !tree.has(dir, "Cargo.toml") {
        return None;
    }
    // A package below a workspace is its member, unless it is a workspace itself or is excluded. (Neither member
    // nor excluded, cargo refuses to build it.)
    let workspace = has_table(&tree.text(dir, "Cargo.toml").unwrap_or_default(), "workspace");
    let member = |outer: &str| {
        tree.text(outer, "Cargo.toml")
            .is_some_and(|t| has_table(&t, "workspace") && !excludes(&t, outer, dir))
    };
    if !workspace && above(dir).into_iter().any(member) {
        return None;
    }
    let mut because = vec![format!("{} is there", Tree::path(dir, "Cargo.toml"))];
    let locked = match tree.has(dir, "Cargo.lock") {
        true => {
            because.push("Cargo.lock is there: --locked".into());
            " --locked"
        }
        false => "",
    };
    let all = match workspace {
        true => {
            because.push("it is a workspace: --workspace".into());
            " --workspace"
        }
        false => "",
    };
    let steps = vec![
        ("build", format!("cargo test{all}{locked} --no-run")),
        ("test", format!("cargo test{all}{locked}")),
    ];
    found(dir, ProjectKind::Cargo, "Cargo.toml", vec!["cargo", "rustc"], steps, because)
}

fn has_table(toml: &str, name: &str) -> bool {
    let header = |line: &str| {
        let line = line.trim();
        line.strip_prefix('[').is_some_and(|rest| {
            rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(']') || rest.starts_with('.'))
        })
    };
    toml.lines().any(header)
}

fn excludes(workspace: &str, outer: &str, dir: &str) -> bool {
    let Ok(table) = workspace.parse::<toml::Table>() else { return false };
    let list = table.get("workspace").and_then(|w| w.get("exclude")).and_then(|e| e.as_array());
    let inner = if outer.is_empty() { dir } else { dir[outer.len()..].trim_start_matches('/') };
    list.into_iter().flatten().filter_map(|v| v.as_str()).any(|ex| {
        let ex = ex.trim_end_matches('/');
        inner == ex || inner.starts_with(&format!("{ex}/"))
    })
}

fn go(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    if !tree.has(dir, "go.mod") {
        return None;
    }
    let mut because = vec![format!("{} is there", Tree::path(dir, "go.mod"))];
    // A module of only tools has no package of its own; `./...` would find nothing and fail.
    let nested = |path: &str| {
        above(path.rsplit_once('/').map_or("", |(d, _)| d))
            .into_iter()
            .chain(path.rsplit_once('/').map(|(d, _)| d))
            .any(|d| !d.is_empty() && tree.has(dir, &format!("{d}/go.mod")))
    };
    if !tree.below(dir).any(|path| path.ends_with(".go") && !nested(path)) {
        return None;
    }
    if tree.has(dir, "vendor/modules.txt") {
        because.push("vendor/modules.txt is there: the go command takes modules from it".into());
    }
    let steps = vec![("build", "go build ./...".to_string()), ("test", "go test ./...".to_string())];
    found(dir, ProjectKind::Go, "go.mod", vec!["go"], steps, because)
}

fn npm(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    if !tree.has(dir, "package.json") {
        return None;
    }
    // Below another package it is a member of its workspace, unless it is locked on its own.
    let locks = ["package-lock.json", "npm-shrinkwrap.json"];
    let nested = above(dir).into_iter().any(|outer| tree.has(outer, "package.json"));
    if nested && tree.first(dir, &locks).is_none() {
        return None;
    }
    let text = tree.text(dir, "package.json").unwrap_or_default();
    let mut because = vec![format!("{} is there", Tree::path(dir, "package.json"))];
    let scripts = json_scripts(&text);
    let script = |name: &str| scripts.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str());
    let lock = tree.first(dir, &locks);
    let mut steps = vec![match lock {
        Some(lock) => {
            because.push(format!("{lock} is there: npm ci"));
            ("install", "npm ci".to_string())
        }
        None => ("install", "npm install --no-audit --no-fund".to_string()),
    }];
    if script("build").is_some() {
        because.push("it has a script \"build\"".into());
        steps.push(("build", "npm run build".to_string()));
    }
    match script("test") {
        Some(test) if !test.contains("no test specified") => {
            because.push("it has a script \"test\"".into());
            steps.push(("test", "npm test".to_string()));
        }
        _ => because.push("it has no script \"test\": only installed".into()),
    }
    found(dir, ProjectKind::Npm, "package.json", vec!["npm", "node"], steps, because)
}

/// Reads the scripts of a `package.json`: enough of JSON for one object of texts, without a JSON library.
fn json_scripts(text: &str) -> Vec<(String, String)> {
    let mut json = Json { rest: text };
    json.scripts().unwrap_or_default()
}

struct Json<'a> {
    rest: &'a str,
}

impl Json<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(c)?;
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        self.eat('"')?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(out);
                }
                '\\' => out.push(chars.next()?.1),
                c => out.push(c),
            }
        }
        None
    }

    /// Passes over any value, by counting brackets outside of texts.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            self.space();
            match self.rest.chars().next()? {
                '"' => drop(self.string()?),
                '{' | '[' => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                '}' | ']' if depth > 0 => {
                    depth -= 1;
                    self.rest = &self.rest[1..];
                }
                ',' | ':' if depth > 0 => self.rest = &self.rest[1..],
                _ => {
                    let end = self.rest.find([',', '}', ']', ':', '"', '{', '[']).unwrap_or(self.rest.len());
                    if end == 0 {
                        return None;
                    }
                    self.rest = &self.rest[end..];
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn scripts(&mut self) -> Option<Vec<(String, String)>> {
        self.eat('{')?;
        loop {
            let key = self.string()?;
            self.eat(':')?;
            if key == "scripts" {
                break;
            }
            self.skip()?;
            self.eat(',')?;
        }
        self.eat('{')?;
        let mut list = Vec::new();
        loop {
            self.space();
            if self.rest.starts_with('}') {
                return Some(list);
            }
            let key = self.string()?;
            self.eat(':')?;
            self.space();
            match self.rest.starts_with('"') {
                true => list.push((key, self.string()?)),
                false => self.skip()?,
            }
            if self.eat(',').is_none() {
                return Some(list);
            }
        }
    }
}

fn python(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    let manifests = ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt"];
    let manifest = tree.first(dir, &manifests)?;
    let text = tree.text(dir, manifest).unwrap_or_default();
    let pyproject = tree.text(dir, "pyproject.toml").unwrap_or_default();
    let parsed = pyproject.parse::<toml::Table>().unwrap_or_default();
    // A pyproject.toml may hold nothing but the settings of a formatter.
    let package = parsed.contains_key("project")
        || parsed.contains_key("build-system")
        || parsed.get("tool").is_some_and(|t| t.get("poetry").is_some())
        || tree.has(dir, "setup.py")
        || tree.has(dir, "setup.cfg");
    let requirements = tree.has(dir, "requirements.txt");
    if !package && !requirements {
        return None;
    }
    let mut because = vec![format!("{} is there", Tree::path(dir, manifest))];
    let mut install = vec!["python3 -m venv \"$WORKDIR/venv\"".to_string()];
    let pip = "\"$WORKDIR/venv/bin/python\" -m pip install --disable-pip-version-check";
    if requirements {
        install.push(format!("{pip} -r requirements.txt"));
    }
    for extra in
        ["requirements-test.txt", "requirements-dev.txt", "requirements_dev.txt", "test-requirements.txt"]
    {
        if tree.has(dir, extra) {
            because.push(format!("{extra} is there"));
            install.push(format!("{pip} -r {extra}"));
            break;
        }
    }
    if package {
        let extras =
            parsed.get("project").and_then(|p| p.get("optional-dependencies")).and_then(|o| o.as_table());
        let names = ["test", "tests", "testing", "dev"];
        let extra = names.into_iter().find(|n| extras.is_some_and(|e| e.contains_key(*n)));
        install.push(match extra {
            Some(extra) => {
                because.push(format!("it has the extra {extra:?}"));
                format!("{pip} \".[{extra}]\"")
            }
            None => format!("{pip} ."),
        });
    }
    let pytest = uses_pytest(tree, dir, &parsed, &text);
    let has_tests = tree.below(dir).any(is_python_test);
    let unittest;
    let test = match (pytest, has_tests) {
        (Some(why), _) => {
            because.push(why);
            install.push(format!("{pip} pytest"));
            "\"$WORKDIR/venv/bin/python\" -m pytest"
        }
        (None, true) => {
            because.push("there are tests and no word of pytest: unittest".into());
            unittest = format!("\"$WORKDIR/venv/bin/python\" -m unittest discover{}", discovery(tree, dir));
            &unittest
        }
        (None, false) => {
            because.push("there are no tests: only compiled".into());
            "\"$WORKDIR/venv/bin/python\" -m compileall -q ."
        }
    };
    let steps = vec![("install", install.join(" && ")), ("test", test.to_string())];
    found(dir, ProjectKind::Python, manifest, vec!["python3"], steps, because)
}

/// Where unittest finds tests that are not beside the code.
fn discovery(tree: &Tree<'_>, dir: &str) -> String {
    let tests: Vec<_> = tree.below(dir).filter(|p| is_python_test(p)).collect();
    let folders = ["tests", "test"];
    let apart = |f: &&&str| {
        let inner = format!("{f}/");
        tests.iter().all(|t| t.starts_with(&inner)) && !tree.has(dir, &format!("{f}/__init__.py"))
    };
    let mut options = folders.iter().find(apart).map_or_else(String::new, |f| format!(" -s {f}"));
    if tests.iter().all(|t| t.ends_with("_test.py")) {
        options += " -p '*_test.py'";
    }
    options
}

fn is_python_test(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let script = file.ends_with(".py") && !path.split('/').any(|p| super::IGNORED.contains(&p));
    script
        && (file.starts_with("test_")
            || file.ends_with("_test.py")
            || file == "tests.py"
            || file == "test.py")
}

fn uses_pytest(tree: &Tree<'_>, dir: &str, pyproject: &toml::Table, manifest: &str) -> Option<String> {
    if pyproject.get("tool").is_some_and(|t| t.get("pytest").is_some()) {
        return Some("pyproject.toml configures pytest".into());
    }
    let says = |name: &str, word: &str| tree.text(dir, name).is_some_and(|t| t.contains(word));
    let marks = [
        ("pytest.ini", ""),
        ("conftest.py", ""),
        ("tests/conftest.py", ""),
        ("setup.cfg", "[tool:pytest]"),
        ("tox.ini", "[pytest]"),
    ];
    if let Some((name, _)) =
        marks.iter().find(|(name, word)| tree.has(dir, name) && (word.is_empty() || says(name, word)))
    {
        return Some(format!("{name} configures pytest"));
    }
    let dev = ["requirements.txt", "requirements-test.txt", "requirements-dev.txt", "requirements_dev.txt"];
    if manifest.contains("pytest")
        || toml::to_string(pyproject).is_ok_and(|t| t.contains("pytest"))
        || dev.iter().any(|n| says(n, "pytest"))
    {
        return Some("its requirements name pytest".into());
    }
    let imports =
        |p: &&str| is_python_test(p) && tree.text(dir, p).is_some_and(|t| t.contains("import pytest"));
    tree.below(dir)
        .filter(|p| is_python_test(p))
        .take(50)
        .find(imports)
        .map(|p| format!("{p} imports pytest"))
}

fn cmake(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    if !tree.has(dir, "CMakeLists.txt") {
        return None;
    }
    let because = vec![format!("{} is there", Tree::path(dir, "CMakeLists.txt"))];
    let steps = vec![
        ("configure", "cmake -S . -B \"$WORKDIR/cmake-build\" -DCMAKE_BUILD_TYPE=Release".to_string()),
        ("build", "cmake --build \"$WORKDIR/cmake-build\" --parallel".to_string()),
        ("test", "cd \"$WORKDIR/cmake-build\" && ctest --output-on-failure".to_string()),
    ];
    found(dir, ProjectKind::CMake, "CMakeLists.txt", vec!["cmake", "ctest"], steps, because)
}

fn make(tree: &Tree<'_>, dir: &str) -> Option<Found> {
    let manifest = tree.first(dir, &["GNUmakefile", "makefile", "Makefile"])?;
    let text = tree.text(dir, manifest).unwrap_or_default();
    let mut because = vec![format!("{} is there", Tree::path(dir, manifest))];
    let target = |name: &str| {
        text.lines().filter_map(|l| l.split_once(':')).any(|(left, right)| {
            !right.starts_with('=') && !left.starts_with('\t') && left.split_whitespace().any(|t| t == name)
        })
    };
    let mut steps = vec![("build", "make".to_string())];
    if let Some(name) = ["test", "check"].into_iter().find(|n| target(n)) {
        because.push(format!("it has a target {name:?}"));
        steps.push(("test", format!("make {name}")));
    }
    // Makefiles deep in a tree mostly deploy or draw something.
    if !dir.is_empty() && steps.len() == 1 {
        return None;
    }
    found(dir, ProjectKind::Make, manifest, vec!["make"], steps, because)
}
