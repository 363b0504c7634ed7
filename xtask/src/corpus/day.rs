//! When it all happens: from 2014 to 2026, in seconds.

use jiff::Timestamp;

/// 2014-01-01T00:00:00Z.
pub const BEGIN: u64 = 1_388_534_400;
/// 2026-01-01T00:00:00Z.
pub const END: u64 = 1_767_225_600;
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;

/// How many files a log has, whatever its scale: each has half a year, and the name of the day of its first record. A leader
/// has a file for each day; thousands of them would say nothing more.
pub const FILES: u64 = 24;

/// Which of the files has this instant.
pub fn file(now: u64) -> u64 {
    (now.saturating_sub(BEGIN) * FILES / (END - BEGIN)).min(FILES - 1)
}

/// `2014-01-01`.
pub fn name(now: u64) -> String {
    let second = i64::try_from(now).unwrap_or(i64::MAX);
    let instant = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.strftime("%Y-%m-%d").to_string()
}

/// An instant as the log has it.
pub fn stamp(now: u64) -> Option<maintpb::Timestamp> {
    Some(maintpb::Timestamp { seconds: i64::try_from(now).unwrap_or(i64::MAX), nanos: 0 })
}
