//! The script in an issue's text (`spec/services.md` §5.5).

/// The first line of a script.
pub const MARKER: &str = "#!watchflakes";

/// Says why an issue's text has no script; for the comment that asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It does not begin with a block.
    #[error(
        "the issue does not begin with a block of code; put one there, fenced by ``` or indented by a tab or 4 spaces"
    )]
    NoBlock,
    /// The fence is not closed.
    #[error(
        "the block of code at the beginning is not closed; end it with a line of as many backquotes as it began with"
    )]
    Open,
    /// The block does not begin with the marker.
    #[error("the block of code at the beginning is no script; its first line has to be {MARKER}")]
    NoMarker,
}

/// Finds the script: the block at the beginning of an issue's text, its marker (a comment) included.
///
/// # Errors
/// If there is no block, or it is no script.
pub fn script_of(body: &str) -> Result<String, BlockError> {
    let body = body.replace("\r\n", "\n");
    let mut lines = body.lines().skip_while(|line| line.trim().is_empty()).peekable();
    let first = *lines.peek().ok_or(BlockError::NoBlock)?;
    let fence = first.bytes().take_while(|byte| *byte == b'`').count();
    let block: Vec<&str> = if fence >= 3 && !first[fence..].contains('`') {
        lines.next();
        let mut block = Vec::new();
        loop {
            let line = lines.next().ok_or(BlockError::Open)?;
            let ticks = line.trim_end();
            if ticks.len() >= fence && ticks.bytes().all(|byte| byte == b'`') {
                break block;
            }
            block.push(line);
        }
    } else {
        lines.map_while(indented).collect()
    };
    match block.first() {
        None if fence >= 3 => Err(BlockError::NoMarker),
        None => Err(BlockError::NoBlock),
        Some(line) if line.trim() != MARKER => Err(BlockError::NoMarker),
        Some(_) => Ok(block.join("\n") + "\n"),
    }
}

fn indented(line: &str) -> Option<&str> {
    line.strip_prefix('\t').or_else(|| line.strip_prefix("    "))
}
