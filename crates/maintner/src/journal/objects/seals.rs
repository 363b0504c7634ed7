//! `sealed/NNNN`: a line `sealed 1 SEQ`, where SEQ is in decimal the number of the tail that the next segment begins with, then
//! a line `NNNN SIZE SHA224` for each segment up to this one.

use std::fmt::Write as _;

use super::calls::Calls;
use crate::journal::{OpenError, Segment};

/// The newest list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seals {
    pub segments: Vec<Segment>,
    /// Number of the first tail behind them.
    pub next: u64,
}

impl Seals {
    /// Finds the newest list by counting: there is one for each segment, without a gap.
    pub async fn last(calls: &Calls) -> Result<Self, OpenError> {
        let mut newest = match calls.get_seals(0).await? {
            Some(first) => (0, first),
            None => return Ok(Self::default()),
        };
        // The first that is known to be not there.
        let mut beyond = None;
        while beyond != Some(newest.0 + 1) {
            let try_next = match beyond {
                None => newest.0 * 2 + 1,
                Some(beyond) => u32::midpoint(newest.0, beyond),
            };
            match calls.get_seals(try_next).await? {
                Some(seals) => newest = (try_next, seals),
                None => beyond = Some(try_next),
            }
        }
        let name = calls.seals_name(newest.0);
        let seals = Self::decode(&newest.1).filter(|seals| seals.segments.len() == newest.0 as usize + 1);
        seals.ok_or_else(|| OpenError::Store {
            object: name,
            why: "it is no list of segments up to this one".into(),
        })
    }

    pub fn encode(&self) -> String {
        let mut text = format!("sealed 1 {}\n", self.next);
        for segment in &self.segments {
            let _ = writeln!(text, "{:04} {} {}", segment.number, segment.size, hex::encode(segment.sha224));
        }
        text
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let next = lines.next()?.strip_prefix("sealed 1 ")?.parse().ok()?;
        let mut segments = Vec::new();
        for (line, want) in lines.zip(0u32..) {
            let mut words = line.split(' ');
            let number = words.next()?.parse().ok().filter(|number| *number == want)?;
            let size = words.next()?.parse().ok()?;
            let mut sha224 = [0; 28];
            hex::decode_to_slice(words.next()?, &mut sha224).ok()?;
            segments.push(Segment { number, size, sha224, sealed: true });
        }
        Some(Self { segments, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let segment =
            |number| Segment { number, size: 9, sha224: [number.to_le_bytes()[0]; 28], sealed: true };
        let seals = Seals { segments: vec![segment(0), segment(1)], next: 77 };
        assert_eq!(Seals::decode(seals.encode().as_bytes()), Some(seals));
        for bad in ["", "sealed 2 1\n", "sealed 1 x\n", "sealed 1 1\n0001 9 00\n", "sealed 1 1\n0000 9\n"] {
            assert_eq!(Seals::decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
