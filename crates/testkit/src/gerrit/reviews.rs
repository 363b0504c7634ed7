//! A Gerrit that keeps reviews and nothing else, in this process: what a client that posts is answered. Its answers are those that
//! the real one gave to the same requests (crates/gerrit/tests/it/scenario.rs runs against both).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

/// The largest review that is read, bytes.
const LARGEST: usize = 1 << 20;

/// What goes wrong with one request that posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status is answered, and nothing is done.
    Status(u16),
    /// Nothing is done, and nothing is answered.
    Hang,
    /// It is done, and nothing is answered.
    AnswerLost,
    /// It is done, and this status is answered.
    DoneBut(u16),
}

/// A change that takes reviews.
#[derive(Debug, Clone, Default)]
pub struct Reviewed {
    /// The commit of its one patch set.
    pub commit: String,
    /// `NEW`, `MERGED` or `ABANDONED`.
    pub status: String,
    /// Messages as Gerrit shows them.
    pub messages: Vec<Value>,
    /// Comments as Gerrit shows them; all are on the patch set as a whole or on a file.
    pub comments: Vec<Value>,
    /// Votes by label and account.
    pub votes: BTreeMap<String, BTreeMap<i64, i64>>,
}

#[derive(Debug, Default)]
struct State {
    /// Name, password, labels on which they may vote; the id is the place, from 1000000.
    accounts: Vec<(String, String, Vec<String>)>,
    labels: Vec<String>,
    changes: BTreeMap<String, Reviewed>,
    faults: Vec<Fault>,
    posts: usize,
    reads: usize,
    last_id: u64,
}

/// The server. Copies are the same one.
#[derive(Debug, Clone, Default)]
pub struct Reviews(Arc<Mutex<State>>);

struct No(StatusCode, String);

impl Reviews {
    /// A server whose projects have these labels, of -1 to +1.
    #[must_use]
    pub fn new(labels: &[&str]) -> Self {
        let reviews = Self::default();
        reviews.state().labels = labels.iter().map(|&label| label.to_owned()).collect();
        reviews
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an account that may vote on these labels.
    pub fn account(&self, name: &str, password: &str, labels: &[&str]) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.state().accounts.push((name.to_owned(), password.to_owned(), labels));
    }

    /// Makes a change, as `PROJECT~NUMBER`.
    pub fn change(&self, name: &str, commit: &str) {
        let change = Reviewed { commit: commit.to_owned(), status: "NEW".into(), ..Reviewed::default() };
        self.state().changes.insert(name.to_owned(), change);
    }

    /// Says how a change stands.
    pub fn set_status(&self, name: &str, status: &str) {
        if let Some(change) = self.state().changes.get_mut(name) {
            change.status = status.to_owned();
        }
    }

    /// Lets this go wrong with the next requests that post, in order.
    pub fn fail(&self, faults: &[Fault]) {
        self.state().faults.extend(faults);
    }

    /// A change as it stands.
    #[must_use]
    pub fn get(&self, name: &str) -> Reviewed {
        self.state().changes.get(name).cloned().unwrap_or_default()
    }

    /// How many requests posted, and how many read.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.posts, state.reads)
    }

    /// The server's router.
    pub fn router(&self) -> Router {
        let reviews = self.clone();
        Router::new().fallback(move |request: Request| {
            let reviews = reviews.clone();
            async move { reviews.serve(request).await }
        })
    }

    async fn serve(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let posts = head.method == Method::POST;
        let fault = {
            let mut state = self.state();
            if posts {
                state.posts += 1;
            } else {
                state.reads += 1;
            }
            if posts && !state.faults.is_empty() { Some(state.faults.remove(0)) } else { None }
        };
        match fault {
            Some(Fault::Status(status)) => return answer(status, "trouble".into()),
            Some(Fault::Hang) => return std::future::pending().await,
            _ => {}
        }
        let body = to_bytes(body, LARGEST).await.unwrap_or_default();
        let said = self.state().answer(&head.method, head.uri.path(), &head.headers, &body);
        match fault {
            Some(Fault::AnswerLost) => return std::future::pending().await,
            Some(Fault::DoneBut(status)) => return answer(status, "trouble".into()),
            _ => {}
        }
        match said {
            Ok(json) => answer(200, format!(")]}}'\n{json}\n")),
            Err(No(status, words)) => answer(status.as_u16(), words),
        }
    }
}

