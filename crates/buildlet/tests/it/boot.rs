//! A virtual machine that is really booted: a kernel, a file system in memory with this buildlet, and `run-qemu` that keeps it.
//!
//! What it needs is Debian's: `cargo xtask setup --only test` has it, unpacked in a directory that `BELLWETHER_BOOT` names when
//! `cargo xtask test` runs this. Without that name the machine's own `boot`, `lib/modules` and `bin` are taken, and where a part is
//! missing it says that it did not run.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::raw::{body, free_port, post};

/// What has to be there for a card that the machine reaches us by, in this order.
const MODULES: [&str; 8] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
];

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
for dir in /dev/shm /tmp; do mount -t tmpfs -o mode=1777 tmpfs $dir; done
mount -t tmpfs -o mode=755 tmpfs /run
for module in MODULES; do insmod /modules/$module.ko; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
export PATH=/bin HOME=/
buildlet --listen 0.0.0.0:80 --allow-public --allow-no-password --workdir /run/work --state-dir /run/state \\
    --job-user 1000:1000 --halt </dev/null
poweroff -f
";

/// An archive as the kernel unpacks it.
struct Cpio(GzEncoder<Vec<u8>>);

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let size = content.len();
        let fields = [0, mode, 0, 0, 1, 0, u32::try_from(size).unwrap(), 0, 0, 0, 0];
        let head: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        let mut head = format!("070701{head}{:08x}00000000{name}\0", name.len() + 1).into_bytes();
        head.resize(head.len().next_multiple_of(4), 0);
        self.0.write_all(&head).unwrap();
        self.0.write_all(content).unwrap();
        self.0.write_all(&[0; 3][..size.next_multiple_of(4) - size]).unwrap();
    }

    fn directory(&mut self, name: &str) {
        self.add(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, from: &Path) {
        self.add(name, 0o100_755, &std::fs::read(from).unwrap());
    }
}

/// The newest kernel and its modules, if there are any.
fn kernel(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let found = std::fs::read_dir(root.join("boot")).ok()?.flatten().filter_map(|entry| {
        let version = entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned();
        let modules = root.join("lib/modules").join(version).join("kernel");
        let whole = MODULES.iter().all(|module| modules.join(format!("{module}.ko")).exists());
        whole.then(|| (entry.path(), modules))
    });
    found.max()
}

/// The buildlet with what it is linked to, busybox, and what starts them.
fn image(modules: &Path, busybox: &Path) -> Vec<u8> {
    let mut cpio = Cpio(GzEncoder::new(Vec::new(), Compression::fast()));
    let program = Path::new(env!("CARGO_BIN_EXE_buildlet"));
    let listed = Command::new("ldd").arg(program).output().unwrap().stdout;
    let libraries: Vec<PathBuf> = String::from_utf8(listed)
        .unwrap()
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    let mut directories: Vec<String> =
        ["bin", "proc", "sys", "dev", "tmp", "run", "etc", "modules"].map(str::to_owned).to_vec();
    for library in &libraries {
        let above = library.ancestors().skip(1).filter(|dir| *dir != Path::new("/"));
        let mut above: Vec<String> = above.map(|dir| dir.display().to_string()[1..].to_owned()).collect();
        above.reverse();
        directories.extend(above.into_iter().filter(|dir| !directories.contains(dir)).collect::<Vec<_>>());
    }
    directories.iter().for_each(|dir| cpio.directory(dir));
    for library in &libraries {
        cpio.file(&library.display().to_string()[1..], library);
    }
    cpio.file("bin/busybox", busybox);
    cpio.file("bin/buildlet", program);
    let name = |module: &str| module.rsplit('/').next().unwrap().to_owned();
    for module in MODULES {
        cpio.file(&format!("modules/{}.ko", name(module)), &modules.join(format!("{module}.ko")));
    }
    let init = INIT.replace("MODULES", &MODULES.map(name).join(" "));
    cpio.add("init", 0o100_755, init.as_bytes());
    cpio.add("TRAILER!!!", 0, &[]);
    cpio.0.finish().unwrap()
}

/// Asks until there is an answer with these words in it.
async fn until(at: std::net::SocketAddr, request: &str, words: &str, console: &Path) -> String {
    use std::io::Read as _;
    // Without a processor's help a kernel takes ten seconds, and more where others compute.
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let asked = || -> std::io::Result<String> {
            let mut stream = std::net::TcpStream::connect(at)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        if let Ok(answer) = asked()
            && answer.contains(words)
        {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {}", std::fs::read_to_string(console).unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_machine_is_booted_runs_a_command_and_is_as_new_after_its_end() {
    let there = |program: &Path| program.metadata().is_ok_and(|stat| stat.mode() & 0o111 != 0);
    let named = std::env::var_os("BELLWETHER_BOOT").map(PathBuf::from);
    let root = named.as_deref().unwrap_or(Path::new("/"));
    let busybox = root.join("bin/busybox");
    let parts = there(Path::new("/usr/bin/qemu-system-x86_64")) && there(&busybox);
    let Some((kernel, modules)) = kernel(root).filter(|_| parts) else {
        assert!(named.is_none(), "no qemu-system-x86_64, or no busybox and kernel in {}", root.display());
        eprintln!("not run: qemu-system-x86_64, busybox or a kernel with its modules is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (initrd, console) = (dir.path().join("initrd"), dir.path().join("console"));
    std::fs::write(&initrd, image(&modules, &busybox)).unwrap();
    let at = free_port();
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_buildlet"))
        .args(["run-qemu", "--buildlet-healthz-url"])
        .arg(format!("http://{at}/healthz"))
        .args(["--every", "1s", "--unwell", "5m", "--", "qemu-system-x86_64", "-m", "512", "-accel", "tcg"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial"])
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(&initrd)
        .args(["-append", "console=ttyS0 quiet panic=-1", "-netdev"])
        .arg(format!("user,id=n,restrict=on,hostfwd=tcp:{at}-:80"))
        .args(["-device", "virtio-net-pci,netdev=n,romfile="])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let script = "cmd=sh&mode=sys&cmdArg=-c&cmdArg=echo+uid+%24%28id+-u%29%3B+cat+used%3B+echo+yes+%3Eused";
    let first = until(at, &post("/exec", script), "process-state: ok", &console).await;
    assert!(first.contains("uid 1000\n") && !first.contains("yes"), "{first}");
    let again = until(at, &post("/exec", script), "process-state: ok", &console).await;
    assert!(again.contains("yes\n"), "it is the same machine: {again}");
    let halted = until(
        at,
        "POST /halt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "200",
        &console,
    )
    .await;
    assert!(!body(&halted).contains("error"), "{halted}");
    // The next answers when it is there, and has nothing of the one before.
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let answer = until(at, &post("/exec", script), "process-state: ok", &console).await;
        if !answer.contains("yes\n") {
            break;
        }
        assert!(Instant::now() < deadline, "it was not started anew");
    }
    let pid = rustix::process::Pid::from_child(&keeper);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(keeper.wait().unwrap().code(), Some(0));
}
