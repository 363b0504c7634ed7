//! Lines out of pieces.

/// A line without its end.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Where it begins.
    pub first: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Its bytes, without what ends it.
    pub bytes: &'a [u8],
    /// Whether it was longer than may be, and this is only its head.
    pub cut: bool,
}

impl Line<'_> {
    /// Its text, without escape sequences.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.bytes);
        if text.contains('\u{1b}') { crate::signature::without_escapes(&text) } else { text.into_owned() }
    }
}

#[derive(Debug)]
pub(crate) struct Lines {
    limit: usize,
    part: Vec<u8>,
    /// Where the line that is being taken begins.
    first: u64,
    at: u64,
    cut: bool,
}

impl Lines {
    pub fn new(limit: usize, at: u64) -> Self {
        Self { limit: limit.max(64), part: Vec::new(), first: at, at, cut: false }
    }

    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&Line<'_>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.at = self.at.saturating_add(piece.len() as u64);
            let ended = piece.ends_with(b"\n");
            if ended && self.part.is_empty() && !self.cut && piece.len() <= self.limit {
                // The whole line is at hand.
                each(&Line { first: self.first, end: self.at, bytes: trimmed(piece), cut: false });
                self.first = self.at;
                continue;
            }
            let room = self.limit - self.part.len();
            self.cut |= piece.len() > room;
            self.part.extend_from_slice(&piece[..piece.len().min(room)]);
            if ended {
                self.flush(&mut each);
            }
        }
    }

    fn flush(&mut self, each: &mut impl FnMut(&Line<'_>)) {
        each(&Line { first: self.first, end: self.at, bytes: trimmed(&self.part), cut: self.cut });
        self.part.clear();
        self.part.shrink_to(4096);
        self.first = self.at;
        self.cut = false;
    }

    pub fn finish(&mut self, mut each: impl FnMut(&Line<'_>)) {
        if self.at > self.first {
            self.flush(&mut each);
        }
    }

    pub fn skip_to(&mut self, at: u64, each: impl FnMut(&Line<'_>)) {
        self.finish(each);
        self.at = self.at.max(at);
        self.first = self.at;
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
