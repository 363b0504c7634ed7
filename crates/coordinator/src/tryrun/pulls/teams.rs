//! Who is in the teams whose members may ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use github::{Client, Error, Team};
use tokio::time::Instant;

/// How often it is asked who is in a team.
const EVERY: Duration = Duration::from_secs(300);
/// How long an answer counts where GitHub gives no other.
const KEPT: Duration = Duration::from_secs(3600);
/// The most pages of members, of 100 each.
const PAGES: usize = 20;

/// The logins of a team by GitHub's ids, which never change.
pub type Logins = BTreeMap<i64, String>;

/// By team: `ORG/TEAM`, as the configuration has it.
pub type Members = BTreeMap<String, Arc<Logins>>;

/// What was answered last of a team.
struct Known {
    members: Arc<Logins>,
    /// When that was.
    read: Instant,
    /// When it was asked last.
    asked: Instant,
}

/// Asks who is in teams.
#[derive(Default)]
pub struct Teams {
    known: BTreeMap<String, Known>,
}

/// The teams among those who may ask.
pub fn named(by: &[String]) -> impl Iterator<Item = &str> {
    by.iter().filter_map(|one| one.strip_prefix('@'))
}

impl Teams {
    /// Who is in these teams, as far as GitHub says it; in one that it does not know is nobody.
    pub async fn read(&mut self, client: &Client, by: &[String]) -> Members {
        let mut all = Members::new();
        for name in named(by) {
            let now = Instant::now();
            if self.known.get(name).is_none_or(|known| now.duration_since(known.asked) >= EVERY) {
                self.ask(client, name, now).await;
            }
            if let Some(known) = self.known.get(name).filter(|known| now.duration_since(known.read) < KEPT) {
                all.insert(name.to_owned(), Arc::clone(&known.members));
            }
        }
        all
    }

    async fn ask(&mut self, client: &Client, name: &str, now: Instant) {
        match members(client, name).await {
            Ok(members) => {
                let known = Known { members: Arc::new(members), read: now, asked: now };
                self.known.insert(name.to_owned(), known);
            }
            Err(error) => {
                tracing::warn!(team = name, %error, "it can't be read who is in a team");
                if error.is_gone() {
                    self.known.remove(name);
                } else if let Some(known) = self.known.get_mut(name) {
                    known.asked = now;
                }
            }
        }
    }
}

async fn members(client: &Client, name: &str) -> Result<Logins, Error> {
    let team: Team = name.parse()?;
    let (mut all, mut cursor) = (Logins::new(), None);
    for _ in 0..PAGES {
        let page = client.members(&team, cursor.as_ref()).await?;
        all.extend(page.items.into_iter().map(|user| (user.id, user.login)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use testkit::github::{Faults, GitHub, Options};
    use transport::Service;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_leaves_a_team_has_a_say_for_five_minutes_more() {
        let github = GitHub::new(1, Options::default(), Arc::new(|| 1_700_000_000));
        let client = Client::new(github::Options {
            service: Service::in_process(github.router()),
            token: None,
            user_agent: "bellwether-test".into(),
            clock: Arc::new(github::SystemClock),
            seed: 1,
            limits: github::Limits::default(),
        });
        let client = client.unwrap();
        let by = ["ada".to_owned(), "@golang/approvers".to_owned(), "@golang/none".to_owned()];
        let mut teams = Teams::default();
        let mut count = async || {
            let members = teams.read(&client, &by).await;
            assert!(!members.contains_key("golang/none"));
            members.get("golang/approvers").map(|members| members.len())
        };
        github.change(|world, _| world.team("approvers", &[1, 2]));
        assert_eq!(count().await, Some(2));
        github.change(|world, _| world.team("approvers", &[1]));
        assert_eq!(count().await, Some(2), "it is not asked anew");
        tokio::time::advance(EVERY).await;
        assert_eq!(count().await, Some(1));
        github.set(|options| options.faults = Faults { error: 100, ..Faults::default() });
        tokio::time::advance(EVERY).await;
        assert_eq!(count().await, Some(1), "who does not answer takes nobody's word");
        tokio::time::advance(KEPT).await;
        assert_eq!(count().await, None);
    }
}
