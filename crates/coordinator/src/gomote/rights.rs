//! What somebody may do by now, as far as their name tells: for what comes true long after they asked for it.

use buildenv::{Builder, Config};
use store::tokens::{self, TokenRow};
use store::{Micros, StoreError, sessions};
use transport::{Role, Viewer};

use super::may;
use crate::attempt::Shared;

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Their name does not tell: a person is somebody while they are signed in, and whoever signs them in for us knows their role
    /// then. They may still what they might when they asked; what they hold they reach only as somebody who may.
    Unknown,
    /// Those of whoever may hold nothing.
    None,
    /// Those of somebody who may give orders.
    Of(Viewer),
}

impl Rights {
    /// Whether they may hold machines of a builder.
    pub fn reach(&self, config: &Config, builder: &Builder) -> bool {
        match self {
            Rights::Unknown => true,
            Rights::None => false,
            Rights::Of(viewer) => may(config, viewer, builder),
        }
    }
}

/// Looks up what somebody may do.
pub(super) async fn rights(shared: &Shared, who: &str) -> Result<Rights, StoreError> {
    let now = shared.ledger.clock().now();
    let mut reader = shared.ledger.db().read().await?;
    let roles = sessions::roles(&mut reader, who, now).await?;
    Ok(of(who, tokens::newest(&mut reader, who).await?, &roles, now))
}

/// The same of what the database has of them: their token, and the roles by which they are signed in.
fn of(who: &str, token: Option<TokenRow>, roles: &[String], now: Micros) -> Rights {
    // Of before, a token may be called so, too.
    if who == Viewer::ADMIN && token.as_ref().is_none_or(|token| token.revoked.is_some()) {
        return Rights::Of(Viewer::known(who, Role::Admin));
    }
    let orders = |role: &String| role.parse::<Role>().ok().filter(|role| role.may(Role::Developer));
    // Whoever is signed in is so for all repositories.
    if let Some(role) = roles.iter().find_map(orders) {
        return Rights::Of(Viewer::known(who, role));
    }
    match token {
        None if roles.is_empty() => Rights::Unknown,
        None => Rights::None,
        Some(token) if token.revoked.is_some() || token.expires.is_some_and(|end| end <= now) => Rights::None,
        Some(token) => orders(&token.role).map_or(Rights::None, |role| {
            let viewer = Viewer::known(who, role);
            let scope: Vec<String> = token.scope.split_whitespace().map(str::to_owned).collect();
            Rights::Of(if scope.is_empty() { viewer } else { viewer.scoped(scope) })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_token_or_is_signed_in_is_known_by_their_name() {
        let token = |role: &str, scope: &str| TokenRow {
            hash: "h".into(),
            name: "ann".into(),
            role: role.into(),
            scope: scope.into(),
            maker: "admin".into(),
            created: Micros(1),
            used: None,
            expires: None,
            revoked: None,
        };
        let is = |token: Option<TokenRow>, roles: &[&str]| {
            of("ann", token, &roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>(), Micros(5))
        };
        let developer = Viewer::known("ann", Role::Developer);
        assert_eq!(is(None, &[]), Rights::Unknown);
        assert_eq!(is(Some(token("developer", "")), &[]), Rights::Of(developer.clone()));
        let of_one = developer.clone().scoped(vec!["one".into()]);
        assert_eq!(is(Some(token("developer", "one")), &["reader"]), Rights::Of(of_one));
        assert_eq!(
            is(Some(token("developer", "one")), &["developer", "reader"]),
            Rights::Of(developer.clone())
        );
        for over in [
            TokenRow { revoked: Some(Micros(9)), ..token("developer", "") },
            TokenRow { expires: Some(Micros(5)), ..token("admin", "") },
            token("reader", ""),
            token("builder", "one"),
        ] {
            assert_eq!(is(Some(over.clone()), &[]), Rights::None, "{over:?}");
            assert_eq!(is(Some(over.clone()), &["developer"]), Rights::Of(developer.clone()), "{over:?}");
        }
        assert_eq!(is(None, &["reader"]), Rights::None);
        assert_eq!(of(Viewer::ADMIN, None, &[], Micros(5)), Rights::Of(Viewer::known("admin", Role::Admin)));
    }
}
