//! A real Gerrit on loopback, and a seeded script that gives it projects, people and changes of every kind.
//!
//! [`Gerrit`] is the server, [`run`] the script, [`dump`] what Gerrit's REST API then says of each change, and
//! [`differences`] holds that against what the script meant to do. [`Reviews`] is a small one in this process, for those who post.

mod chance;
mod change;
mod dump;
mod git;
mod rest;
mod reviews;
mod script;
mod site;
mod stories;
mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

pub use change::{Meant, Status};
pub use dump::{differences, dump};
pub use rest::User;
pub use reviews::{Fault, Reviewed, Reviews};
pub use script::{Made, Options, run};
pub use site::Gerrit;
pub use world::{FOLLOWER_LOGIN, GROUP};

/// The jars that are Gerrit: the Maven components of components.toml whose names begin with `gerrit-`, from the cache.
fn jars() -> Result<Vec<PathBuf>> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components.toml");
    let list = std::fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let mut jars = Vec::new();
    for digest in digests(&list) {
        let folder = cache.join("bellwether/components").join(digest);
        let jar = std::fs::read_dir(&folder).ok().and_then(|mut files| files.next()).transpose()?;
        let jar = jar.with_context(|| {
            format!("nothing in {}: `cargo xtask setup --only gerrit` installs it", folder.display())
        })?;
        jars.push(jar.path());
    }
    ensure!(!jars.is_empty(), "components.toml has no component gerrit-…");
    Ok(jars)
}

/// The digests of Gerrit's jars in components.toml, whose lines are `key = "value"`.
fn digests(list: &str) -> Vec<&str> {
    let value = |component: &'_ str, key: &str| -> Option<(usize, usize)> {
        let at = component.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((at, at + component[at..].find('"')?))
    };
    let mut found = Vec::new();
    for component in list.split("[[component]]") {
        let text = |key| value(component, key).map(|(from, to)| &component[from..to]);
        if text("name").is_some_and(|name| name.starts_with("gerrit-")) {
            found.extend(text("sha256"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jars_are_those_of_the_list() {
        let list = "[[component]]\nname = \"gerrit-a\"\nsha256 = \"01\"\n\n[[component]]\nname = \"b\"\nsha256 = \"02\"\n\n\
                    [[component]]\nname = \"gerrit-c\"\nfrom = \"maven\"\nsha256 = \"03\"\n";
        assert_eq!(digests(list), ["01", "03"]);
    }
}
