//! SSH to the agent for Windows.

use russh::ChannelMsg;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::machine::Machine;
use crate::agent::soon;
use crate::ssh::client::Client;
use crate::ssh::guest::{Guest, PATIENCE, end, start, text};

/// What is shown, without what moves and colours it.
fn plain(shown: &[u8]) -> String {
    let text = text(shown);
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        let ends = |c: char| if after.starts_with(']') { c == '\x07' } else { c.is_ascii_alphabetic() };
        let (command, after) = after.split_at(after.find(ends).map_or(after.len(), |at| at + 1));
        // Wine goes to the right instead of showing a space.
        plain.push_str(if command == "[1C" { " " } else { "" });
        rest = after;
    }
    plain + rest
}

pub(super) async fn commands(machine: &Machine) {
    let guest = Guest::by(machine.way(), "").await;
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("cmd /c exit 3", 3)] {
        let output = guest.run(line).await;
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
    }
    let output = guest.run("echo \"a  b\"& echo err>&2& cd& echo %BW_EXEC_ID%").await;
    let out = text(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["\"a  b\"", machine.path("work").as_str()], "{out}");
    assert!(lines[2].starts_with("ssh-"), "{out}");
    assert_eq!(text(&output.stderr), "err\r\n");
    let mut child = start(guest.ssh(&[], &format!("{} lines", machine.console())));
    child.stdin.take().unwrap().write_all(b"one\ntwo\n").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(text(&output.stdout), "up\r\nline one\r\nline two\r\nover\r\n");
    assert_eq!(output.status.code(), Some(6));
}

pub(super) async fn terminals(machine: &Machine) {
    let guest = Guest::by(machine.way(), "").await;
    // A shell is talked to.
    let mut command = guest.ssh(&["-tt"], "");
    command.env("TERM", "xterm-bell");
    let mut child = start(command);
    child.stdin.take().unwrap().write_all(b"echo ter^minal %TERM%\rexit 9\r").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let shown = plain(&output.stdout);
    assert!(shown.contains("terminal xterm-bell"), "{shown}");
    assert_eq!(output.status.code(), Some(9), "{shown}");
    // Who reads lines hears of the end of what is typed.
    let mut child = start(guest.ssh(&["-tt"], &format!("{} lines", machine.console())));
    child.stdin.take().unwrap().write_all(b"abc\r").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let shown = plain(&output.stdout);
    assert!(shown.contains("line abc") && shown.contains("over"), "{shown}");
    assert_eq!(output.status.code(), Some(6), "{shown}");
    size_and_key(machine, &guest).await;
}

/// The size is the client's, and changes with it; a key interrupts.
async fn size_and_key(machine: &Machine, guest: &Guest) {
    let client = Client::by(TcpStream::connect(machine.at()).await.unwrap(), &guest.key()).await;
    let mut channel = client.channel().await.unwrap();
    channel.request_pty(true, "vt100", 101, 37, 0, 0, &[]).await.unwrap();
    let line = format!("{0} size& {0} nap", machine.console());
    channel.exec(true, line).await.unwrap();
    let mut shown = Vec::new();
    let talk = async {
        let mut steps = 0;
        while let Some(message) = channel.wait().await {
            if let ChannelMsg::Data { data } = message {
                shown.extend_from_slice(&data);
                if steps == 0 && plain(&shown).contains("up") {
                    steps = 1;
                    channel.window_change(64, 12, 0, 0).await.unwrap();
                    // Wine can't, and says so.
                    soon("the new size", || machine.log().contains("(64,12)")).await;
                    channel.data(&b"\x03"[..]).await.unwrap();
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("it is interrupted");
    assert!(plain(&shown).contains("size 101 37"), "{}", plain(&shown));
    machine.naps(0).await;
}

pub(super) async fn files(machine: &Machine) {
    let guest = Guest::by(machine.way(), "").await;
    let own = guest.dir.path();
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(own.join("big"), &data).unwrap();
    let (own, far) = (own.display(), machine.path("work").replace('\\', "/"));
    let batch = format!(
        "pwd\nmkdir d\nput -p {own}/big d/big\nchmod 444 d/big\nls -l d\nrename d/big d/aux\nget d/aux {own}/back\n\
         rm d/aux\nrmdir d\nput {own}/big \"/{far}/a b\"\nls -1\nrm \"a b\"\n-rm nowhere\n"
    );
    std::fs::write(guest.dir.path().join("batch"), batch).unwrap();
    let mut command = guest.program("sftp");
    command.arg("-b").arg(guest.dir.path().join("batch")).arg("gopher@127.0.0.1");
    let output = end(command).await;
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    assert!(said.contains(&format!("Remote working directory: /{far}")), "{said}");
    assert!(said.contains("-r--r--r--") && said.contains("\na b\n"), "{said}");
    assert!(errors.contains("No such file"), "{errors}");
    assert!(std::fs::read(guest.dir.path().join("back")).unwrap() == data, "what came back is another");
    let mut put = guest.program("scp");
    put.args(["-r".as_ref(), guest.dir.path().as_os_str(), "gopher@127.0.0.1:tree".as_ref()]);
    assert!(end(put).await.status.success());
    assert_eq!(std::fs::read(machine.workdir().join("tree/big")).unwrap(), data);
}

/// Whoever leaves takes all with them, and a command that ends what it has started.
pub(super) async fn ends(machine: &Machine) {
    let guest = Guest::by(machine.way(), "").await;
    let nap = machine.console();
    for flags in [&[][..], &["-tt"]] {
        let mut child = start(guest.ssh(flags, &format!("start /b {nap} nap& {nap} nap")));
        machine.naps(2).await;
        child.kill().await.unwrap();
        machine.naps(0).await;
        let output = end(guest.ssh(flags, &format!("start /b {nap} nap& exit 5"))).await;
        assert_eq!(output.status.code(), Some(5), "{flags:?}: {}", plain(&output.stdout));
        machine.naps(0).await;
    }
    // Nobody reads what is shown: neither the agent nor the console's end waits for that.
    let mut flood = start(guest.ssh(&["-tt"], "for /l %i in (1,1,100000) do @echo all work and no play"));
    flood.stdout.as_mut().unwrap().read_exact(&mut [0; 4096]).await.unwrap();
    assert_eq!(guest.run("exit 4").await.status.code(), Some(4));
    flood.kill().await.unwrap();
    let left = || {
        machine.log().matches("somebody comes by ssh").count()
            == machine.log().matches("they are gone").count()
    };
    soon("everybody is gone", left).await;
}
