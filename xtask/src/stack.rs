//! The product, started for a task: server, agent and shop on loopback.

use crate::children::Children;
use crate::command::{cargo, command, run};
use crate::http::Client;
use crate::workspace::Workspace;
use crate::{setup, ui};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

/// How long the server may take until it answers.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// The product's crates. All are named whatever is wanted of them, so that third-party crates are built
/// with the same features for all, and only once; xtask is not, for it was built by itself.
pub(crate) const PRODUCT: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Builds all binaries.
pub(crate) fn build_binaries(workspace: &Workspace) -> anyhow::Result<()> {
    run(cargo(&workspace.root, &["build", "--bins"]).args(PRODUCT))
}

/// Builds the page, then the binaries that hold it.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    setup::ensure(setup::BUILD)?;
    ui::build(workspace)?;
    build_binaries(workspace)
}

/// What a server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// As a user would: with OTLP's own ports.
    Demo,
    /// Beside others: only its own port, and profiles of any age are kept.
    Test,
    /// The same with a port for Datadog's libraries.
    Replay {
        /// Its number.
        datadog: u16,
    },
    /// With all ports that clients use, each of our own choosing.
    Clients(ClientPorts),
}

/// Loopback ports for clients beside the server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientPorts {
    /// OTLP over gRPC.
    pub(crate) otlp_grpc: u16,
    /// OTLP over HTTP.
    pub(crate) otlp_http: u16,
    /// Datadog's libraries.
    pub(crate) datadog: u16,
}

impl Purpose {
    /// What each other port's flag is set to; nothing where the defaults are kept.
    fn ports(self) -> Vec<(&'static str, String)> {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let off = || "off".to_owned();
        let (grpc, http, datadog) = match self {
            Self::Demo => return Vec::new(),
            Self::Test => (off(), off(), off()),
            Self::Replay { datadog } => (off(), off(), address(datadog)),
            Self::Clients(ports) => {
                (address(ports.otlp_grpc), address(ports.otlp_http), address(ports.datadog))
            }
        };
        vec![
            ("--otlp-grpc-listen", grpc),
            ("--otlp-http-listen", http),
            ("--datadog-listen", datadog),
        ]
    }
}

/// Starts the server and waits until it is ready; returns its URL.
pub(crate) fn start_server(
    workspace: &Workspace,
    children: &mut Children,
    port: u16,
    data: &Path,
    purpose: Purpose,
) -> anyhow::Result<String> {
    let listen = format!("127.0.0.1:{port}");
    let url = format!("http://{listen}");
    let mut serve =
        command(&workspace.root, &workspace.binary("vesta").to_string_lossy(), &["serve"]);
    serve.arg("--data-dir").arg(data).args(["--listen", &listen]);
    for (flag, address) in purpose.ports() {
        serve.args([flag, &address]);
    }
    if purpose != Purpose::Demo {
        serve.args(["--retention-days", "36500"]);
    }
    serve.env("OTEL_SERVICE_NAME", "vesta");
    children.start("vesta", &mut serve)?;
    let client = Client::new();
    let ready = || client.get(&format!("{url}/readyz")).is_ok_and(|(status, _)| status == 200);
    children.wait_until("the server", READY_LIMIT, ready)?;
    Ok(url)
}

/// Starts the agent on this host.
pub(crate) fn start_agent(
    workspace: &Workspace,
    children: &mut Children,
    url: &str,
) -> anyhow::Result<u32> {
    let program = workspace.binary("vesta-agent");
    let mut agent = command(&workspace.root, &program.to_string_lossy(), &["--endpoint", url]);
    agent.env("OTEL_SERVICE_NAME", "vesta-agent");
    children.start("vesta-agent", &mut agent)
}

/// Starts the shop and its driver as two services.
pub(crate) fn start_shop(workspace: &Workspace, children: &mut Children) -> anyhow::Result<()> {
    let program = workspace.binary("vesta-shop").to_string_lossy().into_owned();
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut serve = command(&workspace.root, &program, &["serve", "--listen", &address]);
    children.start("demo-shop", serve.env("OTEL_SERVICE_NAME", "demo-shop"))?;
    let open = || std::net::TcpStream::connect(&address).is_ok();
    children.wait_until("the shop", READY_LIMIT, open)?;
    let mut drive = command(&workspace.root, &program, &["drive", "--target", &address, "--rates"]);
    children.start("demo-shop-driver", drive.env("OTEL_SERVICE_NAME", "demo-shop-driver"))?;
    Ok(())
}

/// A loopback port that is free at this moment.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
