//! Files, by sftp and by scp.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::guest::{Guest, end, text};
use crate::agent::Agent;

/// Makes a file that no text mode of anything leaves as it is.
fn make(at: &Path, bytes: u32, mode: u32) -> Vec<u8> {
    let data: Vec<u8> = (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(at, &data).unwrap();
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(mode)).unwrap();
    data
}

fn mode(at: &Path) -> u32 {
    at.metadata().unwrap().permissions().mode() & 0o7777
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_carries_a_file_there_and_back_with_its_mode_and_time() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let (here, back) = (guest.dir.path().join("here"), guest.dir.path().join("back"));
    let data = make(&here, 9_000_001, 0o750);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_498_903_200);
    std::fs::File::options().write(true).open(&here).unwrap().set_modified(time).unwrap();
    // Without and with SFTP between.
    for flags in [&["-p"][..], &["-O", "-p"]] {
        let there = agent.workdir().join("there");
        let mut put = guest.program("scp");
        put.args(flags).arg(&here).arg("gopher@127.0.0.1:there");
        let output = end(put).await;
        assert!(output.status.success(), "{flags:?}: {}", text(&output.stderr));
        assert!(std::fs::read(&there).unwrap() == data, "{flags:?}");
        assert_eq!((mode(&there), there.metadata().unwrap().modified().unwrap()), (0o750, time), "{flags:?}");
        let mut get = guest.program("scp");
        get.args(flags).arg(format!("gopher@127.0.0.1:{}", there.display())).arg(&back);
        let output = end(get).await;
        assert!(output.status.success(), "{flags:?}: {}", text(&output.stderr));
        assert!(std::fs::read(&back).unwrap() == data, "{flags:?}");
        assert_eq!((mode(&back), back.metadata().unwrap().modified().unwrap()), (0o750, time), "{flags:?}");
        std::fs::remove_file(&there).unwrap();
        std::fs::remove_file(&back).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_does_what_people_do_with_it() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let dir = guest.dir.path();
    let data = make(&dir.join("here"), 3_000_017, 0o600);
    let script = format!(
        "pwd\nmkdir d\nput {here} d/f\nput -r {tree} d/tree\nls -l d\nchmod 640 d/f\nrename d/f d/g\nln -s g d/link\n\
         get d/link {back}\nget -r d/tree {again}\nrm d/link\n-rmdir d\nln d/g d/h\n",
        here = dir.join("here").display(),
        tree = dir.join("tree").display(),
        back = dir.join("back").display(),
        again = dir.join("again").display(),
    );
    std::fs::create_dir_all(dir.join("tree/deep")).unwrap();
    for number in 0..230 {
        std::fs::write(dir.join(format!("tree/deep/{number}")), format!("{number}")).unwrap();
    }
    std::fs::write(dir.join("script"), script).unwrap();
    let mut sftp = guest.program("sftp");
    sftp.arg("-b").arg(dir.join("script")).arg("gopher@127.0.0.1");
    let output = end(sftp).await;
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    let workdir = agent.workdir().canonicalize().unwrap();
    assert!(shown.contains(&format!("Remote working directory: {}\n", workdir.display())), "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("-rw-------") && line.contains(" 3000017 ")),
        "{shown}"
    );
    assert!(std::fs::read(dir.join("back")).unwrap() == data);
    assert_eq!(std::fs::read_to_string(dir.join("again/deep/229")).unwrap(), "229");
    assert_eq!(std::fs::read_dir(dir.join("again/deep")).unwrap().count(), 230);
    let there = workdir.join("d");
    assert!(
        std::fs::read(there.join("g")).unwrap() == data && std::fs::read(there.join("h")).unwrap() == data
    );
    assert_eq!(mode(&there.join("g")), 0o640);
    assert!(!there.join("link").exists() && there.join("tree/deep/0").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said() {
    let agent = Agent::start(&[]).await;
    let guest = Guest::of(&agent).await;
    let mut get = guest.program("scp");
    get.arg("gopher@127.0.0.1:nowhere").arg(guest.dir.path());
    let output = end(get).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No such file"), "{}", text(&output.stderr));
}
