//! Counts how often something happens, over processes that share no folder: a job that is shut in sees no file that it could count with,
//! but the machine's loopback.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest name of what is counted.
const NAME: u64 = 256;
/// A client has this long for its question, and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers each line with how often it was said before.
#[derive(Debug)]
pub struct Counter {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Counter {
    /// Starts to count, on loopback.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> io::Result<Counter> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let thread = std::thread::spawn(move || {
            let mut counts = HashMap::new();
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever goes away without an answer is not counted for the next.
                let _ = client.and_then(|client| answer(&client, &mut counts));
            }
        });
        Ok(Counter { address, over, thread: Some(thread) })
    }

    /// A line of a script that sets the variable `n` to how often `name` was counted before; shell words in it are filled in. It needs
    /// bash, and ends the script with 9 where nobody counts.
    pub fn line(&self, name: &str) -> String {
        let port = self.address.port();
        format!(
            "n=$(NAME=\"{name}\" bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && echo \"$NAME\" >&3 && read -r n <&3 && echo $n') || exit 9\n"
        )
    }
}

fn answer(client: &TcpStream, counts: &mut HashMap<String, u64>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut name = String::new();
    BufReader::new(client.take(NAME)).read_line(&mut name)?;
    if !name.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let count = counts.entry(name).or_default();
    let mut client = client;
    client.write_all(format!("{count}\n").as_bytes())?;
    *count += 1;
    Ok(())
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn each_name_is_counted_by_itself() {
        let counter = Counter::start().unwrap();
        let say = |name: &str| {
            let script = counter.line(name) + "echo $n";
            let out =
                std::process::Command::new("sh").args(["-c", &script]).env("WHO", "w").output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        assert_eq!([say("a"), say("a"), say("$WHO-b"), say("a")], ["0", "1", "0", "2"]);
    }
}
