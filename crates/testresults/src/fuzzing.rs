//! What a fuzzer calls.

use crate::{Format, Limits, Reader, normalised};

/// Reads an output in the format of its first byte, cut by its second, within small limits.
///
/// # Panics
/// If that is not what is read of the same in one piece, or if it is too much.
pub fn output(data: &[u8]) {
    let [format, cut, output @ ..] = data else { return };
    let format = Format::ALL[usize::from(*format) % Format::ALL.len()];
    let limits = Limits { tests: 50, line: 2048, name: 64, message: 200, open: 20, held: 4096 };
    let mut whole = Reader::new(format, limits.clone(), 0);
    whole.feed(output);
    let summary = whole.finish();
    let tests = whole.take();
    let mut pieces = Reader::new(format, limits.clone(), 0);
    for piece in output.chunks(usize::from(*cut).max(1)) {
        pieces.feed(piece);
    }
    assert_eq!(
        (pieces.finish(), pieces.take()),
        (summary, tests.clone()),
        "where it is cut makes a difference"
    );
    assert!(tests.len() <= limits.tests + limits.tests / 10, "too many tests");
    for test in &tests {
        assert!(!test.id.is_empty() && test.id.len() <= limits.name, "a name out of bounds");
        if let Some(bytes) = &test.bytes {
            assert!(bytes.start <= bytes.end && bytes.end <= output.len() as u64, "bytes that are not there");
        }
        if let Some(message) = &test.message {
            assert!(message.len() <= 3 * limits.message + 64, "a message out of bounds");
            let _ = normalised(message);
        }
    }
}
