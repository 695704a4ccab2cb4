//! Server and driver as two processes of one command, so that the profiler shows two services.

use crate::driver::LoadArgs;
use crate::server::stop_signal;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use tokio::process::{Child, Command};

/// Runs `serve` and `drive` as children until told to stop; stops both when one ends.
pub(crate) async fn run_both(listen: SocketAddr, load: LoadArgs) -> anyhow::Result<()> {
    let mut server = start("serve", &["--listen".into(), listen.to_string()], "demo-shop")?;
    let mut drive_args = vec!["--target".to_owned(), listen.to_string()];
    drive_args.extend(load.to_args());
    let mut driver = start("drive", &drive_args, "demo-shop-driver")?;
    let ended = tokio::select! {
        () = stop_signal() => None,
        status = server.wait() => Some(("server", status?)),
        status = driver.wait() => Some(("driver", status?)),
    };
    let _ = driver.kill().await;
    let _ = server.kill().await;
    match ended {
        Some((which, status)) => bail!("the shop's {which} ended by itself ({status})"),
        None => Ok(()),
    }
}

/// Names the service for the profiler unless the caller named one already.
fn start(mode: &str, args: &[String], service: &str) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| service.to_owned());
    Command::new(program)
        .arg(mode)
        .args(args)
        .env("OTEL_SERVICE_NAME", name)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start vesta-shop {mode}"))
}
