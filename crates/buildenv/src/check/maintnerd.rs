//! Checks of what is watched, and of who may read what comes of it.

use crate::address::RepoAddress;
use crate::fields::Fields;
use crate::load::Gathered;
use crate::model::{Maintnerd, Visibility};
use crate::source::Place;
use crate::tree::{Node, Table};
use crate::values::Checker;

const SECTION: &str = "maintnerd";
const ADDRESS: &str = "an address that begins with https:// or http://";
/// By which host the log names what is watched by a GitHub's API.
const GITHUB: &str = "github.com";
/// What can't be said together with `follow`.
const OF_A_LEADER: [&str; 5] = ["github", "github_hook", "gerrit", "git", "sealed_at"];

pub(super) fn maintnerd(checker: &mut Checker, all: &Gathered) {
    let Some(item) = all.find(SECTION, None, "") else { return };
    let table = &item.table;
    shapes(checker, table);
    let both: Vec<_> = ["token_file", "token_env"].iter().filter_map(|key| table.get(key)).collect();
    if let [_, second] = both[..] {
        let message = "the token has two places";
        let problem = checker.problem(second.place, &format!("{SECTION}.{}", second.key), message);
        checker.report(problem.expected("token_file or token_env"));
    }
    if table.get("follow").is_some() {
        for entry in OF_A_LEADER.iter().filter_map(|key| table.get(key)) {
            let message = format!(
                "{} is of a server that writes a log, and with follow this one writes none",
                entry.key
            );
            let problem = checker.problem(entry.place, &format!("{SECTION}.{}", entry.key), message);
            checker.report(problem.expected("follow, or what is to be watched"));
        }
    }
    let watched = watched(table);
    for (n, one) in watched.iter().enumerate() {
        if let Some(other) = watched[..n].iter().find(|other| other.is_same(one)) {
            let project = &one.project;
            let message = match other.project == *project {
                true => format!("{project} is watched twice"),
                false => format!("{project} is watched twice: it is {} too", other.project),
            };
            let problem = checker.problem(one.place, SECTION, message);
            checker.report(problem.expected("each project once"));
        }
    }
    if Maintnerd::read(Fields(table)).visibility == Visibility::Public {
        not_open(checker, all, &watched);
    }
}

/// Each text is of its kind.
fn shapes(checker: &mut Checker, table: &Table) {
    let many = |key: &str| table.get(key).map_or(&[][..], |entry| entry.node.many());
    for node in many("github") {
        shape(checker, node, "github", is_repo, "OWNER/REPO, like \"golang/go\"");
    }
    let project = "HOST/PROJECT without https://, like \"go.googlesource.com/go\"";
    for (key, node) in
        ["gerrit", "home"].into_iter().flat_map(|key| many(key).iter().map(move |node| (key, node)))
    {
        shape(checker, node, key, is_project, project);
    }
    for git in many("git").iter().filter_map(Node::table) {
        if let Some(entry) = git.get("project") {
            shape(
                checker,
                &entry.node,
                "git.project",
                is_project,
                "HOST/PATH without https://, like \"example.org/tools\"",
            );
        }
        if let Some(entry) = git.get("url") {
            let is_address = |text: &str| !text.is_empty() && !text.starts_with('-');
            shape(checker, &entry.node, "git.url", is_address, "the address of a repository");
        }
    }
    if let Some(url) = table.get("github_hook").and_then(|hook| hook.node.table()?.get("url")) {
        shape(checker, &url.node, "github_hook.url", is_url, ADDRESS);
    }
    for key in ["follow", "github_api", "reviews", "sealed_at"] {
        for node in many(key) {
            shape(checker, node, key, is_url, ADDRESS);
        }
    }
}

fn shape(checker: &mut Checker, node: &Node, key: &str, good: impl Fn(&str) -> bool, expected: &str) {
    let Some(text) = node.text().filter(|text| !good(text)) else { return };
    let problem =
        checker.problem(node.place, &format!("{SECTION}.{key}"), format!("{text:?} is of another shape"));
    checker.report(problem.expected(expected));
}

