//! Certificate and key from files that somebody else renews.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Certificates, TlsError, certified, read};

/// How often is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Two files that may change.
pub(crate) struct Watched {
    cert: PathBuf,
    key: PathBuf,
    /// How they were when they were read last.
    read: [Option<Mark>; 2],
}

/// What differs once a file was written or replaced; of a link it is the file that it leads to.
type Mark = (u64, u64, u64, i64, i64);

fn mark(path: &Path) -> Option<Mark> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

impl Watched {
    pub fn open(cert: PathBuf, key: PathBuf, certificates: &Certificates) -> Result<Watched, TlsError> {
        let now = [mark(&cert), mark(&key)];
        certificates.set(certified(&cert, &read(&cert)?, &key, &read(&key)?)?);
        Ok(Watched { cert, key, read: now })
    }

    /// Reads the files again whenever they have changed. What can't be used is said and changes nothing.
    pub async fn watch(mut self, certificates: &Certificates) {
        let mut before = self.read;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = [mark(&self.cert), mark(&self.key)];
            // The two are written one after the other: they are read once neither changes any more.
            if now == before && now != self.read {
                self.read = now;
                self.again(certificates);
            }
            before = now;
        }
    }

    fn again(&self, certificates: &Certificates) {
        let (cert, key) = (&self.cert, &self.key);
        let fresh = read(cert).and_then(|chain| certified(cert, &chain, key, &read(key)?));
        match fresh {
            Ok(fresh) => {
                certificates.set(fresh);
                tracing::info!(cert = %cert.display(), "the new certificate is shown from now on");
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate has changed and can't be used; the one before is still shown");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Makes a pair for a name; the key of another if `whose` says so.
        fn write(&self, name: &str, with_its_key: bool) {
            let key = rcgen::KeyPair::generate().unwrap();
            let made =
                rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
            std::fs::write(self.path("cert.pem"), made.pem()).unwrap();
            if with_its_key {
                std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_change_is_taken_over_and_a_bad_one_is_not() {
        let files = Files { dir: tempfile::tempdir().unwrap() };
        let certificates = Certificates::default();
        files.write("one.example", true);
        let watched = Watched::open(files.path("cert.pem"), files.path("key.pem"), &certificates).unwrap();
        let shown = || certificates.current().unwrap().cert[0].to_vec();
        let first = shown();
        let change = async {
            let soon = || tokio::time::sleep(LOOK * 4);
            files.write("two.example", true);
            soon().await;
            let second = shown();
            assert_ne!(first, second, "it was read again");
            files.write("three.example", false);
            soon().await;
            assert_eq!(shown(), second, "a certificate without its key is not shown");
            std::fs::write(files.path("cert.pem"), "nothing").unwrap();
            soon().await;
            std::fs::remove_file(files.path("cert.pem")).unwrap();
            soon().await;
            assert_eq!(shown(), second);
            files.write("four.example", true);
            soon().await;
            assert_ne!(shown(), second, "what was mended is taken over");
        };
        tokio::select! {
            () = watched.watch(&certificates) => unreachable!("it goes on"),
            () = change => {}
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_by_its_name() {
        let files = Files { dir: tempfile::tempdir().unwrap() };
        let open = || {
            let certificates = Certificates::default();
            let opened = Watched::open(files.path("cert.pem"), files.path("key.pem"), &certificates);
            opened.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(open().contains("cert.pem"), "{}", open());
        files.write("one.example", true);
        assert_eq!(open(), "");
        files.write("two.example", false);
        assert!(open().contains("of no use"), "{}", open());
        std::fs::write(files.path("key.pem"), "-----BEGIN NOTHING-----\n").unwrap();
        assert!(open().contains("key.pem holds no private key"), "{}", open());
        std::fs::write(files.path("cert.pem"), "x".repeat(2 << 20)).unwrap();
        assert!(open().contains("over 1048576 bytes"), "{}", open());
    }
}
