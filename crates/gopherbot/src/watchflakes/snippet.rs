//! The few lines of a log that say most (`spec/services.md` §5.13).

/// A log of more lines is cut.
const WHOLE: usize = 30;
/// Lines of a piece.
const PIECE: usize = 10;

/// The log without blank lines around it; if it is long, its first lines, those from where it says what happened, and its last.
#[must_use]
pub fn snippet(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let blank = |line: &&str| line.trim().is_empty();
    let first = lines.iter().position(|line| !blank(line)).unwrap_or(lines.len());
    let end = lines.iter().rposition(|line| !blank(line)).map_or(first, |last| last + 1);
    let lines = &lines[first..end];
    if lines.len() <= WHOLE {
        return lines.join("\n");
    }
    let last = lines.len() - PIECE;
    let mut out = lines[..PIECE].to_vec();
    let mut at = PIECE;
    if let Some(found) = (PIECE..last).find(|at| says(lines[*at])) {
        if found > at {
            out.push("...");
        }
        at = (found + PIECE).min(last);
        out.extend(&lines[found..at]);
    }
    if last > at {
        out.push("...");
    }
    out.extend(&lines[last..]);
    out.join("\n")
}

fn says(line: &str) -> bool {
    ["panic:", "fatal error:", "--- FAIL:"].iter().any(|start| line.starts_with(start))
        || line.contains(": internal compiler error:")
}
