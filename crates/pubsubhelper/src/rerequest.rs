//! Somebody pressed the button of a check on GitHub: whoever made the check is to do it again. GitHub tells only of people who may write
//! to the repository.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Deserialize;

/// The longest text that is taken from such a webhook, bytes.
const LONGEST: usize = 200;

/// What is to be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerequest {
    /// `OWNER/REPO`.
    pub repo: String,
    /// The commit whose check it is.
    pub commit: String,
    /// What the check's maker knows it by; all of the commit's are meant where there is none.
    pub external_id: Option<String>,
    /// Who pressed it.
    pub by: String,
    /// The same for a webhook that is delivered again.
    pub delivery: String,
}

/// Whether it is sure to be done, once that is known.
pub type Taken = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Who is told. It returns whether that is sure to be done: GitHub lists the delivery as failed otherwise.
#[derive(Clone)]
pub struct Rerequests(pub Arc<dyn Fn(Rerequest) -> Taken + Send + Sync>);

impl fmt::Debug for Rerequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rerequests")
    }
}

#[derive(Deserialize)]
struct Payload {
    action: String,
    repository: Repository,
    sender: Sender,
    check_run: Option<Checked>,
    check_suite: Option<Checked>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Sender {
    login: String,
}

#[derive(Deserialize)]
struct Checked {
    head_sha: String,
    #[serde(default)]
    external_id: Option<String>,
}

/// Reads a payload, if it is one of these.
pub(crate) fn read(body: &[u8], delivery: String) -> Option<Rerequest> {
    let Payload { action, repository, sender, check_run, check_suite } = serde_json::from_slice(body).ok()?;
    let checked = check_run.or(check_suite).filter(|_| action == "rerequested")?;
    let external_id = checked.external_id.filter(|id| !id.is_empty());
    let texts = [&repository.full_name, &checked.head_sha, &sender.login];
    let fits = |text: &String| text.len() <= LONGEST && !text.contains(char::is_control);
    if !texts.into_iter().chain(&external_id).all(fits) {
        return None;
    }
    let (repo, commit, by) = (repository.full_name, checked.head_sha, sender.login);
    Some(Rerequest { repo, commit, external_id, by, delivery })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_button_that_was_pressed_is_one() {
        let body = |action: &str, key: &str, login: &str| {
            format!(
                r#"{{"action":"{action}","repository":{{"full_name":"a/b"}},"sender":{{"login":"{login}"}},
                "{key}":{{"head_sha":"ab","external_id":"7"}}}}"#
            )
        };
        let one = read(body("rerequested", "check_run", "ann").as_bytes(), "d".into()).unwrap();
        assert_eq!(
            (&*one.repo, &*one.commit, one.external_id.as_deref(), &*one.by),
            ("a/b", "ab", Some("7"), "ann")
        );
        assert!(read(body("rerequested", "check_suite", "ann").as_bytes(), String::new()).is_some());
        for other in [
            body("created", "check_run", "ann"),
            body("rerequested", "issue", "ann"),
            body("rerequested", "check_run", &"a".repeat(300)),
            "{".into(),
        ] {
            assert_eq!(read(other.as_bytes(), String::new()), None, "{other}");
        }
    }
}
