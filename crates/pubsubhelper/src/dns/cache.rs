//! Texts that were found a little while ago. Only such: what is not there is asked for each time, so that a stranger who makes
//! up names puts nothing in here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::Texts;

/// The most names that are remembered.
const MOST: usize = 64;
/// The most bytes of a name's texts that are remembered.
const LARGEST: usize = 8 << 10;
/// The longest that texts are remembered, whatever they say: a key that was withdrawn is to count no longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// Names with their texts, the one that was found last at the end.
#[derive(Debug, Default)]
pub(super) struct Cache(Vec<One>);

#[derive(Debug)]
struct One {
    name: String,
    texts: Arc<Vec<Vec<u8>>>,
    until: Instant,
}

impl Cache {
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Arc<Vec<Vec<u8>>>> {
        let known = self.0.iter().find(|one| one.name.eq_ignore_ascii_case(name) && now < one.until)?;
        Some(Arc::clone(&known.texts))
    }

    /// Remembers texts for as long as they are true, in place of the name's former ones and, without a place, of the oldest.
    pub(super) fn put(&mut self, name: &str, found: &Texts, now: Instant) {
        self.0.retain(|one| !one.name.eq_ignore_ascii_case(name) && now < one.until);
        let for_how_long = Duration::from_secs(found.ttl.into()).min(LONGEST);
        if for_how_long.is_zero() || found.texts.iter().map(Vec::len).sum::<usize>() > LARGEST {
            return;
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        let (name, texts) = (name.to_owned(), Arc::new(found.texts.clone()));
        self.0.push(One { name, texts, until: now + for_how_long });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, ttl: u32) -> Texts {
        Texts { texts: vec![text.as_bytes().to_vec()], ttl }
    }

    #[test]
    fn texts_are_known_while_they_are_true_and_never_for_long() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let known = |cache: &Cache, name: &str, seconds| {
            cache.get(name, at(seconds)).map(|texts| String::from_utf8(texts[0].clone()).unwrap())
        };
        cache.put("a.x", &of("one", 10), at(0));
        cache.put("b.x", &of("long", u32::MAX), at(0));
        cache.put("c.x", &of("none", 0), at(0));
        cache.put("d.x", &of(&"x".repeat(LARGEST + 1), 10), at(0));
        assert_eq!(known(&cache, "A.x", 9).as_deref(), Some("one"));
        assert_eq!(known(&cache, "a.x", 10), None);
        assert_eq!((known(&cache, "c.x", 0), known(&cache, "d.x", 0)), (None, None));
        assert_eq!(known(&cache, "b.x", 3599).as_deref(), Some("long"));
        assert_eq!(known(&cache, "b.x", 3600), None);
        cache.put("a.x", &of("two", 10), at(5));
        assert_eq!(known(&cache, "a.x", 14).as_deref(), Some("two"));
    }

    #[test]
    fn so_many_names_are_known_and_no_more() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for n in 0..=MOST {
            cache.put(&n.to_string(), &of("x", 10), now);
        }
        assert!(cache.get("0", now).is_none() && cache.get("1", now).is_some());
        assert_eq!(cache.0.len(), MOST);
    }
}
