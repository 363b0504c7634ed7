//! A change to the file by which a repository says how it is built: whether it is in order, and what is planned otherwise once it has
//! landed, for the review; and whether the builds of the change are made by it ([`crate::own_rules`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use buildenv::{Class, Config, Problem, Problems, RepoName, diff_cells, diff_keys};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use transport::{CallError, Service, segment};

use super::asked::Asked;
use super::pulls;
use crate::own_rules::LONGEST;

/// The name of a repository's own file.
const FILE: &str = "bellwether.toml";
/// The largest such file, bytes.
const LARGEST: usize = 2 << 20;
/// The most lines of one kind that are listed.
const LISTED: usize = 40;
/// The most problems that are shown.
const SHOWN: usize = 10;

/// Gives what the configuration would be if a repository's own file had this text, or were not there. Of other repositories' files it
/// knows nothing.
pub type Recompose = Arc<dyn Fn(&RepoName, Option<String>) -> Result<Config, Problems> + Send + Sync>;

/// What is to be said of a change's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// In words.
    pub text: String,
    /// Whether the file can be used as it is.
    pub good: bool,
}

/// What there is to a change's own file.
#[derive(Debug, Clone)]
pub struct Looked {
    /// What is to be said of it.
    pub remark: Remark,
    /// The rules that the change's builds are made by, where they are not those in effect.
    pub own: Option<Own>,
}

/// The rules that a change brings.
#[derive(Debug, Clone)]
pub struct Own {
    /// The file, as it is once the change has landed.
    pub text: String,
    /// What the configuration is by it. Of other repositories' files it knows nothing.
    pub config: Arc<Config>,
}

/// The file before and after a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts {
    /// As it was uploaded.
    own: Option<String>,
    /// As it is once the change has landed, as far as that is known.
    landed: Option<String>,
    /// Whether it can't land as it is.
    conflicts: bool,
    /// The repository's default branch.
    default: Option<String>,
}

#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    default_branch: Option<String>,
    refs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Parents {
    parents: Vec<String>,
}

#[derive(Deserialize)]
struct Merged {
    #[serde(default)]
    commit: Option<String>,
}

/// What there is to say, if the change is to that file.
///
/// # Errors
/// The mirror can't say now. What it does not have is no error.
pub async fn look(
    mirror: &Service,
    config: &Config,
    recompose: &Recompose,
    asked: &Asked,
    toolchain_branches: &[String],
) -> Result<Option<Looked>, CallError> {
    let Ok(repo) = asked.repo.parse::<RepoName>() else { return Ok(None) };
    let texts = match texts(mirror, asked).await {
        Ok(Some(texts)) => texts,
        Ok(None) => return Ok(None),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            tracing::warn!(review = %asked.review, %error, "{FILE} of a change can't be looked at");
            return Ok(None);
        }
    };
    Ok(Some(said(config, recompose, asked, &repo, texts, toolchain_branches)))
}

/// Both texts, where they differ by this change.
async fn texts(mirror: &Service, asked: &Asked) -> Result<Option<Texts>, CallError> {
    let repo = &asked.repo;
    let own = file(mirror, repo, &asked.commit).await?;
    let of_pull = pulls::repo_of(&asked.review).is_some();
    if !of_pull {
        // A change is what it is upon its parent; those that it is built upon have remarks of their own.
        let path = format!("/mirror/{repo}/parents?rev={}", asked.commit);
        let parent = mirror.get_json::<Parents>(&path).await?.parents.into_iter().next();
        let before = match parent {
            Some(parent) => file(mirror, repo, &parent).await?,
            None => None,
        };
        if before == own {
            return Ok(None);
        }
    }
    let refs = mirror.get_json::<Refs>(&format!("/mirror/{repo}/refs")).await?;
    let Some(head) = refs.refs.get(&format!("refs/heads/{}", asked.branch)) else { return Ok(None) };
    let before = file(mirror, repo, head).await?;
    if before == own {
        return Ok(None);
    }
    let path = format!("/mirror/{repo}/merge?onto={head}&commit={}", asked.commit);
    let merged = mirror.call_json::<(), Merged>(Method::POST, &path, None).await?.commit;
    let conflicts = merged.is_none();
    let landed = match merged {
        Some(merged) => file(mirror, repo, &merged).await?,
        // It conflicts, and has to be made anew before it lands.
        None => own.clone(),
    };
    let changed = landed != before;
    Ok(changed.then_some(Texts { own, landed, conflicts, default: refs.default_branch }))
}

