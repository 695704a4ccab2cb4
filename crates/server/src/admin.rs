//! `vesta admin`: what is kept, pinned and deleted; check, backup and restore; symbols;
//! reading kept uploads again.

mod reparse;
mod symbols;

use crate::client::{ServerArgs, escape};
use crate::serve::data_dir;
use crate::terminal::{print, say};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use stdx::{Rng, SystemClock};
use store::{Options, Store};

/// Arguments of `vesta admin`.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Show what is kept, how much it takes, and what was dropped and why.
    Retention,
    /// Delete the profiles of a selection: hidden at once, their files gone within ten minutes.
    Delete(DeleteArgs),
    /// Show deletions that are being worked on, and those of the last day.
    Deletions,
    /// Show what is kept beyond retention.
    Pins,
    /// Keep a time range of a service beyond retention and disk budget.
    Pin(PinArgs),
    /// Remove a pin.
    Unpin {
        /// Its name.
        name: String,
    },
    /// Check that all files are there, whole, and as the catalog says.
    Fsck {
        /// The folder of a server that does not run, instead of asking a running one.
        #[arg(long, value_name = "FOLDER")]
        data_dir: Option<PathBuf>,
    },
    /// Write a backup of everything while the server runs.
    Export {
        /// The file to write.
        #[arg(value_name = "FILE.tar")]
        file: PathBuf,
    },
    /// Names for addresses that came without one: upload files that name them, see what is missing.
    #[command(subcommand)]
    Symbols(symbols::SymbolsCommand),
    /// Read uploads that were kept again with today's decoders, and replace their profiles.
    Reparse(reparse::ReparseArgs),
    /// Put a backup into the folder of a server that does not run.
    Import {
        /// A file that `vesta admin export` wrote.
        #[arg(value_name = "FILE.tar")]
        file: PathBuf,
        /// The folder; it may be new.
        #[arg(long, value_name = "FOLDER")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// Which series, e.g. '{service_name="shop"}'.
    #[arg(long = "match", value_name = "SELECTOR")]
    matchers: String,
    /// Start of the range: epoch milliseconds, `now-1h`, or `0` for all that there is.
    #[arg(long)]
    from: String,
    /// End of the range; now when absent.
    #[arg(long)]
    to: Option<String>,
    /// Do it; without this only the number of profiles is shown.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct PinArgs {
    /// What to call it.
    name: String,
    /// The service.
    #[arg(long, short)]
    service: String,
    /// Start of the range: epoch milliseconds, or `now-1h`.
    #[arg(long)]
    from: String,
    /// End of the range; now when absent.
    #[arg(long)]
    to: Option<String>,
}

/// Does what was asked.
pub(crate) async fn run(args: &AdminArgs) -> Result<ExitCode> {
    let server = &args.server;
    match &args.command {
        AdminCommand::Retention => print(&pretty(&server.get("/api/v1/retention", &[]).await?)?)?,
        AdminCommand::Deletions => {
            print(&pretty(&server.get("/api/v1/admin/deletions", &[]).await?)?)?;
        }
        AdminCommand::Pins => print(&pretty(&server.get("/api/v1/pins", &[]).await?)?)?,
        AdminCommand::Delete(wanted) => delete(server, wanted).await?,
        AdminCommand::Pin(wanted) => {
            let PinArgs { name, service, from, to } = wanted;
            let parameters = [
                ("name", Some(name.as_str())),
                ("service", Some(service)),
                ("from", Some(from)),
                ("to", to.as_deref()),
            ];
            print(&pretty(&server.ask(Method::POST, "/api/v1/admin/pins", &parameters).await?)?)?;
        }
        AdminCommand::Unpin { name } => {
            let path = format!("/api/v1/admin/pins/{}", escape(name));
            server.ask(Method::DELETE, &path, &[]).await?;
        }
        AdminCommand::Fsck { data_dir } => {
            let report = match data_dir {
                None => server.get("/api/v1/admin/fsck", &[]).await?,
                Some(folder) => fsck(folder).await?,
            };
            print(&pretty(&report)?)?;
            let is_sound = report["problems"].as_array().is_some_and(Vec::is_empty);
            return Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        AdminCommand::Symbols(command) => symbols::run(server, command).await?,
        AdminCommand::Reparse(wanted) => reparse::run(server, wanted).await?,
        AdminCommand::Export { file } => export(server, file).await?,
        AdminCommand::Import { file, data_dir } => import(file, data_dir).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("write the answer")? + "\n")
}

async fn delete(server: &ServerArgs, wanted: &DeleteArgs) -> Result<()> {
    let parameters = [
        ("match", Some(wanted.matchers.as_str())),
        ("from", Some(wanted.from.as_str())),
        ("to", wanted.to.as_deref()),
        ("preview", Some(if wanted.yes { "false" } else { "true" })),
    ];
    let answer = server.ask(Method::POST, "/api/v1/admin/deletions", &parameters).await?;
    let profiles = &answer["profiles"];
    if wanted.yes {
        print(&format!("{profiles} profiles are hidden; their files are gone within 10 minutes\n"))
    } else {
        print(&format!("{profiles} profiles would be deleted: say --yes to do it\n"))
    }
}

async fn export(server: &ServerArgs, file: &Path) -> Result<()> {
    ensure!(!file.exists(), "{} is there already: choose another name", file.display());
    // Under its name only when it is whole.
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut out = File::create(&part).with_context(|| format!("write {}", part.display()))?;
    let bytes = server.download("/api/v1/admin/export", &mut out).await;
    let bytes = bytes.and_then(|bytes| {
        out.sync_all().context("sync the file")?;
        std::fs::rename(&part, file).with_context(|| format!("name it {}", file.display()))?;
        Ok(bytes)
    });
    match bytes {
        Ok(bytes) => print(&format!("{}: {bytes} bytes\n", file.display())),
        Err(error) => {
            // The error matters more than the rest of a file that is not whole.
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}

async fn open(folder: &Path) -> Result<Arc<Store>> {
    // Nothing is dropped by age or flushed here: no maintenance runs.
    let clock = Arc::new(SystemClock::new());
    let store = Store::open(folder, Options::default(), clock, Rng::from_entropy()).await;
    store.with_context(|| data_dir::hint(folder))
}

async fn fsck(folder: &Path) -> Result<Value> {
    if !folder.join("catalog.sqlite").exists() {
        bail!("{} is not the data folder of a vesta: it has no catalog.sqlite", folder.display());
    }
    let _held = data_dir::hold(folder)?;
    let found = open(folder).await?.fsck().await?;
    Ok(serde_json::json!({
        "segments": found.segments, "files": found.files, "bytes": found.bytes,
        "profiles": found.profiles, "rows": found.rows, "problems": found.problems,
        "unknown": found.unknown, "trash": found.trash,
    }))
}

async fn import(file: &Path, folder: &Path) -> Result<()> {
    let from = File::open(file).with_context(|| format!("read {}", file.display()))?;
    let _held = data_dir::hold(folder)?;
    let store = open(folder).await?;
    let done = store.restore(std::io::BufReader::new(from)).await?;
    if done.known > 0 {
        say(&format!("{} segments were there already", done.known));
    }
    let (segments, profiles) = (done.segments, done.profiles);
    print(&format!("{segments} segments, {profiles} new profiles, {} pins\n", done.pins))
}
