//! TLS as an operator sets it up, with the command line as the client.

use std::process::{Command, Output};

use crate::faults::world::{LIMIT, World};

/// The command line against the server's https address.
fn builds(world: &mut World, more: &[&str], variables: &[(&str, &str)]) -> Output {
    let port = world.server().address().port();
    Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["builds", "--json", "--server", &format!("https://localhost:{port}"), "--data"])
        .arg(world.data())
        .args(more)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn prints(world: &World) -> Vec<String> {
    let printed = world.printed();
    let prints = printed.lines().filter_map(|line| line.split_once("SHA-256 "));
    prints.map(|(_, print)| print.to_owned()).collect()
}

#[test]
fn a_certificate_of_its_own_making_is_trusted_by_whoever_is_given_it() {
    let mut world = World::new(&["true"]);
    world.configure("url = \"https://localhost\"\ntls = { self_signed = true }");
    world.start();
    let file = world.data().join("tls/self-signed.pem");
    let file = file.to_str().unwrap();
    let id = world.await_done()["id"].as_str().unwrap().to_owned();
    for (more, variables) in [(&["--ca-file", file][..], &[][..]), (&[], &[("BELLWETHER_CA_FILE", file)])] {
        let said = builds(&mut world, more, variables);
        assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains(&id), "{said:?}");
    }
    let unknown = builds(&mut world, &[], &[]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("not trusted here") && said.contains("--ca-file"), "{said}");
    let nothing = builds(&mut world, &["--ca-file", "/dev/null"], &[]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no certificate in PEM"), "{nothing:?}");
    // It is the same after a restart, and its fingerprint is printed each time.
    world.server().interrupt().unwrap();
    world.server().resume().unwrap();
    assert!(builds(&mut world, &["--ca-file", file], &[]).status.success());
    let prints = prints(&world);
    assert!(prints.len() == 2 && prints[0].len() == 95 && prints[0] == prints[1], "{prints:?}");
    // With TLS there is a certificate's end among the metrics.
    assert!(world.bytes("/metrics").unwrap().contains("bellwether_certificate_until_seconds "));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_before_anything_is_served() {
    let mut world = World::new(&["true"]);
    world.configure("tls = { cert_file = \"cert.pem\", key_file = \"key.pem\" }");
    world.launch(&[]);
    let status = world.server().await_end(LIMIT).unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(world.printed().contains("environment.dev.tls: "), "{}", world.printed());
    assert!(world.printed().contains("cert.pem: "), "{}", world.printed());
}
