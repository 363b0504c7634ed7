//! Somebody who waits for a machine, and may go away at any time.

use std::sync::Arc;

use store::BuildId;
use tokio::sync::oneshot;

use super::{Granted, Session};
use crate::attempt::Shared;

/// Somebody who waits; dropped, they do not any more, whatever the core has to do just then.
pub(super) struct Waiting {
    pub shared: Arc<Shared>,
    pub stage: Stage,
}

/// How far they have come.
pub(super) enum Stage {
    /// They have a name, and nobody has been asked for a machine.
    Named(BuildId),
    /// The core looks for a machine, for as long as somebody listens here.
    Asked(oneshot::Receiver<Granted>),
    /// It is there, and they have not been told.
    Given(Arc<Session>),
    /// It is theirs, or the name went with what was none.
    Over,
}

impl Waiting {
    /// What becomes of what the core was asked for; none if it says nothing any more.
    pub async fn answer(&mut self) -> Option<Granted> {
        match &mut self.stage {
            Stage::Asked(grant) => grant.await.ok(),
            _ => None,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Named(id) => self.shared.gomotes.forget(id),
            Stage::Asked(mut grant) => {
                // The core frees the name once it sees that nobody listens: until then a machine may be on its way to it. One that has come is given back.
                grant.close();
                if let Ok(Ok(session)) = grant.try_recv() {
                    session.end.cancel();
                }
            }
            Stage::Given(session) => session.end.cancel(),
            Stage::Over => {}
        }
    }
}
