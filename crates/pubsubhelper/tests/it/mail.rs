use std::time::Duration;

use jiff::Timestamp;
use pubsubhelper::{Config, Event, GerritEvent, Handles, Hub, SmtpConfig, SmtpLimits};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, FIELDS, FROM, Port, RCPT, another, mail_port, python, signed, signed_by, smtp};
use crate::world::{LONG, World, config, get, hint, text};

fn expected() -> GerritEvent {
    GerritEvent {
        url: "https://go-review.googlesource.com/c/go/+/123".into(),
        project: "go".into(),
        commit_hash: "4a7ec9bb3ce1c4bf6b0b2b0b6b0b2b0b6b0b2b0b".into(),
        change_number: 123,
    }
}

fn events(port: &Port) -> Vec<Option<GerritEvent>> {
    port.hub().recent(Timestamp::MIN).iter().map(|event| event.gerrit.clone()).collect()
}

const QUEUED: &str = "250 2.0.0 Ok: queued\r\n";

#[tokio::test]
async fn a_mail_of_gerrit_s_becomes_an_event() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    assert_eq!(client.bring(&signed_by("google.com")).await, QUEUED);
    let got = text(port.world.ask(get("/waitevent?after=2017-01-01T00:00:00Z")).await).await;
    let time = Event::from_json(&got).unwrap().time.unwrap();
    let gerrit = "{\n\t\t\"URL\": \"https://go-review.googlesource.com/c/go/+/123\",\n\t\t\"Project\": \"go\",\n\t\t\"CommitHash\": \"4a7ec9bb3ce1c4bf6b0b2b0b6b0b2b0b6b0b2b0b\",\n\t\t\"ChangeNumber\": 123\n\t}";
    assert_eq!(got, format!("{{\n\t\"Time\": \"{time}\",\n\t\"Gerrit\": {gerrit}\n}}"));
    assert_eq!(client.ask("QUIT\r\n").await, "221 2.0.0 Bye\r\n");
    assert_eq!(client.reply().await, "");
    port.end().await;
}

#[tokio::test]
async fn whatever_else_comes_is_queued_and_ignored() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    let good = signed_by("google.com");
    for (mail, why) in [
        (good.replace("123", "124"), "a field was changed"),
        (signed_by("example.com"), "another domain signed it"),
        (good.replace("d=google.com", "d=evilgoogle.com"), "a domain that ends alike"),
        (
            format!("{}{good}", &good[good.find("DKIM").unwrap()..good.find("From:").unwrap()]),
            "two signatures",
        ),
        (good[good.find("DKIM").unwrap()..].to_owned(), "the signature comes first"),
        (good.replace("DKIM-Signature", "X-Signature"), "no signature"),
        (good.replace("Subject:", "Subject"), "a line that is no field"),
        (good.split_once("\r\n\r\n").unwrap().0.to_owned(), "no end of the header"),
        (String::new(), "nothing"),
    ] {
        assert_eq!(client.bring(&mail).await, QUEUED, "{why}");
        assert_eq!(events(&port), [], "{why}");
    }
    // Another sender.
    for from in
        ["x@google.com", "", "gerritcodereview.bounces.google.com", "a@x@gerritcodereview.bounces.google.com"]
    {
        let begin = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{RCPT}>\r\nDATA\r\n{good}\r\n.\r\n");
        client.send(&begin).await;
        for reply in ["250 2.1.0 Ok\r\n", "250 2.1.0 Ok\r\n", "354 Go ahead\r\n", QUEUED] {
            assert_eq!(client.reply().await, reply, "{from}");
        }
    }
    assert_eq!(events(&port), []);
    // Case is of no account in its host.
    client.send(&format!("MAIL FROM:<{}>\r\n", FROM.to_uppercase())).await;
    client.send(&format!("RCPT TO:<{RCPT}>\r\nDATA\r\n{good}\r\n.\r\n")).await;
    for _ in 0..4 {
        client.reply().await;
    }
    assert_eq!(events(&port), [Some(expected())]);
    port.end().await;
}

#[tokio::test]
async fn a_signed_mail_makes_one_event_however_often_and_wrapped_it_comes() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    let good = signed_by("google.com");
    for mail in [
        good.clone(),
        good.clone(),
        format!("X-Other: new\r\n{good}"),
        good.replace("the body", "another body"),
        good.replace("; s=sel", ";  s=sel"),
    ] {
        assert_eq!(client.bring(&mail).await, QUEUED);
    }
    assert_eq!(events(&port), [Some(expected())]);
    assert_eq!(client.bring(&another(1)).await, QUEUED);
    assert_eq!(events(&port).len(), 2);
    port.end().await;
}

