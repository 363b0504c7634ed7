use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;

const NAME: &str = "sel._domainkey.google.com";

/// An answer to a question, with an alias and texts in two parts each.
fn answer(question: &[u8], flags: [u8; 2], texts: &[&str]) -> Vec<u8> {
    let end = question.len() - 11;
    let mut bytes =
        [&question[..2], &flags, &[0, 1, 0, texts.len() as u8 + 1, 0, 0, 0, 0], &question[12..end]].concat();
    // An alias, whose own name begins in the question.
    bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 12]);
    for text in texts {
        let (one, two) = text.split_at(text.len() / 2);
        bytes.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9, 0, text.len() as u8 + 2, one.len() as u8]);
        bytes.extend(one.as_bytes());
        bytes.push(two.len() as u8);
        bytes.extend(two.as_bytes());
    }
    bytes
}

/// Serves questions over UDP with these answers, and over TCP with `whole`.
async fn ask(
    datagrams: fn(&[u8]) -> Vec<Vec<u8>>,
    whole: fn(&[u8]) -> Vec<u8>,
) -> Result<Vec<Vec<u8>>, DnsError> {
    // One port of both kinds; somebody else may have the other one.
    let (socket, listener) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
            break (socket, listener);
        }
    };
    let at = socket.local_addr().unwrap();
    let over_udp = async {
        loop {
            let mut question = vec![0; 512];
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            for one in datagrams(&question[..length]) {
                socket.send_to(&one, from).await.unwrap();
            }
        }
    };
    let over_tcp = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut question).await.unwrap();
            let whole = whole(&question);
            stream.write_u16(whole.len() as u16).await.unwrap();
            stream.write_all(&whole).await.unwrap();
        }
    };
    let resolver = Resolver::new(vec![at]);
    tokio::select! {
        texts = resolver.txt(NAME) => {
            // What was found is known now, and nobody asked; what was not is none.
            let nobody = Resolver { servers: Vec::new(), ..resolver };
            assert_eq!(nobody.txt(NAME).await.ok(), texts.as_ref().ok().cloned());
            texts
        }
        () = over_udp => unreachable!("it goes on for ever"),
        () = over_tcp => unreachable!("it goes on for ever"),
    }
}

const OK: [u8; 2] = [0x81, 0x80];

#[tokio::test]
async fn texts_are_put_together_and_what_is_for_others_is_left_out() {
    let texts = ask(
        |question| {
            let mut other_id = answer(question, OK, &["wrong"]);
            other_id[0] ^= 1;
            let mut other_name = answer(question, OK, &["wrong"]);
            other_name[14] ^= 1;
            let mut asks = answer(question, OK, &["wrong"]);
            asks[2] = 0x01;
            vec![
                b"x".to_vec(),
                Vec::new(),
                other_id,
                other_name,
                asks,
                answer(question, OK, &["v=DKIM1; p=a", "b"]),
            ]
        },
        |_| unreachable!("nothing was cut off"),
    );
    assert_eq!(texts.await.unwrap(), [b"v=DKIM1; p=a".to_vec(), b"b".to_vec()]);
}

#[tokio::test]
async fn what_was_cut_off_is_asked_for_again() {
    let cut = |question: &[u8]| vec![answer(question, [0x83, 0x80], &[])];
    let texts = ask(cut, |question| answer(question, OK, &["all of it"])).await.unwrap();
    assert_eq!(texts, [b"all of it".to_vec()]);
    let again = ask(cut, |question| answer(question, [0x83, 0x80], &[])).await.unwrap_err();
    assert!(matches!(again, DnsError::Malformed(_)), "{again}");
}

#[test]
fn texts_are_true_for_as_long_as_the_shortest_step_to_them() {
    let mut bytes = answer(&wire::question(7, NAME).unwrap(), OK, &["a"]);
    let ttl = |bytes: &[u8]| wire::texts(bytes).unwrap().unwrap().ttl;
    assert_eq!(ttl(&bytes), 9);
    let alias = bytes.windows(4).position(|four| four == [0, 0, 0, 9]).unwrap();
    bytes[alias..alias + 4].copy_from_slice(&[0, 1, 0, 2]);
    assert_eq!(ttl(&bytes), 9);
    let text = alias + 4 + bytes[alias + 4..].windows(4).position(|four| four == [0, 0, 0, 9]).unwrap();
    bytes[text..text + 4].copy_from_slice(&[0, 2, 0, 0]);
    assert_eq!(ttl(&bytes), 0x1_0002);
    bytes[text] = 0x80;
    assert_eq!(ttl(&bytes), 0);
}

#[tokio::test]
async fn no_text_is_told_from_a_server_that_fails() {
    let never = |_: &[u8]| -> Vec<u8> { unreachable!("nothing was cut off") };
    let none = ask(|question| vec![answer(question, [0x81, 0x83], &[])], never).await.unwrap_err();
    assert!(matches!(none, DnsError::None), "{none}");
    let none = ask(|question| vec![answer(question, OK, &[])], never).await.unwrap_err();
    assert!(matches!(none, DnsError::None), "{none}");
    let fails = ask(|question| vec![answer(question, [0x81, 0x82], &[])], never).await.unwrap_err();
    assert!(matches!(fails, DnsError::Refused(2)), "{fails}");
}

#[test]
fn names_that_are_none_are_not_asked_for() {
    for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(127)] {
        assert_eq!(wire::question(1, name).is_ok(), name.len() == 254, "{name}");
    }
    assert!(wire::question(1, &"a.".repeat(128)).is_err());
}

#[test]
fn servers_are_those_of_the_file() {
    let text =
        "# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.1 # one\n nameserver 2001:db8::1\nnameserver x\n";
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(servers(text), [at("192.0.2.1:53"), at("[2001:db8::1]:53")]);
    assert_eq!(servers("nameserver\n"), [at("127.0.0.1:53")]);
}

proptest! {
    #[test]
    fn no_answer_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..600), start in any::<bool>()) {
        let question = wire::question(7, NAME).unwrap();
        let bytes = if start { [answer(&question, OK, &["a"]), bytes].concat() } else { bytes };
        let _ = wire::answers(&bytes, &question);
        let _ = wire::texts(&bytes);
    }

    #[test]
    fn no_changed_answer_is_too_strange(at in 0_usize..90, to in any::<u8>()) {
        let question = wire::question(7, NAME).unwrap();
        let mut bytes = answer(&question, OK, &["abc", "d"]);
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = wire::answers(&bytes, &question);
        let _ = wire::texts(&bytes);
    }
}
