use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn all_at_once(secrets: &Secrets, text: &[u8]) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets);
    let mut out = redactor.feed(text).bytes;
    out.extend(redactor.finish().bytes);
    out
}

fn redacted(secrets: &Secrets, text: &str) -> String {
    String::from_utf8(all_at_once(secrets, text.as_bytes())).unwrap()
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n\
    OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n\
    1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn every_form_of_a_secret_is_found() {
    let key = "-----BEGIN KEY-----\nMIIabc/def+ghi\nxyz==\n-----END KEY-----\n";
    let secrets = Secrets::new(["s3cr\"t/päss wörd", key]);
    for before in ["", "a", "ab"] {
        let wrapped = format!("{before}s3cr\"t/päss wörd and more");
        let out = redacted(&secrets, &STANDARD.encode(wrapped));
        assert!(out.contains("***"), "{before:?}: {out:?}");
    }
    for text in [
        "x s3cr\"t/päss wörd y",
        "url=s3cr%22t%2Fp%C3%A4ss%20w%C3%B6rd&",
        "url=s3cr%22t/p%C3%A4ss%20w%C3%B6rd&",
        "url=s3cr%22t%2fp%c3%a4ss%20w%c3%b6rd&",
        "form=s3cr%22t%2Fp%C3%A4ss+w%C3%B6rd&",
        "form=s3cr%22t/p%c3%a4ss+w%c3%b6rd&",
        r#"{"p":"s3cr\"t/päss wörd"}"#,
        r#"{"p":"s3cr\"t\/p\u00e4ss w\u00f6rd"}"#,
        r#"{"p":"s3cr\"t/p\u00E4ss w\u00F6rd"}"#,
        "   MIIabc/def+ghi\r\n",
    ] {
        let out = redacted(&secrets, text);
        assert!(out.contains("***") && !out.contains("s3cr") && !out.contains("MIIabc"), "{text} -> {out}");
    }
    assert_eq!(redacted(&secrets, key), "***\n", "the line's end is the log's");
    let hexed = hex::encode("s3cr\"t/päss wörd");
    assert_eq!(redacted(&secrets, &format!("<{hexed}|{}>", hexed.to_uppercase())), "<***|***>");
}

#[test]
fn json_is_found_as_go_php_and_python_write_it() {
    let secrets = Secrets::new(["a&b<c>d/\u{2028}é\u{1f512}!"]);
    for text in [
        "a\\u0026b\\u003cc\\u003ed/\\u2028é\u{1f512}!",
        r"a&b<c>d\/\u2028\u00e9\ud83d\udd12!",
        r"a&b<c>d/\u2028\u00e9\ud83d\udd12!",
        r"a\u0026b\u003Cc\u003Ed\/\u2028\u00E9\uD83D\uDD12!",
        "a&b<c>d\\/\\u2028é\u{1f512}!",
    ] {
        assert_eq!(redacted(&secrets, &format!("[{text}]")), "[***]", "{text}");
    }
}

#[test]
fn wrapped_base64_is_found_at_every_offset_and_phase() {
    let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4aAbCdEfGhIjKlMnOpQrStUvWxYz0123456789zyxwv";
    let secrets = Secrets::new([token, KEY]);
    for secret in [token, KEY] {
        for before in (0..9).chain([57, 117]) {
            let text = format!("{}{secret}{}", "#".repeat(before), "#".repeat(100 - before % 7));
            for (columns, indent) in [(76, ""), (64, "    "), (60, "\t"), (1000, "")] {
                let whole = STANDARD.encode(&text);
                let lines: Vec<_> = whole.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
                let out = redacted(&secrets, &lines.join(&format!("\r\n{indent}")));
                // Of the secret's own characters, at most the two that hold bits of its neighbours, too, are left.
                let unwrapped: String = out.split_whitespace().collect();
                let rest: usize = unwrapped.split("***").map(str::len).sum();
                let hidden = whole.len() - rest;
                assert!(hidden + 2 >= secret.len() * 8 / 6, "{before} {columns}: {out}");
            }
        }
    }
}

#[test]
fn base64_is_found_whole_with_its_padding_and_url_safe() {
    let secret = "\u{ff}\u{fe}?~>_token>>>??";
    let secrets = Secrets::new([secret]);
    for text in [STANDARD.encode(secret), URL_SAFE.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
        assert_eq!(redacted(&secrets, &format!("[{text}]")), "[***]");
    }
}

#[test]
fn lines_of_a_longer_secret_are_found_alone() {
    let secrets = Secrets::new([KEY]);
    let stamped: String = KEY.lines().map(|line| format!("#7 0.12 {line}\n")).collect();
    let out = redacted(&secrets, &stamped);
    assert_eq!(out.matches("***").count(), 3, "{out}");
    assert!(out.contains("BEGIN PRIVATE KEY"), "a common line stays: {out}");
    let encoded = STANDARD.encode(KEY);
    let lines = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy);
    let stamped: String = lines.map(|line| format!("#7 0.12 {line}\n")).collect();
    let out = redacted(&secrets, &stamped);
    assert!(out.lines().all(|line| line == "#7 0.12 ***"), "{out}");
}

