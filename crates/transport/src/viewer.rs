//! Who asks: a role, a name, and of which repositories.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::Standing;

/// What somebody may do, and what a route asks for. The roles are no ladder: see [`Role::may`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Whoever reaches the port.
    Anonymous,
    /// Whoever may read what is public: everybody, unless the server's configuration closes it.
    Reader,
    /// Reads what is private too; has builds made, tried again and ended.
    Developer,
    /// A machine that builds and reports, by a token of its own.
    Builder,
    /// Makes tokens, and all that a developer may do.
    Admin,
    /// Another service of this system.
    Service,
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: anonymous, reader, developer, builder, admin or service")]
pub struct UnknownRole(pub String);

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] =
        [Role::Anonymous, Role::Reader, Role::Developer, Role::Builder, Role::Admin, Role::Service];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Anonymous => "anonymous",
            Role::Reader => "reader",
            Role::Developer => "developer",
            Role::Builder => "builder",
            Role::Admin => "admin",
            Role::Service => "service",
        }
    }

    /// Whether somebody of this role may do what needs the role `needed`.
    #[must_use]
    pub fn may(self, needed: Role) -> bool {
        use Role::*;
        match needed {
            Anonymous => true,
            Reader => self != Anonymous,
            Developer => matches!(self, Developer | Admin | Service),
            Builder => matches!(self, Builder | Admin | Service),
            Admin => self == Admin,
            Service => self == Service,
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks. It travels in a request's extensions, where nothing from the network can put it: the layer before the
/// routes does, or [`Service`](crate::Service) for a call in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// A name for the audit log; of a stranger `anonymous`.
    pub who: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// Whether they said who they are.
    pub known: bool,
    /// The only repositories that this is about; `None` for all.
    pub scope: Option<Arc<[String]>>,
    /// What each form of a page carries, for those who are signed in by a cookie.
    pub csrf: Option<Arc<str>>,
    /// How long what they showed counts, for what lasts longer than a request.
    pub standing: Standing,
}

impl Viewer {
    /// The name of whoever shows the token of the command line beside the server.
    pub const ADMIN: &str = "admin";
    /// The name of a stranger.
    pub const STRANGER: &str = "anonymous";
    /// The name of a service that asks in this process.
    pub const THIS_PROCESS: &str = "this process";
    /// The name of a service that asks from elsewhere.
    pub const ANOTHER_SERVICE: &str = "another service";

    /// Whether nobody is to be given this name: it is of somebody who is built in, and what is somebody's is so by their name.
    #[must_use]
    pub fn is_built_in(name: &str) -> bool {
        [Self::ADMIN, Self::STRANGER, Self::THIS_PROCESS, Self::ANOTHER_SERVICE].contains(&name)
    }

    /// Somebody who did not say who they are, and who may read what is public or not even that.
    #[must_use]
    pub fn stranger(reads: bool) -> Viewer {
        let role = if reads { Role::Reader } else { Role::Anonymous };
        let standing = Standing::lasting();
        Viewer { who: Self::STRANGER.into(), role, known: false, scope: None, csrf: None, standing }
    }

    /// Somebody known.
    #[must_use]
    pub fn known(who: &str, role: Role) -> Viewer {
        let standing = Standing::lasting();
        Viewer { who: who.into(), role, known: true, scope: None, csrf: None, standing }
    }

    /// Another service of this system.
    #[must_use]
    pub fn service(name: &str) -> Viewer {
        Viewer::known(name, Role::Service)
    }

    /// The same, for these repositories only.
    #[must_use]
    pub fn scoped(self, repos: Vec<String>) -> Viewer {
        Viewer { scope: Some(repos.into()), ..self }
    }

    fn in_scope(&self, repo: &str) -> bool {
        self.scope.as_ref().is_none_or(|repos| repos.iter().any(|known| known == repo))
    }

    /// Whether a private repository exists for them.
    #[must_use]
    pub fn sees_private(&self, repo: &str) -> bool {
        match self.role {
            Role::Developer | Role::Admin | Role::Service => self.in_scope(repo),
            // A machine is told of no private repository, unless by name.
            Role::Builder => self.scope.is_some() && self.in_scope(repo),
            Role::Anonymous | Role::Reader => false,
        }
    }

    /// Whether every private repository exists for them, so that nothing need be looked up.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.scope.is_none() && self.role.may(Role::Developer)
    }

    /// Whether their orders reach a repository that they see.
    #[must_use]
    pub fn may_order(&self, repo: &str) -> bool {
        self.in_scope(repo)
    }

    /// Whether their orders reach what is the whole server's and of no repository: machines, tokens, the audit log. Whoever is
    /// about some repositories rules none of it, not even as an admin.
    #[must_use]
    pub fn may_order_all(&self) -> bool {
        self.scope.is_none()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(of(&parts.extensions))
    }
}

/// Who asks by a request's extensions; without a word there, a stranger who may read nothing.
pub(crate) fn of(extensions: &http::Extensions) -> Viewer {
    extensions.get::<Viewer>().cloned().unwrap_or_else(|| Viewer::stranger(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names_and_are_no_ladder() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert!(role.may(role) && role.may(Role::Anonymous));
        }
        assert!("root".parse::<Role>().is_err());
        assert!(!Role::Builder.may(Role::Developer) && !Role::Developer.may(Role::Builder));
        assert!(!Role::Admin.may(Role::Service) && !Role::Service.may(Role::Admin));
    }

    #[test]
    fn a_private_repository_exists_for_developers_and_for_machines_that_are_told_of_it() {
        let sees = |viewer: &Viewer| (viewer.sees_private("a"), viewer.sees_private("b"), viewer.sees_all());
        assert_eq!(sees(&Viewer::stranger(true)), (false, false, false));
        assert_eq!(sees(&Viewer::known("ada", Role::Reader)), (false, false, false));
        assert_eq!(sees(&Viewer::known("m1", Role::Builder)), (false, false, false));
        assert_eq!(sees(&Viewer::known("m1", Role::Builder).scoped(vec!["a".into()])), (true, false, false));
        assert_eq!(sees(&Viewer::known("ada", Role::Developer)), (true, true, true));
        let ada = Viewer::known("ada", Role::Developer).scoped(vec!["a".into()]);
        assert_eq!(sees(&ada), (true, false, false));
        assert!(ada.may_order("a") && !ada.may_order("b"));
        assert!(!ada.may_order_all() && Viewer::known("ada", Role::Developer).may_order_all());
    }
}
