//! `cargo xtask demo`: this host's profile, and something worth seeing in it, within a minute.

use crate::children::Children;
use crate::signals;
use crate::stack::{self, Purpose};
use crate::workspace::Workspace;
use anyhow::bail;
use nix::unistd::geteuid;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// Port of the page where none is named.
const PORT: u16 = 4040;

#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// Loopback port of the page.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Where profiles are kept; by default a folder under the target directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Do not profile this host.
    #[arg(long)]
    no_agent: bool,
    /// Stop by itself after so many seconds.
    #[arg(long)]
    duration: Option<u64>,
}

/// Builds, starts, prints the address, and stops everything at Ctrl-C.
pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> anyhow::Result<()> {
    // Before the build, which may take long.
    if TcpListener::bind(("127.0.0.1", args.port)).is_err() {
        bail!("port {} is taken (another demo?); stop that or pass --port", args.port);
    }
    stack::build(workspace)?;
    // A second demo beside a running one has a port of its own, and so folders of its own.
    let own = |name: &str| match args.port {
        PORT => workspace.target.join(name),
        port => workspace.target.join(format!("{name}-{port}")),
    };
    let data = args.data_dir.clone().unwrap_or_else(|| own("demo-data"));
    let logs = own("demo-logs");
    let started = crate::command::now();
    let mut children = Children::new(&logs)?;
    let url = stack::start_server(workspace, &mut children, args.port, &data, Purpose::Demo)?;
    stack::start_shop(workspace, &mut children)?;
    if !args.no_agent {
        stack::start_agent(workspace, &mut children, &url)?;
    }
    let mut lines = vec![
        format!("Vesta shows this host at  {url}"),
        String::new(),
        "first samples appear within seconds; Ctrl-C stops everything".into(),
        format!("data  {}", data.display()),
        format!("logs  {}", logs.display()),
        format!("started in {:.1} s", started.elapsed().as_secs_f64()),
    ];
    if !args.no_agent && !geteuid().is_root() {
        lines.push("not root: only your own processes are profiled".into());
    }
    print_box(&lines);
    let until = args.duration.map(Duration::from_secs);
    while !signals::stop_asked() && until.is_none_or(|until| started.elapsed() < until) {
        children.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("\nstopping");
    children.stop();
    Ok(())
}

fn print_box(lines: &[String]) {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let edge = "─".repeat(width + 4);
    println!("\n╭{edge}╮");
    for line in lines {
        println!("│  {line}{}  │", " ".repeat(width - line.chars().count()));
    }
    println!("╰{edge}╯");
}
