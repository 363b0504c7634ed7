//! Choices that are the same for a seed on every machine and with every version of every library.

/// Sebastiano Vigna's splitmix64.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, part: usize) -> bool {
        self.below(100) < part
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// A Change-Id.
    pub(super) fn change_id(&mut self) -> String {
        let words = [self.next(), self.next(), self.next()];
        format!("I{:016x}{:016x}{:08x}", words[0], words[1], words[2] >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_row_of_choices() {
        // The first of splitmix64's own test vector for the seed 1234567.
        assert_eq!(Chance::new(1_234_567).next(), 6_457_827_717_110_365_317);
        let (mut one, mut two) = (Chance::new(7), Chance::new(7));
        assert_eq!(one.change_id(), two.change_id());
        assert_eq!(one.change_id().len(), 41);
        assert!((0..1000).all(|_| one.below(3) < 3));
    }
}
