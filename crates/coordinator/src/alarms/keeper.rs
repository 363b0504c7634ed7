//! The task that looks whether something is a cause for alarm, and writes down what begins and what ends.

use std::collections::BTreeSet;
use std::time::Duration;

use buildenv::Config;
use serde_json::json;
use store::alarms::{self as rows, AlarmRow};
use store::{Micros, StoreError, builds};
use tokio::sync::oneshot;
use transport::CallError;

use super::{Seen, decide, is_of_machine, measures};
use crate::core::Message;
use crate::ledger::transition;
use crate::notice::Notice;
use crate::work::Finder;

/// How long alarms are kept after their end.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Statistics of so many days are looked at.
const DAYS: u32 = 1;

/// Looks again and again.
pub(crate) struct Keeper {
    finder: Finder,
    every: Duration,
    since: Micros,
}

/// Why it could not be looked.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the dashboard's statistics can't be had: {0}")]
    Statistics(#[from] CallError),
}

impl Keeper {
    pub fn new(finder: Finder, every: Duration) -> Keeper {
        let since = finder.shared.ledger.clock().now();
        Keeper { finder, every, since }
    }

    pub async fn run(self) {
        loop {
            tokio::time::sleep(self.every).await;
            match self.look().await {
                Ok(()) => {}
                // Another coordinator leads.
                Err(Trouble::Store(StoreError::Stale)) => return,
                Err(error) => tracing::warn!(%error, "it can't be looked for causes of alarm; trying again"),
            }
        }
    }

    async fn look(&self) -> Result<(), Trouble> {
        let shared = &self.finder.shared;
        let (sender, receiver) = oneshot::channel();
        // A core that is gone is at its end, and so are we.
        if self.finder.core.send(Message::Status(sender)).await.is_err() {
            return Ok(());
        }
        let Ok(status) = receiver.await else { return Ok(()) };
        if status.draining {
            return Ok(());
        }
        let config = self.finder.config.borrow().clone();
        let machines = shared.dashboard.machine_statistics(DAYS).await?;
        let builders = shared.dashboard.statistics(DAYS).await?;
        let now = shared.ledger.clock().now();
        let mut reader = shared.ledger.db().read().await?;
        let silent = i64::try_from(config.alarms().silent.as_micros()).unwrap_or(i64::MAX);
        let busy = rows::busy_builders(&mut reader, Micros(now.0.saturating_sub(silent))).await?;
        let busy: BTreeSet<String> = busy.into_iter().collect();
        let open = builds::open(&mut reader).await?;
        let live = rows::live(&mut reader).await?;
        drop(reader);
        let seen = Seen {
            now,
            since: self.since,
            machines: &machines,
            builders: &builders,
            status: &status,
            open: &open,
            busy: &busy,
        };
        let changes = decide(&live, measures(config.alarms(), &seen));
        for alarm in &changes.end {
            self.change(&config, &AlarmRow { ended: Some(now), ..alarm.clone() }).await?;
        }
        for measure in changes.begin {
            let (kind, subject) = (measure.kind.to_owned(), measure.subject);
            let alarm = AlarmRow { kind, subject, began: now, ended: None, detail: measure.detail };
            self.change(&config, &alarm).await?;
        }
        let live = rows::live(&mut shared.ledger.db().read().await?).await?;
        shared.measures.observe_alarms(&live);
        Ok(())
    }

    /// Writes down that an alarm begins, or (if it has an end) ends, and tells it.
    async fn change(&self, config: &Config, alarm: &AlarmRow) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        let notice = notice(&config.environment().url, alarm);
        let builder = (!is_of_machine(&alarm.kind)).then_some(alarm.subject.as_str());
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        let subject = format!("{} {}", alarm.kind, alarm.subject);
        let done = transition!(ledger, "alarm", subject, |tx| {
            match alarm.ended {
                Some(now) => {
                    rows::end(&mut tx, alarm, now).await?;
                    rows::prune(&mut tx, Micros(now.0.saturating_sub(kept))).await?;
                }
                None => rows::begin(&mut tx, alarm).await?,
            }
            let rules = config.notify().iter().filter(|rule| rule.tells_alarms(builder));
            notice.put(&mut tx, &**ledger.clock(), rules).await?;
        });
        match done {
            // An answer was lost: what is written says so at the next look.
            Err(StoreError::Conflict(_)) => {}
            Err(StoreError::Stale) if alarm.ended.is_some() => {}
            done => done?,
        }
        let AlarmRow { kind, subject, detail, .. } = alarm;
        match alarm.ended {
            Some(_) => tracing::info!(kind, subject, "an alarm is over"),
            None => tracing::warn!(kind, subject, detail, "an alarm"),
        }
        Ok(())
    }
}

fn notice(url: &str, alarm: &AlarmRow) -> Notice {
    let AlarmRow { kind, subject, began, detail, ended } = alarm;
    let what = match kind.as_str() {
        "machine_retries" => "too much on it is for nothing",
        "builder_retries" => "too much of it is tried again",
        "budget" => "over its time budget",
        "silent" => "silent",
        _ => "short of machines",
    };
    let (event, title) = match ended {
        None => ("begin", format!("alarm: {subject}: {what}")),
        Some(_) => ("end", format!("over: {subject}: {what}")),
    };
    let url = url.trim_end_matches('/');
    let page = match is_of_machine(kind) {
        true => format!("{url}/statistics/machines"),
        false => format!("{url}/builders/{subject}"),
    };
    let said = if ended.is_some() { "It had begun with: " } else { "" };
    Notice {
        key: format!("alarm/{kind}/{subject}/{}/{event}", began.0),
        title,
        text: format!("{said}{detail}.\n\n{page}\n{url}/status\n"),
        body: json!({
            "event": format!("alarm_{event}"),
            "kind": kind,
            "subject": subject,
            "detail": detail,
            "began_us": began.0,
            "ended_us": ended.map(|ended| ended.0),
            "url": page,
        }),
    }
}
