//! Questions and answers as bytes (RFC 1035).

use super::DnsError;

/// The kind of record, and the class.
const TXT: u16 = 16;
const INTERNET: u16 = 1;
/// The pseudo-record by which larger datagrams are asked for (RFC 6891).
const OPT: u16 = 41;
const HEAD: usize = 12;
/// The most records of an answer that are looked at.
const MOST_RECORDS: usize = 64;

/// Asks for the texts of a name.
pub(super) fn question(id: u16, name: &str) -> Result<Vec<u8>, DnsError> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(id.to_be_bytes());
    // Recursion is desired; one question, and one record beside it.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let start = bytes.len();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        bytes.push(length.ok_or(DnsError::Malformed("it is no name"))?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - start > 255 {
        return Err(DnsError::Malformed("it is no name"));
    }
    for number in [TXT, INTERNET] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.push(0);
    for number in [OPT, super::DATAGRAM as u16, 0, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    Ok(bytes)
}

/// Whether this is an answer to a question: of its number, and of the same name, kind and class.
pub(super) fn answers(answer: &[u8], question: &[u8]) -> bool {
    let asked = question_end(question).map(|end| &question[HEAD..end]);
    let repeated = question_end(answer).map(|end| &answer[HEAD..end]);
    let same = asked.zip(repeated).is_some_and(|(asked, repeated)| asked.eq_ignore_ascii_case(repeated));
    same && answer[..2] == question[..2] && answer[2] & 0x80 != 0 && answer[4..6] == [0, 1]
}

/// Where the one question of a message ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let end = skip_name(message, HEAD)? + 4;
    (end <= message.len()).then_some(end)
}

/// Texts, and for how many seconds they are true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) texts: Vec<Vec<u8>>,
    pub(super) ttl: u32,
}

/// The texts of an answer that [`answers`] let through; none if it was cut off.
pub(super) fn texts(answer: &[u8]) -> Result<Option<Texts>, DnsError> {
    const SHORT: DnsError = DnsError::Malformed("the answer can't be read");
    let at = |n: usize| answer.get(n).copied().ok_or(SHORT);
    if at(2)? & 0x02 != 0 {
        return Ok(None);
    }
    match at(3)? & 0x0f {
        0 => {}
        3 => return Err(DnsError::None),
        code => return Err(DnsError::Refused(code)),
    }
    let count = usize::from(u16::from_be_bytes([at(6)?, at(7)?]));
    let mut from = question_end(answer).ok_or(SHORT)?;
    let mut found = Texts { texts: Vec::new(), ttl: u32::MAX };
    // Also those of the names that an alias leads to: the server puts all of the way into its answer.
    for _ in 0..count.min(MOST_RECORDS) {
        let fixed = skip_name(answer, from).ok_or(SHORT)?;
        let number = |n: usize| Ok::<_, DnsError>(u16::from_be_bytes([at(fixed + n)?, at(fixed + n + 1)?]));
        let (kind, class, length) = (number(0)?, number(2)?, usize::from(number(8)?));
        let data = answer.get(fixed + 10..fixed + 10 + length).ok_or(SHORT)?;
        // The way there is true no longer than its shortest step. With the first bit set a time is none (RFC 2181, §8).
        let ttl = u32::from(number(4)?) << 16 | u32::from(number(6)?);
        found.ttl = found.ttl.min(if ttl > i32::MAX as u32 { 0 } else { ttl });
        if (kind, class) == (TXT, INTERNET) {
            found.texts.push(joined(data).ok_or(SHORT)?);
        }
        from = fixed + 10 + length;
    }
    if found.texts.is_empty() { Err(DnsError::None) } else { Ok(Some(found)) }
}

/// Where a name ends. What a pointer points to is of no interest here.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += usize::from(length) + 1,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Puts the parts of a text together.
fn joined(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(data.len());
    while let Some((length, rest)) = data.split_first() {
        let (part, rest) = rest.split_at_checked(usize::from(*length))?;
        text.extend_from_slice(part);
        data = rest;
    }
    Some(text)
}
