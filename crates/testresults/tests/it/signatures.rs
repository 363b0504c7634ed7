//! Signatures: the same failure has one, two have two.

use proptest::prelude::*;
use testresults::{normalised, signature};

#[test]
fn what_differs_from_run_to_run_is_taken_out() {
    let alike = [
        ("at 0x7f00ab12 it broke", "at 0x1 it broke"),
        ("2026-11-28T06:56:47.135Z x", "2027-01-02T00:00:00Z x"),
        ("2026/11/28 06:56:47 listen", "2026/12/01 16:06:07 listen"),
        ("dial tcp 127.0.0.1:43211: refused", "dial tcp 127.0.0.1:9: refused"),
        ("[::1]:443 and localhost:80", "[::1]:5 and localhost:8080"),
        ("open /tmp/TestX123/001/a.txt: no", "open /tmp/TestX9/002/b.txt: no"),
        ("took 1.52s, limit 1m0s", "took 3ms, limit 2m30s"),
        ("ended after 12 seconds", "ended after 0.5 seconds"),
        ("x_test.go:12: bad", "x_test.go:1250: bad"),
        ("a.rs:12:5: bad", "a.rs:7:13: bad"),
        ("a.ts(3,5): bad", "a.ts(40,1): bad"),
        ("File \"a.py\", line 12, in x", "File \"a.py\", line 1, in x"),
        ("goroutine 12 [running]:", "goroutine 9 [running]:"),
        ("thread 'main' (17198) panicked", "thread 'main' (2) panicked"),
        ("pid 12 is gone, port=1234", "pid 99 is gone, port=2"),
        ("commit 0123abcd failed", "commit fedc9876 failed"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174abc"),
        ("in /code/a/job-17/src/lib.rs:3", "in /home/x/y/src/lib.rs:4"),
        ("\u{1b}[31mred\u{1b}[0m\r\n\n", "red"),
        (
            "stack backtrace:\n   0: a\n             at ./b.rs:1:2\nend",
            "note: run with `RUST_BACKTRACE=1`\nend",
        ),
        (
            "panic: x\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\ngoroutine 2 [select]:\nmain.g()\n",
            "panic: x\n\ngoroutine 7 [running]:\nmain.f(0x2)\n\ngoroutine 3 [chan send]:\nmain.h()\n",
        ),
    ];
    for (one, other) in alike {
        assert_eq!(normalised(one), normalised(other));
        assert_eq!(signature("t", one), signature("t", other), "{one}");
    }
}

#[test]
fn what_is_another_failure_stays_so() {
    let unlike = [
        ("got 3, want 4", "got 5, want 4"),
        ("a_test.go:1: bad", "b_test.go:1: bad"),
        ("exit status 1", "exit status 2"),
        ("open /src/lib.rs", "open /src/main.rs"),
        ("panic: nil map", "panic: index out of range"),
        ("HTTP 404", "HTTP 500"),
        ("version 1.2", "version 1.3"),
        ("effaced decade", "defaced facade"),
    ];
    for (one, other) in unlike {
        assert_ne!(signature("t", one), signature("t", other), "{one}");
    }
    assert_ne!(signature("a", "b"), signature("ab", ""));
    assert_eq!(signature("t", "x").len(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the words are that are no one's number, time or place: two texts of them have two signatures, and the same
    /// text one, however it is surrounded by what differs.
    #[test]
    fn texts_of_words_differ(
        one in "[g-z]{1,8}( [g-z]{1,8}| [1-9]{1,3},){0,5}",
        other in "[g-z]{1,8}( [g-z]{1,8}| [1-9]{1,3},){0,5}",
        address in any::<u64>(),
        millis in 0..100_000_u32,
        line in 1..9999_u32,
    ) {
        let around = |text: &str, address: u64, millis: u32, line: u32| {
            format!("at {address:#x} x.go:{line}: {text} after {millis}ms")
        };
        let first = signature("t", &around(&one, address, millis, line));
        prop_assert_eq!(&first, &signature("t", &around(&one, 0, 1, 1)));
        prop_assert_eq!(one == other, first == signature("t", &around(&other, address, millis, line)));
    }

    #[test]
    fn any_text_has_a_signature(text in "(?s).{0,300}") {
        prop_assert_eq!(signature("t", &text), signature("t", &text));
    }
}
