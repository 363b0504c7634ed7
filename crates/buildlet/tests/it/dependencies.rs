//! What the agent is made of. It runs on strange machines and is carried there, so each crate more is asked for.

use std::process::Command;

/// Without TLS.
const SMALL: &str = "anstyle atomic-waker axum axum-core base64 bitflags block-buffer buildlet bytes cfg-if clap clap_builder \
    clap_derive clap_lex const-oid cpufeatures crypto-common digest errno filetime flate2 form_urlencoded futures futures-channel \
    futures-core futures-io futures-macro futures-sink futures-task futures-util getrandom glob heck http http-body \
    http-body-util httparse httpdate hybrid-array hyper hyper-util itoa lazy_static libc linux-raw-sys log matchers matchit \
    memchr mime mio nu-ansi-term once_cell percent-encoding pin-project-lite proc-macro2 quote regex-automata regex-syntax \
    revdial rustix ryu serde serde_core serde_derive serde_json serde_path_to_error serde_urlencoded sha1 sha2 sharded-slab \
    signal-hook-registry slab smallvec socket2 subtle syn sync_wrapper tar thiserror thiserror-impl thread_local tokio \
    tokio-macros tokio-util tower tower-layer tower-service tracing tracing-attributes tracing-core tracing-log tracing-serde \
    tracing-subscriber try-lock typenum unicode-ident want zlib-rs zmij";
/// What TLS adds.
const TLS: &str = "ring rustls rustls-pki-types rustls-webpki tokio-rustls untrusted webpki-roots zeroize";

/// The crates that the program is built of, by name.
fn crates(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "buildlet", "--edges", "normal", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_new_dependency_of_the_agent_is_noticed() {
    let small: Vec<&str> = SMALL.split_ascii_whitespace().collect();
    assert_eq!(crates(&["--no-default-features"]), small);
    let mut whole: Vec<&str> = small.into_iter().chain(TLS.split_ascii_whitespace()).collect();
    whole.sort_unstable();
    assert_eq!(crates(&[]), whole);
}
