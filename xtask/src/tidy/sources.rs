//! Checks over single files: documentation, length, leftovers, kind.

use super::tree::{Tree, is_rust};
use std::path::Path;

/// The longest source file, in lines.
const FILE_LINES_MAX: usize = 500;
/// The longest line of Rust, in characters. rustfmt keeps what it can break at 100; this is for
/// comments, macros and short strings, which it does not touch.
const LINE_CHARS_MAX: usize = 110;
/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1_500_000;
/// In the line above, allows one line of Rust to be longer.
const LONG_LINE_MARK: &str = "// tidy: long line";
/// A string literal of so many characters excuses its line: rustfmt does not break strings.
const LONG_STRING_CHARS: usize = 40;
/// In the first lines of a file, says that a program wrote it; length does not matter then.
const GENERATED_MARK: &str = "@generated";

/// What may be committed, by extension.
const EXTENSIONS: &[&str] = &[
    "rs", "toml", "lock", "md", "json", "proto", "ts", "tsx", "js", "mjs", "css", "html", "svg",
    "png", "txt", "yml", "yaml", "service", "ico", "webp",
];
/// What may be committed without an extension, by name.
const NAMES: &[&str] = &["LICENSE", ".gitignore", ".gitattributes", ".npmrc", ".ci/run"];
/// Folders whose files are of foreign formats by purpose.
const FOREIGN: &[&str] =
    &["fixtures/", "/fixtures/", "/golden/", "/proptest-regressions/", "fuzz/corpus/"];

fn is_generated(text: &str) -> bool {
    text.lines().take(5).any(|line| line.contains(GENERATED_MARK))
}

/// Every Rust file begins with its module's documentation.
pub(crate) fn module_docs(tree: &Tree) -> Vec<String> {
    let undocumented = |text: &str| !text.starts_with("//!") && !is_generated(text);
    tree.texts(is_rust)
        .filter(|(_, text)| undocumented(text))
        .map(|(path, _)| format!("{path}: begins without a //! comment that says what it is for"))
        .collect()
}

fn is_page_source(path: &str) -> bool {
    path.starts_with("ui/src/")
        && Path::new(path)
            .extension()
            .is_some_and(|extension| extension == "ts" || extension == "tsx")
}

/// No source file is too long to read.
pub(crate) fn file_length(tree: &Tree) -> Vec<String> {
    tree.texts(|path| is_rust(path) || is_page_source(path))
        .filter(|(_, text)| !is_generated(text))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines, {FILE_LINES_MAX} are allowed"))
        .collect()
}

/// No line of Rust is too long, but for marked strings and addresses.
pub(crate) fn line_length(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts(is_rust) {
        if is_generated(&text) {
            continue;
        }
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let excused = before.trim() == LONG_LINE_MARK
                || line.contains("https://")
                || longest_string(line) >= LONG_STRING_CHARS;
            if line.chars().count() > LINE_CHARS_MAX && !excused {
                problems.push(format!("{path}:{}: longer than {LINE_CHARS_MAX}", number + 1));
            }
            before = line;
        }
    }
    problems
}

/// The length of the longest string literal of a line, roughly: text between quotation marks.
fn longest_string(line: &str) -> usize {
    let pieces = line.split('"').skip(1).step_by(2);
    pieces.map(|piece| piece.chars().count()).max().unwrap_or(0)
}

/// Nothing half-done: ignored tests, unfinished code, debugging output.
pub(crate) fn leftovers(tree: &Tree) -> Vec<String> {
    // Written in two parts so that this file does not find itself.
    let needles = [
        concat!("#[", "ignore"),
        concat!("#[", "should_panic"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let mut problems = Vec::new();
    for (path, text) in tree.texts(is_rust) {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for needle in needles.iter().filter(|needle| line.contains(**needle)) {
                problems.push(format!("{path}:{}: {needle} has no place here", number + 1));
            }
        }
    }
    problems
}

/// Nothing names a folder of the machine it was written on.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<String> {
    let needle = format!("{}/", tree.root().display());
    tree.texts(|_| true)
        .filter(|(_, text)| text.contains(&needle))
        .map(|(path, _)| format!("{path}: names {needle}, a folder of this machine"))
        .collect()
}

