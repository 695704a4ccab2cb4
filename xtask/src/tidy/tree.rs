//! The files that checks look at.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A root folder and the files below it, as relative paths with `/`.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    files: Vec<String>,
}

impl Tree {
    /// What is committed or would be by `git add`: ignored files do not count.
    pub(crate) fn from_git(root: &Path) -> anyhow::Result<Self> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root)
            .output()
            .context("cannot start git")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut files: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(Self { root: root.to_owned(), files })
    }

    /// Relative paths, sorted.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// Files whose path satisfies `wanted`, with their text.
    pub(crate) fn texts<'a>(
        &'a self,
        wanted: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a str, String)> + 'a {
        let files = self.files.iter().map(String::as_str).filter(move |path| wanted(path));
        files.map(|path| (path, self.text(path)))
    }

    /// A file's text; empty where there is none.
    pub(crate) fn text(&self, path: &str) -> String {
        let bytes = std::fs::read(self.root.join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A file's size in bytes.
    pub(crate) fn size_bytes(&self, path: &str) -> u64 {
        std::fs::metadata(self.root.join(path)).map_or(0, |metadata| metadata.len())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A made-up tree for the checks' tests; the folder lives as long as the first value.
    #[cfg(test)]
    pub(crate) fn made_of(files: &[(&str, &str)]) -> (tempfile::TempDir, Self) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let files = files.iter().map(|file| file.0.to_owned()).collect();
        let tree = Self { root: dir.path().to_owned(), files };
        (dir, tree)
    }
}

/// Whether a path is Rust source.
pub(crate) fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}