fn answer(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn no<T>(status: StatusCode, words: impl Into<String>) -> Result<T, No> {
    Err(No(status, words.into()))
}

impl State {
    fn who(&self, headers: &HeaderMap) -> Option<usize> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(BASE64.decode(value).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        self.accounts.iter().position(|(known, of, _)| known == name && of == password)
    }

    fn answer(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, No> {
        let Some(who) = self.who(headers) else { return no(StatusCode::UNAUTHORIZED, "Unauthorized") };
        let account = json!({ "_account_id": 1_000_000 + who, "name": self.accounts[who].0, "username": self.accounts[who].0 });
        let pieces: Vec<&str> = path.trim_start_matches("/a/").split('/').collect();
        let get = *method == Method::GET;
        match pieces[..] {
            ["accounts", "self"] if get => Ok(account),
            ["changes", change, "detail"] if get => {
                let name = decoded(change);
                let Some(found) = self.changes.get(&name) else { return unknown(&name) };
                Ok(self.detail(&name, found))
            }
            ["changes", change, "comments"] if get => {
                let name = decoded(change);
                let Some(found) = self.changes.get(&name) else { return unknown(&name) };
                let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
                for comment in &found.comments {
                    let mut shown = comment.clone();
                    let path = shown["path"].as_str().unwrap_or_default().to_owned();
                    if let Some(fields) = shown.as_object_mut() {
                        fields.remove("path");
                    }
                    files.entry(path).or_default().push(shown);
                }
                Ok(json!(files))
            }
            ["changes", change, "revisions", commit, "review"] if !get => {
                self.review(who, &account, &decoded(change), commit, body)
            }
            _ => no(StatusCode::NOT_FOUND, "Not found"),
        }
    }

    fn detail(&self, name: &str, change: &Reviewed) -> Value {
        let labels: serde_json::Map<String, Value> = self
            .labels
            .iter()
            .map(|label| {
                let votes = change.votes.get(label).into_iter().flatten();
                let all: Vec<Value> =
                    votes.map(|(who, value)| json!({ "_account_id": who, "value": value })).collect();
                (label.clone(), json!({ "all": all, "values": { "-1": "", " 0": "", "+1": "" } }))
            })
            .collect();
        let (project, number) = name.split_once('~').unwrap_or((name, "0"));
        json!({
            "_number": number.parse::<u64>().unwrap_or(0), "project": project, "branch": "main", "status": change.status,
            "subject": "a change", "current_revision": change.commit, "labels": labels, "messages": change.messages,
        })
    }

    fn review(
        &mut self,
        who: usize,
        account: &Value,
        name: &str,
        commit: &str,
        body: &[u8],
    ) -> Result<Value, No> {
        let Ok(input) = serde_json::from_slice::<Value>(body) else {
            return no(StatusCode::BAD_REQUEST, "Expected JSON");
        };
        let mut asked = input["labels"].as_object().cloned().unwrap_or_default();
        let Some(change) = self.changes.get_mut(name) else { return unknown(name) };
        if change.commit != commit {
            return no(StatusCode::NOT_FOUND, format!("Not found: {commit}"));
        }
        // As the real one does where it is not told to be strict.
        asked.retain(|label, _| self.labels.contains(label));
        if change.status != "NEW" && !asked.is_empty() {
            return no(StatusCode::CONFLICT, "change is closed");
        }
        for (label, value) in &asked {
            if !self.accounts[who].2.contains(label) {
                return no(
                    StatusCode::FORBIDDEN,
                    format!("Applying label \"{label}\": {value} is restricted"),
                );
            }
        }
        self.last_id += 1;
        let now = format!("2026-01-02 03:04:{:02}.{:09}", self.last_id / 1000 % 60, self.last_id % 1000);
        let mut added = Vec::new();
        for (path, comments) in input["comments"].as_object().into_iter().flatten() {
            for comment in comments.as_array().into_iter().flatten() {
                let same = |known: &Value| {
                    known["path"] == **path
                        && known["line"] == comment["line"]
                        && known["message"] == comment["message"]
                };
                if input["omit_duplicate_comments"] == true && change.comments.iter().any(same) {
                    continue;
                }
                self.last_id += 1;
                let mut shown = json!({
                    "id": format!("{:08x}_{:08x}", self.last_id, 0xfeed), "path": path, "patch_set": 1,
                    "commit_id": commit, "author": account, "message": comment["message"], "updated": now,
                    "unresolved": comment["unresolved"] == true,
                });
                for field in ["in_reply_to", "line"] {
                    if !comment[field].is_null() {
                        shown[field] = comment[field].clone();
                    }
                }
                if let Some(tag) = input["tag"].as_str() {
                    shown["tag"] = tag.into();
                }
                added.push(shown);
            }
        }
        let id = account["_account_id"].as_i64().unwrap_or(0);
        let mut words = String::new();
        for (label, value) in &asked {
            let value = value.as_i64().unwrap_or(0);
            let before = change.votes.entry(label.clone()).or_default().insert(id, value);
            if before != Some(value) {
                words.push_str(&format!(" {label}{value:+}"));
            }
        }
        let mut parts = Vec::new();
        match added.len() {
            0 => {}
            1 => parts.push("(1 comment)".to_owned()),
            more => parts.push(format!("({more} comments)")),
        }
        if let Some(text) = input["message"].as_str() {
            parts.push(text.to_owned());
        }
        change.comments.extend(added);
        if !words.is_empty() || !parts.is_empty() {
            let head =
                if words.is_empty() { "Patch Set 1:".to_owned() } else { format!("Patch Set 1:{words}") };
            parts.insert(0, head);
            let mut message = json!({
                "id": format!("{:040x}", self.last_id), "author": account, "date": now, "message": parts.join("\n\n"),
                "_revision_number": 1,
            });
            if let Some(tag) = input["tag"].as_str() {
                message["tag"] = tag.into();
            }
            change.messages.push(message);
        }
        Ok(if asked.is_empty() { json!({}) } else { json!({ "labels": asked }) })
    }
}

fn unknown<T>(name: &str) -> Result<T, No> {
    no(StatusCode::NOT_FOUND, format!("Not found: {name}"))
}

/// Takes `%XX` back.
fn decoded(piece: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = piece.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