/// Who holds a mail that is signed may put fields on top of those that are.
#[tokio::test]
async fn only_what_is_signed_is_believed() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    let on_top = "X-Gerrit-Project: evil\r\nX-Gerrit-Change-Number: 666\r\n";
    assert_eq!(client.bring(&format!("{on_top}{}", signed_by("google.com"))).await, QUEUED);
    assert_eq!(events(&port), [Some(expected())]);
    // Without From, or with no field of Gerrit's, it signs nothing of use.
    for covered in [&FIELDS[1..], &FIELDS[..2]] {
        assert_eq!(client.bring(&signed("google.com", covered, "")).await, QUEUED);
    }
    assert_eq!(events(&port).len(), 1);
    port.end().await;
    // Where that is asked for, what is not signed is believed unless it is there twice.
    let port = Port::open(SmtpConfig { unsigned_fields: true, ..smtp() }).await;
    let mut client = port.client().await;
    let loose = format!("{on_top}{}", signed("google.com", &FIELDS[..2], ""));
    assert_eq!(client.bring(&loose).await, QUEUED);
    let sure = GerritEvent { project: String::new(), change_number: 0, ..expected() };
    assert_eq!(events(&port), [Some(sure)]);
    port.end().await;
}

#[tokio::test]
async fn what_cannot_be_stored_or_looked_up_is_to_come_again() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    let unknown = signed_by("google.com").replace("s=sel;", "s=slow;");
    assert_eq!(client.bring(&unknown).await, "451 4.3.0 Error: try again later\r\n", "no server answers");
    port.world.db.close().await;
    assert_eq!(client.bring(&signed_by("google.com")).await, "451 4.3.0 Error: try again later\r\n");
    assert_eq!(client.bring("a: b\r\n\r\n").await, QUEUED, "what is ignored need not come again");
    port.end().await;
}

/// Python's own client brings two mails over one connection, one of them with lines that begin with dots.
#[tokio::test]
async fn the_client_of_python_brings_mail() {
    let port = Port::open(smtp()).await;
    let script = format!(
        r#"
import smtplib, sys
mail, dotted, third = sys.stdin.buffer.read().split(b"\0")
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=50) as client:
    print(client.ehlo()[0], sorted(client.esmtp_features.items()))
    print(client.sendmail("{FROM}", ["{RCPT}"], mail))
    print(client.sendmail("{FROM}", ["{RCPT}"], dotted + b"..\r\n.\r\n.dots\r\n"))
    for recipients in (["{RCPT}", "{RCPT}"], ["other@helper.example"]):
        try:
            print(client.sendmail("{FROM}", recipients, third))
        except smtplib.SMTPRecipientsRefused as refused:
            print(refused.recipients)
    try:
        client.sendmail("{FROM}", ["{RCPT}"], b"x" * 10240001)
    except smtplib.SMTPSenderRefused as refused:
        print(refused.smtp_code)
"#
    );
    let mails = [another(1), another(2), another(3)].join("\0");
    let said = python(&script, port.at, &mails).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "250 [('8bitmime', ''), ('dsn', ''), ('enhancedstatuscodes', ''), ('pipelining', ''), ('size', '10240000')]",
            "{}",
            "{}",
            &format!("{{'{RCPT}': (554, b'5.5.1 Error: dup recipients')}}"),
            "{'other@helper.example': (550, b'bad recipient')}",
            "552",
        ],
    );
    assert_eq!(events(&port), [Some(expected()), Some(expected()), Some(expected())]);
    port.end().await;
}

#[tokio::test]
async fn commands_that_come_together_are_answered_together() {
    let port = Port::open(smtp()).await;
    let one = |n| format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<{RCPT}>\r\nDATA\r\n{}\r\n.\r\n", another(n));
    let all: String = (1..=3).map(one).collect();
    let script = "
import socket, sys
with socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=50) as s:
    s.sendall(b'EHLO x\\r\\n' + sys.stdin.buffer.read() + b'QUIT\\r\\n')
    while data := s.recv(65536):
        sys.stdout.write(data.decode())
";
    let said = python(script, port.at, &all).await;
    let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
    let each = ["250", "250", "354", "250"];
    let all = [&["220"][..], &["250"; 6], &each, &each, &each, &["221"]].concat();
    assert_eq!(codes, all, "{said}");
    assert_eq!(events(&port).len(), 3);
    port.end().await;
}

#[tokio::test]
async fn a_mail_of_50_mb_and_one_of_10_000_fields_are_queued_and_ignored() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    let good = signed_by("google.com");
    let line = format!("{}\r\n", "x".repeat(998));
    client.begin().await;
    client.send(&good).await;
    for _ in 0..50 {
        client.send(&line.repeat(1000)).await;
    }
    assert_eq!(client.ask(".\r\n").await, QUEUED);
    let many = format!("{}{good}", "X-A: b\r\n".repeat(10_000));
    assert_eq!(client.bring(&many).await, QUEUED);
    let long = format!("X-A: {}{good}", "\r\n b".repeat(100_000));
    assert_eq!(client.bring(&long).await, QUEUED);
    assert_eq!(events(&port), []);
    let large = format!("{good}{}", line.repeat(5000));
    assert_eq!(client.bring(&large).await, QUEUED, "5 MB fit");
    assert_eq!(events(&port).len(), 1);
    port.end().await;
}

