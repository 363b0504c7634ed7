//! Events and reviews as GitHub writes them, as messages of the log. Their fields are an open set: what no field takes is kept
//! as JSON, and nothing that GitHub may write ends the program. Source: spec/maintner.md §4.1.

use jiff::Timestamp;
use maintpb as pb;
use serde_json::{Map, Value};

use super::differ::stamp;
use super::json::compact;

/// What is left of an object.
struct Rest(Map<String, Value>);

impl Rest {
    /// The fields of a value that has a number as id, but for what is null or of no use.
    fn of(value: &Value, useless: &[&str]) -> Option<(i64, Self)> {
        let mut rest = Self(value.as_object()?.clone());
        rest.0.retain(|key, value| !value.is_null() && !useless.contains(&key.as_str()));
        let id = rest.number("id").filter(|id| *id != 0)?;
        Some((id, rest))
    }

    /// Takes a field if something can be made of its value; leaves it otherwise.
    fn take<T>(&mut self, key: &str, of: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let taken = of(self.0.get(key)?)?;
        self.0.remove(key);
        Some(taken)
    }

    fn number(&mut self, key: &str) -> Option<i64> {
        self.take(key, Value::as_i64)
    }

    fn text(&mut self, key: &str) -> String {
        self.take(key, |value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn time(&mut self, key: &str) -> Option<pb::Timestamp> {
        self.take(key, |value| value.as_str()?.parse::<Timestamp>().ok()).map(stamp)
    }

    /// The id of an object with one.
    fn id_of(&mut self, key: &str) -> i64 {
        self.take(key, |value| value.as_object()?.get("id")?.as_i64()).unwrap_or_default()
    }

    /// A text of an object.
    fn text_of(&mut self, key: &str, field: &str) -> Option<String> {
        self.take(key, |value| Some(text_in(value.as_object()?, field)))
    }

    /// The rest as JSON, nothing if there is none.
    fn json(self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut text = String::new();
        compact(&Value::Object(self.0), &mut text);
        text.into_bytes()
    }
}

fn text_in(object: &Map<String, Value>, field: &str) -> String {
    object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An event; `None` for what is no object or has no id.
#[must_use]
pub fn event(value: &Value) -> Option<pb::GithubIssueEvent> {
    let (id, mut rest) = Rest::of(value, &["url", "node_id", "lock_reason"])?;
    let commit_id = rest.text("commit_id");
    let commit_url = rest.text("commit_url");
    let rename = rest.take("rename", |value| {
        let object = value.as_object()?;
        Some((text_in(object, "from"), text_in(object, "to")))
    });
    let (rename_from, rename_to) = rename.unwrap_or_default();
    let dismissed_review = rest.take("dismissed_review", |value| {
        let object = value.as_object()?;
        Some(pb::GithubDismissedReviewEvent {
            review_id: object.get("review_id").and_then(Value::as_i64).unwrap_or_default(),
            dismissal_message: text_in(object, "dismissal_message"),
            state: text_in(object, "state"),
        })
    });
    let team_reviewer = rest.take("requested_team", |value| {
        let object = value.as_object()?;
        Some(pb::GithubTeam { id: object.get("id")?.as_i64()?, slug: text_in(object, "slug") })
    });
    Some(pb::GithubIssueEvent {
        id,
        event_type: rest.text("event"),
        actor_id: rest.id_of("actor"),
        created: rest.time("created_at"),
        label: rest.text_of("label", "name").map(|name| pb::GithubLabel { id: 0, name }),
        milestone: rest
            .text_of("milestone", "title")
            .map(|title| pb::GithubMilestone { title, ..pb::GithubMilestone::default() }),
        assignee_id: rest.id_of("assignee"),
        assigner_id: rest.id_of("assigner"),
        commit: (!commit_id.is_empty()).then(|| commit(commit_id, &commit_url)),
        rename_from,
        rename_to,
        reviewer_id: rest.id_of("requested_reviewer"),
        review_requester_id: rest.id_of("review_requester"),
        dismissed_review,
        team_reviewer,
        other_json: rest.json(),
    })
}

/// A commit with its repo, where the URL is one of GitHub's API.
fn commit(commit_id: String, url: &str) -> pb::GithubCommit {
    let parts = url.strip_prefix("https://api.github.com/repos/").and_then(|rest| {
        let (owner, rest) = rest.split_once('/')?;
        let (repo, rest) = rest.split_once('/')?;
        (!owner.is_empty() && !repo.is_empty() && rest.starts_with("commits/")).then_some((owner, repo))
    });
    let (owner, repo) = parts.unwrap_or_default();
    pb::GithubCommit { owner: owner.to_owned(), repo: repo.to_owned(), commit_id }
}

/// A review; `None` for what is no object or has no id.
#[must_use]
pub fn review(value: &Value) -> Option<pb::GithubReview> {
    let useless = ["node_id", "html_url", "pull_request_url", "_links"];
    let (id, mut rest) = Rest::of(value, &useless)?;
    Some(pb::GithubReview {
        id,
        actor_id: rest.id_of("user"),
        created: rest.time("submitted_at"),
        body: rest.text("body"),
        state: rest.text("state"),
        commit_id: rest.text("commit_id"),
        actor_association: rest.text("author_association"),
        other_json: rest.json(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_field_of_an_event_has_its_place() {
        let actor = json!({"id": 2621, "login": "bradfitz", "site_admin": false});
        let value = json!({
            "id": 998_144_526, "node_id": "x", "url": "https://x", "event": "labeled", "actor": actor, "created_at":
            "2017-03-13T22:39:28Z", "label": {"name": "enhancement", "color": "84b6eb"}, "lock_reason": "spam",
            "commit_id": "abc", "commit_url": "https://api.github.com/repos/golang/go/commits/abc", "performed_via_github_app": null,
            "milestone": {"title": "Go1.9"}, "rename": {"from": "a", "to": "b"}, "assignee": {"id": 5}, "assigner": {"id": 6},
            "requested_reviewer": {"id": 7}, "review_requester": {"id": 8}, "requested_team": {"id": 9, "slug": "team"},
            "dismissed_review": {"review_id": 10, "state": "approved", "dismissal_message": "no", "dismissal_commit_id": "x"},
        });
        let event = event(&value).unwrap();
        let expected = pb::GithubIssueEvent {
            id: 998_144_526,
            event_type: "labeled".into(),
            actor_id: 2621,
            created: Some(pb::Timestamp { seconds: 1_489_444_768, nanos: 0 }),
            label: Some(pb::GithubLabel { id: 0, name: "enhancement".into() }),
            milestone: Some(pb::GithubMilestone { title: "Go1.9".into(), ..pb::GithubMilestone::default() }),
            assignee_id: 5,
            assigner_id: 6,
            commit: Some(pb::GithubCommit {
                owner: "golang".into(),
                repo: "go".into(),
                commit_id: "abc".into(),
            }),
            other_json: Vec::new(),
            rename_from: "a".into(),
            rename_to: "b".into(),
            reviewer_id: 7,
            review_requester_id: 8,
            dismissed_review: Some(pb::GithubDismissedReviewEvent {
                review_id: 10,
                dismissal_message: "no".into(),
                state: "approved".into(),
            }),
            team_reviewer: Some(pb::GithubTeam { id: 9, slug: "team".into() }),
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn what_has_no_field_is_kept_in_order() {
        let value = json!({
            "id": 1, "event": "new", "zeta": {"b": 1, "a": "<"}, "actor": "no object", "dismissed_review": [1], "created_at": 7,
            "label": null, "assignee": {"login": "x"}, "commit_url": "https://elsewhere/repos/a/b/commits/c", "commit_id": "c",
        });
        let event = event(&value).unwrap();
        assert_eq!(
            String::from_utf8(event.other_json).unwrap(),
            r#"{"actor":"no object","assignee":{"login":"x"},"created_at":7,"dismissed_review":[1],"zeta":{"a":"\u003c","b":1}}"#
        );
        assert_eq!(
            event.commit.unwrap(),
            pb::GithubCommit { commit_id: "c".into(), ..pb::GithubCommit::default() }
        );
        assert!(event.label.is_none() && event.created.is_none());
    }

    #[test]
    fn a_review_keeps_what_it_says() {
        let value = json!({
            "id": 80, "node_id": "x", "user": {"id": 1, "login": "octocat"}, "body": "", "state": "APPROVED", "html_url": "h",
            "pull_request_url": "p", "author_association": "MEMBER", "_links": {}, "submitted_at": "2019-11-17T17:43:43Z",
            "commit_id": "ecdd", "body_html": "<b>",
        });
        let review = review(&value).unwrap();
        let expected = pb::GithubReview {
            id: 80,
            actor_id: 1,
            created: Some(pb::Timestamp { seconds: 1_574_012_623, nanos: 0 }),
            body: String::new(),
            state: "APPROVED".into(),
            commit_id: "ecdd".into(),
            actor_association: "MEMBER".into(),
            other_json: br#"{"body_html":"\u003cb\u003e"}"#.to_vec(),
        };
        assert_eq!(review, expected);
    }

    #[test]
    fn what_has_no_id_is_nothing() {
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!({"id": "7"}),
            json!({"id": 0}),
            json!({"id": 1.5}),
            json!(3),
        ] {
            assert!(event(&value).is_none() && review(&value).is_none(), "{value}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z0-9:TZ-]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let key = prop::sample::select(vec![
                "id",
                "login",
                "name",
                "title",
                "from",
                "to",
                "review_id",
                "state",
                "slug",
                "odd",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..5).prop_map(|all| Value::Object(
                    all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                )),
            ]
        })
    }

    const KEYS: [&str; 20] = [
        "actor",
        "assignee",
        "assigner",
        "label",
        "milestone",
        "rename",
        "created_at",
        "requested_reviewer",
        "review_requester",
        "requested_team",
        "dismissed_review",
        "commit_id",
        "commit_url",
        "event",
        "user",
        "body",
        "state",
        "submitted_at",
        "author_association",
        "odd",
    ];

    /// More where `PROPTEST_CASES` says so.
    fn cases() -> ProptestConfig {
        let said = ProptestConfig::default();
        let cases = if std::env::var_os("PROPTEST_CASES").is_some() { said.cases.max(200) } else { 200 };
        ProptestConfig { cases, ..said }
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn any_shape_is_read(fields in prop::collection::vec((prop::sample::select(&KEYS[..]), any_json()), 0..8), id in 1..i64::MAX) {
            let mut object: Map<String, Value> = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            object.insert("id".into(), id.into());
            let value = Value::Object(object);
            let (event, review) = (event(&value).unwrap(), review(&value).unwrap());
            prop_assert_eq!((event.id, review.id), (id, id));
            for rest in [event.other_json, review.other_json] {
                if !rest.is_empty() {
                    let rest: Value = serde_json::from_slice(&rest).unwrap();
                    for (key, kept) in rest.as_object().unwrap() {
                        prop_assert_eq!(kept, &value[key]);
                    }
                }
            }
        }
    }
}
