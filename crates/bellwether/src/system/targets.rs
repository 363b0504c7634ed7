//! What `up` was told to build, as server sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use buildenv::{RepoName, Source};

/// The server file that makes a folder a target of its own.
pub const SERVER_FILE: &str = "bellwether-server.toml";

/// Where configuration comes from.
#[derive(Debug, Clone)]
pub struct Targets {
    /// Server files and the repositories named on the command line.
    pub sources: Vec<Source>,
    /// The folder that includes are relative to.
    pub base: PathBuf,
}

/// Reads a server file, or takes the embedded defaults; no repository is named.
pub fn server_only(config: Option<&Path>) -> Result<Targets> {
    let (os, arch) = buildenv::this_machine();
    let mut targets = Targets { sources: vec![buildenv::embedded(os, arch)], base: PathBuf::from(".") };
    if let Some(file) = config {
        targets.add(file)?;
    }
    Ok(targets)
}

impl Targets {
    fn add(&mut self, file: &Path) -> Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        self.base = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        self.sources.push(Source::server(file.display().to_string(), text));
        Ok(())
    }
}

/// What the targets are read from, to read them again.
#[derive(Debug, Clone)]
pub struct Named {
    /// Repositories of the command line.
    pub repos: Vec<String>,
    /// The server file.
    pub config: Option<PathBuf>,
    /// How many commits back, for repositories that do not say.
    pub horizon: u32,
}

impl Named {
    /// Reads what is there now.
    pub fn read(&self) -> Result<Targets> {
        read(&self.repos, self.config.as_deref(), self.horizon)
    }
}

/// Reads the targets.
pub fn read(repos: &[String], config: Option<&Path>, horizon: u32) -> Result<Targets> {
    let mut repos = repos.to_vec();
    let mut config = config.map(Path::to_owned);
    if let (None, [only]) = (&config, repos.as_slice()) {
        let file = Path::new(only).join(SERVER_FILE);
        if file.is_file() {
            config = Some(file);
            repos.clear();
        }
    }
    let mut targets = server_only(config.as_deref())?;
    if config.is_none() && repos.is_empty() {
        repos.push(".".into());
    }
    let mut taken = BTreeSet::new();
    for repo in &repos {
        let (name, url) = one(repo)?;
        let mut unique = name.clone();
        let mut n = 2;
        while !taken.insert(unique.clone()) {
            unique = format!("{name}-{n}");
            n += 1;
        }
        let name: RepoName =
            unique.parse().with_context(|| format!("no repo name can be made of {repo:?}"))?;
        // A default, which gives way to what the repository's own file says.
        let mut source = buildenv::repo_source("the command line", &name, &url);
        source.text.push_str(&format!("horizon = {horizon}\n"));
        source.kind = buildenv::Kind::Embedded;
        targets.sources.push(source);
    }
    Ok(targets)
}

/// A repository's name and address.
fn one(repo: &str) -> Result<(String, String)> {
    let is_address = repo.contains("://") || (repo.contains(':') && !Path::new(repo).exists());
    if is_address {
        return Ok((name_of(repo), repo.to_owned()));
    }
    let path = match std::fs::canonicalize(repo) {
        Ok(path) => path,
        Err(error) => bail!(
            "{repo}: {error}. Name a git repository: a path, or an address such as https://host/project.git"
        ),
    };
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok((name_of(text), text.to_owned()))
}

/// A repo name from the last part of a path or address.
fn name_of(text: &str) -> String {
    let last = text.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(text);
    let last = last.strip_suffix(".git").unwrap_or(last);
    let name: String = last
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(56)
        .collect();
    if name.is_empty() { "repo".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_last_part() {
        for (text, name) in [
            ("https://example.com/Some/Project.git", "project"),
            ("git@example.com:team/x_y.git", "x_y"),
            ("/srv/code/.dotted/", "dotted"),
            ("/srv/ä b", "b"),
            ("/", "repo"),
        ] {
            assert_eq!(name_of(text), name, "{text}");
        }
    }

    #[test]
    fn two_repos_of_one_name_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<String> =
            ["a/x", "b/x"].iter().map(|path| dir.path().join(path).display().to_string()).collect();
        for path in &paths {
            std::fs::create_dir_all(path).unwrap();
        }
        let targets = read(&paths, None, 3).unwrap();
        let config = buildenv::load(&targets.sources, &|_| unreachable!(), None).unwrap();
        let names: Vec<_> = config.repos().iter().map(|repo| (repo.name.to_string(), repo.horizon)).collect();
        assert_eq!(names, [("x".to_owned(), 3), ("x-2".to_owned(), 3)]);
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let error = read(&["no/such/place".into()], None, 1).unwrap_err().to_string();
        assert!(error.contains("no/such/place") && error.contains("Name a git repository"), "{error}");
    }
}
