//! Answers by the paths of GitHub's REST API.

use std::collections::HashMap;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::world::{Gone, Issue, OTHER, OWNER, REPO, World};
use super::{GitHub, Sample, State};

/// Answers of one kind that are kept.
const SAMPLES: usize = 100;
const SECONDARY: &str =
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

pub(super) fn router(github: GitHub) -> Router {
    Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let github = github.clone();
        async move {
            let now = (github.now)();
            github.state().answer((&method, &body), &uri, &headers, now)
        }
    })
}

/// What is answered, before limits and conditions.
pub(super) struct Said {
    /// The path as the description has it.
    path: &'static str,
    status: StatusCode,
    body: Value,
    next: Option<String>,
    location: Option<String>,
}

impl Said {
    pub(super) fn one(path: &'static str, body: Value) -> Self {
        Self { path, status: StatusCode::OK, body, next: None, location: None }
    }

    /// Something that was made.
    pub(super) fn made(path: &'static str, body: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::one(path, body) }
    }

    pub(super) fn no(path: &'static str, status: StatusCode, message: &str) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.as_str()});
        Self { path, status, body, next: None, location: None }
    }
}

/// What is asked for.
pub(super) struct Asked<'a> {
    uri: &'a Uri,
    pub(super) query: HashMap<String, String>,
    page: usize,
}

impl Asked<'_> {
    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise).max(1)
    }

    /// The address of the same list with another value.
    fn with(&self, name: &str, value: &str) -> String {
        let mut query: Vec<_> = self.query.iter().filter(|(key, _)| *key != name).collect();
        query.sort();
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query).append_pair(name, value);
        format!("https://api.github.com{}?{}", self.uri.path(), text.finish())
    }

    /// A page by its number.
    pub(super) fn paged(&self, path: &'static str, all: Vec<Value>) -> Said {
        let size = self.number("per_page", 30).min(self.page);
        let page = self.number("page", 1);
        let next = (page * size < all.len()).then(|| self.with("page", &(page + 1).to_string()));
        let items: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        Said { next, ..Said::one(path, Value::Array(items)) }
    }
}

