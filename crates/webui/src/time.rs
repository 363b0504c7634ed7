//! Times and durations for people. Moments are taken by reference, as templates hand them over.

use jiff::Timestamp;

/// Shows a number of microseconds in the two units that matter.
#[must_use]
pub fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1000;
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis / 1000 % 60),
        3_600_000..86_400_000 => format!("{} h {} min", millis / 3_600_000, millis / 60_000 % 60),
        _ => format!("{} d {} h", millis / 86_400_000, millis / 3_600_000 % 24),
    }
}

/// Shows a moment to the second, in UTC.
#[must_use]
pub fn moment(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Shows a moment of microseconds since 1970 to the second, in UTC.
#[must_use]
pub fn moment_us(us: &i64) -> String {
    moment(&Timestamp::from_microsecond(*us).unwrap_or_default())
}

/// Returns the moment as a machine reads it in `<time datetime>`.
#[must_use]
pub fn machine(at: &Timestamp) -> String {
    format!("{at:.0}")
}

/// Says how long ago something was, in one unit.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(at.as_second());
    match seconds {
        ..60 => "now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Shows a number of bytes.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (micros, text) in [
            (-5, "0 ms"),
            (999_999, "999 ms"),
            (1_250_000, "1.2 s"),
            (61_000_000, "1 min 1 s"),
            (3_660_000_000, "1 h 1 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(micros), text);
        }
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(13_000_000), "13.0 MB");
    }

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let back = |seconds: i64| ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!(
            [back(-3), back(59), back(60), back(7200), back(200_000)],
            ["now", "now", "1 min ago", "2 h ago", "2 d ago"]
        );
    }
}
