//! No output makes a reader panic, and where it is cut makes no difference.

use proptest::prelude::*;
use testresults::fuzzing::output;
use testresults::{Format, Limits, Reader};

const FIXTURES: [(Format, &[u8]); 14] = [
    (Format::Dist, include_bytes!("../fixtures/go.txt")),
    (Format::Dist, include_bytes!("../fixtures/go-verbose.txt")),
    (Format::Dist, include_bytes!("../fixtures/dist.txt")),
    (Format::GoJson, include_bytes!("../fixtures/go.json.txt")),
    (Format::GoJson, include_bytes!("../fixtures/go-panic.json.txt")),
    (Format::Junit, include_bytes!("../fixtures/pytest.xml")),
    (Format::Tap, include_bytes!("../fixtures/node.tap")),
    (Format::Tap, include_bytes!("../fixtures/perl.tap")),
    (Format::LibtestJson, include_bytes!("../fixtures/cargo.json.txt")),
    (Format::Libtest, include_bytes!("../fixtures/cargo.txt")),
    (Format::Libtest, include_bytes!("../fixtures/cargo-quiet.txt")),
    (Format::Pytest, include_bytes!("../fixtures/pytest-verbose.txt")),
    (Format::Pytest, include_bytes!("../fixtures/pytest.txt")),
    (Format::GoJson, include_bytes!("../fixtures/go-bench.json.txt")),
];

fn all(format: Format, pieces: &[&[u8]]) -> Vec<testresults::Test> {
    let mut reader = Reader::new(format, Limits::default(), 0);
    let mut tests = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        tests.extend(reader.take());
    }
    reader.finish();
    tests.extend(reader.take());
    tests
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for (format, output) in FIXTURES {
        let whole = all(format, &[output]);
        assert!(!whole.is_empty());
        for at in (0..output.len()).step_by(if output.len() > 2000 { 13 } else { 1 }) {
            let (one, two) = output.split_at(at);
            assert!(all(format, &[one, two]) == whole, "{format:?} at {at}");
        }
    }
}

#[test]
fn an_end_at_any_byte_is_an_end() {
    for (format, output) in FIXTURES {
        let whole = all(format, &[output]).len();
        for at in (0..output.len()).step_by(17) {
            // What is not ended may be told of once more: the program as a whole.
            assert!(all(format, &[&output[..at]]).len() <= whole + 2, "{format:?} at {at}");
        }
    }
}

#[test]
fn places_go_on_behind_a_gap() {
    let mut reader = Reader::new(Format::Tap, Limits::default(), 100);
    reader.feed(b"ok 1 - a\nok 2 - h");
    reader.skip_to(5000);
    reader.feed(b"ok 9 - z\n");
    reader.finish();
    let places: Vec<_> = reader.take().into_iter().map(|test| (test.id, test.bytes.unwrap())).collect();
    let expected = [("a", 100..109), ("h", 109..117), ("z", 5000..5009)];
    assert_eq!(places, expected.map(|(id, bytes)| (id.to_owned(), bytes)));
}

#[test]
fn seeds_of_the_fuzzer_pass() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/testresults");
    let files: Vec<_> = std::fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= Format::ALL.len());
    for file in files {
        output(&std::fs::read(file).unwrap());
    }
}

/// Lines as they are, changed, mixed up and cut short.
fn mixed() -> impl Strategy<Value = Vec<u8>> {
    let line = (0..FIXTURES.len(), any::<prop::sample::Index>(), any::<(u8, u8)>()).prop_map(
        |(n, at, (how, byte))| {
            let lines: Vec<&[u8]> = FIXTURES[n].1.split_inclusive(|byte| *byte == b'\n').collect();
            let mut line = at.get(&lines).to_vec();
            let place = usize::from(byte) % line.len().max(1);
            match how % 4 {
                0 if !line.is_empty() => line[place] = byte,
                1 => line.truncate(place),
                _ => {}
            }
            line
        },
    );
    prop::collection::vec(line, 0..60).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_panics(format in 0..7_u8, cut in any::<u8>(), mixed in mixed()) {
        let mut data = vec![format, cut];
        data.extend_from_slice(&mixed);
        output(&data);
    }

    #[test]
    fn nor_do_any_bytes(data in prop::collection::vec(any::<u8>(), 0..300)) {
        output(&data);
    }
}
