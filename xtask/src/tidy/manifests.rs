//! Checks over Cargo manifests: which crate may use which.

use super::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Third-party crates that belong to a few of ours (a `*` at the end stands for any name that
/// starts so). One that is not listed may be used anywhere.
const OWNERS: &[(&str, &[&str])] = &[
    ("anyhow", &["server", "agent", "shop", "xtask"]),
    ("arrow*", &["store", "query", "api"]),
    ("axum", &["rpc", "ingest", "api", "server", "shop"]),
    ("blazesym", &["symbols"]),
    ("cargo_metadata", &["xtask"]),
    ("clap", &["server", "agent", "shop", "xtask"]),
    ("datafusion*", &["query"]),
    ("framehop", &["unwind"]),
    ("gimli", &["unwind", "symbols"]),
    ("libc", &["sampler", "agent", "server"]),
    ("multer", &["ingest"]),
    ("nix", &["store", "xtask"]),
    ("object", &["symbols", "unwind", "agent"]),
    ("object_store", &["store", "query"]),
    ("parquet", &["store", "query"]),
    ("perf-event-open-sys", &["sampler"]),
    ("prost", &["wire", "rpc", "formats", "agent", "ingest"]),
    ("prost-build", &["wire", "rpc", "xtask"]),
    ("protox", &["wire", "rpc", "xtask"]),
    ("rusqlite", &["catalog"]),
    ("rustls*", &["server"]),
    ("signal-hook", &["xtask"]),
    ("tikv-jemallocator", &["server", "agent"]),
    ("tonic*", &["rpc"]),
    ("ureq", &["xtask"]),
    ("utoipa*", &["api"]),
];

/// One of our crates, as its manifest says.
struct Manifest {
    path: String,
    name: String,
    layer: Option<i64>,
    /// Normal and build dependencies.
    uses: BTreeSet<String>,
    /// Dependencies of its tests.
    dev_uses: BTreeSet<String>,
}

fn manifests(tree: &Tree) -> Vec<Manifest> {
    let ours = |path: &str| {
        path == "xtask/Cargo.toml" || (path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
    };
    tree.texts(ours).map(|(path, text)| parse(path, &text)).collect()
}

fn parse(path: &str, text: &str) -> Manifest {
    let table: Table = toml::from_str(text).unwrap_or_default();
    let package = table.get("package");
    let keys = |section: &str| -> BTreeSet<String> {
        let table = table.get(section).and_then(Value::as_table);
        table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
    };
    let layer = package
        .and_then(|package| package.get("metadata")?.get("vesta")?.get("layer"))
        .and_then(Value::as_integer);
    let name = package.and_then(|package| package.get("name")).and_then(Value::as_str);
    Manifest {
        path: path.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        layer,
        uses: keys("dependencies").union(&keys("build-dependencies")).cloned().collect(),
        dev_uses: keys("dev-dependencies"),
    }
}

/// Edges between our crates go strictly down; tests may use `testkit` besides.
pub(crate) fn layers(tree: &Tree) -> Vec<String> {
    let manifests = manifests(tree);
    let known: BTreeMap<&str, Option<i64>> =
        manifests.iter().map(|manifest| (manifest.name.as_str(), manifest.layer)).collect();
    let mut problems = Vec::new();
    for manifest in &manifests {
        let Some(layer) = manifest.layer else {
            problems.push(format!("{}: needs [package.metadata.vesta] layer = N", manifest.path));
            continue;
        };
        let dev = manifest.dev_uses.iter().filter(|name| *name != "testkit");
        for used in manifest.uses.iter().chain(dev) {
            let Some(Some(below)) = known.get(used.as_str()) else { continue };
            if *below >= layer {
                problems.push(format!(
                    "{}: layer {layer} may not use {used}, which is of layer {below}",
                    manifest.path
                ));
            }
        }
        if manifest.uses.contains("testkit") {
            problems.push(format!("{}: testkit is for tests only", manifest.path));
        }
    }
    problems
}

/// A dependency is used by its owners only.
pub(crate) fn owners(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in manifests(tree) {
        for used in &manifest.uses {
            for (pattern, owners) in OWNERS {
                if matches(pattern, used) && !owners.contains(&manifest.name.as_str()) {
                    let allowed = owners.join(", ");
                    problems.push(format!("{}: {used} belongs to {allowed}", manifest.path));
                }
            }
        }
    }
    problems
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Names in `[workspace.dependencies]`, and whether they are third-party.
fn workspace_dependencies(tree: &Tree) -> Vec<(String, bool)> {
    let table: Table = toml::from_str(&tree.text("Cargo.toml")).unwrap_or_default();
    let dependencies =
        table.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let listed = dependencies.into_iter().flatten();
    listed.map(|(name, value)| (name.clone(), value.get("path").is_none())).collect()
}

/// Every third-party crate and every package of the page has its reason in docs/dependencies.md.
pub(crate) fn explained(tree: &Tree) -> Vec<String> {
    let page = tree.text("docs/dependencies.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    let mut names: Vec<String> = workspace_dependencies(tree)
        .into_iter()
        .filter(|(_, third_party)| *third_party)
        .map(|(name, _)| name)
        .collect();
    names.extend(page_packages(&tree.text("ui/package.json")));
    names.extend(fuzz_crates(&tree.text("fuzz/Cargo.toml")));
    let unexplained =
        names.iter().filter(|name| !rows.iter().any(|row| row.contains(&format!("`{name}`"))));
    unexplained
        .map(|name| format!("docs/dependencies.md: no line says why {name} is used"))
        .collect()
}

/// What the fuzz targets use of others; they are a workspace of their own.
fn fuzz_crates(manifest: &str) -> Vec<String> {
    let table: Table = toml::from_str(manifest).unwrap_or_default();
    let dependencies = table.get("dependencies").and_then(Value::as_table);
    let listed = dependencies.into_iter().flatten();
    let foreign = listed.filter(|(_, value)| value.get("path").is_none());
    foreign.map(|(name, _)| name.clone()).collect()
}

fn page_packages(manifest: &str) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    ["dependencies", "devDependencies"]
        .iter()
        .filter_map(|section| manifest[section].as_object())
        .flat_map(|packages| packages.keys().cloned())
        .collect()
}

/// Nothing in `[workspace.dependencies]` is unused.
pub(crate) fn used(tree: &Tree) -> Vec<String> {
    let manifests = manifests(tree);
    let used_by_any = |name: &String| {
        manifests.iter().any(|one| one.uses.contains(name) || one.dev_uses.contains(name))
    };
    workspace_dependencies(tree)
        .iter()
        .filter(|(name, _)| !used_by_any(name))
        .map(|(name, _)| format!("Cargo.toml: no crate uses {name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, layer: i64, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[package.metadata.vesta]\nlayer = {layer}\n{rest}\n")
    }

    #[test]
    fn edges_go_down() {
        let low = manifest("low", 1, "[dependencies]\nhigh.workspace = true");
        let high = manifest("high", 2, "[dependencies]\nlow.workspace = true");
        let files = [("crates/low/Cargo.toml", low.as_str()), ("crates/high/Cargo.toml", &high)];
        let (_dir, tree) = Tree::made_of(&files);
        let problems = layers(&tree);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("crates/low/Cargo.toml: layer 1 may not use high"));
        let (_dir, tree) = Tree::made_of(&files[1..]);
        assert!(layers(&tree).is_empty());
        let (_dir, tree) = Tree::made_of(&[("crates/x/Cargo.toml", "[package]\nname = \"x\"")]);
        assert!(layers(&tree)[0].contains("layer = N"));
    }

    #[test]
    fn testkit_is_for_tests() {
        let kit = manifest("testkit", 2, "");
        let dev = manifest("views", 2, "[dev-dependencies]\ntestkit.workspace = true");
        let normal = manifest("query", 5, "[dependencies]\ntestkit.workspace = true");
        let (_dir, tree) = Tree::made_of(&[
            ("crates/testkit/Cargo.toml", &kit),
            ("crates/views/Cargo.toml", &dev),
            ("crates/query/Cargo.toml", &normal),
        ]);
        assert_eq!(layers(&tree), ["crates/query/Cargo.toml: testkit is for tests only"]);
    }

    #[test]
    fn heavy_dependencies_stay_with_their_owners() {
        let query = manifest("query", 5, "[dependencies]\ndatafusion-expr.workspace = true");
        let api = manifest("api", 6, "[dependencies]\ndatafusion-expr.workspace = true");
        let (_dir, tree) =
            Tree::made_of(&[("crates/query/Cargo.toml", &query), ("crates/api/Cargo.toml", &api)]);
        assert_eq!(owners(&tree), ["crates/api/Cargo.toml: datafusion-expr belongs to query"]);
    }

    #[test]
    fn every_dependency_has_a_reason_and_a_user() {
        let root = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\nserde = \"1\"\n";
        let user = manifest("ours", 1, "[dependencies]\nserde = \"1\"\nours = \"1\"");
        let package = "{\"dependencies\": {\"react\": \"19\"}}";
        let (_dir, tree) = Tree::made_of(&[
            ("Cargo.toml", root),
            ("docs/dependencies.md", "| crate | why |\n"),
            ("ui/package.json", package),
            ("fuzz/Cargo.toml", "[dependencies]\nfuzzer = \"1\"\nours = { path = \"../x\" }\n"),
        ]);
        assert_eq!(explained(&tree).len(), 3);
        assert_eq!(used(&tree).len(), 2);
        let (_dir, tree) = Tree::made_of(&[
            ("Cargo.toml", root),
            ("docs/dependencies.md", "| `serde` | why |\n| `react` | why |\n"),
            ("ui/package.json", package),
            ("crates/ours/Cargo.toml", &user),
        ]);
        assert!(explained(&tree).is_empty() && used(&tree).is_empty());
    }
}
