//! The audit log as a page.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Dashboard;
use super::super::audit::{self, AuditQuery};
use super::super::refusal::Query;
use super::super::window::given;
use super::{address, page, shown};
use crate::api::AuditList;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    query: AuditQuery,
    list: AuditList,
}

impl AuditPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    fn at(&self, path: &str, before: &str, verify: &str) -> String {
        let query = [
            ("who", self.value(&self.query.who)),
            ("what", self.value(&self.query.what)),
            ("target", self.value(&self.query.target)),
            ("before", before),
            ("verify", verify),
        ];
        address(path, &query)
    }
}

/// `GET /audit`
pub(super) async fn audit(State(dashboard): State<Dashboard>, Query(query): Query<AuditQuery>) -> Response {
    let answer = async {
        let list = audit::read(&dashboard, &query).await?;
        page(&AuditPage { query, list })
    };
    shown(answer.await)
}
