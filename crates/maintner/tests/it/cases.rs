//! How much is tried of what is tried at random.

use proptest::prelude::ProptestConfig;

/// So many cases, and more where `PROPTEST_CASES` says so, as of `cargo xtask test --long`: `with_cases` alone would not hear of it.
pub fn cases(few: u32) -> ProptestConfig {
    let said = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { said.cases.max(few) } else { few };
    ProptestConfig { cases, ..said }
}
