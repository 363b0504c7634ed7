//! Teams of organizations.

use std::fmt;

use crate::calls::{Cursor, Page, Repo};
use crate::client::Client;
use crate::error::Error;
use crate::model::User;

/// A team of an organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Team {
    org: String,
    slug: String,
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.slug)
    }
}

impl std::str::FromStr for Team {
    type Err = Error;

    /// Takes `ORG/TEAM`, the team as it is in its address. The two are of the same letters as a repository's.
    fn from_str(text: &str) -> Result<Self, Error> {
        let both: Repo = text.parse()?;
        Ok(Self { org: both.owner().to_owned(), slug: both.name().to_owned() })
    }
}

impl Client {
    /// Lists who is in a team or in one beneath it. The token must belong to who may see the team: to others it is not there.
    ///
    /// # Errors
    /// As all calls.
    pub async fn members(&self, team: &Team, from: Option<&Cursor>) -> Result<Page<User>, Error> {
        let Team { org, slug } = team;
        self.list(from, || format!("/orgs/{org}/teams/{slug}/members?per_page=100")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_has_two_halves() {
        let team: Team = "golang/approvers".parse().unwrap();
        assert_eq!(team.to_string(), "golang/approvers");
        for text in ["golang", "golang/", "/approvers", "golang/a/b", "golang/a b", "../a"] {
            assert!(text.parse::<Team>().is_err(), "{text}");
        }
    }
}
