//! Projects and their refs. Source: spec/maintner.md §3.1, §5.3.

use maintner::column::NONE;
use maintner::corpus::Corpus;

/// The number of a project by its server and name, as the original takes them: of an address its host, of a server of reviews
/// that of the source.
#[must_use]
pub fn project(corpus: &Corpus, server: &str, project: &str) -> Option<u32> {
    let host = match server.split_once("://") {
        Some((_, rest)) => {
            rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty()).unwrap_or(server)
        }
        None => server,
    };
    let whole;
    let host = match host.strip_suffix("-review.googlesource.com") {
        Some(name) => {
            whole = format!("{name}.googlesource.com");
            &whole
        }
        None => host,
    };
    corpus.gerrit.project(format!("{host}/{project}").as_bytes())
}

/// The hash at which a ref of a project is, in hexadecimal; none of changes, and of what is not there.
#[must_use]
pub fn at(corpus: &Corpus, project: u32, name: &str) -> Option<String> {
    let commit = corpus.gerrit.at_ref(project, name.as_bytes())?;
    Some(hex(corpus, commit))
}

/// A commit's hash in hexadecimal.
#[must_use]
pub fn hex(corpus: &Corpus, commit: u32) -> String {
    hex::encode(corpus.gerrit.commits().get(commit).hash)
}

/// The refs of a project below a prefix, with the rest of their names and their commits, sorted by name. Names that are not
/// UTF-8, which no client could be told, are left out.
#[must_use]
pub fn below<'a>(corpus: &'a Corpus, project: u32, prefix: &str) -> Vec<(&'a str, u32)> {
    let gerrit = &corpus.gerrit;
    let of_project = gerrit.refs().iter().filter(|one| one.project == project && one.commit != NONE);
    let mut all: Vec<_> = of_project
        .filter_map(|one| {
            let name = std::str::from_utf8(gerrit.name(one.name)).ok()?;
            Some((name.strip_prefix(prefix)?, one.commit))
        })
        .collect();
    all.sort_unstable();
    all
}