#[tokio::test]
async fn whoever_says_nothing_or_too_little_loses_their_place() {
    let idle = Duration::from_millis(100);
    let port = Port::open(SmtpConfig { idle, ..smtp() }).await;
    let mut silent = port.client().await;
    assert_eq!(silent.reply().await, "421 4.4.2 Error: timeout\r\n");
    assert_eq!(silent.reply().await, "");
    port.end().await;
    // Each byte comes in time, and the whole takes too long: however much of it was answered before.
    let session = Duration::from_secs(2);
    let port = Port::open(SmtpConfig { session, sessions: 1, ..smtp() }).await;
    let mut slow = Client(TcpStream::connect(port.at).await.unwrap());
    let dribble = async {
        loop {
            if slow.0.write_all(b"x").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, dribble).await.unwrap();
    // Its place is free.
    let mut next = Client(TcpStream::connect(port.at).await.unwrap());
    assert!(next.reply().await.starts_with("220"));
    port.end().await;
}

/// A mail that comes byte by byte, in its head or in its body, ends with its session: it is no event, and its place is free.
#[tokio::test]
async fn a_mail_that_dribbles_is_not_waited_for() {
    let session = Duration::from_millis(500);
    let port = Port::open(SmtpConfig { session, sessions: 1, ..smtp() }).await;
    let good = signed_by("google.com");
    let ends = good.find("\r\n\r\n").unwrap();
    for sent in [ends / 2, good.len()] {
        // The one before may still hold the place.
        let free = async {
            loop {
                let mut next = Client(TcpStream::connect(port.at).await.unwrap());
                if next.reply().await.starts_with("220") {
                    return next;
                }
            }
        };
        let mut slow = tokio::time::timeout(LONG, free).await.unwrap();
        slow.begin().await;
        slow.send(&good[..sent]).await;
        let dribble = async {
            while slow.0.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, dribble).await.unwrap();
    }
    assert_eq!(events(&port), [], "what was not whole is no mail");
    port.end().await;
}

#[tokio::test]
async fn too_many_connections_are_turned_away_and_a_place_comes_back() {
    let port = Port::open(SmtpConfig { sessions_per_address: 2, ..smtp() }).await;
    let (_first, second) = (port.client().await, port.client().await);
    let mut third = Client(TcpStream::connect(port.at).await.unwrap());
    assert_eq!(third.reply().await, "421 4.3.2 Error: too many connections\r\n");
    drop(second);
    let free = async {
        loop {
            let mut next = Client(TcpStream::connect(port.at).await.unwrap());
            if next.reply().await.starts_with("220") {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, free).await.unwrap();
    port.end().await;
}

#[tokio::test]
async fn lines_and_commands_have_limits() {
    let limits = SmtpLimits { commands: 5, ..SmtpLimits::default() };
    let port = Port::open(SmtpConfig { limits, ..smtp() }).await;
    let mut client = port.client().await;
    let long = format!("NOOP {}\r\n", "x".repeat(60_000));
    for _ in 0..5 {
        assert_eq!(client.ask(&long).await, "250 2.0.0 OK\r\n");
    }
    assert_eq!(client.ask("NOOP\r\n").await, "421 4.7.0 Error: too many commands\r\n");
    assert_eq!(client.reply().await, "");
    let mut client = port.client().await;
    assert_eq!(client.ask(&"x".repeat(64 << 10)).await, "500 5.5.2 Error: line too long\r\n");
    port.end().await;
}

/// Who is connected when the service ends is told, and what they brought is stored.
#[tokio::test]
async fn the_end_of_the_service_is_told() {
    let port = Port::open(smtp()).await;
    let mut client = port.client().await;
    assert_eq!(client.bring(&signed_by("google.com")).await, QUEUED);
    let hub = port.hub().clone();
    port.end().await;
    assert_eq!(client.reply().await, "421 4.3.2 Error: shutting down\r\n");
    assert_eq!(hub.recent(Timestamp::MIN).len(), 1);
    assert!(!hub.is_running());
    assert!(hub.publish(hint(1), None).await.is_err());
}

#[tokio::test]
async fn the_service_as_a_whole_stores_what_comes_until_its_end() {
    let world = World::stopped(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let handles = Handles { db: world.db.clone(), mail: Some(mail_port(listener)) };
    let told = Config { smtp: smtp(), ..config() };
    let runs = tokio::spawn(pubsubhelper::serve(told, handles, shutdown.clone()));
    let mut client = Client::at(at).await;
    assert_eq!(client.bring(&signed_by("google.com")).await, QUEUED);
    shutdown.cancel();
    tokio::time::timeout(LONG, runs).await.unwrap().unwrap().unwrap();
    let hub = Hub::open(config(), world.db.clone()).await.unwrap();
    assert_eq!(hub.newest(9)[0].gerrit, Some(expected()));
    // Without mail it only waits for its end.
    let handles = Handles { db: world.db.clone(), mail: None };
    pubsubhelper::serve(config(), handles, shutdown).await.unwrap();
}
