//! Checks of what is watched, and of who may read what comes of it.

use crate::fields::Fields;
use crate::load::Gathered;
use crate::source::Place;
use crate::tree::{Node, Table};
use crate::values::Checker;

const SECTION: &str = "maintnerd";
const ADDRESS: &str = "an address that begins with https:// or http://";
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
    for (n, Watched { project, place, .. }) in watched.iter().enumerate() {
        if watched[..n].iter().any(|other| other.project == *project) {
            let problem = checker.problem(*place, SECTION, format!("{project} is watched twice"));
            checker.report(problem.expected("each project once"));
        }
    }
    if Fields(table).text("visibility") != Some("private") {
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

/// Something that is watched.
struct Watched {
    /// `HOST/PATH`, as the log names it.
    project: String,
    /// Where it is fetched from, if that is said.
    url: Option<String>,
    place: Place,
}

fn watched(table: &Table) -> Vec<Watched> {
    let many = |key: &str| table.get(key).map_or(&[][..], |entry| entry.node.many());
    let github = many("github").iter().map(|node| (node, "github.com/"));
    let named = github.chain(many("gerrit").iter().map(|node| (node, "")));
    let named = named.filter_map(|(node, host)| {
        Some(Watched { project: format!("{host}{}", node.text()?), url: None, place: node.place })
    });
    let git = many("git").iter().filter_map(Node::table).filter_map(|git| {
        let project = git.get("project")?;
        let place = project.node.place;
        Some(Watched { project: project.node.text()?.to_owned(), url: Fields(git).owned("url"), place })
    });
    named.chain(git).collect()
}

/// A repository that developers alone may see is in no log that everybody reads.
fn not_open(checker: &mut Checker, all: &Gathered, watched: &[Watched]) {
    let hidden: Vec<_> = all
        .section("repo")
        .filter(|(_, item)| Fields(&item.table).text("visibility") == Some("private"))
        .filter_map(|((_, name), item)| Some((name.clone(), address(Fields(&item.table).text("url")?))))
        .collect();
    for Watched { project, url, place } in watched {
        let at = [Some(project), url.as_ref()].map(|url| url.map(|url| address(url)));
        if let Some((name, _)) = hidden.iter().find(|(_, url)| at.iter().flatten().any(|at| at == url)) {
            let message =
                format!("{project} is repo.{name}, which is private, and this log is for all readers");
            let problem = checker.problem(*place, SECTION, message);
            checker.report(problem.expected("visibility = \"private\" in [maintnerd] too"));
        }
    }
}

/// An address without what differs between ways to the same repository.
fn address(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host_ends = rest.find('/').unwrap_or(rest.len());
    let rest = rest[..host_ends].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    // `git@HOST:PATH`, and `HOST:PORT/PATH`.
    let (host, path) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
    let path = match path.split_once('/') {
        Some((port, path))
            if !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && rest[host.len()..].starts_with(':') =>
        {
            path
        }
        _ => path,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // By which a Gerrit asks for a password.
    let path = path.strip_prefix("a/").unwrap_or(path);
    format!("{host}/{path}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_one_repository_are_the_same() {
        for url in [
            "https://GitHub.com/Golang/Go.git",
            "git@github.com:golang/go.git",
            "ssh://git@github.com:22/golang/go",
            "https://user:word@github.com/golang/go/",
            "github.com/golang/go",
        ] {
            assert_eq!(address(url), "github.com/golang/go", "{url}");
        }
        assert_eq!(address("https://go.googlesource.com/a/go"), "go.googlesource.com/go");
        assert_ne!(address("/srv/golang/go"), "github.com/golang/go");
        assert_eq!(address("ärger"), "ärger/");
    }
}
