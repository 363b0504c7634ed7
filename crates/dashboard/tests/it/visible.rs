//! What is private does not exist for a stranger: in no list, by no id, in the same words as what never was.

use std::sync::Arc;

use axum::body::Body;
use dashboard::api::{BuildList, BuildReport, Outcome, RepoState, RepoUpdate, TestResult, Visibility};
use dashboard::client::DashboardClient;
use http::Request;
use store::{BuildId, Micros};
use transport::{Role, Service, Viewer};

use crate::fixture::{CONFIG, Fixture, attempt_id, build_id, config, done, hash, line, report, revision};

/// A word that is in everything private.
const SECRET: &str = "hidden-words";

/// `lib` is private, `sub` is built against it, `one` is public.
async fn world(on: &Fixture) {
    let text = CONFIG.replace("[repo.lib]\n", "[repo.lib]\nvisibility = \"private\"\n");
    on.config.send_replace(Arc::new(config(&text)));
    on.push("one", "main", &[2, 1]).await;
    on.push("sub", "main", &[5, 4]).await;
    let state = RepoUpdate {
        state: RepoState::Blocked,
        reason: Some(SECRET.into()),
        default_branch: Some("main".into()),
        head: None,
        visibility: Some(Visibility::Private),
    };
    on.client.put_repo("lib", &state).await.unwrap();
    let mut branch = line("main", &[8, 7]);
    branch.commits.iter_mut().for_each(|commit| commit.message = SECRET.into());
    on.client.put_branch("lib", "main", &branch).await.unwrap();
    for (n, of) in [(1, "one@2"), (2, "lib@8"), (3, "sub@5+lib@8")] {
        let log = format!("test x ... FAILED\n{}\n", if n == 1 { "public words" } else { SECRET });
        on.log(&attempt_id(n), &build_id(n), &[log.as_bytes()]).await;
        on.client.log_finish(&attempt_id(n), 1).await.unwrap();
        let failed = done(report(n, "a", &revision(of)), Outcome::Failed, 5);
        on.client.put_build(&failed).await.unwrap();
        let test = TestResult { id: SECRET.into(), outcome: "failed".into(), ..TestResult::default() };
        on.client.put_tests(&attempt_id(n), 1, vec![test]).await.unwrap();
    }
}

fn asking(on: &Fixture, viewer: Viewer) -> Service {
    on.service.clone().asking_as(viewer)
}