impl State {
    fn answer(
        &mut self,
        (method, body): (&Method, &Bytes),
        uri: &Uri,
        headers: &HeaderMap,
        now: i64,
    ) -> Response {
        self.counts.requests += 1;
        self.counts.lists += u64::from(uri.path().ends_with("/pulls"));
        if now >= self.window.reset {
            (self.window.used, self.window.reset) = (0, now + 3600);
        }
        if now < self.window.held_until || self.window.used >= self.options.limit {
            self.counts.disobeyed += 1;
            return self.refuse(StatusCode::FORBIDDEN, "API rate limit exceeded", Some(1), now);
        }
        let faults = self.options.faults;
        if self.percent(faults.secondary) {
            self.window.held_until = now + 7;
            return self.refuse(StatusCode::FORBIDDEN, SECONDARY, Some(7), now);
        }
        if self.percent(faults.abuse) {
            self.window.held_until = now + 60;
            let status =
                if self.random.bool() { StatusCode::FORBIDDEN } else { StatusCode::TOO_MANY_REQUESTS };
            return self.refuse(status, SECONDARY, None, now);
        }
        self.window.used += 1;
        if self.options.moved.is_some_and(|moved| self.counts.requests > moved) {
            let head = self.head(StatusCode::MOVED_PERMANENTLY, now);
            let head = head.header(header::LOCATION, "https://api.github.com/repositories/1");
            return head.body(Body::from(r#"{"message":"Moved Permanently"}"#)).unwrap_or_default();
        }
        if self.percent(faults.error) || self.is_broken(uri.path()) {
            self.counts.faults += 1;
            let status = if self.random.bool() { 500 } else { 502 };
            let status = StatusCode::from_u16(status).unwrap_or_default();
            return self.head(status, now).body(Body::from("<html>Unicorn!</html>")).unwrap_or_default();
        }
        let query: HashMap<String, String> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let asked = Asked { uri, query, page: self.options.page };
        let later = asked.query.contains_key("after") || asked.number("page", 1) > 1;
        if later && self.percent(faults.underway) {
            self.step(now);
        }
        if matches!(*method, Method::POST | Method::PATCH) {
            let request: Value = serde_json::from_slice(body).unwrap_or_default();
            let said = self.world.take(method, uri.path(), &request, now);
            self.changed(now);
            return self.send(said, (method, Some(request)), headers, now);
        }
        let stale = self.percent(faults.stale);
        let disorder = self.percent(faults.disorder);
        let past = self.past(now).filter(|_| stale);
        let late = past.is_some();
        let mut said = past.unwrap_or(&self.world).say(method, &asked, &self.deliveries);
        self.counts.stale += u64::from(late);
        if disorder
            && said.path.ends_with("/events")
            && let Value::Array(all) = &mut said.body
        {
            self.random.shuffle(all);
        }
        self.send(said, (method, None), headers, now)
    }

    fn is_broken(&self, path: &str) -> bool {
        let Some(first) = self.options.broken else { return false };
        let issue =
            path.strip_suffix("/comments").and_then(|path| path.rsplit('/').next()?.parse::<i32>().ok());
        issue.is_some_and(|number| number >= first)
    }

    /// The head that every answer has.
    fn head(&self, status: StatusCode, now: i64) -> axum::http::response::Builder {
        let date =
            jiff::Timestamp::from_second(now).unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT");
        Response::builder()
            .status(status)
            .header(header::DATE, date.to_string())
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("x-ratelimit-limit", self.options.limit)
            .header("x-ratelimit-remaining", self.options.limit.saturating_sub(self.window.used))
            .header("x-ratelimit-used", self.window.used)
            .header("x-ratelimit-reset", self.window.reset)
            .header("x-ratelimit-resource", "core")
    }

    fn refuse(&mut self, status: StatusCode, message: &str, after: Option<i64>, now: i64) -> Response {
        self.counts.refusals += 1;
        let said = Said::no("/", status, message);
        self.keep(&said, &Method::GET, None);
        let mut head = self.head(status, now);
        if let Some(seconds) = after {
            head = head.header(header::RETRY_AFTER, seconds);
        }
        head.body(Body::from(said.body.to_string())).unwrap_or_default()
    }

    fn keep(&mut self, said: &Said, method: &Method, request: Option<Value>) {
        let Some(samples) = &mut self.samples else { return };
        let kept = samples.kinds.entry((said.path, said.status.as_u16())).or_default();
        *kept += 1;
        if *kept <= SAMPLES {
            samples.kept.push(Sample {
                method: method.as_str().to_ascii_lowercase(),
                request,
                path: said.path,
                status: said.status.as_u16(),
                body: said.body.clone(),
            });
        }
    }

    fn send(
        &mut self,
        said: Said,
        (method, request): (&Method, Option<Value>),
        headers: &HeaderMap,
        now: i64,
    ) -> Response {
        self.keep(&said, method, request);
        let body = said.body.to_string();
        // Of the body alone, as GitHub's: a page that was the last one keeps it when another comes behind it.
        let digest = Sha256::digest(&body);
        let etag: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = format!("W/\"{etag}\"");
        let known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
        if known && said.status == StatusCode::OK {
            self.window.used -= 1;
            self.counts.unchanged += 1;
            let mut head = self.head(StatusCode::NOT_MODIFIED, now).header(header::ETAG, etag);
            if let Some(next) = &said.next {
                head = head.header(header::LINK, link(next));
            }
            return head.body(Body::empty()).unwrap_or_default();
        }
        let mut head = self.head(said.status, now);
        if said.status == StatusCode::OK {
            head = head.header(header::ETAG, etag);
        }
        if let Some(next) = &said.next {
            head = head.header(header::LINK, link(next));
        }
        if let Some(location) = said.location {
            head = head.header(header::LOCATION, location);
        }
        if self.percent(self.options.faults.cut) {
            self.counts.faults += 1;
            let half = body.as_bytes()[..body.len() / 2].to_vec();
            let pieces = [Ok(half), Err(std::io::Error::other("the connection broke"))];
            return head.body(Body::from_stream(futures::stream::iter(pieces))).unwrap_or_default();
        }
        head.body(Body::from(body)).unwrap_or_default()
    }
}

fn link(next: &str) -> String {
    format!("<{next}>; rel=\"next\", <https://api.github.com/repositories/1>; rel=\"first\"")
}

impl World {
    fn say(&self, method: &Method, asked: &Asked<'_>, deliveries: &[super::webhook::Delivery]) -> Said {
        let path: Vec<&str> = asked.uri.path().trim_start_matches('/').split('/').collect();
        let not_found = |path| Said::no(path, StatusCode::NOT_FOUND, "Not Found");
        if let (&Method::GET, ["orgs", OWNER, "teams", team, "members"]) = (method, path.as_slice()) {
            let path = "/orgs/{org}/teams/{team_slug}/members";
            let Some(members) = self.teams.get(*team) else { return not_found(path) };
            return asked.paged(path, members.iter().map(|id| self.user_json(*id)).collect());
        }
        let ["repos", OWNER, REPO, rest @ ..] = path.as_slice() else { return not_found("/") };
        if method != Method::GET {
            return not_found("/");
        }
        if let Some(said) = self.say_of_pulls(asked, rest) {
            return said;
        }
        match rest {
            ["issues"] => self.list(asked),
            ["labels"] => asked.paged(
                "/repos/{owner}/{repo}/labels",
                self.labels.keys().map(|id| self.label_json(*id)).collect(),
            ),
            ["milestones"] => {
                let all = self.milestones.values().map(|milestone| self.milestone_json(milestone));
                asked.paged("/repos/{owner}/{repo}/milestones", all.collect())
            }
            ["hooks"] => {
                let all = [
                    ("https://other.example.org/", 2, true),
                    (super::HOOK, 3, false),
                    (super::HOOK, 1, true),
                ];
                let all = all.map(|(url, id, active)| super::webhook::hook(url, id, active));
                asked.paged("/repos/{owner}/{repo}/hooks", all.to_vec())
            }
            ["hooks", "1", "deliveries"] => {
                let all = deliveries.iter().rev().map(super::webhook::Delivery::json);
                asked.paged("/repos/{owner}/{repo}/hooks/{hook_id}/deliveries", all.collect())
            }
            ["issues", number] => {
                let path = "/repos/{owner}/{repo}/issues/{issue_number}";
                self.of(path, number, |issue| Said::one(path, self.single_json(issue)))
            }
            ["issues", "comments", id] => {
                let path = "/repos/{owner}/{repo}/issues/comments/{comment_id}";
                let of = self.issues.values().filter(|issue| issue.gone.is_none());
                let found = of.flat_map(|issue| issue.comments.iter().map(move |one| (issue.number, one)));
                let found = found.into_iter().find(|(_, comment)| comment.id.to_string() == **id);
                match found {
                    Some((number, comment)) => Said::one(path, self.one_comment(number, comment)),
                    None => not_found(path),
                }
            }
            ["issues", number, "comments"] => {
                let path = "/repos/{owner}/{repo}/issues/{issue_number}/comments";
                let since = asked.query.get("since").and_then(|since| since.parse::<jiff::Timestamp>().ok());
                let since = since.map_or(i64::MIN, jiff::Timestamp::as_second);
                self.of(path, number, |issue| {
                    let all = issue.comments.iter().filter(|comment| comment.updated >= since);
                    asked.paged(path, all.map(|comment| self.one_comment(issue.number, comment)).collect())
                })
            }
            ["issues", number, "events"] => {
                let path = "/repos/{owner}/{repo}/issues/{issue_number}/events";
                self.of(path, number, |issue| {
                    asked.paged(path, issue.events.iter().map(|event| self.event_json(event)).collect())
                })
            }
            ["pulls", number, "reviews"] => {
                let path = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews";
                self.of(path, number, |issue| {
                    if !issue.pull {
                        return not_found(path);
                    }
                    let all = issue.reviews.iter().map(|review| self.review_json(issue.number, review));
                    asked.paged(path, all.collect())
                })
            }
            _ => not_found("/"),
        }
    }

    /// Those that changed last first, by a cursor.
    fn list(&self, asked: &Asked<'_>) -> Said {
        let wanted = asked.query.get("labels");
        let has = |issue: &Issue| {
            wanted.is_none_or(|name| issue.labels.iter().any(|label| self.labels.get(label) == Some(name)))
        };
        let mut all: Vec<&Issue> =
            self.issues.values().filter(|issue| issue.gone.is_none() && has(issue)).collect();
        all.sort_by_key(|issue| std::cmp::Reverse((issue.updated, issue.number)));
        let after = asked.query.get("after").and_then(|text| {
            let (updated, number) = text.split_once(':')?;
            Some((updated.parse::<i64>().ok()?, number.parse::<i32>().ok()?))
        });
        let size = asked.number("per_page", 30).min(asked.page);
        let rest = all.iter().filter(|issue| after.is_none_or(|after| (issue.updated, issue.number) < after));
        let items: Vec<&&Issue> = rest.take(size + 1).collect();
        let next = items.get(size - 1).filter(|_| items.len() > size);
        let next = next.map(|last| asked.with("after", &format!("{}:{}", last.updated, last.number)));
        let body = items.into_iter().take(size).map(|issue| self.issue_json(issue, REPO)).collect();
        Said { next, ..Said::one("/repos/{owner}/{repo}/issues", Value::Array(body)) }
    }

    /// Of an issue, if it is there.
    fn of(&self, path: &'static str, number: &str, then: impl FnOnce(&Issue) -> Said) -> Said {
        let Some(issue) = number.parse().ok().and_then(|number: i32| self.issues.get(&number)) else {
            return Said::no(path, StatusCode::NOT_FOUND, "Not Found");
        };
        match issue.gone {
            None => then(issue),
            Some(Gone::Hidden) => Said::no(path, StatusCode::NOT_FOUND, "Not Found"),
            Some(Gone::Deleted) => Said::no(path, StatusCode::GONE, "This issue was deleted"),
            Some(Gone::Transferred) => {
                let location = format!("https://api.github.com/repos/{OWNER}/{OTHER}/issues/{number}");
                let said = Said::no(path, StatusCode::MOVED_PERMANENTLY, "Moved Permanently");
                Said { location: Some(location), ..said }
            }
        }
    }
}
