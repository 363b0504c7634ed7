use proptest::prelude::*;

use super::*;

const RCPT: &str = "bot@x.example";

fn session() -> Session {
    let limits = SmtpLimits { line: 100, mail: 400, announced: 500, header: 200, fields: 10, commands: 20 };
    Session::new(Terms { host: "h".into(), rcpt: RCPT.into(), limits, tls: true })
}

/// All that is said and delivered, whatever the pieces.
fn talk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Vec<Mail>, bool) {
    let (mut session, mut out, mut mails) = (session(), Vec::new(), Vec::new());
    for piece in pieces {
        session.push(piece);
        loop {
            match session.step(&mut out) {
                Step::More => break,
                Step::Close => return (String::from_utf8(out).unwrap(), mails, true),
                Step::StartTls => session.secured(),
                Step::Mail(mail) => {
                    mails.push(mail);
                    session.delivered(mails.len() % 3 != 0, &mut out);
                }
            }
        }
    }
    (String::from_utf8(out).unwrap(), mails, false)
}

fn said(text: &str) -> String {
    talk([text.as_bytes()]).0
}

fn begin() -> String {
    format!("MAIL FROM:<a@b>\r\nRCPT TO:<{RCPT}>\r\nDATA\r\n")
}

#[test]
fn replies_are_the_original_s() {
    let hello = "250-h\r\n250-PIPELINING\r\n250-SIZE 500\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 DSN\r\n";
    for (text, reply) in [
        ("EHLO x\r\n", hello),
        ("helo\r\n", hello),
        ("NOOP\r\nnoop x\r\nRSET\r\n", "250 2.0.0 OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n"),
        ("VRFY x\r\n", "502 5.5.2 Error: command not recognized\r\n"),
        ("AUTH PLAIN\r\n", "502 5.5.2 Error: command not recognized\r\n"),
        ("\r\n", "502 5.5.2 Error: command not recognized\r\n"),
        ("QUIT\r\nNOOP\r\n", "221 2.0.0 Bye\r\n"),
        ("QUIT x\r\n", "500 5.5.4 Error: unexpected argument\r\n"),
        ("NOOP\n", "500 5.5.2 Error: a command ends with CRLF\r\n"),
        ("MAIL a@b\r\n", "501 5.1.7 Bad sender address syntax\r\n"),
        ("MAIL FROM:<a@b\r\n", "501 5.1.7 Bad sender address syntax\r\n"),
        ("MAIL é\r\n", "501 5.1.7 Bad sender address syntax\r\n"),
        (
            "MAIL FROM:<>\r\nmail from: <a> X=1\r\n",
            "250 2.1.0 Ok\r\n503 5.5.1 Error: nested MAIL command\r\n",
        ),
        ("MAIL FROM:<a> BODY=8BITMIME size=500\r\n", "250 2.1.0 Ok\r\n"),
        ("MAIL FROM:<a> SIZE=501\r\n", "552 5.3.4 Error: message too large\r\n"),
        ("RCPT TO:<bot@x.example>\r\n", "503 5.5.1 Error: need MAIL command\r\n"),
        ("DATA\r\n", "503 5.5.1 Error: need RCPT command\r\n"),
        ("MAIL FROM:<a>\r\nDATA\r\n", "250 2.1.0 Ok\r\n554 5.5.1 Error: no valid recipients\r\n"),
        ("MAIL FROM:<a>\r\nRCPT TO:<>\r\n", "250 2.1.0 Ok\r\n501 5.1.7 Bad sender address syntax\r\n"),
        ("MAIL FROM:<a>\r\nRCPT TO:<Bot@x.example>\r\n", "250 2.1.0 Ok\r\n550 bad recipient\r\n"),
        (
            "MAIL FROM:<a>\r\nRCPT TO:<bot@x.example>\r\nRCPT TO:<bot@x.example>\r\nDATA\r\n",
            "250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n554 5.5.1 Error: dup recipients\r\n354 Go ahead\r\n",
        ),
    ] {
        assert_eq!(said(text), reply, "{text:?}");
    }
}

