//! Which names are taken. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::BuildId;

use super::Session;

/// Why nothing is held by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nobody has taken the name.
    Unknown,
    /// It is waited for: for a machine, or for the one that it was held on before.
    NotYet,
}

/// For whom a machine is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder<'a> {
    /// Who they are.
    pub owner: &'a str,
    /// The repo whose builder it is; empty for one of the server's.
    pub repo: &'a str,
}

/// A name that is taken.
struct Taken {
    id: BuildId,
    owner: String,
    repo: String,
    /// The machine, once it is there.
    session: Option<Arc<Session>>,
}

/// Machines by name; those that are waited for have one as well.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, Taken>);

impl Names {
    /// The lowest name that is free: `WHO-BUILDER-N`, from 0, as with the original.
    pub fn reserve(&mut self, holder: Holder<'_>, builder: &str, id: BuildId) -> String {
        let stem = format!("{}-{}", plain(user(holder.owner)), plain(builder));
        let name = (0..)
            .map(|n: u32| format!("{stem}-{n}"))
            .find(|name| !self.0.contains_key(name))
            .expect("invariant: there are fewer machines than numbers");
        self.keep(&name, holder, id);
        name
    }

    /// Takes a name that was taken before.
    pub fn keep(&mut self, name: &str, holder: Holder<'_>, id: BuildId) {
        let Holder { owner, repo } = holder;
        let taken = Taken { id, owner: owner.to_owned(), repo: repo.to_owned(), session: None };
        self.0.insert(name.to_owned(), taken);
    }

    /// Frees what was taken for somebody who has gone before anybody was asked for a machine.
    pub fn forget(&mut self, id: BuildId) {
        self.0.retain(|_, taken| taken.id != id || taken.session.is_some());
    }

    pub fn release(&mut self, name: &str, id: BuildId) {
        if self.0.get(name).is_some_and(|taken| taken.id == id) {
            self.0.remove(name);
        }
    }

    /// What is held by the name that was taken for it.
    pub fn open(&mut self, session: &Arc<Session>) {
        if let Some(taken) = self.0.get_mut(&session.name).filter(|taken| taken.id == session.id) {
            taken.session = Some(Arc::clone(session));
        }
    }

    /// What is held by that name, of builders of those repos; the error says whether somebody waits for it to be held.
    pub fn find(&self, name: &str, of: impl Fn(&str) -> bool) -> Result<Arc<Session>, Missing> {
        match self.0.get(name).filter(|taken| of(&taken.repo)).map(|taken| &taken.session) {
            // Given back, and being cleaned: the name is taken until then.
            Some(Some(session)) if session.end.is_cancelled() => Err(Missing::Unknown),
            Some(Some(session)) => Ok(Arc::clone(session)),
            Some(None) => Err(Missing::NotYet),
            None => Err(Missing::Unknown),
        }
    }

    /// The names that somebody has taken, each with the repo whose builder it is of, and whether a machine is held by it.
    pub fn of(&self, owner: &str) -> impl Iterator<Item = (&str, &str, bool)> {
        let all = self.0.iter().filter(move |(_, taken)| taken.owner == owner);
        all.map(|(name, taken)| (name.as_str(), taken.repo.as_str(), taken.session.is_some()))
    }

    /// What is held, by name.
    pub fn held(&self) -> Vec<Arc<Session>> {
        let all = self.0.values().filter_map(|taken| taken.session.as_ref());
        all.filter(|session| !session.end.is_cancelled()).cloned().collect()
    }
}

/// Somebody without the domain of their address.
fn user(who: &str) -> &str {
    match who.rsplit_once('@') {
        Some((user, _)) if !user.is_empty() => user,
        _ => who,
    }
}

/// A part of a name that needs no quotes anywhere.
fn plain(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if fine(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use store::Micros;

    use super::*;

    fn id(n: u8) -> BuildId {
        BuildId::new(Micros(0), &mut |to: &mut [u8]| to.fill(n))
    }

    #[test]
    fn the_lowest_free_number_is_taken() {
        let mut names = Names::default();
        let [far, ann, admin] = ["ann@example.org", "ann", "admin"].map(|owner| Holder { owner, repo: "" });
        assert_eq!(names.reserve(far, "linux", id(1)), "ann-linux-0");
        assert_eq!(names.reserve(far, "linux", id(2)), "ann-linux-1");
        assert_eq!(names.reserve(admin, "app:linux/x", id(3)), "admin-app-linux-x-0");
        names.release("ann-linux-0", id(2));
        assert_eq!(names.reserve(ann, "linux", id(4)), "ann-linux-2", "it was another's");
        names.release("ann-linux-0", id(1));
        assert_eq!(names.reserve(ann, "linux", id(5)), "ann-linux-0");
        let find = |names: &Names| names.find("ann-linux-0", |_| true).err();
        assert_eq!(find(&names), Some(Missing::NotYet));
        assert_eq!(names.find("ann-linux-0", |repo| repo == "app").err(), Some(Missing::Unknown));
        names.forget(id(5));
        assert_eq!(find(&names), Some(Missing::Unknown));
    }

    #[test]
    fn users_are_told_as_by_the_original() {
        for (who, name) in
            [("g@funky.com", "g"), ("a@b:c@d", "a@b:c"), ("@funky.com", "@funky.com"), ("george", "george")]
        {
            assert_eq!(user(who), name);
        }
    }
}
