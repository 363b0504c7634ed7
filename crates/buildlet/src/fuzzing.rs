//! What reads bytes from outside, held to what it promises whatever the bytes are.
//!
//! The targets of `fuzz/` run these functions on a fuzzer's bytes, and the test below on their seeds and on random ones. No agent
//! has them in it.

mod archive;
mod connection;
mod fetch;
mod heads;
mod keys;
mod orders;
mod paths;
mod proxy;
mod scratch;
mod sftp;
mod tree;
mod unpack;

pub use fetch::fetch;
pub use heads::heads;
pub use keys::keys;
pub use orders::{orders, wire};
pub use paths::paths;
pub use proxy::proxy;
pub use sftp::sftp;
pub use tree::tree;
pub use unpack::untar;

use arbitrary::Unstructured;

/// One of several; the first once there are no bytes left.
fn one<'a, T>(u: &mut Unstructured<'_>, of: &'a [T]) -> &'a T {
    u.choose(of).expect("invariant: there is something to choose from")
}

/// A number from 0 to `most`.
fn number(u: &mut Unstructured<'_>, most: usize) -> usize {
    u.int_in_range(0..=most).expect("invariant: a range is never empty")
}

/// One time in so many.
fn once_in(u: &mut Unstructured<'_>, times: usize) -> bool {
    number(u, times - 1) == times - 1
}

/// At most so many bytes.
fn bytes(u: &mut Unstructured<'_>, most: usize) -> Vec<u8> {
    let length = number(u, most).min(u.len());
    u.bytes(length).map(<[u8]>::to_vec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn archives_are_unpacked_with_no_way_out() {
        hold("untar", super::untar);
    }

    #[test]
    fn a_tree_that_is_packed_comes_back() {
        hold("tree", super::tree);
    }

    #[test]
    fn paths_and_patterns_stay_beneath() {
        hold("paths", super::paths);
    }

    #[test]
    fn only_the_order_that_was_signed_is_obeyed() {
        hold("orders", super::orders);
    }

    #[test]
    fn bodies_are_read_as_they_are_written() {
        hold("wire", super::wire);
    }

    #[test]
    fn each_request_for_files_has_its_answer() {
        hold("sftp", super::sftp);
    }

    #[test]
    fn a_header_put_in_is_all_that_makes_requests_different() {
        hold("heads", super::heads);
    }

    #[test]
    fn a_tunnel_is_what_a_proxy_says_is_one() {
        hold("proxy", super::proxy);
    }

    #[test]
    fn nobody_near_is_fetched_from_who_is_not_listed() {
        hold("fetch", super::fetch);
    }

    #[test]
    fn a_key_is_added_as_one_line_and_nowhere_else() {
        hold("keys", super::keys);
    }
}
