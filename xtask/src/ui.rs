//! Building the web application, only when something it is made of has changed.

use crate::command::{command, run};
use crate::setup;
use crate::workspace::Workspace;
use anyhow::Context;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// Folders of `ui/` that are products, not inputs.
const PRODUCTS: [&str; 4] = ["node_modules", "dist", "test-results", "playwright-report"];

/// Brings `ui/dist` up to date.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let ui = workspace.ui();
    let inputs = inputs_hash(&ui)?;
    let stamp = ui.join("node_modules/.vesta-built");
    let built = std::fs::read_to_string(&stamp).unwrap_or_default();
    if built == inputs && ui.join("dist/index.html").is_file() {
        return Ok(());
    }
    println!("building the page (npm)");
    install(workspace)?;
    run(&mut command(&ui, "npm", &["run", "--silent", "build"]))?;
    std::fs::write(&stamp, inputs).context("cannot note the page's build")
}

/// Brings `ui/node_modules` up to date with the lock file. No package's scripts are run.
pub(crate) fn install(workspace: &Workspace) -> anyhow::Result<()> {
    setup::ensure_node()?;
    let ui = workspace.ui();
    let lock = std::fs::read_to_string(ui.join("package-lock.json"))
        .context("ui/package-lock.json is missing")?;
    let stamp = ui.join("node_modules/.vesta-installed");
    let wanted = format!("{:016x}", hash_of(&lock));
    if std::fs::read_to_string(&stamp).unwrap_or_default() != wanted {
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(&mut command(&ui, "npm", &args))?;
        std::fs::write(&stamp, wanted).context("cannot note the packages' installation")?;
    }
    Ok(())
}

/// A hash over names and contents of everything the page is made of.
fn inputs_hash(ui: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(ui, &mut files).with_context(|| format!("cannot list {}", ui.display()))?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(&file)
            .with_context(|| format!("reading {}", file.display()))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !PRODUCTS.contains(&name.as_str()) {
                collect(&path, files)?;
            }
        } else if !name.ends_with(".tsbuildinfo") {
            files.push(path);
        }
    }
    Ok(())
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_inputs_and_ignores_products() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("src")).unwrap();
        std::fs::create_dir_all(dir.path().join("dist")).unwrap();
        std::fs::write(dir.path().join("src/a.ts"), "1").unwrap();
        let first = inputs_hash(dir.path()).unwrap();
        std::fs::write(dir.path().join("dist/b.js"), "x").unwrap();
        assert_eq!(inputs_hash(dir.path()).unwrap(), first);
        std::fs::write(dir.path().join("src/a.ts"), "2").unwrap();
        assert_ne!(inputs_hash(dir.path()).unwrap(), first);
    }
}