#[test]
fn a_mail_is_its_sender_and_its_header() {
    let text = format!("{}a: b\r\n..c: d\r\n\r\n.body\r\n\r\n.\r\nNOOP\r\n", begin());
    let (said, mails, _) = talk([text.as_bytes()]);
    assert!(said.ends_with("354 Go ahead\r\n250 2.0.0 Ok: queued\r\n250 2.0.0 OK\r\n"), "{said}");
    assert_eq!(mails, [Mail { from: "a@b".into(), header: Ok(b"a: b\r\n.c: d\r\n\r\n".to_vec()) }]);
}

#[test]
fn a_dot_ends_a_mail_only_between_proper_ends_of_lines() {
    for dot in ["\n.\r\n", "\n.\n", "\r\n.\n", "\r\n.\r", "\r.\r\n"] {
        let text = format!("{}a: b{dot}RSET\r\n", begin());
        let (said, mails, _) = talk([text.as_bytes()]);
        assert!(said.ends_with("354 Go ahead\r\n") && mails.is_empty(), "{dot:?}: {said}");
    }
}

#[test]
fn what_is_too_large_is_taken_and_of_no_use() {
    let line = format!("{}\r\n", "x".repeat(90));
    for (mail, why) in [
        (format!("a: b\r\n\r\n{}", line.repeat(5)), Unusable::Mail),
        (line.repeat(3), Unusable::Header),
        (format!("{}\r\n", line.repeat(3)), Unusable::Header),
    ] {
        let (said, mails, _) = talk([format!("{}{mail}.\r\n", begin()).as_bytes()]);
        assert!(said.ends_with("250 2.0.0 Ok: queued\r\n"), "{said}");
        assert_eq!(mails[0].header, Err(why));
    }
    let short = talk([format!("{}a: b\r\n.\r\n", begin()).as_bytes()]);
    assert_eq!(short.1[0].header, Ok(b"a: b\r\n".to_vec()), "whoever reads it finds no end");
    let fits = format!("{}a: b\r\n\r\n{}.\r\n", begin(), line.repeat(4));
    assert!(talk([fits.as_bytes()]).1[0].header.is_ok());
}

#[test]
fn a_line_or_a_session_without_end_is_ended() {
    let long = |before: &str, length: usize| format!("{before}{}\r\n", "x".repeat(length));
    assert!(said(&long("", 98)).starts_with("502"));
    for text in [long("", 99), "x".repeat(100), long(&begin(), 99)] {
        let (said, mails, closed) = talk([text.as_bytes()]);
        assert!(said.ends_with("500 5.5.2 Error: line too long\r\n") && closed && mails.is_empty(), "{said}");
    }
    let (said, _, closed) = talk([&*b"NOOP\r\n".repeat(30)]);
    assert!(closed && said.ends_with("421 4.7.0 Error: too many commands\r\n"));
    assert_eq!(said.matches("250").count(), 20);
}

#[test]
fn what_was_said_before_tls_is_forgotten() {
    let (said, _, _) =
        talk([&b"MAIL FROM:<a>\r\nSTARTTLS\r\nNOOP\r\n"[..], b"DATA\r\nSTARTTLS\r\nEHLO x\r\n"]);
    let (before, after) = said.split_once("220 2.0.0 Ready to start TLS\r\n").unwrap();
    assert_eq!(before, "250 2.1.0 Ok\r\n");
    assert!(after.starts_with("503 5.5.1 Error: need RCPT command\r\n502"), "{after}");
    assert!(!after.contains("STARTTLS") && after.ends_with("250 DSN\r\n"), "{after}");
}

/// Bytes that look like mail often enough.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = prop_oneof![
        5 => proptest::sample::select(vec![
            "EHLO x\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<bot@x.example>\r\n", "DATA\r\n", "RSET\r\n", ".\r\n", "\r\n",
            "a: b\r\n", "..\r\n", "\r", "\n", ".", "QUIT", "NOOP\r\n", "MAIL FROM:<a@b> SIZE=900\r\n",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn replies_do_not_depend_on_how_bytes_are_cut(
        bytes in bytes(),
        begun in any::<bool>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = if begun { [begin().into_bytes(), bytes].concat() } else { bytes };
        let whole = talk([&*bytes]);
        let each = talk(bytes.chunks(1));
        prop_assert_eq!(&whole, &each);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|two| &bytes[two[0]..two[1]]);
        prop_assert_eq!(&whole, &talk(pieces));
        // Each reply is a line of its own with a code.
        prop_assert!(whole.0.lines().all(|line| line.len() > 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit)));
    }
}