async fn file(mirror: &Service, repo: &str, commit: &str) -> Result<Option<String>, CallError> {
    let path = format!("/mirror/{repo}/file?rev={commit}&path={}", segment(FILE));
    let mut request = Request::new(Body::empty());
    // Names of repositories and commits, and a name of ours: they are a path.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    match mirror.send_ok(request).await {
        Ok(response) => {
            let bytes = axum::body::to_bytes(response.into_body(), LARGEST).await;
            let bytes = bytes.map_err(|error| CallError::Malformed {
                target: path,
                message: format!("{error} (a file is at most {LARGEST} bytes long)"),
            })?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn said(
    config: &Config,
    recompose: &Recompose,
    asked: &Asked,
    repo: &RepoName,
    texts: Texts,
    toolchain_branches: &[String],
) -> Looked {
    let Texts { own, landed, conflicts, default } = texts;
    let mut text = match &own {
        Some(_) => format!("This change is to {FILE}.\n"),
        None => format!("This change takes {FILE} away.\n"),
    };
    let checked = recompose(repo, own.clone());
    if let Err(problems) = &checked {
        let count = match problems.0.len() {
            1 => "One thing is wrong in it".to_owned(),
            count => format!("{count} things are wrong in it"),
        };
        let _ = writeln!(text, "\n{count}; as it is, nothing of {repo} is built once it has landed:\n");
        text.push_str(&indented(problems.0.iter().take(SHOWN).map(problem)));
        if problems.0.len() > SHOWN {
            let _ = writeln!(text, "\nand {} more.", problems.0.len() - SHOWN);
        }
    }
    let named = default.is_some();
    let here = default.as_ref().is_none_or(|default| *default == asked.branch);
    // What else was done on the branch meanwhile is no part of the change.
    let after = if landed == own { checked } else { recompose(repo, landed.clone()) };
    let (mut brings, mut otherwise) = (None, "");
    let good = match after {
        Ok(after) if here => {
            let (plan, keys) = differences(config, &after, asked, repo, toolchain_branches);
            let same = plan.is_empty() && keys.is_empty();
            (brings, otherwise) = match landed.filter(|_| !same) {
                None => (None, ""),
                Some(_) if conflicts => (None, "It conflicts with its branch, and can't land as it is. "),
                Some(_) if !asked.subject.with.is_empty() => {
                    (None, "It is tried together with other changes. ")
                }
                Some(text) if text.len() > LONGEST => (None, "The file is too long to be followed here. "),
                Some(text) => (Some((text, after)), ""),
            };
            match same {
                true => {
                    text.push_str("\nIt is in order, and nothing is built otherwise once it has landed.\n")
                }
                false => text.push_str("\nIt is in order. Once it has landed, this is otherwise:\n"),
            }
            for (what, lines) in [("Who builds what", plan), ("What the file says", keys)] {
                if !lines.is_empty() {
                    let _ = writeln!(text, "\n{what}:\n");
                    let more = lines.len().saturating_sub(LISTED);
                    text.push_str(&indented(lines.into_iter().take(LISTED)));
                    if more > 0 {
                        let _ = writeln!(text, "\nand {more} more.");
                    }
                }
            }
            true
        }
        Ok(_) => true,
        Err(_) => false,
    };
    if let Some(default) = default {
        let _ = match here {
            true if brings.is_some() => writeln!(
                text,
                "\nThe builds of this change are made by the file as it would be on {default} once it has landed, without secrets and on \
                 hosts that take what nobody has reviewed."
            ),
            true => writeln!(
                text,
                "\n{otherwise}The builds of this change are made by the file as it is on {default}."
            ),
            false => {
                writeln!(text, "\nIt has no effect on branch {}: the file on {default} counts.", asked.branch)
            }
        };
    }
    // Without a default branch nobody can tell whose file counts.
    let own = brings.filter(|_| named).map(|(text, config)| Own { text, config: Arc::new(config) });
    Looked { remark: Remark { text, good }, own }
}

/// What is planned otherwise, and what of the repository's own is said otherwise.
fn differences(
    before: &Config,
    after: &Config,
    asked: &Asked,
    repo: &RepoName,
    toolchain_branches: &[String],
) -> (Vec<String>, Vec<String>) {
    let mut plan = Vec::new();
    for (class, what) in [(Class::Try, "before it lands"), (Class::PostSubmit, "once it has landed")] {
        let cells = buildenv::Asked {
            repos: vec![(repo.clone(), Some(asked.branch.clone()))],
            branch: None,
            toolchain_branches: toolchain_branches.to_vec(),
            class,
        };
        plan.extend(
            diff_cells(before, after, &cells)
                .iter()
                .map(|change| format!("{change} ({what} of each change)")),
        );
    }
    let own = [format!(" {repo}:"), format!(".{repo}:")];
    let of_repo = |line: &String| {
        // Behind the sign: `builder REPO:NAME`, or `builder.REPO:NAME.KEY: …`.
        let name: String = line.chars().skip(2).take_while(|c| *c != ':').chain([':']).collect();
        own.iter().any(|own| name.ends_with(own.as_str()))
    };
    (plan, diff_keys(before, after).into_iter().filter(of_repo).collect())
}

/// A problem, by the file's name in its repository.
fn problem(problem: &Problem) -> String {
    // A file of the server's is nobody's business here.
    let shown = if problem.file == FILE { problem.to_string() } else { problem.message.clone() };
    shown.trim_end().to_owned()
}

/// So that no page takes it for anything else than text.
fn indented(texts: impl Iterator<Item = String>) -> String {
    let mut all = String::new();
    for text in texts {
        for line in text.lines() {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
            let _ = writeln!(all, "    {line}");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::chosen::tests::asked;
    use super::super::subject::{How, Member};
    use super::*;

    const SERVER: &str = "[host.own]\npool = \"reverse\"\n[repo.go]\nurl = \"go\"\n";
    const BEFORE: &str =
        "[builder.a]\nhost = \"own\"\nrecipe = \"r\"\ntry = true\n[recipe.r]\nrun = \"true\"\n";

    fn recomposed(repo: &RepoName, text: Option<String>) -> Result<Config, Problems> {
        let mut sources =
            vec![buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", SERVER)];
        sources.extend(text.map(|text| buildenv::Source::project(repo.clone(), FILE, text)));
        buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
    }

    fn of(own: Option<&str>, default: &str) -> Remark {
        looked(own, default, &asked("go", "master", None)).remark
    }

    fn looked(own: Option<&str>, default: &str, asked: &Asked) -> Looked {
        let repo: RepoName = "go".parse().unwrap();
        let config = recomposed(&repo, Some(BEFORE.into())).unwrap();
        let own = own.map(str::to_owned);
        let texts = Texts { landed: own.clone(), own, conflicts: false, default: Some(default.into()) };
        let recompose: Recompose = Arc::new(recomposed);
        said(&config, &recompose, asked, &repo, texts, &[])
    }

    #[test]
    fn what_is_planned_otherwise_is_said() {
        let after = BEFORE.replace("\"true\"", "\"false\"") + "[builder.b]\nhost = \"own\"\nrecipe = \"r\"\n";
        let remark = of(Some(&after), "master");
        assert!(remark.good);
        let lines: Vec<&str> = remark.text.lines().collect();
        for line in [
            "It is in order. Once it has landed, this is otherwise:",
            "    ~ go master go:a: recipe or builder changed (before it lands of each change)",
            "    + go master go:b (once it has landed of each change)",
            "    + builder go:b",
            "The builds of this change are made by the file as it would be on master once it has landed, without secrets and on hosts \
             that take what nobody has reviewed.",
        ] {
            assert!(lines.contains(&line), "{line}\n{}", remark.text);
        }
        assert!(!remark.text.contains("host.own"), "{}", remark.text);
        let same = of(Some(&format!("# a word\n{BEFORE}")), "master");
        assert!(same.text.contains("nothing is built otherwise"), "{}", same.text);
        let none = of(None, "master");
        assert!(none.text.starts_with("This change takes bellwether.toml away.\n"), "{}", none.text);
        assert!(none.text.contains("    - builder go:a\n"), "{}", none.text);
        let other = of(Some(&after), "main");
        assert!(other.text.ends_with("It has no effect on branch master: the file on main counts.\n"));
        assert!(!other.text.contains("builder go:b"), "{}", other.text);
    }

    #[test]
    fn who_brings_rules_is_built_by_them() {
        let alone = asked("go", "master", None);
        let after = BEFORE.replace("\"true\"", "\"false\"");
        let own = looked(Some(&after), "master", &alone).own.unwrap();
        assert_eq!(own.text, after);
        let digest = |config: &Config| super::super::rules::of(config, "go", "a").unwrap();
        let landed = recomposed(&"go".parse().unwrap(), Some(BEFORE.into())).unwrap();
        assert_ne!(digest(&own.config), digest(&landed));
        // Not by those that say the same, that are of no effect, not in order, gone, or too long.
        let long = format!("{after}# {}\n", "x".repeat(LONGEST));
        let same = format!("# a word\n{BEFORE}");
        let bad = format!("{after}[builder.b]\nrecipi = \"r\"\n");
        for (text, default) in [
            (Some(&*same), "master"),
            (Some(&*after), "main"),
            (Some(&*bad), "master"),
            (None, "master"),
            (Some(&*long), "master"),
        ] {
            let found = looked(text, default, &alone);
            assert!(found.own.is_none(), "{}", found.remark.text);
            assert!(!found.remark.text.contains("as it would be"), "{}", found.remark.text);
        }
        // Nor with others.
        let mut with = alone;
        with.subject.with.push(Member {
            review: with.review.clone(),
            repo: "go".into(),
            branch: "master".into(),
            patch_set: 1,
            commit: "8".repeat(40),
            how: How::Chain,
            approved: true,
            covered: false,
        });
        let found = looked(Some(&after), "master", &with);
        let last = found.remark.text.lines().last().unwrap();
        assert_eq!(
            last,
            "It is tried together with other changes. The builds of this change are made by the file as it is on master."
        );
        assert!(found.own.is_none());
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let remark = of(Some(&format!("{BEFORE}[builder.b]\nrecipi = \"r\"\n")), "master");
        assert!(!remark.good);
        let place = "    bellwether.toml:8:1: ";
        assert!(remark.text.lines().any(|line| line.starts_with(place)), "{}", remark.text);
        assert!(remark.text.contains("nothing of go is built once it has landed"), "{}", remark.text);
    }
}
