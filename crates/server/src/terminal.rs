//! What is written to the terminal: the answer to standard output, all else beside it.

use anyhow::{Context, Result};
use std::io::Write;

/// Writes to standard output; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("write to standard output"),
    }
}

/// Tells people what happens, beside the output.
pub(crate) fn say(text: &str) {
    // Nobody reads standard error: nothing to do about it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