async fn ask(service: &Service, path: &str) -> (u16, String) {
    let answer = service.send(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The id of a request is of each request.
    let text = match text.split_once("\"request_id\":\"") {
        Some((before, after)) => format!("{before}{}", after.get(26..).unwrap_or_default()),
        None => text,
    };
    (status, text)
}

const NO_SIGNATURE: &str = "0123456789abcdef";

/// The signature of a build that failed.
async fn signature(on: &Fixture, n: u8) -> String {
    let build = on.client.build(&build_id(n)).await.unwrap();
    build.failure.and_then(|failure| failure.signature).unwrap()
}

/// Paths of all reading routes, with these in place of their parameters.
fn paths(
    on: &Fixture,
    repo: &str,
    commit: &str,
    (build, attempt): (&str, &str),
    signature: &str,
) -> Vec<String> {
    let table = dashboard::routes(&on.dashboard()).table();
    let reading = table.iter().filter(|entry| {
        // What never ends is looked at by itself.
        matches!(entry.method, "GET" | "*") && entry.role == Role::Reader && !entry.path.ends_with("/events")
    });
    let mut paths: Vec<String> = reading
        .map(|entry| {
            let path = entry.path.replace("{id}", build).replace("{attempt}", attempt);
            let path = path.replace("{signature}", signature).replace("{*key}", build);
            let path = path.replace("{repo}", repo).replace("{hash}", commit);
            let path = path.replace("{branch}", "main").replace("{name}", "a");
            let path = path.replace("{rev}", &commit[..8]).replace("{file}", "a_00000000.log");
            assert!(!path.contains('{'), "{path}: say what is to be asked for");
            if path.ends_with("/search") { format!("{path}?q=words") } else { path }
        })
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in ["/grid", "/grid.json", "/api/v1/cells", "/"] {
        paths.push(format!("{path}?repo={repo}"));
        paths.push(format!("{path}?repo={repo}&branch=main"));
    }
    paths.push(format!("/api/v1/builds?repo={repo}"));
    paths.push(format!("/api/v1/builds?repo={repo}&commit={commit}"));
    paths.push(format!("/api/v1/expected?builder=a&repo={repo}"));
    paths.push(format!("/builds/{build}.json"));
    paths.push(format!("/commits/{repo}/{commit}.json"));
    paths.push("/builders/a.json".into());
    paths.push(format!("/failures/{signature}.json"));
    paths.push(format!("/grid?on={repo}%20main"));
    paths.push(format!("/builds/{build}/log?attempt={attempt}"));
    for path in ["/builds", "/builds.json", "/failures", "/failures.json", "/statistics", "/statistics.json"]
    {
        paths.push(format!("{path}?repo={repo}"));
    }
    for path in
        ["/statistics/days", "/statistics/days.json", "/statistics/machines", "/statistics/machines.json"]
    {
        paths.push(format!("{path}?repo={repo}"));
    }
    for path in ["/tests", "/tests.json"] {
        paths.push(format!("{path}?repo={repo}&id={SECRET}"));
        paths.push(format!("{path}?repo={repo}&id={SECRET}&builder=a"));
    }
    for query in ["mode=json", "mode=failures", "mode=json&repo=lib&branch=main"] {
        paths.push(format!("/dash/?{query}"));
    }
    paths
}

pub(crate) async fn a_stranger_finds_nothing_of_a_private_repo_by_any_route(on: Fixture) {
    world(&on).await;
    let viewers = [
        Viewer::stranger(true),
        Viewer::known("ada", Role::Reader),
        Viewer::known("m1", Role::Builder),
        Viewer::known("eve", Role::Developer).scoped(vec!["one".into()]),
    ];
    for viewer in viewers {
        let service = asking(&on, viewer.clone());
        for n in [2, 3] {
            let ids = (build_id(n), attempt_id(n));
            let never = (build_id(9), attempt_id(9));
            let signature = signature(&on, n).await;
            let hidden = paths(&on, "lib", &hash(8), (&ids.0, &ids.1), &signature);
            let unknown = paths(&on, "nil", &hash(9), (&never.0, &never.1), NO_SIGNATURE);
            for (hidden, unknown) in hidden.iter().zip(&unknown) {
                if unknown.contains("expected") && !unknown.contains('?') {
                    continue;
                }
                let (status, text) = ask(&service, hidden).await;
                let (wanted, words) = ask(&service, unknown).await;
                let words = words.replace("nil", "lib").replace(&never.0, &ids.0).replace(&never.1, &ids.1);
                let words = words.replace(&hash(9), &hash(8)).replace(NO_SIGNATURE, &signature);
                assert_eq!((status, &text), (wanted, &words), "{hidden} as {viewer:?}");
                // A form says again what was asked for.
                let asked = |part: &str| hidden.contains(part);
                assert!(asked(SECRET) || !text.contains(SECRET), "{hidden} as {viewer:?}: {text}");
                if !text.starts_with("{\"code\"") && !text.contains("That is not here") {
                    for part in ["lib", &ids.0, &ids.1, &hash(8)] {
                        assert!(
                            asked(part) || !text.contains(part),
                            "{part} by {hidden} as {viewer:?}: {text}"
                        );
                    }
                }
            }
        }
    }
}

pub(crate) async fn what_is_public_stays_and_developers_see_all(on: Fixture) {
    world(&on).await;
    let stranger = asking(&on, Viewer::stranger(true));
    for path in ["/", "/builds", "/builds/log", "/attempts"] {
        let path = match path {
            "/builds" => format!("/builds/{}", build_id(1)),
            "/builds/log" => format!("/api/v1/builds/{}/log", build_id(1)),
            "/attempts" => format!("/api/v1/attempts/{}/log", attempt_id(1)),
            path => path.to_owned(),
        };
        assert_eq!(ask(&stranger, &path).await.0, 200, "{path}");
    }
    // Pages are full, and their cursors lead on over what is not seen.
    let client = DashboardClient::new(stranger);
    let query = dashboard::api::BuildQuery { limit: Some(1), ..Default::default() };
    let list: BuildList = client.builds(&query).await.unwrap();
    assert_eq!(list.builds.iter().map(|build| &build.id).collect::<Vec<_>>(), [&build_id(1)]);
    assert_eq!(list.next_cursor, None);
    for viewer in [
        Viewer::known("ada", Role::Developer),
        Viewer::known("root", Role::Admin),
        Viewer::known("m1", Role::Builder).scoped(vec!["lib".into()]),
    ] {
        let service = asking(&on, viewer.clone());
        let signature = signature(&on, 2).await;
        for path in paths(&on, "lib", &hash(8), (&build_id(2), &attempt_id(2)), &signature) {
            // What is there for nobody, or only with a question.
            let never = path.contains("artifacts/") || path.starts_with("/dash") || path.starts_with("/try");
            let bare = ["/tests", "/tests.json"].contains(&path.as_str());
            if never || bare || (path.contains("expected") && !path.contains('?')) {
                continue;
            }
            assert_eq!(ask(&service, &path).await.0, 200, "{path} as {viewer:?}");
        }
    }
}

async fn json(service: &Service, path: &str) -> serde_json::Value {
    let (status, text) = ask(service, path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Posts a build of now that failed, because only the last days count.
async fn failed_now(on: &Fixture, n: u8, of: &str, log: &str) -> String {
    let id = BuildId::generate(Micros::now()).to_string();
    on.log(&attempt_id(n), &id, &[format!("test x ... FAILED\n{log}\n").as_bytes()]).await;
    on.client.log_finish(&attempt_id(n), 1).await.unwrap();
    let failed = done(report(n, "a", &revision(of)), Outcome::Failed, 5);
    on.client.put_build(&BuildReport { id: id.clone(), ..failed }).await.unwrap();
    let test = TestResult { id: SECRET.into(), outcome: "failed".into(), ..TestResult::default() };
    on.client.put_tests(&attempt_id(n), 1, vec![test]).await.unwrap();
    id
}

/// Of `sub`, which is public, only builds with the private `lib` are there.
pub(crate) async fn counts_and_histories_leave_out_what_is_private(on: Fixture) {
    world(&on).await;
    failed_now(&on, 4, "one@2", "public words").await;
    failed_now(&on, 5, "one@1", "public words").await;
    failed_now(&on, 6, "lib@8", SECRET).await;
    let with = failed_now(&on, 7, "sub@5+lib@8", SECRET).await;
    let alike = on.client.build(&with).await.unwrap().failure.and_then(|failure| failure.signature).unwrap();
    let eve = Viewer::known("eve", Role::Developer).scoped(vec!["sub".into()]);
    let stranger = Viewer::stranger(true);
    let ada = Viewer::known("ada", Role::Developer);
    for (viewer, all) in [(stranger, false), (eve, false), (ada, true)] {
        let service = asking(&on, viewer.clone());
        let counts = json(&service, "/statistics.json").await;
        assert_eq!(counts[0]["builds"], if all { 4 } else { 2 }, "{viewer:?}: {counts}");
        let machines = json(&service, "/statistics/machines.json").await;
        assert_eq!(machines[0]["attempts"], if all { 4 } else { 2 }, "{viewer:?}: {machines}");
        let days = json(&service, "/statistics/days.json?days=90").await;
        let sum =
            |of: &str| days.as_array().unwrap().iter().map(|day| day[of].as_i64().unwrap()).sum::<i64>();
        assert_eq!(sum("builds"), sum("attempts"), "{viewer:?}: {days}");
        let of_sub = json(&service, "/statistics.json?repo=sub").await;
        assert_eq!(of_sub.as_array().unwrap().len(), usize::from(all), "{viewer:?}: {of_sub}");
        let groups = json(&service, "/failures.json").await;
        assert_eq!(groups.as_array().unwrap().len(), if all { 3 } else { 1 }, "{viewer:?}: {groups}");
        let history = json(&service, &format!("/tests.json?repo=sub&id={SECRET}")).await;
        assert_eq!(history.as_array().unwrap().len(), if all { 2 } else { 0 }, "{viewer:?}: {history}");
        let window = json(&service, "/grid.json?repo=sub").await.to_string();
        assert_eq!(window.contains(&with), all, "{viewer:?}: {window}");
        assert_eq!(window.contains(&hash(8)), all, "{viewer:?}: {window}");
        let (status, _) = ask(&service, &format!("/failures/{alike}")).await;
        assert_eq!(status, if all { 200 } else { 404 }, "{viewer:?}");
    }
}

/// A page that is open for whoever may not see a change is not told of it.
pub(crate) async fn changes_of_what_is_private_are_told_to_those_who_see_it(on: Fixture) {
    use futures::StreamExt as _;
    world(&on).await;
    let count = async |viewer: Viewer| {
        // Who comes back with a count that is no longer true is told the present one at once.
        let request = Request::get("/grid/events").header("last-event-id", "999").body(Body::empty());
        let answer = asking(&on, viewer).send(request.unwrap()).await.unwrap();
        let first = answer.into_body().into_data_stream().next().await.unwrap().unwrap();
        let first = String::from_utf8_lossy(&first).into_owned();
        let id = first.lines().find_map(|line| line.strip_prefix("id: ")).expect("an event has an id");
        id.parse::<u64>().unwrap()
    };
    let both =
        async || (count(Viewer::stranger(true)).await, count(Viewer::known("ada", Role::Developer)).await);
    let before = both().await;
    on.client.put_build(&report(5, "a", &revision("lib@7"))).await.unwrap();
    on.client.put_build(&report(6, "a", &revision("sub@4+lib@7"))).await.unwrap();
    assert_eq!(both().await, (before.0, before.1 + 2));
    on.client.put_build(&report(7, "a", &revision("one@1"))).await.unwrap();
    assert_eq!(both().await, (before.0 + 1, before.1 + 3));
}

pub(crate) async fn a_repo_that_is_made_private_is_hidden_at_once(on: Fixture) {
    on.push("lib", "main", &[8, 7]).await;
    on.client.put_build(&report(2, "a", &revision("lib@8"))).await.unwrap();
    let stranger = asking(&on, Viewer::stranger(true));
    let path = format!("/builds/{}", build_id(2));
    assert_eq!(ask(&stranger, &path).await.0, 200);
    let text = CONFIG.replace("[repo.lib]\n", "[repo.lib]\nvisibility = \"private\"\n");
    on.config.send_replace(Arc::new(config(&text)));
    assert_eq!(ask(&stranger, &path).await.0, 404);
    // Not configured any more, and posted as public: still there. Posted as private: not.
    on.config.send_replace(Arc::new(config("[repo.one]\nurl = \"u\"\n")));
    assert_eq!(ask(&stranger, &path).await.0, 200);
    let state = RepoUpdate {
        state: RepoState::Ok,
        reason: None,
        default_branch: None,
        head: None,
        visibility: Some(Visibility::Private),
    };
    on.client.put_repo("lib", &state).await.unwrap();
    assert_eq!(ask(&stranger, &path).await.0, 404);
}

pub(crate) async fn who_is_signed_in_finds_the_forms_of_orders(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    on.client.put_build(&report(1, "a", &revision("one@2"))).await.unwrap();
    on.client.put_build(&done(report(2, "b", &revision("one@2")), Outcome::Failed, 5)).await.unwrap();
    let signed_in = |role| Viewer { csrf: Some("form-token".into()), ..Viewer::known("ada", role) };
    let ada = asking(&on, signed_in(Role::Developer));
    let (_, waiting) = ask(&ada, &format!("/builds/{}", build_id(1))).await;
    let (_, failed) = ask(&ada, &format!("/builds/{}", build_id(2))).await;
    let action = |n, order| format!("action=\"/api/v1/builds/{}/{order}\"", build_id(n));
    assert!(waiting.contains(&action(1, "cancel")) && !waiting.contains("/retry"), "{waiting}");
    assert!(failed.contains(&action(2, "retry")) && !failed.contains("/cancel"), "{failed}");
    assert!(failed.contains("name=\"csrf\" value=\"form-token\""), "{failed}");
    let scoped = signed_in(Role::Developer).scoped(vec!["two".into()]);
    for viewer in [Viewer::stranger(true), signed_in(Role::Reader), scoped, Viewer::known("x", Role::Admin)] {
        let (status, text) = ask(&asking(&on, viewer.clone()), &format!("/builds/{}", build_id(2))).await;
        assert!(status == 200 && !text.contains("<form"), "{viewer:?}: {text}");
    }
}
