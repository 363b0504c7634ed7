//! What goes to the terminal: stdout is data, stderr is talk.

mod tame;

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};

pub use tame::Tame;

/// Prints as the standard library's macro does, but for a closed pipe: whoever reads has seen enough, which is no reason
/// to panic.
macro_rules! print {
    ($($text:tt)*) => { $crate::terminal::write(format_args!($($text)*)) };
}

/// As [`print!`], with the end of the line.
macro_rules! println {
    () => { $crate::terminal::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::terminal::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to stdout. What can't be written is lost, and told on stderr unless the reader has left.
pub fn write(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: stdout can't be written: {error}");
        }
        _ => {}
    }
}

/// Sends the program's own log to stderr: warnings only, unless told otherwise by `-v` or `RUST_LOG`.
pub fn logs(cli: &Cli) {
    let quiet = matches!(&cli.command, Command::Up(up) if up.once) || !matches!(cli.command, Command::Up(_));
    let default = match (cli.verbose, quiet) {
        (0, true) => "warn,bellwether=info,coordinator=error,gitmirror=error,dashboard=error",
        (0, false) => "warn,bellwether=info,coordinator=info,gitmirror=info",
        (1, _) => "info,bellwether=debug,coordinator=debug,gitmirror=debug,dashboard=debug",
        _ => "debug,sqlx=info,hyper=info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A line that can't be written (a full disk) is lost; told of on stderr, it would be a panic.
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    if cli.log_json {
        base.json().init();
    } else {
        base.with_ansi(std::io::stderr().is_terminal()).compact().init();
    }
}

/// A length of time in few characters.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => "0s".into(),
        s if s < 10.0 => format!("{s:.1}s"),
        s if s < 90.0 => format!("{s:.0}s"),
        s if s < 5400.0 => format!("{}m{:02}s", s as u64 / 60, s as u64 % 60),
        s => format!("{}h{:02}m", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

/// An error with its causes in one line. A cause that the text before it tells already is not told again.
pub fn causes(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !told.ends_with(&text) {
            told.push_str(if told.is_empty() { "" } else { ": " });
            told.push_str(&text);
        }
    }
    told
}

/// Whether a character does something else than to be seen: controls, and those that turn or hide what stands beside them.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text of somebody else's, such as a commit's first line, without characters that act on the terminal, cut to `width`
/// characters.
pub fn plain(text: &str, width: usize) -> String {
    let mut out: String =
        text.chars().map(|c| if acts(c) { '\u{fffd}' } else { c }).take(width + 1).collect();
    if out.chars().count() > width {
        out = out.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let shown = [0.04, 9.94, 12.3, 90.0, 3661.0, 7384.0].map(duration);
        assert_eq!(shown, ["0.0s", "9.9s", "12s", "1m30s", "61m01s", "2h03m"]);
    }

    #[test]
    fn no_cause_is_told_twice() {
        let refused = || std::io::Error::other("connection refused");
        let store = store::StoreError::Other(refused().into());
        let error = anyhow::Error::new(store).context("opening the database");
        assert_eq!(causes(&error), "opening the database: database: connection refused");
        assert_eq!(causes(&anyhow::Error::new(refused()).context("asking")), "asking: connection refused");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb", 20), "a\u{fffd}[31mb");
        assert_eq!(plain("a\u{202e}b\u{200b}é", 20), "a\u{fffd}b\u{fffd}é");
        assert_eq!(plain("abcdef", 4), "abc…");
    }
}
