//! A text of which head and tail are kept, out of a store of bytes that all texts share.

/// What all texts that are held may have together.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.left;
        self.left -= if fits { bytes } else { 0 };
        fits
    }

    /// Takes what is left of so many.
    fn take_some(&mut self, bytes: usize) -> usize {
        let some = bytes.min(self.left);
        self.left -= some;
        some
    }

    pub fn give(&mut self, bytes: usize) {
        self.left += bytes;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Text {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: u64,
    /// What it has of the budget.
    taken: usize,
}

impl Text {
    /// Adds bytes; `most` is what head and tail may have together.
    pub fn push(&mut self, bytes: &[u8], most: usize, budget: &mut Budget) {
        if self.dropped > 0 && self.tail.is_empty() {
            // There was no room once: what comes later would look as if it followed.
            self.dropped += bytes.len() as u64;
            return;
        }
        let half = most / 2;
        let room = half.saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(if self.tail.is_empty() { bytes.len().min(room) } else { 0 });
        let some = budget.take_some(head.len());
        self.taken += some;
        self.head.extend_from_slice(&head[..some]);
        if some < head.len() {
            self.dropped += (bytes.len() - some) as u64;
            return;
        }
        if rest.is_empty() {
            return;
        }
        // Up to twice as much as is kept of it, so that it need not move with each line.
        let (keep, room) = (most - half, most);
        if self.tail.is_empty() {
            if !budget.take(room) {
                self.dropped += rest.len() as u64;
                return;
            }
            self.taken += room;
        }
        let skipped = rest.len().saturating_sub(keep);
        if skipped > 0 {
            self.dropped += (self.tail.len() + skipped) as u64;
            self.tail.clear();
        }
        let rest = &rest[skipped..];
        if self.tail.len() + rest.len() > room {
            let over = (self.tail.len() + rest.len() - keep).min(self.tail.len());
            self.tail.drain(..over);
            self.dropped += over as u64;
        }
        self.tail.extend_from_slice(rest);
    }

    /// Adds a line.
    pub fn line(&mut self, bytes: &[u8], most: usize, budget: &mut Budget) {
        self.push(bytes, most, budget);
        self.push(b"\n", most, budget);
    }

    /// Lets it go.
    pub fn free(self, budget: &mut Budget) {
        budget.give(self.taken);
    }

    /// Gives it as a message; nothing if there is no word in it.
    pub fn message(self, most: usize, budget: &mut Budget) -> Option<String> {
        let (mut dropped, mut tail) = (self.dropped, &self.tail[..]);
        let keep = most - most / 2;
        if tail.len() > keep {
            dropped += (tail.len() - keep) as u64;
            tail = &tail[tail.len() - keep..];
        }
        let mut bytes = self.head.clone();
        if dropped > 0 {
            bytes.extend_from_slice(format!("\n[{dropped} bytes are left out here]\n").as_bytes());
        }
        bytes.extend_from_slice(tail);
        let text = String::from_utf8_lossy(&bytes);
        let text = if text.contains('\u{1b}') {
            crate::signature::without_escapes(&text)
        } else {
            text.into_owned()
        };
        budget.give(self.taken);
        let text = text.trim_matches(['\n', '\r']).trim_end();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let mut budget = Budget::new(10_000);
        for step in [1, 3, 7, 1000] {
            let mut text = Text::default();
            let all: Vec<u8> = (0..1000_u32).flat_map(|n| format!("{n:03}\n").into_bytes()).collect();
            for piece in all.chunks(step) {
                text.push(piece, 40, &mut budget);
            }
            let message = text.message(40, &mut budget).unwrap_or_default();
            assert!(message.starts_with("000\n001\n002\n003\n004\n"), "{message}");
            assert!(message.ends_with("995\n996\n997\n998\n999"), "{step}: {message}");
            assert!(message.contains("[3960 bytes are left out here]"), "{step}: {message}");
            assert_eq!(budget.left, 10_000);
        }
    }

    #[test]
    fn nothing_is_kept_beyond_the_budget() {
        let mut budget = Budget::new(10);
        let mut text = Text::default();
        text.push(b"0123456789", 100, &mut budget);
        text.push(b"more", 100, &mut budget);
        assert_eq!(
            text.message(100, &mut budget).as_deref(),
            Some("0123456789\n[4 bytes are left out here]")
        );
    }
}
