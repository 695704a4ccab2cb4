//! Clients for Go, and Go's own profiles.

use super::expect::Expect;
use super::install;
use super::stage::Stage;
use super::types::{
    ALLOC_OBJECTS, ALLOC_SPACE, BLOCK, BLOCK_COUNT, CPU, CPU_SAMPLES, GOROUTINES, INUSE_OBJECTS,
    INUSE_SPACE, MUTEX, MUTEX_COUNT, TypeRow,
};
use super::{ClientEntry, datadog};
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
        datadog::TAGS,
        &[
            Expect::Label("runtime", "go"),
            Expect::Linked(CPU, "shop.CountWords", 5),
            Expect::DatadogTraces,
        ],
    ],
};

/// Clients of one row.
const RUNTIME: &[&ClientEntry] = &[&NET_HTTP_PPROF, &PYROSCOPE_GO];

/// What users of Go know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new(
        "CPU Time",
        &[CPU],
        &[(RUNTIME, "`cpu` of `profile`"), (&[&DD_TRACE_GO], "`cpu` of `cpu.pprof`")],
    ),
    TypeRow::new(
        "CPU Samples",
        &[CPU_SAMPLES],
        &[(RUNTIME, "`samples` of `profile`"), (&[&DD_TRACE_GO], "`samples` of `cpu.pprof`")],
    ),
    TypeRow::new(
        "Allocated Memory",
        &[ALLOC_SPACE],
        &[
            (RUNTIME, "`alloc_space` of `heap`"),
            (&[&DD_TRACE_GO], "`alloc_space` of `delta-heap.pprof`"),
        ],
    ),
    TypeRow::new(
        "Allocations",
        &[ALLOC_OBJECTS],
        &[
            (RUNTIME, "`alloc_objects` of `heap`"),
            (&[&DD_TRACE_GO], "`alloc_objects` of `delta-heap.pprof`"),
        ],
    ),
    TypeRow::new(
        "Heap Live Size",
        &[INUSE_SPACE],
        &[
            (RUNTIME, "`inuse_space` of `heap`"),
            (&[&DD_TRACE_GO], "`inuse_space` of `delta-heap.pprof`"),
        ],
    ),
    TypeRow::new(
        "Heap Live Objects",
        &[INUSE_OBJECTS],
        &[
            (RUNTIME, "`inuse_objects` of `heap`"),
            (&[&DD_TRACE_GO], "`inuse_objects` of `delta-heap.pprof`"),
        ],
    ),
    TypeRow::new(
        "Goroutines",
        &[GOROUTINES],
        &[
            (RUNTIME, "`goroutine` of `goroutine`"),
            (&[&DD_TRACE_GO], "`goroutine` of `goroutines.pprof`"),
        ],
    ),
    TypeRow::new(
        "Mutex",
        &[MUTEX, MUTEX_COUNT],
        &[
            (&[&PYROSCOPE_GO], "`delay`, `contentions` of `mutex`"),
            (&[&DD_TRACE_GO], "`delay`, `contentions` of `delta-mutex.pprof`"),
        ],
    )
    .note("a file of `net/http/pprof` does not say which of the two it is"),
    TypeRow::new(
        "Block",
        &[BLOCK, BLOCK_COUNT],
        &[
            (&[&PYROSCOPE_GO], "`delay`, `contentions` of `block`"),
            (&[&DD_TRACE_GO], "`delay`, `contentions` of `delta-block.pprof`"),
        ],
    )
    .note("a file of `net/http/pprof` does not say which of the two it is"),
];

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
    datadog::environment(&mut program, stage);
    stage.run(&mut program)
}
