//! Webhooks that did not arrive, of which GitHub keeps a list. Source: spec/maintner.md §4.

use std::time::Duration;

use ::github::{Client, Repo};
use thiserror::Error;
use tokio::time::Instant;

use super::poller::Poller;

/// How long nothing is asked after GitHub has refused, or where there is no such webhook.
const REFUSED: Duration = Duration::from_secs(3600);
/// The most pages of webhooks that are looked through.
const PAGES: u32 = 10;

/// What is known of the webhook.
#[derive(Debug)]
pub(super) struct Deliveries {
    /// Its number, once it was found.
    hook: Option<i64>,
    /// The newest delivery that was seen.
    known: i64,
    /// When it is looked again.
    pub(super) next: Instant,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self { hook: None, known: 0, next: Instant::now() }
    }
}

/// Why it is not known which webhooks failed.
#[derive(Debug, Error)]
pub enum DeliveriesError {
    /// GitHub gave no answer that is of use.
    #[error("which webhooks failed is not known, for which a token is needed that may read them: {0}")]
    Github(#[from] ::github::Error),
    /// It has others, or none.
    #[error(
        "{repo} has no active webhook that goes to {url}: name the address as GitHub's settings of the repository have it"
    )]
    NoHook {
        /// The repo, `OWNER/REPO`.
        repo: String,
        /// Where the webhook should go.
        url: String,
    },
}

impl DeliveriesError {
    /// Whether the same question in a minute has the same answer.
    fn lasts(&self) -> bool {
        match self {
            Self::NoHook { .. } => true,
            Self::Github(error) => {
                error.is_gone()
                    || matches!(error, ::github::Error::Status { status, .. } if matches!(status.as_u16(), 401 | 403))
            }
        }
    }
}

/// Whether two addresses are the same one.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

async fn find(client: &Client, repo: &Repo, url: &str) -> Result<i64, DeliveriesError> {
    let mut from = None;
    for _ in 0..PAGES {
        let page = client.hooks(repo, from.as_ref()).await?;
        if let Some(hook) = page.items.iter().find(|hook| hook.active && same(&hook.config.url, url)) {
            return Ok(hook.id);
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Err(DeliveriesError::NoHook { repo: repo.to_string(), url: url.to_owned() })
}

impl Poller {
    /// Whether a webhook did not arrive since this was asked last; the first time, whether any did not. Without
    /// [`hook`](super::Options::hook) nothing is asked.
    ///
    /// # Errors
    /// Where GitHub does not say; [`Status`](super::Status) has it too.
    pub async fn undelivered(&mut self) -> Result<bool, DeliveriesError> {
        let Some(url) = self.options.hook.clone() else {
            self.deliveries.next = Instant::now() + REFUSED;
            return Ok(false);
        };
        let said = self.failed_ones(&url).await;
        let wait = match &said {
            Err(error) if error.lasts() => REFUSED.max(self.options.deliveries),
            _ => self.options.deliveries,
        };
        self.deliveries.next = Instant::now() + wait;
        let trouble = said.as_ref().err().map(ToString::to_string);
        if let Some(trouble) = &trouble {
            // It may have been made anew, with another number.
            self.deliveries.hook = None;
            tracing::warn!(repo = %self.options.repo, trouble, "GitHub does not tell which webhooks failed");
        }
        self.status.send_if_modified(|status| {
            let differs = status.deliveries != trouble;
            status.deliveries = trouble;
            differs
        });
        said
    }

    async fn failed_ones(&mut self, url: &str) -> Result<bool, DeliveriesError> {
        let (client, repo) = (&self.client, &self.options.repo);
        let hook = match self.deliveries.hook {
            Some(hook) => hook,
            None => find(client, repo, url).await?,
        };
        self.deliveries.hook = Some(hook);
        let page = client.deliveries(repo, hook, None).await?;
        let known = self.deliveries.known;
        let ids = || page.items.iter().map(|one| one.id);
        self.deliveries.known = ids().max().unwrap_or(0).max(known);
        // Where there are more new ones than a page has, one of them may have failed.
        let more = page.next.is_some() && ids().min().is_some_and(|oldest| oldest > known);
        Ok(more || page.items.iter().any(|one| one.id > known && one.failed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_with_a_slash_at_its_end() {
        assert!(same("https://ci.example.org/hooks/github/", "https://ci.example.org/hooks/github"));
        assert!(!same("https://ci.example.org/hooks/github2", "https://ci.example.org/hooks/github"));
    }
}
