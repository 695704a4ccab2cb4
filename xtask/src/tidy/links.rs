//! Links between Markdown files lead somewhere.

use super::tree::Tree;
use std::path::Path;

/// Relative links whose target is not in the tree.
pub(crate) fn dead_links(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let pages = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "md");
    for (path, text) in tree.texts(pages) {
        let folder = tree.root().join(path).parent().map(Path::to_owned).unwrap_or_default();
        for (number, link) in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !folder.join(target).exists() {
                problems.push(format!("{path}:{number}: the link {link} leads nowhere"));
            }
        }
    }
    problems
}

/// Line numbers and targets of relative links outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere {
                found.push((index + 1, target));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files() {
        let page = "[a](b.md) [c](../x.md#y) [d](https://e.f) [g](#h)\n```\n[i](j.md)\n```\n";
        let (_dir, tree) = Tree::made_of(&[("docs/a.md", page), ("docs/b.md", "")]);
        assert_eq!(dead_links(&tree), ["docs/a.md:1: the link ../x.md#y leads nowhere"]);
    }
}
