//! Where the repository and its build products are.

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use std::path::PathBuf;

/// The checkout and its products.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory (`CARGO_TARGET_DIR` or `target`).
    pub(crate) target: PathBuf,
    /// Whether its binaries are those of the release profile, as they are shipped.
    pub(crate) is_release: bool,
}

impl Workspace {
    /// Asks cargo, starting at this crate's folder. `cargo run` names it when it starts: several
    /// checkouts may share one target directory, and so this binary.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR");
        let own = own.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let metadata = MetadataCommand::new()
            .manifest_path(own.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata failed")?;
        Ok(Self {
            root: metadata.workspace_root.clone().into(),
            target: metadata.target_directory.clone().into(),
            is_release: false,
        })
    }

    /// A binary: of the dev profile, which demo and tests share, unless it is told otherwise.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join(if self.is_release { "release" } else { "debug" }).join(name)
    }

    /// The web application's folder.
    pub(crate) fn ui(&self) -> PathBuf {
        self.root.join("ui")
    }
}
