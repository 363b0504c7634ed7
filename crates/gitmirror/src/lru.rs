//! A set of sized things from which the longest unused ones fall out.

use std::collections::HashMap;
use std::hash::Hash;

pub(crate) struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: u64,
    total: u64,
    clock: u64,
}

struct Entry<V> {
    value: V,
    size: u64,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(capacity: u64) -> Self {
        Lru { entries: HashMap::new(), capacity, total: 0, clock: 0 }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.total -= entry.size;
        Some(entry.value)
    }

    /// Adds a thing and gives those that fell out. One that is larger than everything falls out itself.
    pub(crate) fn insert(&mut self, key: K, value: V, size: u64) -> Vec<(K, V)> {
        self.clock += 1;
        self.remove(&key);
        self.total += size;
        self.entries.insert(key, Entry { value, size, used: self.clock });
        let mut out = Vec::new();
        while self.total > self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(key) = oldest else { break };
            if let Some(value) = self.remove(&key) {
                out.push((key, value));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_fall_out() {
        let mut lru = Lru::new(10);
        assert!(lru.insert("a", 1, 4).is_empty() && lru.insert("b", 2, 4).is_empty());
        assert_eq!(lru.get(&"a"), Some(1));
        assert_eq!(lru.insert("c", 3, 4), [("b", 2)]);
        assert_eq!(lru.insert("huge", 9, 11).len(), 3, "all, itself included");
        assert_eq!(lru.total, 0);
        lru.insert("a", 1, 10);
        assert!(lru.insert("a", 2, 10).is_empty());
        assert_eq!(lru.get(&"a"), Some(2));
    }
}
