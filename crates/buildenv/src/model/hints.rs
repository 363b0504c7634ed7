//! Where hints come from that something happened at a forge.

use super::SecretSource;
use crate::fields::Fields;

/// Where hints come from. Without any forge there is no pubsubhelper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// GitHub's webhooks.
    pub github: Option<GithubHooks>,
    /// Gerrit's mail.
    pub gerrit: Option<GerritMail>,
}

/// GitHub's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubHooks {
    /// What GitHub signs with.
    pub secret: SecretSource,
    /// They may come without TLS.
    pub plain: bool,
}

/// Gerrit's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GerritMail {
    /// Address and port to listen on.
    pub listen: String,
    /// Who gets mail.
    pub rcpt: String,
    /// What the server calls itself, if not by the host of the environment's address.
    pub host: Option<String>,
    /// The host of who sends it.
    pub sender_host: String,
    /// Who signs it.
    pub signing_domains: Vec<String>,
    /// Fields of Gerrit's count that are not signed.
    pub unsigned_fields: bool,
}

impl Hints {
    /// That each has what it needs was checked.
    pub(crate) fn read(f: Fields<'_>) -> Self {
        Hints {
            github: f.table("github").map(GithubHooks::read),
            gerrit: f.table("gerrit").map(GerritMail::read),
        }
    }

    /// Whether a forge is named.
    #[must_use]
    pub fn names_a_forge(&self) -> bool {
        self.github.is_some() || self.gerrit.is_some()
    }
}

impl GithubHooks {
    fn read(f: Fields<'_>) -> Self {
        let file = f.owned("secret_file").map(SecretSource::File);
        let env = || SecretSource::Env(f.owned("secret_env").unwrap_or_default());
        Self { secret: file.unwrap_or_else(env), plain: f.flag("plain") }
    }
}

impl GerritMail {
    fn read(f: Fields<'_>) -> Self {
        let lower = |text: String| text.to_ascii_lowercase();
        let mut signing_domains: Vec<_> = f.texts("signing_domains").into_iter().map(lower).collect();
        if signing_domains.is_empty() {
            signing_domains.push("google.com".into());
        }
        Self {
            listen: f.owned("listen").unwrap_or_default(),
            rcpt: f.owned("rcpt").unwrap_or_default(),
            host: f.owned("host"),
            sender_host: f
                .owned("sender_host")
                .map_or_else(|| "gerritcodereview.bounces.google.com".into(), lower),
            signing_domains,
            unsigned_fields: f.flag("unsigned_fields"),
        }
    }
}
