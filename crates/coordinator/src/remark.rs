//! What is said of a commit that landed, where its author reads it: in the review in which it was tried, else on the commit on GitHub.

use buildenv::Config;
use store::Micros;
use store::try_runs::TryRunRow;

use crate::outbox::Message;
use crate::outbox::github::Post;
use crate::tryrun::asked::Review;
use crate::tryrun::{pulls, say};

/// A remark on a commit of a repository, if anybody may say one: `tried` is the last run of exactly that commit.
pub(crate) fn on_commit(
    config: &Config,
    (repo, commit): (&str, &str),
    tried: Option<&TryRunRow>,
    key: &str,
    text: &str,
    now: Micros,
) -> Option<Message> {
    let posts = config.outbox().github.is_some();
    // A run of another repository's change may be of a commit of the same name only by a mistake.
    if let Some(run) = tried.filter(|run| run.repo == repo) {
        let review = Review::parse(&run.review)?;
        let post = match pulls::repo_of(&review) {
            Some(of) if posts => Post::Comment {
                repo: of.to_owned(),
                number: review.number,
                text: text.to_owned(),
                // A first attempt is never before it was put.
                since: now.0 / 1_000_000 - 60,
            },
            _ => return say::remark(config, run, key, text),
        };
        return Some(post.message(key));
    }
    let repo = github_of(config, repo).filter(|_| posts)?;
    Some(Post::CommitComment { repo, commit: commit.to_owned(), text: text.to_owned() }.message(key))
}

/// `OWNER/REPO` of a repository that is on GitHub.
fn github_of(config: &Config, repo: &str) -> Option<String> {
    let repo = config.repo(repo)?;
    let of = |text: &str| {
        let path = text.strip_prefix(pulls::HOST)?;
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        path.parse::<github::Repo>().ok().map(|repo| repo.to_string())
    };
    let named = repo.changes.as_deref().and_then(of);
    named.or_else(|| repo.url.strip_prefix("https://").and_then(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Kind;

    fn config(posts: &str) -> Config {
        let text = format!(
            "{posts}[repo.one]\nurl = \"https://github.com/o/one.git\"\n[repo.two]\nurl = \"https://git.example.org/two\"\n"
        );
        buildenv::load(
            &[buildenv::Source::server("x", text)],
            &|_| Err(std::io::ErrorKind::NotFound.into()),
            None,
        )
        .unwrap()
    }

    fn run(review: &str) -> TryRunRow {
        TryRunRow {
            id: store::TryRunId::new(Micros(1), &mut |to| to.fill(1)),
            review: review.into(),
            repo: "one".into(),
            branch: "main".into(),
            patch_set: 1,
            commit: "ab".repeat(20),
            change_id: String::new(),
            title: String::new(),
            asked_by: String::new(),
            terms: String::new(),
            left_out: String::new(),
            rules: String::new(),
            state: "passed".into(),
            reason: None,
            settled: true,
            began: Micros(1),
            ended: None,
        }
    }

    #[test]
    fn a_commit_is_remarked_upon_where_its_author_reads_it() {
        let commit = "ab".repeat(20);
        let posts = config("[github_posts]\ntoken_file = \"x\"\n");
        let on = |config: &Config, repo: &str, tried: Option<&TryRunRow>| {
            let message = on_commit(config, (repo, &commit), tried, "k", "text", Micros(9_000_000_000))?;
            assert_eq!((message.key.as_str(), message.channel), ("k", Kind::Github));
            Some(message.target)
        };
        assert_eq!(on(&posts, "one", None), Some(format!("o/one@{commit}")));
        assert_eq!(on(&posts, "two", None), None, "it is not there");
        assert_eq!(on(&config(""), "one", None), None, "nobody may");
        assert_eq!(on(&posts, "one", Some(&run("github.com/o/one#7"))), Some("o/one#7".into()));
        assert_eq!(on(&posts, "two", Some(&run("github.com/o/one#7"))), None, "it was another repository's");
    }
}
