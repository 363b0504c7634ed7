//! `POST /mirror/{repo}/merge`: what a branch would be with one more commit.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use git::RefName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transport::Viewer;
use transport::extract::{Path, Query};
use transport::operation::HashText;

use super::{Refusal, commit, repo_to_order};
use crate::Mirror;

/// The most files in conflict that are named.
const NAMED: usize = 20;

/// Two commits.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct MergeQuery {
    /// The one that is there.
    #[schemars(with = "HashText")]
    onto: String,
    /// The one that comes.
    #[schemars(with = "HashText")]
    commit: String,
}

/// What two commits are together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    /// The commit: one of the two where it has the other in its history, else one that has both as parents and that the same two
    /// always give. It is on no branch, and has not landed. None where they can't be merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HashText>")]
    pub commit: Option<String>,
    /// Paths of files that both change in the same places, at most 20. None at all where they have no commit in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
}

/// Commits that are not here are had from the source.
pub(super) async fn merge(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Merged>, Refusal> {
    let repo = repo_to_order(&mirror, &viewer, &name)?;
    for key in ["onto", "commit"] {
        if query.get(key).is_none_or(|hex| hex.parse::<git::ObjectId>().is_err()) {
            return Err(Refusal::bad(format!("the parameter {key} is not an object name of 40 digits")));
        }
    }
    let onto = commit(&repo, query.get("onto")).await?;
    let other = commit(&repo, query.get("commit")).await?;
    let repository = repo.repository().await?;
    Ok(Json(match repository.merge(onto, other).await? {
        git::Merge::Commit(merged) => {
            if merged != onto && merged != other {
                let to: RefName = format!("refs/bellwether/merged/{merged}")
                    .parse()
                    .expect("invariant: hexadecimal digits make a name");
                repository.update_ref(&to, merged, None).await?;
            }
            repo.note_present(merged);
            Merged { commit: Some(merged.to_string()), conflicts: Vec::new() }
        }
        git::Merge::Conflict(mut files) => {
            files.truncate(NAMED);
            Merged { commit: None, conflicts: files }
        }
        git::Merge::Unrelated => Merged { commit: None, conflicts: Vec::new() },
    }))
}
