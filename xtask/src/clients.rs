//! `cargo xtask clients`: real, pinned clients of others run small programs with a known profile
//! against a real server, each with nothing changed but an address; what the server then answers is
//! compared with what the programs did.
//!
//! An entry of [`CLIENTS`] says what a client needs, how it is installed and run, and what must be
//! found of it. Its program and its pins are in `fixtures/clients/NAME`, what is installed in
//! `target/clients/NAME`. Reading order: `stage` (where a client runs), `install` (how it comes
//! there), `expect` (what must be found), `types` (which types, language by language), `asked` (how
//! the server is asked); then a file a language.

mod asked;
mod expect;
mod install;
mod stage;
mod types;

mod datadog;
mod dotnet;
mod go;
mod java;
mod native;
mod node;
mod python;

use crate::children::Children;
use crate::command::{Cost, measured};
use crate::setup::{self, Need};
use crate::signals;
use crate::stack::{self, ClientPorts, Purpose};
use crate::workspace::Workspace;
use anyhow::bail;
use asked::{Asked, Figures};
use expect::Expect;
use stage::{Addresses, Stage};

/// A client that is run.
#[derive(Debug)]
pub(crate) struct ClientEntry {
    /// Its name, also that of its service and of its folders.
    pub(crate) name: &'static str,
    /// What of others is run, with versions; its pins are the same.
    pub(crate) versions: &'static str,
    /// Programs that must be on the machine.
    pub(crate) needs: &'static [Need],
    /// Installs it and runs its program to the end.
    pub(crate) run: fn(&mut Stage<'_>) -> anyhow::Result<()>,
    /// What the server must answer then, besides the client's rows of [`types`]: lists that several
    /// clients may share.
    pub(crate) expects: &'static [&'static [Expect]],
}

/// Every client. The first [`IN_TEST`] are run by `cargo xtask test`, too.
pub(crate) const CLIENTS: &[&ClientEntry] = &[
    &python::PYROSCOPE_IO,
    &python::DDTRACE,
    &python::OTEL_PYTHON,
    &java::JFR,
    &python::DDTRACE_2,
    &python::OTEL_PYTHON_GRPC,
    &go::PYROSCOPE_GO,
    &go::NET_HTTP_PPROF,
    &go::DD_TRACE_GO,
    &node::DD_TRACE_JS,
    &node::PYROSCOPE_NODEJS,
    &java::DD_JAVA_AGENT,
    &java::OTEL_JAVA_AGENT,
    &java::PYROSCOPE_JAVA,
    &java::ASYNC_PROFILER,
    &native::PERF,
    &native::PYROSCOPE_RS,
    &native::GPERFTOOLS,
    &native::ASYNC_PROFILER_NATIVE,
    &dotnet::DOTNET,
    &python::DDTRACE_PY313,
    &java::DD_JAVA_AGENT_JFR,
];
/// How many clients the test command runs.
const IN_TEST: usize = 4;

#[derive(clap::Args, Debug)]
pub(crate) struct ClientsArgs {
    /// Run this client only; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Take the server as it is built.
    #[arg(long)]
    built: bool,
}

/// What came of one client.
struct Outcome {
    entry: &'static ClientEntry,
    problems: Vec<String>,
    figures: Figures,
    cost: Cost,
}

/// Runs all clients, or those that are named.
pub(crate) fn run(workspace: &Workspace, args: &ClientsArgs) -> anyhow::Result<()> {
    let known = |name: &String| CLIENTS.iter().any(|entry| entry.name == name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = CLIENTS.iter().map(|entry| entry.name).collect();
        bail!("no client is called {name:?}; there are {}", names.join(", "));
    }
    if !args.built {
        stack::build_binaries(workspace)?;
    }
    let wanted = |entry: &&&ClientEntry| {
        args.only.is_empty() || args.only.iter().any(|name| name == entry.name)
    };
    run_these(workspace, CLIENTS.iter().filter(wanted).copied())
}

