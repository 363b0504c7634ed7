//! What the agent is made of. It runs on strange machines and is carried there, so each crate more is asked for.

use std::process::Command;

/// Without TLS and SSH.
const SMALL: &str = "anstyle atomic-waker axum axum-core base64 bitflags block-buffer buildlet bytes cfg-if clap clap_builder \
    clap_derive clap_lex const-oid cpufeatures crypto-common curve25519-dalek curve25519-dalek-derive digest \
    ed25519 ed25519-dalek errno filelock filetime flate2 form_urlencoded futures futures-channel \
    futures-core futures-io futures-macro futures-sink futures-task futures-util getrandom glob heck http http-body \
    http-body-util httparse httpdate hybrid-array hyper hyper-util itoa lazy_static libc linux-raw-sys log matchit \
    memchr mime mio nu-ansi-term once_cell percent-encoding pin-project-lite proc-macro2 quote \
    revdial rustix ryu serde serde_core serde_derive serde_json serde_path_to_error serde_urlencoded sha1 sha2 sharded-slab \
    signal-hook-registry signature slab smallvec socket2 subtle syn sync_wrapper tar thiserror thiserror-impl thread_local tokio \
    tokio-macros tokio-util tower tower-layer tower-service tracing tracing-attributes tracing-core tracing-log \
    tracing-subscriber try-lock typenum unicode-ident want zeroize zlib-rs zmij";
/// What TLS adds.
const TLS: &str = "ring rustls rustls-pki-types rustls-webpki tokio-rustls untrusted webpki-roots";

/// What SSH adds.
const SSH: &str = "aead aes aes-gcm argon2 base16ct base64ct bcrypt-pbkdf blake2 block-padding blowfish byteorder cbc chacha20 cipher cmov \
    cpubits crypto-bigint ctr ctutils data-encoding delegate der ecdsa \
    elliptic-curve enum_dispatch ff futures-executor generic-array ghash group hex hex-literal hkdf hmac inout \
    keccak kem md5 ml-kem module-lattice nix num-bigint num-integer num-traits p256 p384 p521 pbkdf2 pem-rfc7468 pkcs5 pkcs8 \
    poly1305 polyval primefield primeorder rand rand_core rfc6979 russh russh-cryptovec russh-util rustversion salsa20 \
    scrypt sec1 sha3 shake spki sponge-cursor ssh-cipher ssh-encoding ssh-key universal-hash wnaf";

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
    let mut with_tls: Vec<&str> = small.into_iter().chain(TLS.split_ascii_whitespace()).collect();
    with_tls.sort_unstable();
    assert_eq!(crates(&["--no-default-features", "--features", "tls"]), with_tls);
    let mut whole: Vec<&str> = with_tls.into_iter().chain(SSH.split_ascii_whitespace()).collect();
    whole.sort_unstable();
    assert_eq!(crates(&[]), whole);
}
