//! Answers that take long, and whoever does not wait for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use maintnerd::Readers;
use maintnerd::api::ancestor::{Ancestry, ancestor};
use maintnerd::api::deadline::{Deadline, Late};
use maintnerd::api::try_work::{Comment, Reviews, TryWork, Waiting};
use maintnerd::api::{Api, Home, View, routes};
use maintpb::api::maintner_service_client::MaintnerServiceClient;
use maintpb::api::{GetRefRequest, GoFindTryWorkRequest, HasAncestorRequest};
use tonic::Code;
use transport::{CallError, Service, Viewer};

use crate::api::{commit, hash, project};
use crate::daemon::{asked, leads};

/// The commits of a line: a walk that calls itself for each parent has no stack for so many.
const LINE: usize = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_walked_as_long_as_somebody_waits() {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    let commits: Vec<_> = (0..LINE)
        .map(|nth| {
            let parent = nth.checked_sub(1).map(|before| hash('a', before));
            commit(&hash('a', nth), parent.as_deref(), 1_000_000, "all: one")
        })
        .collect();
    let parts = commits.chunks(10_000).map(|part| project("go", part.to_vec(), &[]));
    let beside = project("go", vec![commit(&hash('b', 0), None, 1, "beside")], &[]);
    daemon.sink().unwrap().add(parts.chain([beside]).collect()).await.unwrap();
    let mut client = MaintnerServiceClient::new(Service::in_process(asked(&daemon)));
    let last = hash('a', LINE - 1);
    let ask = |ancestor: String| HasAncestorRequest { commit: last.clone(), ancestor };
    for (ancestor, has) in [(hash('a', 0), true), (hash('b', 0), false)] {
        let answer = client.has_ancestor(ask(ancestor.clone())).await.unwrap().into_inner();
        assert_eq!((answer.has_ancestor, answer.unknown_commit), (has, false), "{ancestor}");
    }
    // Whoever waits no longer is told so, whatever is asked.
    let mut hasty = tonic::Request::new(ask(hash('a', 0)));
    hasty.set_timeout(Duration::from_nanos(1));
    assert_eq!(client.has_ancestor(hasty).await.unwrap_err().code(), Code::DeadlineExceeded);
    let mut hasty = tonic::Request::new(GetRefRequest::default());
    hasty.set_timeout(Duration::from_nanos(1));
    assert_eq!(client.get_ref(hasty).await.unwrap_err().code(), Code::DeadlineExceeded);
    // The walk itself looks at the time.
    let corpus = daemon.corpus();
    let id = |hash: &str| maintner::commit::hash(hash.as_bytes()).unwrap();
    let walk = |deadline| ancestor(&corpus, &id(&last), &id(&hash('a', 0)), &deadline);
    assert_eq!(walk(Deadline::after(Duration::ZERO)), Err(Late));
    assert_eq!(walk(Deadline::after(Duration::from_secs(60))), Ok(Ancestry::Has));
}

/// Never answers.
struct Silent;

#[async_trait]
impl Reviews for Silent {
    async fn waiting(&self) -> Result<Vec<Waiting>, CallError> {
        std::future::pending().await
    }

    async fn comments(&self, _: &str, _: i32) -> Result<Vec<Comment>, CallError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_gerrit_holds_nobody_longer_than_they_wait() {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    let view: View = Arc::new(move || daemon.corpus());
    let api = Api::new(view, Home::default(), Some(TryWork::new(Arc::new(Silent))));
    let router = routes(&api, Readers::All).into_router();
    let router = router.layer(from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(Viewer::service(Viewer::ANOTHER_SERVICE));
        next.run(request)
    }));
    let mut client = MaintnerServiceClient::new(Service::in_process(router));
    let mut hasty = tonic::Request::new(GoFindTryWorkRequest::default());
    hasty.set_timeout(Duration::from_millis(50));
    let began = Instant::now();
    let refused = client.go_find_try_work(hasty).await.unwrap_err();
    // That Gerrit says nothing would be an answer of another kind, after ten seconds.
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused} after {:?}", began.elapsed());
}
