//! How much one person may have. Pure.

use store::BuildId;

/// So many are named of those that could be given back.
const NAMED: usize = 3;

/// What somebody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Has {
    /// How many machines they hold or wait for, with those that are on their way from builds that have failed.
    pub machines: usize,
    /// Of those that they hold the names that they may be told.
    pub named: Vec<String>,
    /// How many builds there are whose machines are held for them, if these fail.
    pub wanted: usize,
    /// Of those the ones that they may be told.
    pub builds: Vec<BuildId>,
}

/// Why there is no room for one more: words for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// They have what one person may have.
    #[error("{}", for_one(has, *most))]
    ForOne {
        /// What they have.
        has: Box<Has>,
        /// So much one may have.
        most: usize,
    },
    /// All together have what all may have.
    #[error(
        "{most} builds are waited for to fail, which is all that can be; ask again once some of them have ended"
    )]
    ForAll {
        /// So many there may be.
        most: usize,
    },
}

impl Has {
    /// Refuses one more if there are so many already.
    pub fn below(self, most: usize) -> Result<(), NoRoom> {
        if self.machines + self.wanted < most {
            return Ok(());
        }
        Err(NoRoom::ForOne { has: Box::new(self), most })
    }
}

fn for_one(has: &Has, most: usize) -> String {
    let Has { machines, named, wanted, builds } = has;
    let mut text = format!(
        "one person may have {most} machines at once (max_gomotes), and you hold or wait for {machines} and want those of \
         {wanted} builds if they fail"
    );
    if !named.is_empty() {
        text += &format!("; `bellwether gomote destroy` gives one back: {}", some(named));
    }
    if !builds.is_empty() {
        let builds: Vec<_> = builds.iter().map(ToString::to_string).collect();
        text += &format!("; `bellwether gomote unhold` lets go of a build: {}", some(&builds));
    }
    text
}

/// The first of them, and how many more there are.
fn some(all: &[String]) -> String {
    let first = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use store::Micros;

    use super::*;

    #[test]
    fn who_may_have_no_more_is_told_what_to_give_back() {
        let id = |n| BuildId::new(Micros(n), &mut |to: &mut [u8]| to.fill(0));
        let named: Vec<String> = (0..5).map(|n| format!("ann-b-{n}")).collect();
        let has = Has { machines: 6, named, wanted: 1, builds: vec![id(1)] };
        assert_eq!(has.clone().below(8), Ok(()));
        let said = has.below(7).unwrap_err().to_string();
        let wanted = format!(
            "one person may have 7 machines at once (max_gomotes), and you hold or wait for 6 and want those of 1 builds if \
             they fail; `bellwether gomote destroy` gives one back: ann-b-0, ann-b-1, ann-b-2 and 2 more; `bellwether gomote \
             unhold` lets go of a build: {}",
            id(1)
        );
        assert_eq!(said, wanted);
        let waits = Has { machines: 1, ..Has::default() };
        let said = waits.below(1).unwrap_err().to_string();
        assert!(said.ends_with("hold or wait for 1 and want those of 0 builds if they fail"), "{said}");
    }
}
