//! A real authority: Debian's pebble, with a name server that leads every name to this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::{free_port, wait_for};

use crate::world::{Connection, LIMIT, Pair};

/// Processes that end with the value.
pub struct Pebble {
    authority: Option<Child>,
    names: Child,
    dir: tempfile::TempDir,
    port: u16,
    management: u16,
    resolver: u16,
    own: Pair,
}

fn program(name: &str) -> Command {
    let path = PathBuf::from("/usr/bin").join(name);
    assert!(path.is_file(), "{} is not there: `cargo xtask setup --only pebble` installs it", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Pebble {
    /// Starts one that looks at this port whether a name is ours; its certificates are valid for so many seconds.
    pub fn start(looks_at: u16, valid: u64) -> Pebble {
        let dir = tempfile::tempdir().unwrap();
        let [port, management, resolver, names_management] = [(); 4].map(|()| free_port().unwrap());
        let own = Pair::new("localhost");
        std::fs::write(dir.path().join("cert.pem"), &own.cert).unwrap();
        std::fs::write(dir.path().join("key.pem"), &own.key).unwrap();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.path().join("cert.pem"),
            "privateKey": dir.path().join("key.pem"),
            "httpPort": 1,
            "tlsPort": looks_at,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": valid,
        }});
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let names = program("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{resolver}")])
            .args(["-management", &format!("127.0.0.1:{names_management}")])
            .spawn()
            .unwrap();
        let mut pebble = Pebble { authority: None, names, dir, port, management, resolver, own };
        pebble.resume();
        pebble
    }

    /// Starts it again, as one that has forgotten everything.
    pub fn resume(&mut self) {
        let authority = program("pebble")
            .arg("-config")
            .arg(self.dir.path().join("config.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.resolver)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .spawn()
            .unwrap();
        self.authority = Some(authority);
        wait_for("the authority", LIMIT, || Ok(self.open(self.port).ok().map(drop))).unwrap();
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut authority) = self.authority.take() {
            authority.kill().unwrap();
            authority.wait().unwrap();
        }
    }

    fn open(&self, port: u16) -> std::io::Result<Connection> {
        Connection::open(([127, 0, 0, 1], port).into(), "localhost", &self.own.cert)
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The file with the certificate by which the directory is known.
    pub fn ca_file(&self) -> PathBuf {
        Path::new(self.dir.path()).join("cert.pem")
    }

    /// The root of the certificates that it issues.
    pub fn root(&self) -> String {
        let answer = self.open(self.management).unwrap().ask("/roots/0").unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.starts_with("-----BEGIN CERTIFICATE-----"), "{answer}");
        body.to_owned()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}
