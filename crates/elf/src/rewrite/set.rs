//! A set of addresses in one range, a bit for each.

/// Addresses from `start` on. Others are not in it, and adding one does nothing.
pub(super) struct Set {
    start: u64,
    words: Vec<u64>,
}

impl Set {
    pub(super) fn new(start: u64, length: usize) -> Set {
        Set { start, words: vec![0; length.div_ceil(64)] }
    }

    fn place(&self, address: u64) -> Option<(usize, u64)> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (at / 64 < self.words.len()).then_some((at / 64, 1 << (at % 64)))
    }

    /// Adds an address; whether it is new.
    pub(super) fn insert(&mut self, address: u64) -> bool {
        let Some((word, bit)) = self.place(address) else { return false };
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// What is in this one and not in the other, which has the same range.
    pub(super) fn without(&self, other: &Set) -> Vec<u64> {
        let mut found = Vec::new();
        for (at, (word, other)) in self.words.iter().zip(&other.words).enumerate() {
            let mut left = word & !other;
            while left != 0 {
                found.push(self.start + at as u64 * 64 + u64::from(left.trailing_zeros()));
                left &= left - 1;
            }
        }
        found
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        self.place(address).is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }
}
