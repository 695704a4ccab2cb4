//! Clients for Go, and Go's own profiles.

use super::ClientEntry;
use super::expect::{ALLOC_SPACE, BLOCK, CPU, Expect, GOROUTINES, INUSE_SPACE, MUTEX};
use super::install;
use super::stage::Stage;
use crate::http::Client;
use crate::setup::Need;

const NEEDS: &[Need] = &[Need::new("go", "golang-go", "builds clients for Go")];

/// What all see of the shop.
const SHOP: &[Expect] = &[
    Expect::Share(CPU, "shop.CountWords", 60, 100),
    Expect::Share(ALLOC_SPACE, "shop.FillShelf", 60, 100),
    Expect::Share(INUSE_SPACE, "shop.FillShelf", 60, 100),
    Expect::Share(GOROUTINES, "shop.Run", 5, 100),
];
/// Waits for locks, of clients that ask for them.
const CONTENTION: &[Expect] = &[
    Expect::Share(MUTEX, "shop.TakeTurns", 30, 100),
    Expect::Share(BLOCK, "shop.TakeTurns", 1, 100),
];
/// The program's labels of goroutines.
const LABELLED: &[Expect] = &[Expect::Attribute(CPU, "controller", "words", "shop.CountWords")];

/// Pyroscope's, which sends pprof to `/ingest`.
pub(super) const PYROSCOPE_GO: ClientEntry = ClientEntry {
    name: "pyroscope-go",
    versions: "pyroscope-go 1.4.3",
    needs: NEEDS,
    run: pyroscope_go,
    expects: &[SHOP, CONTENTION, LABELLED, &[Expect::Label("region", "eu")]],
};

/// Go's own, fetched and uploaded as files.
pub(super) const NET_HTTP_PPROF: ClientEntry = ClientEntry {
    name: "net-http-pprof",
    versions: "the Go of this machine",
    needs: NEEDS,
    run: net_http_pprof,
    expects: &[SHOP, LABELLED],
};

/// Datadog's.
pub(super) const DD_TRACE_GO: ClientEntry = ClientEntry {
    name: "dd-trace-go",
    versions: "dd-trace-go 2.12.0",
    needs: NEEDS,
    run: dd_trace_go,
    expects: &[
        SHOP,
        CONTENTION,
        &[
            Expect::Label("env", "test"),
            Expect::Label("version", "1.0"),
            Expect::Label("team", "books"),
            Expect::Label("runtime", "go"),
            Expect::Linked(CPU, "shop.CountWords", 5),
            Expect::DatadogTraces,
        ],
    ],
};

fn pyroscope_go(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut program = install::go(stage)?;
    stage.run(program.args([stage.name, &stage.addresses.main]))
}

fn net_http_pprof(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.start(&mut install::go(stage)?)?;
    let address = stage.wait_for("listening ")?;
    let client = Client::new();
    for profile in ["profile?seconds=5", "heap", "goroutine"] {
        let file = client.get_bytes(&format!("http://{address}/debug/pprof/{profile}"))?;
        stage.upload(&file)?;
    }
    stage.finish()
}

fn dd_trace_go(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut program = install::go(stage)?;
    program.env("DD_TRACE_AGENT_URL", &stage.addresses.datadog);
    program.envs([
        ("DD_SERVICE", stage.name),
        ("DD_ENV", "test"),
        ("DD_VERSION", "1.0"),
        ("DD_TAGS", "team:books"),
    ]);
    stage.run(&mut program)
}
