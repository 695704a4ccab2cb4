//! Clients for Python.

use super::ClientEntry;
use super::expect::{ALLOC_SPACE, CPU, Expect, INUSE_SPACE, LOCK_HOLD, LOCK_WAIT, WALL};
use super::install;
use super::stage::Stage;
use crate::setup::Need;

const NEEDS: &[Need] = &[
    Need::new("python3", "python3", "runs clients for Python"),
    Need::new("pip3", "python3-pip", "installs clients for Python"),
];

/// Pyroscope's, which pushes pprof.
pub(super) const PYROSCOPE_IO: ClientEntry = ClientEntry {
    name: "pyroscope-io",
    versions: "pyroscope-io 1.4.0",
    needs: NEEDS,
    run: pyroscope_io,
    expects: &[&[
        Expect::Share(CPU, "count_words", 50, 100),
        Expect::First(CPU, "count_words"),
        Expect::Label("region", "eu"),
        Expect::Attribute(CPU, "controller", "words", "count_words"),
        Expect::Attribute(CPU, "controller", "shelf", "sort_shelf"),
    ]],
};

/// What all versions of Datadog's see of the shop on Flask.
const FLASK: &[Expect] = &[
    Expect::Share(WALL, "take_turns", 1, 100),
    Expect::Share(ALLOC_SPACE, "fill_shelf", 20, 100),
    Expect::Share(INUSE_SPACE, "fill_shelf", 30, 100),
    Expect::Share(LOCK_HOLD, "take_turns", 50, 100),
    Expect::Label("env", "test"),
    Expect::Label("version", "1.0"),
    Expect::Label("team", "books"),
    Expect::Label("instance", ""),
    Expect::Label("runtime", "cpython"),
    Expect::Thread(CPU, "clerk_0"),
    Expect::DatadogTraces,
];

/// Datadog's, the newest. It remembers names by the address of their text, which a later text may get: in
/// one of nine runs on a loaded machine its own pprof, read without this project's code, called
/// `count_words` `<module>` throughout, with the right file and lines. So the file is asked for.
pub(super) const DDTRACE: ClientEntry = ClientEntry {
    name: "ddtrace",
    versions: "ddtrace 4.16.0, flask 3.1.3",
    needs: NEEDS,
    run: ddtrace,
    expects: &[
        FLASK,
        &[
            Expect::Hot(CPU, "flask-books/app.py", 25),
            Expect::Share(LOCK_WAIT, "take_turns", 30, 100),
            Expect::Linked(WALL, "take_turns", 2),
        ],
    ],
};

/// Datadog's, as many still run it. It sees waits for a lock in the lock's own method, and not who
/// called that.
pub(super) const DDTRACE_2: ClientEntry = ClientEntry {
    name: "ddtrace-2",
    versions: "ddtrace 2.21.12, flask 3.1.3",
    needs: NEEDS,
    run: ddtrace,
    expects: &[
        FLASK,
        &[
            Expect::Share(CPU, "count_words", 25, 100),
            Expect::First(CPU, "count_words"),
            Expect::Linked(CPU, "count_words", 5),
        ],
    ],
};

/// OpenTelemetry's SDK: traces over HTTP.
pub(super) const OTEL_PYTHON: ClientEntry = ClientEntry {
    name: "otel-python",
    versions: "opentelemetry-sdk 1.45.2",
    needs: NEEDS,
    run: |stage| otel(stage, "http/protobuf", &stage.addresses.otlp_http.clone()),
    expects: &[&[
        Expect::Listed,
        Expect::Traces,
        Expect::Endpoint("GET /books", 20),
        Expect::Label("env", "test"),
    ]],
};

/// OpenTelemetry's SDK: traces over gRPC.
pub(super) const OTEL_PYTHON_GRPC: ClientEntry = ClientEntry {
    name: "otel-python-grpc",
    versions: "opentelemetry-sdk 1.45.2 with gRPC",
    needs: NEEDS,
    run: |stage| otel(stage, "grpc", &stage.addresses.otlp_grpc.clone()),
    expects: OTEL_PYTHON.expects,
};

fn pyroscope_io(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut python = install::python(stage)?;
    python.arg(stage.sources(stage.name).join("app.py"));
    stage.run(python.args([stage.name, &stage.addresses.main, "12"]))
}

/// One program for all versions of it, in a folder of another name: a service called like the folder of its
/// program is taken for one without a name.
fn ddtrace(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut python = install::python(stage)?;
    python.arg(stage.folder(stage.name)?.join("packages/bin/ddtrace-run"));
    python.arg("python3").arg(stage.sources("flask-books").join("app.py")).arg("12");
    python.env("DD_TRACE_AGENT_URL", &stage.addresses.datadog);
    python.envs([
        ("DD_SERVICE", stage.name),
        ("DD_ENV", "test"),
        ("DD_VERSION", "1.0"),
        ("DD_TAGS", "team:books"),
        ("DD_PROFILING_ENABLED", "true"),
        ("DD_PROFILING_CAPTURE_PCT", "100"),
        ("DD_PROFILING_UPLOAD_INTERVAL", "8"),
    ]);
    stage.run(&mut python)
}

fn otel(stage: &mut Stage<'_>, protocol: &str, address: &str) -> anyhow::Result<()> {
    let mut python = install::python(stage)?;
    python.arg(stage.sources("otel-python").join("app.py")).args([protocol, "4"]);
    python.env("OTEL_SERVICE_NAME", stage.name);
    python.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    stage.run(python.env("OTEL_EXPORTER_OTLP_ENDPOINT", address))
}