fn is_repo(text: &str) -> bool {
    let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
    let good = |part: &str| !part.trim_matches('.').is_empty() && part.len() <= 100 && !part.contains(odd);
    text.split_once('/').is_some_and(|(owner, repo)| good(owner) && good(repo))
}

/// As the log can name one.
fn is_project(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let parts = text.split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty());
    parts.is_some() && !text.contains("://") && text.len() <= 1024 && !text.contains(odd)
}

fn is_url(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

/// By what a repository is watched: each has a part of the log of its own, so one may be watched by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Issues and pull requests.
    Github,
    /// Branches, tags, commits and changes.
    Git,
}

/// Something that is watched.
struct Watched {
    by: By,
    /// `HOST/PATH`, as the log names it.
    project: String,
    /// Where it is.
    at: Vec<RepoAddress>,
    place: Place,
}

impl Watched {
    /// Whether the log would have one repository under two names, or be told of it by two.
    fn is_same(&self, other: &Self) -> bool {
        self.by == other.by && plain(&self.project) == plain(&other.project)
    }
}

/// A project by the name that is the same for all ways to write it: hosts have no case, and what is on GitHub has none either.
/// Elsewhere projects may differ by it alone.
fn plain(project: &str) -> String {
    let (host, path) = project.split_once('/').unwrap_or((project, ""));
    match host.to_ascii_lowercase() {
        host if host == GITHUB => format!("{host}/{}", path.to_ascii_lowercase()),
        host => format!("{host}/{path}"),
    }
}

fn watched(table: &Table) -> Vec<Watched> {
    let many = |key: &str| table.get(key).map_or(&[][..], |entry| entry.node.many());
    let host = host_of(Fields(table).text("github_api"));
    let github = many("github").iter().filter_map(|node| {
        let repo = node.text()?;
        let at = vec![RepoAddress::of_project(&format!("{host}/{repo}"))];
        Some(Watched { by: By::Github, project: format!("{GITHUB}/{repo}"), at, place: node.place })
    });
    let gerrit = many("gerrit").iter().filter_map(|node| {
        let project = node.text()?.to_owned();
        let at = vec![RepoAddress::of_project(&project)];
        Some(Watched { by: By::Git, project, at, place: node.place })
    });
    let git = many("git").iter().filter_map(Node::table).filter_map(|git| {
        let project = git.get("project")?;
        let place = project.node.place;
        let project = project.node.text()?.to_owned();
        let url = Fields(git).text("url").map(RepoAddress::of);
        let at = std::iter::once(RepoAddress::of_project(&project)).chain(url).collect();
        Some(Watched { by: By::Git, project, at, place })
    });
    github.chain(gerrit).chain(git).collect()
}

/// Where the repositories are that a GitHub's API tells of: `api.HOST`, or `HOST/api/v3` of one that somebody runs.
fn host_of(api: Option<&str>) -> String {
    let RepoAddress::Remote { host, .. } = RepoAddress::of(api.unwrap_or("https://api.github.com")) else {
        return GITHUB.to_owned();
    };
    host.strip_prefix("api.").map(str::to_owned).unwrap_or(host)
}