/// Runs those of the test command; the server is built.
pub(crate) fn test(workspace: &Workspace) -> anyhow::Result<()> {
    run_these(workspace, CLIENTS.iter().take(IN_TEST).copied())
}

fn run_these(
    workspace: &Workspace,
    entries: impl Iterator<Item = &'static ClientEntry>,
) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let logs = workspace.target.join("clients/logs");
    let mut server = Children::new(&logs)?;
    let ports = ClientPorts {
        otlp_grpc: stack::free_port()?,
        otlp_http: stack::free_port()?,
        datadog: stack::free_port()?,
    };
    let port = stack::free_port()?;
    let purpose = Purpose::Clients(ports);
    let url = stack::start_server(workspace, &mut server, port, data.path(), purpose)?;
    let addresses = Addresses::new(url, ports);
    let mut outcomes = Vec::new();
    for entry in entries {
        println!("-- {} ({})", entry.name, entry.versions);
        let mut programs = Children::new(&logs)?;
        let ((problems, figures), cost) =
            measured(|| run_one(workspace, entry, &addresses, &mut programs));
        for problem in &problems {
            println!("{}: {problem}", entry.name);
        }
        outcomes.push(Outcome { entry, problems, figures, cost });
        server.check()?;
        if signals::stop_asked() {
            break;
        }
    }
    server.stop();
    summarise(&outcomes)
}

/// What is wrong, and what arrived.
fn run_one(
    workspace: &Workspace,
    entry: &'static ClientEntry,
    addresses: &Addresses,
    programs: &mut Children,
) -> (Vec<String>, Figures) {
    let asked = Asked::new(&addresses.main, entry.name);
    let mut run = || -> anyhow::Result<Vec<String>> {
        setup::ensure(entry.needs)?;
        let mut stage = Stage::new(workspace, entry.name, addresses, programs);
        (entry.run)(&mut stage)?;
        let types = types::expected(entry);
        let expects = entry.expects.iter().copied().chain([types.as_slice()]);
        Ok(expect::check(expects.flatten().copied(), &asked, &stage.told()))
    };
    let problems = run().unwrap_or_else(|error| vec![format!("{error:#}")]);
    match asked.figures() {
        Ok(figures) => (problems, figures),
        Err(error) => {
            let what = vec![format!("what arrived cannot be counted: {error:#}")];
            ([problems, what].concat(), Figures::default())
        }
    }
}

fn summarise(outcomes: &[Outcome]) -> anyhow::Result<()> {
    println!(
        "\n{:18} {:>6} {:>14} {:>10} {:>8} {:>8} {:>5} {:>5}  versions",
        "client", "", "CPU", "wall", "profiles", "samples", "types", "spans"
    );
    for Outcome { entry, problems, figures, cost } in outcomes {
        let verdict = if problems.is_empty() { "ok" } else { "FAILED" };
        println!(
            "{:18} {verdict:>6} {cost} {:>8} {:>8} {:>5} {:>5}  {}",
            entry.name,
            figures.profiles,
            figures.samples,
            figures.types,
            figures.spans,
            entry.versions
        );
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty());
    let failed: Vec<&str> = failed.map(|outcome| outcome.entry.name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask has a parent")
    }

    #[test]
    fn every_client_has_a_name_of_its_own_and_something_to_find() {
        for (index, entry) in CLIENTS.iter().enumerate() {
            assert!(entry.expects.iter().any(|list| !list.is_empty()), "{}", entry.name);
            assert!(CLIENTS[..index].iter().all(|other| other.name != entry.name));
        }
    }

    #[test]
    fn the_guide_lists_every_client_with_its_versions() {
        let guide = std::fs::read_to_string(root().join("docs/guides/clients.md")).unwrap();
        for entry in CLIENTS {
            let row = format!("| `{}` | {} |", entry.name, entry.versions);
            assert!(guide.contains(&row), "docs/guides/clients.md lacks the row {row}");
        }
    }
}
