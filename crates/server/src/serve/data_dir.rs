//! The folder with the data: made when it is not there, and held by one server at a time.

use anyhow::{Context, Result, bail};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// File in the folder that a running server holds locked; in it stands the server's process id.
const LOCK: &str = "lock";

/// The right to use the folder; given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

/// Makes and locks the folder.
pub(crate) fn hold(path: &Path) -> Result<Held> {
    // What is profiled is nobody else's business.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| hint(path))?;
    let file = path.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut lock = options.open(&file).with_context(|| hint(path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message.
            let _ = (&lock).take(20).read_to_string(&mut owner);
            let owner = owner.trim();
            let owner =
                if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
            bail!(
                "the data folder {} is used by another running vesta{owner}: two servers would \
                 damage each other's data. Stop that one, or choose another folder with --data-dir",
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            let context = format!("lock {}: {}", file.display(), hint(path));
            return Err(anyhow::Error::new(error).context(context));
        }
    }
    let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    noted.with_context(|| hint(path))?;
    Ok(Held { _lock: lock })
}

/// What to do when the folder cannot be used.
pub(crate) fn hint(path: &Path) -> String {
    format!(
        "open the data folder {}: it must be a folder that you may write to, on a disk with free \
         space; choose another with --data-dir",
        path.display()
    )
}
