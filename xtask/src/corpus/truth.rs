//! What other tools computed about a file: totals by sample type, and the top by self.
//!
//! `truth.json` files differ in shape with the tool that captured the payload, but each pprof's
//! truth is one object with `sample_types`, `totals`, `top_self` and `bytes` somewhere in them. So
//! the whole document is searched for such objects. Its file is one that is named on the way to it
//! (as a key, or as `file`, or among `files`), or failing that the only one of that size.

use super::items::Item;
use anyhow::Context;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file and its truth.
#[derive(Debug)]
pub(crate) struct TruthFile {
    /// Path within the item.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) types: Vec<TypeTruth>,
}

/// The truth about one sample type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TypeTruth {
    pub(crate) sample_type: String,
    pub(crate) total: i64,
    /// Function names and self values, largest first.
    pub(crate) top_self: Vec<(String, i64)>,
}

impl TypeTruth {
    /// Whether no sample has a value of this type; a server need not mention it then.
    pub(crate) fn is_zero(&self) -> bool {
        self.total == 0 && self.top_self.iter().all(|entry| entry.1 == 0)
    }
}

/// Every pprof of the item that has a truth, in the order of the document.
pub(crate) fn files_with_truth(item: &Item) -> anyhow::Result<Vec<TruthFile>> {
    let path = item.dir.join("truth.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let mut files = Vec::new();
    list(&item.dir, &item.dir, &mut files)?;
    let mut found = Vec::new();
    search(&document, &mut Vec::new(), &files, &mut found);
    Ok(found)
}

/// Why an item has nothing to compare.
pub(crate) fn why_without(item: &Item) -> String {
    let meta = std::fs::read_to_string(item.dir.join("meta.json")).unwrap_or_default();
    let meta: Value = serde_json::from_str(&meta).unwrap_or_default();
    let kind = meta["kind"].as_str().unwrap_or("of another format");
    format!("no pprof and no JFR samples with a computed truth ({kind})")
}

/// A file of the item: its path within it, and its size.
struct Listed {
    name: String,
    path: PathBuf,
    bytes: u64,
}

fn list(root: &Path, dir: &Path, files: &mut Vec<Listed>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            list(root, &path, files)?;
        } else if kind.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(Listed { name, path, bytes: entry.metadata()?.len() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// Walks the document; `hints` holds what may name a file on the way from the root to here.
fn search(value: &Value, hints: &mut Vec<String>, files: &[Listed], found: &mut Vec<TruthFile>) {
    let depth = hints.len();
    match value {
        Value::Object(object) => {
            if let (Some(types), Some(bytes)) = (type_truths(value), value["bytes"].as_u64()) {
                if let Some(file) = pick(files, hints, bytes, found) {
                    let (name, path) = (file.name.clone(), file.path.clone());
                    found.push(TruthFile { name, path, types });
                }
                return;
            }
            hints.extend(object.get("file").and_then(Value::as_str).map(str::to_owned));
            let listed = object.get("files").and_then(Value::as_array);
            let listed = listed.into_iter().flatten().filter_map(Value::as_str);
            hints.extend(listed.map(str::to_owned));
            for (key, inner) in object {
                hints.push(key.clone());
                search(inner, hints, files, found);
                hints.pop();
            }
        }
        Value::Array(array) => array.iter().for_each(|inner| search(inner, hints, files, found)),
        _ => {}
    }
    hints.truncate(depth);
}

/// The file of the right size: a named one before any other, each one once.
fn pick<'a>(
    files: &'a [Listed],
    hints: &[String],
    bytes: u64,
    found: &[TruthFile],
) -> Option<&'a Listed> {
    let free = |file: &&Listed| {
        file.bytes == bytes && found.iter().all(|earlier| earlier.name != file.name)
    };
    let named = |file: &&Listed| hints.contains(&file.name);
    files.iter().filter(free).find(named).or_else(|| files.iter().find(free))
}

/// The truth in this object, if it is one with at least one sample type.
pub(super) fn type_truths(value: &Value) -> Option<Vec<TypeTruth>> {
    let (totals, tops) = (value.get("totals")?.as_object()?, value.get("top_self")?.as_object()?);
    let mut types = Vec::new();
    for (sample_type, total) in totals {
        let top = tops.get(sample_type).and_then(Value::as_array);
        let top = top.into_iter().flatten();
        let top_self =
            top.filter_map(|entry| Some((entry[0].as_str()?.to_owned(), entry[1].as_i64()?)));
        types.push(TypeTruth {
            sample_type: sample_type.clone(),
            total: total.as_i64()?,
            top_self: top_self.collect(),
        });
    }
    (!types.is_empty()).then_some(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(truth: &str, files: &[(&str, usize)]) -> (tempfile::TempDir, Item) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("truth.json"), truth).unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; *bytes]).unwrap();
        }
        let item = Item { name: "x".into(), dir: dir.path().to_owned() };
        (dir, item)
    }

    const ONE: &str = r#"{"bytes": 7, "totals": {"cpu": 9}, "top_self": {"cpu": [["f", 5]]}}"#;

    #[test]
    fn a_plain_summary_finds_its_file_by_size() {
        let (_dir, item) = item(&format!("{{\"summary\": {ONE}}}"), &[("a.txt", 6), ("b.pb", 7)]);
        let found = files_with_truth(&item).unwrap();
        assert_eq!(found[0].name, "b.pb");
        let types =
            [TypeTruth { sample_type: "cpu".into(), total: 9, top_self: vec![("f".into(), 5)] }];
        assert_eq!(found[0].types, types);
    }

    #[test]
    fn names_on_the_way_decide_between_files_of_one_size() {
        let files = [("parts/1.pb", 7), ("parts/2.pb", 7), ("z.pb", 7)];
        let by_key = format!("{{\"z.pb\": {{\"summary\": {ONE}}}}}");
        let (_dir, one) = item(&by_key, &files);
        assert_eq!(files_with_truth(&one).unwrap()[0].name, "z.pb");
        let by_file = format!(
            "{{\"parts\": [{{\"file\": \"parts/2.pb\", \"truth\": {ONE}}}, \
             {{\"file\": \"parts/1.pb\", \"truth\": {ONE}}}]}}"
        );
        let (_dir, two) = item(&by_file, &files);
        let names: Vec<String> =
            files_with_truth(&two).unwrap().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["parts/2.pb", "parts/1.pb"]);
    }

    #[test]
    fn other_truths_are_no_pprof_truths() {
        let (_dir, item) = item(r#"{"total": 3, "top_self": [["f", 1]]}"#, &[("a", 7)]);
        assert!(files_with_truth(&item).unwrap().is_empty());
        assert!(why_without(&item).contains("another format"));
    }
}