/// A repository that developers alone may see is in no log that everybody reads. Paths are compared as they are said here, and
/// again at the start, which knows the folder that they are meant from.
fn not_open(checker: &mut Checker, all: &Gathered, watched: &[Watched]) {
    let hidden: Vec<_> = all
        .section("repo")
        .filter(|(_, item)| Fields(&item.table).text("visibility") == Some("private"))
        .filter_map(|((_, name), item)| {
            Some((name.clone(), RepoAddress::of(Fields(&item.table).text("url")?)))
        })
        .collect();
    for Watched { project, at, place, .. } in watched {
        if let Some((name, _)) = hidden.iter().find(|(_, url)| at.contains(url)) {
            let message =
                format!("{project} is repo.{name}, which is private, and this log is for all readers");
            let problem = checker.problem(*place, SECTION, message);
            checker.report(problem.expected("visibility = \"private\" in [maintnerd] too"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a server file, or who reads the log.
    fn loaded(text: &str) -> Result<Visibility, String> {
        let sources = [crate::embedded("linux", "amd64"), crate::Source::server("s.toml", text)];
        let include = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let config = crate::load(&sources, &include, None).map_err(|problems| problems.to_string())?;
        Ok(config.maintnerd().visibility)
    }

    #[test]
    fn what_comes_with_a_token_is_for_developers_as_long_as_nothing_else_is_said() {
        let follow = "[maintnerd]\nfollow = \"https://example.org/logs\"\n";
        let token = "token_file = \"t\"\n";
        let of = |more: &str| loaded(&format!("{follow}{more}"));
        assert_eq!(of(""), Ok(Visibility::Public));
        assert_eq!(of(token), Ok(Visibility::Private));
        assert_eq!(of("token_env = \"T\"\n"), Ok(Visibility::Private));
        assert_eq!(of(&format!("{token}visibility = \"public\"\n")), Ok(Visibility::Public));
        assert_eq!(of("visibility = \"private\"\n"), Ok(Visibility::Private));
        let leads = format!("[maintnerd]\ngithub = \"golang/go\"\n{token}");
        assert_eq!(loaded(&leads), Ok(Visibility::Public), "GitHub's token says nothing of who may read");
    }

    #[test]
    fn a_repository_may_be_watched_for_its_issues_and_for_its_commits_and_once_for_each() {
        let of = |text: &str| loaded(&format!("[maintnerd]\n{text}"));
        let git = "git = { project = \"github.com/golang/go\" }";
        assert!(of(&format!("github = \"golang/go\"\n{git}")).is_ok());
        assert!(of("gerrit = [\"example.org/Go\", \"example.org/go\"]").is_ok());
        for (twice, other) in [
            ("github = [\"golang/go\", \"Golang/Go\"]".to_owned(), ": it is github.com/golang/go too"),
            (format!("gerrit = \"GitHub.com/golang/GO\"\n{git}"), ": it is GitHub.com/golang/GO too"),
            ("gerrit = [\"Example.org/go\", \"example.org/go\"]".to_owned(), ": it is Example.org/go too"),
        ] {
            let said = of(&twice).unwrap_err();
            assert!(said.contains(&format!("is watched twice{other}")), "{twice}: {said}");
        }
    }

    #[test]
    fn what_is_private_is_in_no_public_log_whichever_way_it_is_named() {
        let of = |url: &str, watched: &str| {
            loaded(&format!(
                "[repo.veiled]\nurl = {url:?}\nvisibility = \"private\"\n[maintnerd]\n{watched}\n"
            ))
        };
        for (url, watched) in [
            ("ssh://git@ssh.github.com:443/Example/Veiled.git", "github = \"example/veiled\""),
            (
                "https://git.example.org/o/veiled",
                "github_api = \"https://git.example.org/api/v3\"\ngithub = \"o/veiled\"",
            ),
            ("./veiled", "git = { project = \"here/x\", url = \"a/../veiled.git/\" }"),
            ("https://example.org/veiled", "gerrit = \"Example.org/veiled\""),
        ] {
            assert!(of(url, watched).unwrap_err().contains("is repo.veiled, which is private"), "{url}");
            assert_eq!(
                of(url, &format!("visibility = \"private\"\n{watched}")),
                Ok(Visibility::Private),
                "{url}"
            );
        }
        assert!(of("https://github.com/example/other", "github = \"example/veiled\"").is_ok());
    }

    #[test]
    fn a_forge_is_where_its_api_says() {
        assert_eq!(host_of(None), "github.com");
        assert_eq!(host_of(Some("https://GitHub.example.org/api/v3")), "github.example.org");
        assert_eq!(host_of(Some("https://api.octo.ghe.com")), "octo.ghe.com");
    }

    #[test]
    fn projects_have_their_case_and_hosts_have_none() {
        assert_eq!(plain("GitHub.com/Golang/Go"), "github.com/golang/go");
        assert_eq!(plain("Go.googlesource.com/Go"), "go.googlesource.com/Go");
        assert_eq!(plain("go"), "go/");
    }
}
