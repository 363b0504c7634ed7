//! Which commit broke a builder. It is written down at most once for each commit; sending it is another's task.

use store::legacy::commits::CommitRow;
use store::legacy::notices::NoticeRow;
use store::legacy::results::ResultRow;
use store::legacy::{commits, notices, results};
use store::{Micros, Tx};

use super::answer::Fault;

/// Builders whose failures nobody wants to hear of.
const IGNORED: [&str; 6] = [
    "dragonfly-386",
    "dragonfly-amd64",
    "freebsd-arm",
    "netbsd-amd64-bsiegert",
    "netbsd-arm-rpi",
    "plan9-amd64-aram",
];

/// Decides after a result of the main repository, in its transaction.
pub(super) async fn after(
    tx: &mut Tx,
    dash: &str,
    commit: &CommitRow,
    result: &ResultRow,
    now: Micros,
) -> Result<(), Fault> {
    if IGNORED.contains(&result.builder.as_str()) {
        return Ok(());
    }
    let broken = match result.ok {
        true => broken_child(tx, dash, commit, &result.builder).await?,
        false => was_ok(tx, dash, &commit.parent, &result.builder)
            .await?
            .then(|| (commit.clone(), result.log_hash.clone())),
    };
    let Some((broken, log_hash)) = broken else { return Ok(()) };
    if broken.num == 0 || broken.desc.is_empty() || !commits::notified(tx, dash, "", &broken.hash).await? {
        return Ok(());
    }
    let notice = NoticeRow { hash: broken.hash, builder: result.builder.clone(), log_hash, time: now };
    Ok(notices::insert(tx, dash, &notice).await?)
}

/// The commit after one that is ok, if it failed.
async fn broken_child(
    tx: &mut Tx,
    dash: &str,
    commit: &CommitRow,
    builder: &str,
) -> Result<Option<(CommitRow, String)>, Fault> {
    let Some(child) = commits::child(tx, dash, "", &commit.hash).await? else { return Ok(None) };
    let result = results::get(tx, dash, "", &child.hash, builder, "").await?;
    Ok(result.filter(|result| !result.ok).map(|result| (child, result.log_hash)))
}

async fn was_ok(tx: &mut Tx, dash: &str, hash: &str, builder: &str) -> Result<bool, Fault> {
    if commits::get(tx, dash, "", hash).await?.is_none() {
        return Ok(false);
    }
    Ok(results::get(tx, dash, "", hash, builder, "").await?.is_some_and(|result| result.ok))
}
