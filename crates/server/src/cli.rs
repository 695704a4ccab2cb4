//! The command line.

use crate::admin::AdminArgs;
use crate::config::{Config, Flags};
use crate::import::ImportArgs;
use crate::query_command::QueryArgs;
use crate::record::RecordArgs;
use crate::terminal::print;
use crate::{admin, import, query_command, record, serve};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A self-hosted continuous profiler.
///
/// Start with `vesta serve` and `vesta-agent` on this host, then open http://127.0.0.1:4040.
#[derive(Debug, Parser)]
#[command(name = "vesta", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: page, API and receivers.
    #[command(after_help = SERVE_HELP)]
    Serve(Flags),
    /// Show or check the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask a running server.
    #[command(after_help = QUERY_HELP)]
    Query(Box<QueryArgs>),
    /// Upload profile files to a running server.
    Import(ImportArgs),
    /// Profile a command or a process.
    #[command(after_help = RECORD_HELP)]
    Record(RecordArgs),
    /// Keep, pin, delete, check, back up, restore and read again.
    #[command(after_help = ADMIN_HELP)]
    Admin(AdminArgs),
    /// Print the API's description (OpenAPI).
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the settings in force, in the file's form.
    Print(Flags),
    /// Check the settings and say what is wrong.
    Check(Flags),
}

const SERVE_HELP: &str = "Examples:
  vesta serve
  vesta serve --data-dir /var/lib/vesta --retention-days 30 --disk-budget 20GiB
  vesta serve --otlp-grpc-listen off --datadog-socket /var/run/datadog/apm.socket

Settings come from flags, then VESTA_* variables, then the file of --config.
`vesta config print` writes the settings in force in that file's form.

Without tokens only this machine is served, and whoever is on it is admin. Tokens stand in
the file; then other machines may be served, too (--listen 0.0.0.0:4040):

  [[auth.tokens]]
  name = \"me\"
  role = \"admin\"         # viewer reads, ingest uploads, operator does both, admin all
  token_sha256 = \"...\"   # printf %s 'the token' | sha256sum

Clients send the token: `vesta query --token`, `vesta-agent --token`, or the header
`Authorization: Bearer THE-TOKEN`.

RUST_LOG=debug logs more.";

const QUERY_HELP: &str = "Examples:
  vesta query flame --service shop --from now-15m
  vesta query top --match '{service_name=\"shop\", env=\"prod\"}' --sort total
  vesta query flame --service shop --folded > shop.folded
  vesta query types";

const ADMIN_HELP: &str = "Examples:
  vesta admin retention
  vesta admin pin incident-42 --service shop --from now-2h
  vesta admin delete --match '{service_name=\"shop\"}' --from 0          shows how much
  vesta admin delete --match '{service_name=\"shop\"}' --from 0 --yes    does it
  vesta admin export backup.tar
  vesta admin import backup.tar --data-dir /var/lib/vesta              with the server stopped
  vesta admin fsck
  vesta admin reparse --service shop --dry-run                           what newer decoders find";

const RECORD_HELP: &str = "Examples:
  vesta record -- ./my-program --its-flag          writes profile.svg
  vesta record --output cpu.pb.gz -- make -j4
  vesta record --pid 1234 --duration 30 --output cpu.folded
  vesta record --send http://127.0.0.1:4040 -- ./my-program";

/// Runs what was typed.
pub(crate) fn run() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Serve(flags) => {
            log_to_stderr();
            runtime()?.block_on(serve::run(&flags))?;
        }
        Command::Config { command } => configure(&command)?,
        Command::Query(args) => {
            let text = runtime()?.block_on(query_command::run(&args))?;
            print(&text)?;
        }
        Command::Import(args) => return runtime()?.block_on(import::run(&args)),
        Command::Record(args) => return runtime()?.block_on(record::run(&args)),
        Command::Admin(args) => return runtime()?.block_on(admin::run(&args)),
        Command::Openapi => print(&api::openapi_json())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn configure(command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Print(flags) => print(&Config::load(flags)?.print()?),
        ConfigCommand::Check(flags) => {
            Config::load(flags)?;
            print("the settings are fine\n")
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal);
    log.with_writer(std::io::stderr).init();
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().context("start the runtime")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
