//! Which bytes are asked for, as Go's server of files reads it. Source: spec/maintner.md §2.4.

use std::ops::Range;

/// What is answered to a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    All,
    /// These bytes, of which there is one at least.
    Part(Range<u64>),
    /// It begins behind the last byte.
    Beyond,
    /// It is no range.
    Malformed,
}

/// Reads the header of a request for something of `size` bytes.
pub(super) fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some(header) = header.filter(|header| !header.is_empty()) else { return Asked::All };
    let Some(list) = header.strip_prefix("bytes=") else { return Asked::Malformed };
    let (mut parts, mut beyond) = (Vec::new(), false);
    for one in list.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let Some((first, last)) = one.split_once('-') else { return Asked::Malformed };
        match part(first.trim(), last.trim(), size) {
            Some(Some(part)) => parts.push(part),
            Some(None) => beyond = true,
            None => return Asked::Malformed,
        }
    }
    match parts.len() {
        // Of nothing there is no part, and all of it is sent.
        0 if beyond && size > 0 => Asked::Beyond,
        1 => parts.pop().map_or(Asked::All, Asked::Part),
        // Nobody who reads a log asks for several.
        _ => Asked::All,
    }
}

/// A part, if any of it is there; none of what is malformed.
fn part(first: &str, last: &str, size: u64) -> Option<Option<Range<u64>>> {
    if first.is_empty() {
        let count = number(last)?.min(size);
        return Some((count > 0).then(|| size - count..size));
    }
    let start = number(first)?;
    if start >= size {
        return Some(None);
    }
    if last.is_empty() {
        return Some(Some(start..size));
    }
    let end = number(last)?;
    if end < start {
        return None;
    }
    Some(Some(start..end.min(size - 1) + 1))
}

fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all { digits.parse().ok().filter(|number| i64::try_from(*number).is_ok()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_go_reads_them() {
        use Asked::*;
        for (header, size, want) in [
            ("", 8, All),
            ("bytes=0-7", 8, Part(0..8)),
            ("bytes=2-3", 8, Part(2..4)),
            ("bytes=2-", 8, Part(2..8)),
            ("bytes=2-99", 8, Part(2..8)),
            ("bytes= 2-3 ,", 8, Part(2..4)),
            ("bytes=-3", 8, Part(5..8)),
            ("bytes=-99", 8, Part(0..8)),
            ("bytes=", 8, All),
            ("bytes=0-1,3-4", 8, All),
            ("bytes=0-1,9-", 8, Part(0..2)),
            ("bytes=8-7", 8, Beyond),
            ("bytes=9-20", 8, Beyond),
            ("bytes=8-", 8, Beyond),
            ("bytes=0-7", 0, All),
            ("bytes=3-2", 8, Malformed),
            ("bytes=a-", 8, Malformed),
            ("bytes=+1-2", 8, Malformed),
            ("bytes=--3", 8, Malformed),
            ("bytes=5", 8, Malformed),
            ("bytes=-", 8, Malformed),
            ("lines=0-1", 8, Malformed),
            ("bytes=0-99999999999999999999", 8, Malformed),
        ] {
            assert_eq!(asked(Some(header), size), want, "{header} of {size}");
        }
        assert_eq!(asked(None, 8), All);
    }
}
