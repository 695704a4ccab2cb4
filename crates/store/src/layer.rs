//! The few file operations the store writes with. Tests put a layer underneath that forgets
//! everything that was not synced.

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file being written. Nothing written is durable before [`LayerFile::sync`].
pub trait LayerFile: Send + std::fmt::Debug {
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended durable (not the directory entry).
    fn sync(&mut self) -> io::Result<()>;
}

/// File operations below one root. Paths are relative, `/`-separated, without `..`.
///
/// Creations and removals become durable with [`FileLayer::sync_dir`] of the directory they happen
/// in; contents with [`LayerFile::sync`].
pub trait FileLayer: Send + Sync + std::fmt::Debug {
    /// Creates a file that must not exist.
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>>;
    /// The contents of a file.
    fn read(&self, path: &str) -> io::Result<Bytes>;
    /// A range of a file's bytes; an error when the file is shorter.
    fn read_range(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        let whole = self.read(path)?;
        let at = |end: u64| usize::try_from(end).ok().filter(|end| *end <= whole.len());
        let (Some(start), Some(end)) = (at(range.start), at(range.end)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        Ok(whole.slice(start.min(end)..end))
    }
    /// Names in a directory, sorted; empty when it does not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory; fine when it exists.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Removes a file; fine when it does not exist.
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes a directory with its files; fine when it does not exist.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Gives a directory another name; there must be none of that name. Durable with
    /// [`FileLayer::sync_dir`] of both parents, the new one's first.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations and removals in a directory durable; `""` is the root.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// A reader over the same files for query engines.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
    /// Bytes that may still be written; `None` when the layer does not know.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
    /// Called before and after each catalog transaction, so that tests can cut the power there; an
    /// error after one reads as its own: nobody knows whether the catalog has it.
    fn step(&self, _what: &'static str) -> io::Result<()> {
        Ok(())
    }
}

/// Files of the local machine.
#[derive(Debug)]
pub struct LocalFiles {
    root: PathBuf,
    object_store: Arc<dyn ObjectStore>,
}

impl LocalFiles {
    /// Opens (and creates) the root directory.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(parent)?.sync_all()?;
        }
        let object_store = LocalFileSystem::new_with_prefix(root).map_err(io::Error::other)?;
        Ok(Self { root: root.to_owned(), object_store: Arc::new(object_store) })
    }
}

#[derive(Debug)]
struct LocalFile(fs::File);

impl LayerFile for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl FileLayer for LocalFiles {
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let file = fs::OpenOptions::new().append(true).create_new(true).open(self.root.join(path));
        Ok(Box::new(LocalFile(file?)))
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        fs::read(self.root.join(path)).map(Bytes::from)
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        let file = fs::File::open(self.root.join(path))?;
        let length = usize::try_from(range.end.saturating_sub(range.start));
        // What a damaged footer claims takes no memory before the file is known to have it.
        if range.end > file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length.map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        missing_is_fine(fs::remove_file(self.root.join(path)))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        missing_is_fine(fs::remove_dir_all(self.root.join(path)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.root.join(path))?.sync_all()
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.object_store)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let disk = nix::sys::statvfs::statvfs(&self.root)?;
        Ok(Some(disk.blocks_available().saturating_mul(disk.fragment_size())))
    }
}
