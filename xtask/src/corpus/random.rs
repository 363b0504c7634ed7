//! Numbers that look random: SplitMix64, by integers alone, so that every machine has the same ones.

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n - 1`; 0 where `n` is.
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.index(of.len())]
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub fn percent(&mut self, of: u32) -> bool {
        self.below(100) < of
    }

    /// The first few of `len` much more often than the last: who writes, and which files are changed.
    pub fn skewed(&mut self, len: usize) -> usize {
        let inner = self.index(len);
        self.index(inner + 1)
    }

    /// Zero or more, by the chance of one more each time; their mean is `hundredths` of one.
    pub fn several(&mut self, hundredths: u32) -> u32 {
        let mut n = 0;
        while n < 400 && self.below(100 + hundredths) >= 100 {
            n += 1;
        }
        n
    }

    /// As many bytes as what people write has: mostly little, at times pages; 850 in the mean.
    pub fn length(&mut self) -> usize {
        let (from, to) = match self.below(100) {
            0..50 => (60, 400),
            50..80 => (400, 1000),
            80..95 => (1000, 2500),
            _ => (2500, 8000),
        };
        (from + self.below(to - from)) as usize
    }

    /// Forty digits: an object that nobody sees, or an identity.
    pub fn hash(&mut self) -> String {
        let mut bytes = [0; 20];
        for part in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
        hex::encode(bytes)
    }
}
