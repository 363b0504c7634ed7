//! docs/DEPLOYING.md, as a service of a machine: its commands in a copy of this machine's root, whose changes are thrown
//! away. What systemd would then do, the units' own command lines as the units' user, is done by hand, since it is not the first
//! process here.

use std::path::Path;
use std::process::Command;

use testkit::{File, GitRepo};

use super::{blocks, root};

/// Copies the root as an overlay in memory and follows `$DIR/script.sh` there, in `/src`. In a namespace of processes, so
/// that nothing outlives it, and in one of the network, so that the usual port is free.
const WORLD: &str = r#"
ip link set lo up
mount -t tmpfs tmpfs "$DIR/memory"
mkdir "$DIR/memory/upper" "$DIR/memory/work" "$DIR/memory/root"
cd "$DIR/memory"
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
# Whatever folder the tests' own one is in, nothing of it may be in the way of the unit's user.
mkdir -p root/src/target/release root/srv/hello
mount --bind "$PROGRAM_DIR" root/src/target/release
cp -r "$TREE/deploy" root/src/
cp -r "$DIR/hello/." root/srv/hello/
chown -R 0:0 root/srv/hello
cp "$DIR/script.sh" root/script.sh
exec env -u BELLWETHER_TOKEN -u BELLWETHER_SERVER -u RUST_LOG SYSTEMD_OFFLINE=1 \
    chroot root timeout -k 5 200 sh -eu -c 'cd /src && . /script.sh'
"#;

/// What follows the page's commands: its `server.toml` is changed as the page says, and the units' commands are run.
const RUN: &str = r#"
sed -i '/^database/d; /^\[repo/,$d' /etc/bellwether/server.toml
printf '[repo.hello]\nurl = "/srv/hello"\n' >> /etc/bellwether/server.toml
bellwether config check --config /etc/bellwether/server.toml
# StateDirectory=
install -d -o bellwether -g bellwether -m 0700 /var/lib/bellwether
cd /var/lib/bellwether
unit() { sed -n 's/^ExecStart=/exec /p' "/etc/systemd/system/$1" | sed 's/%%/%/g'; }
# By `exec`, so that the process that is known is the one that is asked for.
as_unit() { exec setpriv --reuid bellwether --regid bellwether --clear-groups --no-new-privs --bounding-set=-all sh -euc "umask 0077; exec env HOME=/nonexistent sh -euc '$1'"; }
unit bellwether.service > /tmp/serve.sh
unit bellwether-backup.service > /tmp/backup.sh
serve() {
    as_unit 'exec sh -eu /tmp/serve.sh' >> /tmp/server.log 2>&1 &
    server=$!
}
serve
built=0
for _ in $(seq 600); do
    if bellwether builds --data /var/lib/bellwether 2>/dev/null | grep -q ' ok '; then built=1; break; fi
    sleep 0.2
done
if [ "$built" = 0 ]; then cat /tmp/server.log; exit 1; fi
bellwether builds --data /var/lib/bellwether
(as_unit 'exec sh -eu /tmp/backup.sh')
# systemctl restart
kill "$server"
wait "$server" || true
serve
for _ in $(seq 600); do
    if bellwether builds --data /var/lib/bellwether > /tmp/builds 2>/dev/null; then break; fi
    sleep 0.2
done
kill -0 "$server"
echo "after the restart: $(grep -c ' ok ' /tmp/builds) of $(tail -n +2 /tmp/builds | wc -l)"
stat -c '%n %U %a' /var/lib/bellwether /var/lib/bellwether/bellwether.db /etc/bellwether/secrets.env
kill "$server"
wait "$server" || true
"#;

#[test]
fn a_service_is_put_up_as_it_is_written() {
    if !root() {
        eprintln!("not run: only root can make a machine's service");
        return;
    }
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(tree.join("docs/DEPLOYING.md")).unwrap();
    let mut script = "PS4='$ '; set -x\n".to_owned();
    let commands: Vec<_> =
        blocks(&page).into_iter().filter(|block| block.text.contains("systemctl")).collect();
    assert_eq!(commands.len(), 2, "the service, and its backups");
    for line in commands.iter().flat_map(|block| block.text.lines()) {
        // Nothing can be started, and nothing is in the journal, where systemd is not the first process.
        match line.strip_prefix("systemctl enable --now ") {
            Some(unit) => script.push_str(&format!("systemctl enable {unit}\n")),
            None if line.starts_with("journalctl") => {}
            None => script.push_str(&format!("{line}\n")),
        }
    }
    script.push_str("set +x\n");
    script.push_str(RUN);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("memory")).unwrap();
    std::fs::write(dir.path().join("script.sh"), script).unwrap();
    let mut repo = GitRepo::create(&dir.path().join("hello")).unwrap();
    let project = "[builder.test]\nrecipe = \"r\"\n[recipe.r]\nrun = \"id -un\"\n";
    repo.commit("Hello", &[("bellwether.toml", File::Text(project))]).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", WORLD])
        .env("DIR", dir.path())
        .env("TREE", &tree)
        .env("PROGRAM_DIR", Path::new(env!("CARGO_BIN_EXE_bellwether")).parent().unwrap())
        .output()
        .expect("unshare of util-linux");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    for words in [
        "ok: environment prod, 1 repo,",
        "backed up to /var/backups/bellwether/",
        "after the restart: 1 of 1",
        "/var/lib/bellwether bellwether 700",
        "/var/lib/bellwether/bellwether.db bellwether 600",
        "/etc/bellwether/secrets.env root 600",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}
