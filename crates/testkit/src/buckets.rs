//! Object stores on loopback: S3 by moto, Google Cloud Storage by gcp-storage-emulator (see buckets.py).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::request;

const PROGRAM: &str = include_str!("buckets.py");

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3's interface.
    S3,
    /// Google Cloud Storage's.
    Gcs,
}

impl Cloud {
    /// The scheme of its addresses.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
        }
    }
}

/// A running object store. It ends with the value, and with the test's process however that ends.
#[derive(Debug)]
pub struct Buckets {
    cloud: Cloud,
    port: u16,
    program: Child,
}

impl Buckets {
    /// Starts a store without buckets; about 2 s.
    ///
    /// # Errors
    /// When it is not installed (`cargo xtask setup --only buckets` installs it), or does not start.
    pub fn start(cloud: Cloud) -> Result<Self> {
        Self::start_with(cloud, &[])
    }

    /// As [`Buckets::start`], with variables for the store.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(cloud: Cloud, environment: &[(&str, &str)]) -> Result<Self> {
        let python = python()?;
        let mut program = Command::new(&python)
            .args(["-c", PROGRAM, cloud.scheme()])
            .envs(environment.iter().copied())
            // Its end is the end of this pipe, which no other child has.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", python.display()))?;
        let mut line = String::new();
        let said = program.stdout.take().context("its output")?;
        let read = BufReader::new(said).read_line(&mut line);
        match line.trim().parse() {
            Ok(port) => Ok(Self { cloud, port, program }),
            Err(_) => {
                let _ = program.kill();
                let _ = program.wait();
                bail!("the object store did not start: {read:?} {line:?}")
            }
        }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn create(&self, bucket: &str) -> Result<()> {
        let address = self.address();
        let ask = || match self.cloud {
            Cloud::S3 => request(address, "PUT", &format!("/{bucket}"), None, None),
            Cloud::Gcs => {
                let body = serde_json::json!({ "name": bucket });
                request(address, "POST", "/storage/v1/b", None, Some(&body))
            }
        };
        // On a busy machine it hangs up now and then; what it did of that is told by its second answer.
        let (answer, there) = match ask() {
            Ok(answer) => (answer, false),
            Err(_) => (ask()?, true),
        };
        ensure!(
            answer.status == 200 || (there && answer.status == 409),
            "making bucket {bucket}: {}",
            answer.status
        );
        Ok(())
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        // It has nothing to keep.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The interpreter of the virtual environment that components.toml calls `buckets`.
fn python() -> Result<PathBuf> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/components/buckets.txt");
    let digest = Sha256::digest(std::fs::read(&list).with_context(|| list.display().to_string())?);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let folder = cache.join("bellwether/components").join(digest).join("venv");
    ensure!(
        folder.join(".done").exists(),
        "no {}: `cargo xtask setup --only buckets` installs it",
        folder.display()
    );
    Ok(folder.join("bin/python"))
}
