//! `cargo xtask test`: everything that must pass, in the order of cost.

use crate::children::Children;
use crate::command::{Cost, cargo, command, measured, run as run_command};
use crate::http::Client;
use crate::stack::{self, Purpose};
use crate::workspace::Workspace;
use crate::{clients, openapi, setup, signals, tidy, ui};
use anyhow::{Context, bail};
use std::time::Duration;

/// A step's name, and what it does.
type Step = (&'static str, fn(&Workspace) -> anyhow::Result<()>);

/// In the order of cost; each step may rely on those before it only through cargo and npm.
const STEPS: [Step; 9] = [
    ("tidy", tidy::run),
    ("fmt", fmt),
    ("ui", test_ui),
    ("clippy", clippy),
    ("build", stack::build),
    ("cargo-test", cargo_test),
    ("openapi", check_openapi),
    ("clients", clients::test),
    ("e2e", e2e),
];

/// How long the agent's first profile may take to be seen; a busy machine is given time.
const FIRST_PROFILE_LIMIT: Duration = Duration::from_mins(1);

#[derive(clap::Args, Debug)]
pub(crate) struct TestArgs {
    /// Run this step only; may be repeated. Steps: tidy, fmt, ui, clippy, build, cargo-test,
    /// openapi, clients, e2e.
    #[arg(long)]
    only: Vec<String>,
}

/// Runs the steps; goes on after a failure, so that one run shows all of them.
pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> anyhow::Result<()> {
    if let Some(name) = args.only.iter().find(|name| STEPS.iter().all(|step| step.0 != **name)) {
        bail!("no step is called {name:?}; see cargo xtask test --help");
    }
    setup::ensure(setup::BUILD)?;
    if args.only.is_empty() {
        setup::ensure(setup::TEST)?;
    }
    let mut results = Vec::new();
    for (name, step) in STEPS {
        if args.only.is_empty() || args.only.iter().any(|only| only == name) {
            println!("== {name}");
            let (result, cost) = measured(|| step(workspace));
            if let Err(error) = &result {
                println!("{name} failed: {error:#}");
            }
            println!("== {name} {}{cost}", if result.is_ok() { "ok" } else { "FAILED" });
            results.push((name, result.is_ok(), cost));
            if signals::stop_asked() {
                break;
            }
        }
    }
    summarise(&results)
}

fn summarise(results: &[(&str, bool, Cost)]) -> anyhow::Result<()> {
    println!("\n{:12} {:>6} {:>14} {:>10}", "step", "", "CPU", "wall");
    for (name, ok, cost) in results {
        println!("{name:12} {:>6} {cost}", if *ok { "ok" } else { "FAILED" });
    }
    let total = Cost {
        cpu: results.iter().map(|result| result.2.cpu).sum(),
        wall: results.iter().map(|result| result.2.wall).sum(),
    };
    println!("{:12} {:>6} {total}", "all", "");
    let failed: Vec<&str> =
        results.iter().filter(|result| !result.1).map(|result| result.0).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn fmt(workspace: &Workspace) -> anyhow::Result<()> {
    run_command(&mut cargo(&workspace.root, &["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    let args = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_command(&mut cargo(&workspace.root, &args))
}

/// Tests find the built binaries beside themselves; `build` comes before.
fn cargo_test(workspace: &Workspace) -> anyhow::Result<()> {
    let mut product = cargo(&workspace.root, &["test", "--no-fail-fast"]);
    let results = [
        run_command(product.args(stack::PRODUCT)),
        run_command(&mut cargo(&workspace.root, &["test", "--package", "xtask"])),
    ];
    results.into_iter().collect()
}

fn test_ui(workspace: &Workspace) -> anyhow::Result<()> {
    ui::install(workspace)?;
    for script in ["lint", "test"] {
        run_command(&mut command(&workspace.ui(), "npm", &["run", "--silent", script]))?;
    }
    ui::build(workspace)
}

fn check_openapi(workspace: &Workspace) -> anyhow::Result<()> {
    openapi::run_built(workspace, true)
}

/// The page in a real browser, before the real server, agent and shop.
fn e2e(workspace: &Workspace) -> anyhow::Result<()> {
    setup::ensure(setup::TEST)?;
    let browser = setup::find("chromium").context("chromium is missing")?;
    ui::install(workspace)?;
    let data = tempfile::tempdir()?;
    let mut children = Children::new(&workspace.target.join("e2e/logs"))?;
    let port = stack::free_port()?;
    let url = stack::start_server(workspace, &mut children, port, data.path(), Purpose::Test)?;
    stack::start_shop(workspace, &mut children)?;
    stack::start_agent(workspace, &mut children, &url)?;
    let client = Client::new();
    let services = format!("{url}/api/v1/services?from=now-1h&to=now");
    let shop_is_seen =
        || client.get(&services).is_ok_and(|(_, body)| body.contains("\"demo-shop\""));
    children.wait_until("the shop's first profile", FIRST_PROFILE_LIMIT, shop_is_seen)?;
    let shots = workspace.target.join("e2e/screenshots");
    std::fs::create_dir_all(&shots)?;
    let mut npm = command(&workspace.ui(), "npm", &["run", "--silent", "e2e"]);
    npm.env("VESTA_E2E_URL", &url)
        .env("VESTA_CHROMIUM", &browser)
        .env("VESTA_E2E_SCREENSHOTS", &shots);
    let result = run_command(&mut npm);
    children.check()?;
    children.stop();
    println!("screenshots: {}", shots.display());
    result
}
