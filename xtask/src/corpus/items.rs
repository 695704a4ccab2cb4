//! Finding the items of a corpus folder.

use anyhow::Context;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A folder with payloads and their truth.
#[derive(Debug)]
pub(crate) struct Item {
    /// Path below the corpus, as INDEX.txt writes it.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
}

/// All folders below `root` that hold a `truth.json`, sorted by name.
pub(crate) fn find(root: &Path) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    walk(root, root, &mut items).with_context(|| format!("listing {}", root.display()))?;
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

fn walk(root: &Path, dir: &Path, items: &mut Vec<Item>) -> std::io::Result<()> {
    if dir.join("truth.json").is_file() {
        let name = dir.strip_prefix(root).unwrap_or(dir).to_string_lossy().into_owned();
        items.push(Item { name, dir: dir.to_owned() });
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // Links are not followed: a corpus may not lead out of itself.
        if entry.file_type()?.is_dir() {
            walk(root, &entry.path(), items)?;
        }
    }
    Ok(())
}

/// Names of items whose line in `INDEX.txt` says ERR.
pub(crate) fn doubtful(root: &Path) -> BTreeSet<String> {
    let index = std::fs::read_to_string(root.join("INDEX.txt")).unwrap_or_default();
    let marked = index.lines().filter(|line| line.split_whitespace().any(|word| word == "ERR"));
    marked.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_doubts_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["corpus/b/two", "corpus/a/one", "corpus/a/none"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            if !name.ends_with("none") {
                std::fs::write(dir.path().join(name).join("truth.json"), "{}").unwrap();
            }
        }
        std::fs::write(
            dir.path().join("INDEX.txt"),
            "corpus/a/one 2 3\ncorpus/b/two 1 2 ERR [x]\n",
        )
        .unwrap();
        let names: Vec<String> =
            find(dir.path()).unwrap().into_iter().map(|item| item.name).collect();
        assert_eq!(names, ["corpus/a/one", "corpus/b/two"]);
        assert_eq!(doubtful(dir.path()).into_iter().collect::<Vec<_>>(), ["corpus/b/two"]);
    }
}
