//! What a fresh machine may lack. Each need says why it is needed; as root it is installed with
//! apt-get, otherwise the exact command is printed and the task fails.

use crate::command::{command, output, run};
use anyhow::{Context, bail};
use nix::unistd::geteuid;
use std::path::Path;

/// A program and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

impl Need {
    /// A program, its package, and what it is for.
    pub(crate) const fn new(
        program: &'static str,
        package: &'static str,
        why: &'static str,
    ) -> Self {
        Self { program, package, why }
    }
}

/// Needed to build the binaries.
pub(crate) const BUILD: &[Need] = &[
    Need { program: "cc", package: "build-essential", why: "compiles SQLite, zstd and jemalloc" },
    Need { program: "make", package: "build-essential", why: "builds jemalloc" },
];
/// Needed by the tests besides.
pub(crate) const TEST: &[Need] = &[
    Need { program: "git", package: "git", why: "lists the files that tidy checks" },
    Need {
        program: "g++",
        package: "build-essential",
        why: "compiles programs with a known profile",
    },
    Need { program: "go", package: "golang-go", why: "compiles a Go program with a known profile" },
    Need {
        program: "javac",
        package: "default-jdk-headless",
        why: "compiles a Java program with a known profile",
    },
    Need { program: "python3", package: "python3", why: "runs a Python program to be profiled" },
    Need {
        program: "pip3",
        package: "python3-pip",
        why: "installs DuckDB, an independent reader of the store's files",
    },
    Need { program: "chromium", package: "chromium", why: "runs the end-to-end tests of the page" },
];
/// Needed to unpack a corpus.
pub(crate) const CORPUS: &[Need] = &[
    Need { program: "tar", package: "tar", why: "unpacks the corpus archives" },
    Need { program: "zstd", package: "zstd", why: "decompresses the corpus archives" },
];
/// Needed to unpack single files of a corpus.
pub(crate) const CORPUS_ZIPPED: &[Need] =
    &[Need { program: "unzip", package: "unzip", why: "unpacks files of a corpus" }];
/// The oldest Node.js that the page's build accepts.
const NODE_MIN: (u32, u32) = (20, 19);

/// Installs what is missing of `needs`, or says how.
pub(crate) fn ensure(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !exists(need.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    for need in &missing {
        println!("missing: {} (package {}): {}", need.program, need.package, need.why);
    }
    let install = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !geteuid().is_root() || !exists("apt-get") {
        bail!("please install what is missing, then run this again; on Debian: sudo {install}");
    }
    println!("installing: {install}");
    apt(&["update", "-q"])?;
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(&packages);
    apt(&args)
}

fn apt(args: &[&str]) -> anyhow::Result<()> {
    run(command(Path::new("/"), "apt-get", args).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Node.js and npm are not installed by us: distributions' versions are often too old.
pub(crate) fn ensure_node() -> anyhow::Result<()> {
    let (major, minor) = NODE_MIN;
    let advice = format!("install Node.js {major}.{minor} or newer with npm (https://nodejs.org)");
    let version = output("node", &["--version"])
        .with_context(|| format!("node is missing; the page is built with it: {advice}"))?;
    let found = parse_version(&version).with_context(|| format!("node says {version:?}"))?;
    if found < NODE_MIN {
        bail!("node {version} is too old to build the page: {advice}");
    }
    if !exists("npm") {
        bail!("npm is missing; the page is built with it: {advice}");
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether a program of this name is on the path.
pub(crate) fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// The program's file on the path.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("v20.9.0").unwrap() < NODE_MIN);
        assert!(parse_version("v22.1.0\n").unwrap() > NODE_MIN);
        assert_eq!(parse_version("node"), None);
        assert!(exists("sh") && !exists("no-such-program-here"));
    }
}
