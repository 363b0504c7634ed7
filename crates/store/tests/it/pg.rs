//! A throw-away PostgreSQL server for the tests of one process: real, on a Unix socket, gone when the process ends.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Ends the server and removes its directory once its standard input is closed, which the end of the test's
/// process does, however it ends.
const KEEPER: &str = r#"
"$1" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=300 >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
"#;

struct Server {
    dir: PathBuf,
    _keeper: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Makes an empty database on this process's server and returns its URL.
pub(crate) async fn database() -> String {
    use sqlx::Connection as _;
    let server = SERVER.get_or_init(start);
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    sqlx::any::install_default_drivers();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut admin = loop {
        match sqlx::AnyConnection::connect(&url(server, "postgres")).await {
            Ok(admin) => break admin,
            Err(error) if Instant::now() > deadline => {
                let log = fs::read_to_string(server.dir.join("log")).unwrap_or_default();
                panic!("PostgreSQL does not start: {error}\n{log}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let create = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut admin).await.expect("a database is made");
    admin.close().await.expect("the connection closes");
    url(server, &name)
}

fn url(server: &Server, database: &str) -> String {
    format!("postgres://localhost/{database}?host={}&user=bellwether", server.dir.display())
}

fn start() -> Server {
    let bin = newest_bin()
        .expect("no PostgreSQL server below /usr/lib/postgresql: `cargo xtask setup` installs one");
    let dir = tempfile::Builder::new().prefix("bw-pg-").tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let user = server_user();
    if let Some((uid, gid)) = user {
        chown(dir.path(), Some(uid), Some(gid)).expect("its owner");
    }
    let mut init = command(&bin.join("initdb"), user);
    // Words do not sort like bytes on most servers out there; statements must not count on either.
    init.args(["--locale-provider=icu", "--icu-locale=en-US"]);
    init.args(["--no-sync", "--auth=trust", "--username=bellwether", "--encoding=UTF8", "--locale=C", "-D"]);
    let made = init.arg(dir.path().join("data")).stdin(Stdio::null()).output().expect("initdb runs");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    // From here on the keeper removes it.
    let dir = dir.keep();
    let mut keeper = command(Path::new("/bin/sh"), user);
    keeper.args(["-c", KEEPER, "keeper"]).arg(bin.join("postgres")).arg(&dir);
    // A group of its own: an interrupt at the terminal must not end the keeper before it has cleaned up.
    keeper.process_group(0).current_dir(&dir);
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Server { _keeper: keeper.spawn().expect("the server starts"), dir }
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("PGDATA").current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL refuses to run as root; then it runs as the user that its package made, else as nobody.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let mut text = String::new();
    let read =
        |text: &mut String| -> io::Result<usize> { fs::File::open("/etc/passwd")?.read_to_string(text) };
    read(&mut text).expect("/etc/passwd");
    let of = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

fn newest_bin() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/postgres").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}