/// `foo.rs` beside `foo/`, never `foo/mod.rs`.
pub(crate) fn mod_files(tree: &Tree) -> Vec<String> {
    let files = tree.files().iter().filter(|path| path.ends_with("/mod.rs"));
    files.map(|path| format!("{path}: use a file beside the folder instead")).collect()
}

/// Only kinds of files that belong into a repository.
pub(crate) fn extensions(tree: &Tree) -> Vec<String> {
    let allowed = |path: &str| {
        let extension = Path::new(path).extension().map(|e| e.to_string_lossy().into_owned());
        FOREIGN.iter().any(|folder| path.starts_with(folder) || path.contains(folder))
            || extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
            || NAMES.iter().any(|name| path == *name || path.ends_with(&format!("/{name}")))
    };
    let files = tree.files().iter().filter(|path| !allowed(path));
    files.map(|path| format!("{path}: files of this kind are not committed")).collect()
}

/// Nothing large.
pub(crate) fn blobs(tree: &Tree) -> Vec<String> {
    tree.files()
        .iter()
        .map(|path| (path, tree.size_bytes(path)))
        .filter(|(_, bytes)| *bytes > FILE_BYTES_MAX)
        .map(|(path, bytes)| format!("{path}: {bytes} bytes, {FILE_BYTES_MAX} are allowed"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Problems of `check` over a tree of one file.
    fn problems(check: fn(&Tree) -> Vec<String>, path: &str, text: &str) -> usize {
        let (_dir, tree) = Tree::made_of(&[(path, text)]);
        check(&tree).len()
    }

    #[test]
    fn files_begin_with_documentation() {
        assert_eq!(problems(module_docs, "a.rs", "fn main() {}"), 1);
        assert_eq!(problems(module_docs, "a.rs", "//! Why.\nfn main() {}"), 0);
        assert_eq!(problems(module_docs, "a.rs", "// @generated by protox\n"), 0);
    }

    #[test]
    fn long_files_and_lines_are_found() {
        assert_eq!(problems(file_length, "a.rs", &"x\n".repeat(501)), 1);
        assert_eq!(problems(file_length, "ui/src/a.tsx", &"x\n".repeat(501)), 1);
        assert_eq!(problems(file_length, "a.rs", &"x\n".repeat(500)), 0);
        let long = "y".repeat(111);
        assert_eq!(problems(line_length, "a.rs", &long), 1);
        assert_eq!(problems(line_length, "a.rs", &long[1..]), 0);
        assert_eq!(problems(line_length, "a.rs", &format!("f(\"{long}\")")), 0);
        assert_eq!(problems(line_length, "a.rs", &format!("f(\"{}\", {long})", &long[..9])), 1);
        assert_eq!(problems(line_length, "a.rs", &format!("{LONG_LINE_MARK}\n{long}")), 0);
    }

    #[test]
    fn leftovers_are_found_but_not_in_comments() {
        let line = format!("{}{}", concat!("todo", "!("), ")");
        assert_eq!(problems(leftovers, "a.rs", &line), 1);
        assert_eq!(problems(leftovers, "a.rs", &format!("// {line}")), 0);
        assert_eq!(problems(leftovers, "a.rs", concat!("#[", "ignore]")), 1);
    }

    #[test]
    fn paths_of_this_machine_are_found() {
        let (dir, tree) = Tree::made_of(&[("a.md", "")]);
        std::fs::write(dir.path().join("a.md"), format!("see {}/x", dir.path().display())).unwrap();
        assert_eq!(machine_paths(&tree).len(), 1);
        assert_eq!(problems(machine_paths, "a.md", "see /usr/bin"), 0);
    }

    #[test]
    fn strange_and_large_files_are_found() {
        assert_eq!(problems(extensions, "a.exe", ""), 1);
        assert_eq!(problems(extensions, "crates/formats/fixtures/a.pb.gz", ""), 0);
        assert_eq!(problems(extensions, ".ci/run", ""), 0);
        assert_eq!(problems(mod_files, "a/mod.rs", ""), 1);
        assert_eq!(problems(mod_files, "a.rs", ""), 0);
        assert_eq!(problems(blobs, "a.txt", &"z".repeat(1_500_001)), 1);
        assert_eq!(problems(blobs, "a.txt", &"z".repeat(1_500_000)), 0);
    }
}
