//! The variables of a command, of which one name may have several writings.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::sys::same_variable;

/// Variables by their names.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Whether one name has several writings here; looked for only then, since there may be very many variables.
const MANY_WRITINGS: bool = cfg!(windows);

/// Finds a variable by any of the names that the system takes for the same.
pub(crate) fn variable<'a>(env: &'a Environment, name: &str) -> Option<&'a OsString> {
    env.get(OsStr::new(name)).or_else(|| env.get(&written(env, name)?))
}

/// Sets a variable, under the name that it has already.
pub(crate) fn set(env: &mut Environment, name: &str, value: impl Into<OsString>) {
    let name = written(env, name).unwrap_or_else(|| name.into());
    env.insert(name, value.into());
}

/// How a variable that is there is written.
fn written(env: &Environment, name: &str) -> Option<OsString> {
    let name = OsStr::new(name);
    if MANY_WRITINGS { env.keys().find(|key| same_variable(key, name)).cloned() } else { None }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_of_another_case_are_other_variables() {
        let mut env = Environment::from([("Path".into(), "theirs".into())]);
        set(&mut env, "PATH", "first");
        set(&mut env, "PATH", "ours");
        assert_eq!(variable(&env, "PATH").unwrap(), "ours");
        assert_eq!(variable(&env, "Path").unwrap(), "theirs");
        assert_eq!(variable(&env, "path"), None);
    }
}
