//! A Gerrit server, by git alone: its changes are commits and refs of each project, and so is what people said of them, in the
//! meta refs. What is polled and how is [`git`](super::git)'s; here is what only Gerrit has.
//!
//! The poller's account needs `Read` on the branches, and `View Private Changes` on `refs/*` for what is private.
//!
//! What the log can't say: that a change was deleted. Its refs are gone from the server, and it stays in the corpus as it was
//! ([`State::gone`](super::git::State::gone) counts such ones). Nor can it say when a ref moved.
//!
//! Source: spec/maintner.md §4.3, §4.4, §4.6.

pub mod comments;
pub mod names;

/// The project of an event of pubsubhelper's: that of the change's address, `https://HOST/…`, of whose host the review server's
/// name is that of the git server.
#[must_use]
pub fn project_of_event(url: &str, project: &str) -> Option<String> {
    let (_, rest) = url.split_once("//")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let host = host.replace("-review.googlesource.com", ".googlesource.com");
    (!project.is_empty()).then(|| format!("{host}/{project}"))
}

#[cfg(test)]
mod tests {
    use super::project_of_event;

    #[test]
    fn an_event_is_of_a_project() {
        assert_eq!(
            project_of_event("https://go-review.googlesource.com/c/go/+/123", "go").as_deref(),
            Some("go.googlesource.com/go")
        );
        assert_eq!(project_of_event("http://h:1/c/1", "a/b").as_deref(), Some("h:1/a/b"));
        for (url, project) in [("", "go"), ("https:///x", "go"), ("https://h/1", "")] {
            assert_eq!(project_of_event(url, project), None);
        }
    }
}
