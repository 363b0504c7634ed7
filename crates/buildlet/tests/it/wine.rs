//! The agent for Windows, run by Wine: what of it can be seen here without a Windows.
//!
//! `BELLWETHER_WINDOWS_BUILDLET` names its program; `cargo xtask targets --only windows --wine` links one, installs Debian's `wine64` and
//! MinGW and runs this. Without that variable it says that it did not run. What Wine 8 lacks, `wine/*.c` makes up for.

mod machine;
mod sessions;

use buildlet_client::{LsRequest, OriginalExec, OriginalMode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;

use crate::agent::end;
use machine::{Machine, command};

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_for_windows_does_what_it_does_elsewhere() {
    let Some(program) = std::env::var_os("BELLWETHER_WINDOWS_BUILDLET") else {
        eprintln!(
            "not run: BELLWETHER_WINDOWS_BUILDLET names no buildlet.exe; cargo xtask targets --only windows --wine"
        );
        return;
    };
    let machine = Machine::start(&program).await;
    a_socket_is_refused_with_what_to_say_instead(&machine);
    files_come_and_go(&machine).await;
    a_command_ends_as_it_ends(&machine).await;
    a_killed_command_takes_its_tree_with_it(&machine).await;
    sessions::commands(&machine).await;
    sessions::terminals(&machine).await;
    sessions::files(&machine).await;
    sessions::ends(&machine).await;
    let report = machine.client().wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
}

fn a_socket_is_refused_with_what_to_say_instead(machine: &Machine) {
    let output = machine.wine(&machine.program()).args(["--listen", "unix:/x"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("listen on ADDRESS:PORT"), "{said}");
}

async fn files_come_and_go(machine: &Machine) {
    let client = machine.client();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in [("a", "hello"), ("sub/b", "x")] {
        let mut head = tar::Header::new_gnu();
        head.set_size(content.len() as u64);
        head.set_mode(0o644);
        tar.append_data(&mut head, name, content.as_bytes()).unwrap();
    }
    let packed = Bytes::from(tar.into_inner().unwrap().finish().unwrap());
    client.write_tgz("up", futures::stream::iter([Ok(packed)])).await.unwrap();
    let list = LsRequest { dir: "up".to_owned(), recursive: true, ..LsRequest::default() };
    let names = |listed: Vec<buildlet_client::LsEntry>| -> Vec<String> {
        listed.into_iter().map(|entry| entry.path).collect()
    };
    assert_eq!(names(client.ls(&list).await.unwrap()), ["a", "sub/", "sub/b"]);
    assert_eq!(std::fs::read(machine.workdir().join("up/a")).unwrap(), b"hello");
    let mut stream = client.tgz("up").await.unwrap();
    let mut packed = Vec::new();
    while let Some(piece) = stream.next().await {
        packed.extend_from_slice(&piece.unwrap());
    }
    let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(&*packed));
    let count = unpacked.entries().unwrap().filter(|entry| entry.as_ref().unwrap().size() > 0).count();
    assert_eq!(count, 2);
    client.remove_all(&["up"]).await.unwrap();
    assert!(!machine.workdir().join("up").exists());
}

async fn a_command_ends_as_it_ends(machine: &Machine) {
    let client = machine.client();
    let exec = OriginalExec {
        cmd: "cmd".to_owned(),
        args: ["/c", "echo it runs& exit 7"].map(str::to_owned).to_vec(),
        mode: OriginalMode::System,
        ..OriginalExec::default()
    };
    let mut stream = client.exec_original(&exec).await.unwrap();
    let mut said = Vec::new();
    while let Some(piece) = stream.next().await {
        said.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(String::from_utf8_lossy(&said), "it runs\r\n");
    assert_eq!(stream.trailer("Process-State"), Some("exit status 7"));
    client.start(&command("quick", &["cmd", "/c", "exit 5"])).await.unwrap();
    let state = end(&client, "quick").await;
    assert_eq!((state.exit_code, state.process_state.as_str()), (Some(5), "exit status 5"));
    client.start(&command("none", &["no-such-program"])).await.unwrap();
    let why = end(&client, "none").await.start_error.unwrap();
    assert!(why.contains("executable file not found in %PATH%"), "{why}");
}

async fn a_killed_command_takes_its_tree_with_it(machine: &Machine) {
    let client = machine.client();
    let (nap, line) = (machine.console(), format!("start /b {0} nap& {0} nap", machine.console()));
    client.start(&command("tree", &["cmd", "/c", &line])).await.unwrap();
    machine.naps(2).await;
    client.kill("tree", "enough").await.unwrap();
    let state = end(&client, "tree").await;
    assert_eq!(state.ended_by.as_deref(), Some("killed:enough"), "{nap}: {state:?}");
    machine.naps(0).await;
}
