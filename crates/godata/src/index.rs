//! The server's list of segments. Source: spec/maintner.md §2.4.

use maintner::log::LONGEST_RECORD;
use serde::Deserialize;

use crate::config::Limits;

/// A digest of a segment.
pub(crate) type Sum = [u8; 28];

/// A segment as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) sum: Sum,
    pub(crate) url: String,
}

impl Listed {
    /// The name of its file once it is sealed.
    pub(crate) fn sealed_name(&self) -> String {
        format!("{:04}.{}.mutlog", self.number, hex::encode(self.sum))
    }

    /// Whether the server says that it will not grow: the last part of its address is its name then. (The original's clients
    /// look whether the address begins with that of one host of the world's; such addresses end with the name too.)
    pub(crate) fn is_sealed(&self) -> bool {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().is_some_and(|name| name == self.sealed_name())
    }
}

#[derive(Deserialize)]
struct Element {
    number: u32,
    size: u64,
    sha224: String,
    url: String,
}

/// Reads a list: segments from 0 on without a gap, within the limits.
pub(crate) fn parse(text: &[u8], limits: &Limits) -> Result<Vec<Listed>, String> {
    let elements: Vec<Element> =
        serde_json::from_slice(text).map_err(|why| format!("it is no list of segments: {why}"))?;
    let (mut listed, mut total) = (Vec::with_capacity(elements.len()), 0u64);
    for (want, element) in (0..).zip(elements) {
        let Element { number, size, sha224, url } = element;
        if number != want {
            return Err(format!("segment {want} is missing: {number} comes in its place"));
        }
        if size > limits.segment {
            let limit = limits.segment;
            return Err(format!(
                "segment {number} has {size} bytes; at most {limit} are taken (a record may have {LONGEST_RECORD})"
            ));
        }
        total = total.saturating_add(size);
        if total > limits.total {
            return Err(format!(
                "up to segment {number} there are {total} bytes; at most {} are taken",
                limits.total
            ));
        }
        let mut sum = [0; 28];
        let small = !sha224.bytes().any(|byte| byte.is_ascii_uppercase());
        if !small || hex::decode_to_slice(&sha224, &mut sum).is_err() {
            return Err(format!("the digest of segment {number} is not 56 small hexadecimal digits"));
        }
        listed.push(Listed { number, size, sum, url });
    }
    // Nothing is of no use, and no file is made for it.
    if listed.last().is_some_and(|last| last.size == 0) {
        listed.pop();
    }
    if let Some(empty) = listed.iter().find(|segment| segment.size == 0) {
        return Err(format!("segment {} has no bytes, and others follow", empty.number));
    }
    Ok(listed)
}

/// The bytes of all of them.
pub(crate) fn total(listed: &[Listed]) -> u64 {
    listed.iter().map(|segment| segment.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(number: i64, size: i64, sum: &str, url: &str) -> String {
        format!(r#"{{"number":{number},"size":{size},"sha224":"{sum}","url":"{url}","more":1}}"#)
    }

    fn parsed(elements: &[String]) -> Result<Vec<Listed>, String> {
        parse(format!("[{}]", elements.join(",")).as_bytes(), &Limits::default())
    }

    #[test]
    fn a_list_is_whole_or_refused() {
        let sum = "0a".repeat(28);
        let good = [element(0, 7, &sum, "u"), element(1, 5, &sum, "/logs/1")];
        let listed = parsed(&good).unwrap();
        assert_eq!((listed.len(), total(&listed), listed[1].sum), (2, 12, [10; 28]));
        assert_eq!(parsed(&[good[0].clone(), element(1, 0, &sum, "u")]).unwrap().len(), 1);
        assert!(parsed(&[]).unwrap().is_empty());
        for (bad, why) in [
            (vec![element(1, 7, &sum, "u")], "segment 0 is missing"),
            (vec![good[0].clone(), good[0].clone()], "segment 1 is missing"),
            (vec![element(0, -1, &sum, "u")], "no list"),
            (vec![element(0, 1 << 40, &sum, "u")], "segment 0 has 1099511627776 bytes"),
            (vec![element(0, 1, &sum[1..], "u")], "digest of segment 0"),
            (vec![element(0, 1, &sum.to_uppercase(), "u")], "digest of segment 0"),
            (vec![element(0, 0, &sum, "u"), good[1].clone()], "segment 0 has no bytes"),
            (vec!["1".into()], "no list"),
        ] {
            assert!(parsed(&bad).unwrap_err().contains(why), "{bad:?}");
        }
        let small = Limits { total: 11, ..Limits::default() };
        assert!(parse(format!("[{}]", good.join(",")).as_bytes(), &small).unwrap_err().contains("12 bytes"));
    }

    #[test]
    fn a_segment_is_sealed_whose_address_ends_with_its_name() {
        let sum = [0xab; 28];
        let name = format!("0003.{}.mutlog", "ab".repeat(28));
        let of = |url: &str| Listed { number: 3, size: 1, sum, url: url.into() }.is_sealed();
        assert!(of(&format!("https://storage.googleapis.com/bucket/a/{name}")));
        assert!(of(&format!("/logs/3/{name}?token=x")));
        assert!(!of("/logs/3"));
        assert!(!of(&format!("/logs/3/{}", name.replace("0003", "0004"))));
    }
}
