//! `vesta admin symbols`: names for addresses that came without one.

use super::pretty;
use crate::client::ServerArgs;
use crate::flame::plain;
use crate::terminal::{print, say};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum SymbolsCommand {
    /// Upload programs, libraries or .debug files; profiles that are stored become readable.
    Upload {
        /// ELF files with debug information or a symbol table, or Go programs.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what was uploaded.
    List,
    /// Remove what was uploaded for a binary.
    Remove {
        /// Its build id, or the id of the upload.
        build_id: String,
    },
    /// Show which binaries have addresses without a name, the heaviest first.
    Missing(MissingArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MissingArgs {
    /// Which series, e.g. '{service_name="shop"}'.
    #[arg(long = "match", value_name = "SELECTOR")]
    matchers: Option<String>,
    /// What is measured; time on the CPU when absent.
    #[arg(long = "type", value_name = "TYPE")]
    profile_type: Option<String>,
    /// Start of the range: epoch milliseconds, or `now-1h`.
    #[arg(long, default_value = "now-1h")]
    from: String,
    /// End of the range; now when absent.
    #[arg(long)]
    to: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const PATH: &str = "/api/v1/admin/symbols";

pub(super) async fn run(server: &ServerArgs, command: &SymbolsCommand) -> Result<()> {
    match command {
        SymbolsCommand::Upload { files } => {
            for file in files {
                upload(server, file).await.with_context(|| format!("{}", file.display()))?;
            }
            Ok(())
        }
        SymbolsCommand::List => print(&pretty(&server.get("/api/v1/symbols", &[]).await?)?),
        SymbolsCommand::Remove { build_id } => {
            server.ask(Method::DELETE, PATH, &[("build_id", Some(build_id))]).await?;
            Ok(())
        }
        SymbolsCommand::Missing(wanted) => missing(server, wanted).await,
    }
}

async fn upload(server: &ServerArgs, path: &Path) -> Result<()> {
    let file = tokio::fs::File::open(path).await.context("read the file")?;
    ensure!(file.metadata().await?.is_file(), "it is not a file");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parameters = [("name", &*name)];
    let answer = server.upload_file(PATH, parameters.into_iter(), file).await?;
    let text = |key: &str| {
        let list = answer[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(", ")
    };
    for note in answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        say(&format!("{}: {}", path.display(), plain(note)));
    }
    print(&format!(
        "{}: {} functions from {}, build id {}\n",
        path.display(),
        answer["functions"],
        text("sources"),
        text("build_ids")
    ))
}

async fn missing(server: &ServerArgs, wanted: &MissingArgs) -> Result<()> {
    let parameters = [
        ("match", wanted.matchers.as_deref()),
        ("type", wanted.profile_type.as_deref()),
        ("from", Some(wanted.from.as_str())),
        ("to", wanted.to.as_deref()),
    ];
    let answer = server.get("/api/v1/symbols/missing", &parameters).await?;
    if wanted.json {
        return print(&pretty(&answer)?);
    }
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let mut out = format!(
        "self, in percent of {}; addresses without a name; build id; file\n",
        text(&answer["profile_type"])
    );
    for row in answer["binaries"].as_array().into_iter().flatten() {
        let id = text(&row["build_id"]);
        let id = if id.is_empty() { "(none)".to_owned() } else { id };
        let note =
            if row["has_symbols"] == true { " (uploaded symbols do not cover it)" } else { "" };
        let percent = row["percent"].as_f64().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{percent:6.2}  {:>6}  {id:40}  {}{note}",
            row["addresses"],
            text(&row["file"])
        );
    }
    if answer["left_out"].as_u64().is_some_and(|count| count > 0) {
        let _ = writeln!(out, "and {} more", answer["left_out"]);
    }
    print(&out)
}
