//! Clients for Node.js.

use super::ClientEntry;
use super::expect::{CPU, Expect, INUSE_SPACE, WALL};
use super::install;
use super::stage::Stage;
use crate::setup;

/// Datadog's.
pub(super) const DD_TRACE_JS: ClientEntry = ClientEntry {
    name: "dd-trace-js",
    versions: "dd-trace 5.132.0",
    needs: &[],
    run: dd_trace_js,
    expects: &[&[
        Expect::Share(CPU, "countWords", 50, 100),
        Expect::First(CPU, "countWords"),
        Expect::Share(WALL, "countWords", 20, 100),
        Expect::Share(INUSE_SPACE, "fillShelf", 30, 100),
        Expect::Label("env", "test"),
        Expect::Label("version", "1.0"),
        Expect::Label("team", "books"),
        Expect::Label("runtime", "nodejs"),
        Expect::Type("wall:samples:count:wall:nanoseconds"),
        Expect::Type("runtime_events:timeline:nanoseconds:timeline:nanoseconds"),
        Expect::Linked(CPU, "countWords", 5),
        Expect::DatadogTraces,
    ]],
};

/// Pyroscope's.
pub(super) const PYROSCOPE_NODEJS: ClientEntry = ClientEntry {
    name: "pyroscope-nodejs",
    versions: "@pyroscope/nodejs 0.6.4",
    needs: &[],
    run: pyroscope_nodejs,
    expects: &[&[
        Expect::Share(CPU, "countWords", 50, 100),
        Expect::Share(WALL, "countWords", 20, 100),
        Expect::Share(INUSE_SPACE, "fillShelf", 30, 100),
        Expect::Named(CPU, "countWords", "app.js"),
        Expect::Named(INUSE_SPACE, "fillShelf", "app.js"),
        Expect::Label("region", "eu"),
        Expect::Attribute(WALL, "controller", "words", "countWords"),
    ]],
};

fn dd_trace_js(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    setup::ensure_node()?;
    let mut node = install::node(stage)?;
    node.env("DD_TRACE_AGENT_URL", &stage.addresses.datadog);
    node.envs([
        ("DD_SERVICE", stage.name),
        ("DD_ENV", "test"),
        ("DD_VERSION", "1.0"),
        ("DD_TAGS", "team:books"),
        ("DD_PROFILING_ENABLED", "true"),
        ("DD_PROFILING_UPLOAD_PERIOD", "8"),
        // The program's own visitor is no client.
        ("DD_TRACE_DISABLED_INSTRUMENTATIONS", "net,dns"),
    ]);
    stage.run(node.arg("20"))
}

fn pyroscope_nodejs(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    setup::ensure_node()?;
    let mut node = install::node(stage)?;
    stage.run(node.args([stage.name, &stage.addresses.main, "12"]))
}
