//! Durations, sizes and versions as they are written in a file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Reads a duration: a sum of numbers with units, like `20m`, `1h30m`, `500ms`, `2d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &after[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total_ms = total_ms.checked_add(number.checked_mul(unit)?)?;
        rest = &after[letters..];
    }
    Some(Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse_duration`] reads it back (whole milliseconds).
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if ms >= size {
            text += &format!("{}{unit}", ms / size);
            ms %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Reads a size in bytes: `512`, `64KiB`, `2GiB`, `10GB` (powers of 1024 with `i`, of 1000 without).
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match &text[digits..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A version like `1.22`: numbers with dots. Compared number by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub Vec<u32>);

impl Version {
    /// Finds the first dotted number in a text: `release-branch.go1.22` holds 1.22.
    #[must_use]
    pub fn within(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let rest = &text[start..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').parse().ok()
    }

    /// Tells whether this version is `bound` or newer; only as many numbers as the bound has are compared.
    #[must_use]
    pub fn at_least(&self, bound: &Self) -> bool {
        self.cut(bound) >= bound.0
    }

    /// Tells whether this version is `bound` or older; 1.22.3 is at most 1.22.
    #[must_use]
    pub fn at_most(&self, bound: &Self) -> bool {
        self.cut(bound) <= bound.0
    }

    fn cut(&self, bound: &Self) -> Vec<u32> {
        let mut numbers = self.0.clone();
        numbers.resize(bound.0.len(), 0);
        numbers
    }
}

impl FromStr for Version {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.split('.').map(|n| n.parse().map_err(|_| ())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.pad(&numbers.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for (text, ms) in [("20m", 1_200_000), ("1h30m", 5_400_000), ("500ms", 500), ("2d", 172_800_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        for bad in ["", "20", "m", "20 m", "1y", "99999999999999999999s", "18446744073709551615d", "-1s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_read() {
        assert_eq!(parse_size("64KiB"), Some(65536));
        assert_eq!(parse_size("10GB"), Some(10_000_000_000));
        assert_eq!(parse_size("7"), Some(7));
        assert_eq!(parse_size("7 MiB"), None);
        assert_eq!(parse_size("99999999999TiB"), None);
    }

    #[test]
    fn versions_compare_as_far_as_the_bound_goes() {
        let v = |t: &str| t.parse::<Version>().unwrap();
        assert_eq!(Version::within("release-branch.go1.22"), Some(v("1.22")));
        assert_eq!(Version::within("internal-branch.go1.21-vendor"), Some(v("1.21")));
        assert_eq!(Version::within("master"), None);
        assert!(v("1.22").at_least(&v("1.9")) && !v("1.9").at_least(&v("1.22")));
        assert!(v("1.22.3").at_most(&v("1.22")) && v("2").at_least(&v("1.22")) && v("1").at_most(&v("1.22")));
    }
}
