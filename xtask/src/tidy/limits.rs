//! `docs/limits.md` lists every limit with the value that the code has.

use super::tree::Tree;
use std::collections::BTreeMap;

const PAGE: &str = "docs/limits.md";

/// By crate and name: the value, as it is written in the code.
type Limits = BTreeMap<(String, String), String>;

/// Limits that the page lacks, has with another value, or has although there is none.
pub(crate) fn limits_page(tree: &Tree) -> Vec<String> {
    let is_limits = |path: &str| path.starts_with("crates/") && path.ends_with("/src/limits.rs");
    let mut code = Limits::new();
    for (path, text) in tree.texts(is_limits) {
        let owner = path.split('/').nth(1).unwrap_or_default();
        let found = in_code(&text).into_iter();
        code.extend(found.map(|(name, value)| ((owner.to_owned(), name), value)));
    }
    let page = in_page(&tree.text(PAGE));
    let mut problems = Vec::new();
    for ((owner, name), value) in &code {
        match page.get(&(owner.clone(), name.clone())) {
            Some(have) if have == value => {}
            Some(have) => problems.push(format!(
                "{PAGE}: under {owner}, `{name}` is `{have}`; the code has `{value}`"
            )),
            None => problems.push(format!(
                "{PAGE}: under \"### {owner}\" add: | `{name}` | `{value}` | (of what) |"
            )),
        }
    }
    let gone = page.keys().filter(|key| !code.contains_key(*key));
    problems.extend(gone.map(|(owner, name)| format!("{PAGE}: {owner} has no `{name}` any more")));
    problems
}

/// Constants, and the fields of default settings.
fn in_code(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut open, mut is_default): (Option<(String, String)>, bool) = (None, false);
    for line in text.lines() {
        let line = line.trim();
        if let Some((name, mut value)) = open.take() {
            value = format!("{value} {line}");
            open = Some((name, value.trim_start().to_owned()));
        } else if let Some((_, rest)) = line
            .split_once("const ")
            .filter(|(head, _)| matches!(head.trim(), "pub" | "pub(crate)"))
        {
            let name = rest.split(':').next().unwrap_or_default().to_owned();
            let value = rest.split_once('=').map_or("", |(_, value)| value.trim());
            open = Some((name, value.to_owned()));
        } else if line == "Self {" {
            is_default = true;
        } else if line.starts_with('}') {
            is_default = false;
        } else if let Some((name, value)) = line.split_once(": ").filter(|_| is_default) {
            found.push((name.to_owned(), value.trim_end_matches(',').to_owned()));
        }
        if let Some((name, value)) = open.take_if(|(_, value)| value.ends_with(';')) {
            found.push((name, value.trim_end_matches(';').to_owned()));
        }
    }
    found
}

/// Rows of the tables below each crate's heading; the value is the last code in its column.
fn in_page(text: &str) -> Limits {
    let (mut owner, mut found) = (String::new(), Limits::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            name.trim().clone_into(&mut owner);
        } else if line.starts_with("## ") {
            owner.clear();
        }
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (Some(name), Some(value)) = (cells.next(), cells.next()) else { continue };
        let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        let value = value.strip_suffix('`').and_then(|value| value.rsplit('`').next());
        if let (Some(name), Some(value), false) = (name, value, owner.is_empty()) {
            found.insert((owner.clone(), name.to_owned()), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "//! Limits.\n/// A.\npub const A_MAX: usize = 5;\n\
        pub(crate) const B_BYTES_MAX: u64 =\n    32 << 20;\n\
        impl Default for S {\n    fn default() -> Self {\n        Self {\n            \
        c_max: 7,\n        }\n    }\n}\n";

    fn problems(page: &str) -> Vec<String> {
        let page = format!("# Limits\n\n### one\n\n{page}");
        let (_dir, tree) =
            Tree::made_of(&[("crates/one/src/limits.rs", CODE), ("docs/limits.md", &page)]);
        limits_page(&tree)
    }

    #[test]
    fn the_page_has_every_limit_with_its_value_and_no_other() {
        let row = |name: &str, value: &str| format!("| `{name}` | {value} | of what |\n");
        let (a, b, c) = (row("A_MAX", "`5`"), row("B_BYTES_MAX", "32 MiB `32 << 20`"), "c_max");
        let c = row(c, "`7`");
        assert_eq!(problems(&format!("{a}{b}{c}")), Vec::<String>::new());
        let lacking = problems(&format!("{a}{c}"));
        assert_eq!(lacking.len(), 1);
        assert!(lacking[0].contains("add: | `B_BYTES_MAX` | `32 << 20` |"), "{lacking:?}");
        let wrong = problems(&format!("{a}{b}{}", row("c_max", "`8`")));
        assert!(wrong[0].contains("`c_max` is `8`; the code has `7`"), "{wrong:?}");
        let more = problems(&format!("{a}{b}{c}{}", row("D_MAX", "`1`")));
        assert_eq!(more, ["docs/limits.md: one has no `D_MAX` any more"]);
    }
}