#[test]
fn short_secrets_and_none_leave_the_text_alone() {
    assert_eq!(all_at_once(&Secrets::new(["abc"]), b"abcabc"), b"abcabc");
    assert_eq!(all_at_once(&Secrets::default(), b"abc\n  abc"), b"abc\n  abc");
    assert!(Secrets::new(["", "     \n\n   "]).is_empty());
}

#[test]
fn what_is_held_back_is_bounded() {
    let long = "x".repeat(1 << 20);
    let secrets = Secrets::new([long.as_str(), "abcdef"]);
    let mut redactor = Redactor::new(&secrets);
    let (mut fed, mut given) = (0, 0);
    for piece in ["abc".as_bytes(), "\n".repeat(30 << 10).as_bytes(), "x\n\t".repeat(10 << 10).as_bytes()] {
        for _ in 0..12 {
            fed += piece.len() as u64;
            given += redactor.feed(piece).raw;
            assert!(fed - given <= MAX_HELD as u64, "{} bytes are held back", fed - given);
        }
    }
    assert_eq!(given + redactor.finish().raw, fed);
}

proptest! {
    #[test]
    fn cuts_change_nothing_and_raw_offsets_are_places_to_start_again(
        text in "([ab]|\n|\r\n {0,3}|\t){0,40}(abbabb|abb\n\tabbab|ab\r\nbabb)?([ab \n]){0,40}",
        cuts in proptest::collection::vec(0usize..20, 0..12),
    ) {
        let secrets = Secrets::new(["abbabb", "abbabbab", " a b  aa", "aabb\nabab\n"]);
        let whole = all_at_once(&secrets, text.as_bytes());
        let mut redactor = Redactor::new(&secrets);
        let (mut out, mut raw, mut rest) = (Vec::new(), 0usize, text.as_bytes());
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let clean = redactor.feed(now);
            out.extend(clean.bytes);
            raw += clean.raw as usize;
            // A second reader that begins at the raw offset completes the same text.
            let mut again = out.clone();
            again.extend(all_at_once(&secrets, &text.as_bytes()[raw..]));
            prop_assert_eq!(&again, &whole);
        }
        out.extend(redactor.feed(rest).bytes);
        out.extend(redactor.finish().bytes);
        prop_assert_eq!(out, whole);
    }

    #[test]
    fn no_form_of_a_secret_is_left(secret in "[ -~äöü]{8,30}", columns in 1usize..90) {
        let secrets = Secrets::new([secret.as_str()]);
        let encoded = STANDARD.encode(&secret);
        let lines: Vec<_> = encoded.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
        for text in [secret.clone(), lines.join("\n"), serde_json::to_string(&secret).unwrap()] {
            let out = redacted(&secrets, &text);
            prop_assume!(secret.trim().len() >= MIN_SECRET);
            prop_assert!(out.contains("***"), "{} of {}", out, text);
        }
    }
}
