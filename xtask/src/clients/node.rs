//! Clients for Node.js.

use super::expect::Expect;
use super::install;
use super::stage::Stage;
use super::types::{CPU, INUSE_OBJECTS, INUSE_SPACE, RUNTIME_EVENTS, TypeRow, WALL, WALL_SAMPLES};
use super::{ClientEntry, datadog};
use crate::setup;

/// What all see of the shop.
const SHOP: &[Expect] = &[
    Expect::Share(CPU, "countWords", 50, 100),
    Expect::Share(WALL, "countWords", 20, 100),
    Expect::Share(INUSE_SPACE, "fillShelf", 30, 100),
];

/// Datadog's.
pub(super) const DD_TRACE_JS: ClientEntry = ClientEntry {
    name: "dd-trace-js",
    versions: "dd-trace 5.132.0",
    needs: &[],
    run: dd_trace_js,
    expects: &[
        SHOP,
        datadog::TAGS,
        &[
            Expect::First(CPU, "countWords"),
            Expect::Label("runtime", "nodejs"),
            Expect::Linked(CPU, "countWords", 5),
            Expect::DatadogTraces,
        ],
    ],
};

/// Pyroscope's.
pub(super) const PYROSCOPE_NODEJS: ClientEntry = ClientEntry {
    name: "pyroscope-nodejs",
    versions: "@pyroscope/nodejs 0.6.4",
    needs: &[],
    run: pyroscope_nodejs,
    expects: &[
        SHOP,
        &[
            Expect::Named(CPU, "countWords", "app.js"),
            Expect::Named(INUSE_SPACE, "fillShelf", "app.js"),
            Expect::Label("region", "eu"),
            Expect::Attribute(WALL, "controller", "words", "countWords"),
        ],
    ],
};

/// What users of Node.js know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new(
        "CPU Time",
        &[CPU],
        &[(&[&DD_TRACE_JS], "`cpu` of `wall.pprof`"), (&[&PYROSCOPE_NODEJS], "`cpu`")],
    ),
    TypeRow::new(
        "Wall Time",
        &[WALL],
        &[(&[&DD_TRACE_JS], "`wall` of `wall.pprof`"), (&[&PYROSCOPE_NODEJS], "`wall`")],
    ),
    TypeRow::new(
        "Wall Samples",
        &[WALL_SAMPLES],
        &[(&[&DD_TRACE_JS], "`sample` of `wall.pprof`"), (&[&PYROSCOPE_NODEJS], "`samples`")],
    ),
    TypeRow::new(
        "Heap Live Size",
        &[INUSE_SPACE],
        &[(&[&DD_TRACE_JS], "`inuse_space` of `space.pprof`"), (&[&PYROSCOPE_NODEJS], "`space`")],
    ),
    TypeRow::new(
        "Heap Live Objects",
        &[INUSE_OBJECTS],
        &[
            (&[&DD_TRACE_JS], "`inuse_objects` of `space.pprof`"),
            (&[&PYROSCOPE_NODEJS], "`objects`"),
        ],
    ),
    TypeRow::new(
        "Timeline",
        &[RUNTIME_EVENTS],
        &[(&[&DD_TRACE_JS], "`timeline` of `events.pprof`")],
    )
    .note("collections, and work of the runtime such as look-ups of names"),
];

fn dd_trace_js(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    setup::ensure_node()?;
    let mut node = install::node(stage)?;
    datadog::environment(&mut node, stage);
    node.envs([
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
