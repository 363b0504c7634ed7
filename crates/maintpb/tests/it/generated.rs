//! What was made from the definition is what would be made of it now.

use std::path::Path;

#[test]
fn the_generated_code_is_of_this_definition() {
    made_of("maintner.proto", "maintpb.rs", "src/generated.rs");
    made_of("api.proto", "apipb.rs", "src/api.rs");
}

fn made_of(definition: &str, made: &str, file: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definition = protox::compile([definition], [here.join("proto")]).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(definition)
        .unwrap();
    let made = std::fs::read_to_string(out.path().join(made)).unwrap();
    let made = format!("// Long because a program made it of the protocol's definition.\n{made}");
    let file = here.join(file);
    if std::env::var_os("BELLWETHER_BLESS").is_some() {
        std::fs::write(&file, made).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written == made, "BELLWETHER_BLESS=1 writes it anew; read the difference");
}
