//! `cargo xtask tidy`: the rules of STYLE.md that a program can check. Each check takes a tree of
//! files and returns what is wrong with it, so that each is shown to fail on a small made-up tree.

mod limits;
mod links;
mod manifests;
mod sources;
mod tree;

use crate::workspace::Workspace;
use anyhow::bail;
use tree::Tree;

/// A check's name, and the check.
type Check = (&'static str, fn(&Tree) -> Vec<String>);

/// Every check. Adding one is a line here and a test beside it.
const CHECKS: [Check; 14] = [
    ("layers", manifests::layers),
    ("owners", manifests::owners),
    ("dependencies-explained", manifests::explained),
    ("dependencies-used", manifests::used),
    ("module-docs", sources::module_docs),
    ("file-length", sources::file_length),
    ("line-length", sources::line_length),
    ("leftovers", sources::leftovers),
    ("machine-paths", sources::machine_paths),
    ("mod-files", sources::mod_files),
    ("extensions", sources::extensions),
    ("blobs", sources::blobs),
    ("links", links::dead_links),
    ("limits-page", limits::limits_page),
];

/// Runs every check over the files that git knows or would add.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = Tree::from_git(&workspace.root)?;
    let mut wrong = 0;
    for (name, check) in CHECKS {
        for problem in check(&tree) {
            println!("tidy [{name}] {problem}");
            wrong += 1;
        }
    }
    if wrong > 0 {
        bail!("{wrong} things are not tidy; STYLE.md explains the rules");
    }
    println!("tidy: {} checks over {} files", CHECKS.len(), tree.files().len());
    Ok(())
}
