//! Clients for Python.

use super::expect::{Expect, PYROSCOPE_SHOP};
use super::install::{self, Artifact};
use super::java::MAVEN;
use super::stage::Stage;
use super::types::{
    ALLOC_OBJECTS, ALLOC_SPACE, CPU, CPU_SAMPLES, EXCEPTIONS, INUSE_OBJECTS, INUSE_SPACE,
    LOCK_ACQUIRES, LOCK_HOLD, LOCK_RELEASES, LOCK_WAIT, TypeRow, WALL, WALL_SAMPLES,
};
use super::{ClientEntry, datadog};
use crate::command::{command, run};
use crate::setup::Need;
use std::path::PathBuf;
use std::process::Command;

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
    expects: &[PYROSCOPE_SHOP],
};

/// What all versions of Datadog's see of the shop on Flask.
const FLASK: &[Expect] = &[
    Expect::Share(WALL, "take_turns", 1, 100),
    // Modules that are compiled at the first run allocate as much.
    Expect::Share(ALLOC_SPACE, "fill_shelf", 10, 100),
    Expect::Share(INUSE_SPACE, "fill_shelf", 30, 100),
    Expect::Share(LOCK_HOLD, "take_turns", 50, 100),
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
        datadog::TAGS,
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
        datadog::TAGS,
        &[
            Expect::Share(CPU, "count_words", 25, 100),
            Expect::First(CPU, "count_words"),
            Expect::Linked(CPU, "count_words", 5),
        ],
    ],
};

/// Datadog's on a Python that tells profilers of exceptions, which needs 3.12 at least; Debian 12 has 3.11.
/// Maven Central has one, as a library for Java that brings the program, too.
pub(super) const DDTRACE_PY313: ClientEntry = ClientEntry {
    name: "ddtrace-py313",
    versions: "ddtrace 4.16.0, flask 3.1.3, CPython 3.13.0",
    needs: &[NEEDS[0], NEEDS[1], MAVEN],
    run: ddtrace_py313,
    expects: &[
        FLASK,
        datadog::TAGS,
        &[
            Expect::Share(EXCEPTIONS, "drop_books", 30, 100),
            Expect::Attribute(EXCEPTIONS, "exception type", VALUE_ERROR, "drop_books"),
        ],
    ],
};
/// What the program raises.
const VALUE_ERROR: &str = "builtins.ValueError";
const CPYTHON_JAR: Artifact = Artifact {
    coordinates: "org.bytedeco:cpython:3.13.0-1.5.11:jar:linux-x86_64",
    sha256: "70a2e31fd4bb5d7f34db69ac9d2f785232ea76f3f00c1e115bf73cef3860f4c0",
};
/// Where it is in there.
const CPYTHON: &str = "org/bytedeco/cpython/linux-x86_64";

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

/// Clients of one row.
const DDTRACES: &[&ClientEntry] = &[&DDTRACE, &DDTRACE_2, &DDTRACE_PY313];

/// What users of Python's clients know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new(
        "CPU Time",
        &[CPU],
        &[(DDTRACES, "`cpu-time`"), (&[&PYROSCOPE_IO], "`cpu` of `process_cpu`")],
    ),
    TypeRow::new("CPU Samples", &[CPU_SAMPLES], &[(DDTRACES, "`cpu-samples`")]),
    TypeRow::new("Wall Time", &[WALL], &[(DDTRACES, "`wall-time`")]),
    TypeRow::new("Wall Samples", &[WALL_SAMPLES], &[(DDTRACES, "`wall-samples`")]),
    TypeRow::new(
        "Heap Live Size",
        &[INUSE_SPACE],
        &[(DDTRACES, "`heap-space`"), (&[&PYROSCOPE_IO], "`inuse_space` of `memory`")],
    ),
    TypeRow::new(
        "Heap Live Objects",
        &[INUSE_OBJECTS],
        &[(&[&PYROSCOPE_IO], "`inuse_objects` of `memory`")],
    ),
    TypeRow::new(
        "Allocated Memory",
        &[ALLOC_SPACE],
        &[(DDTRACES, "`alloc-space`"), (&[&PYROSCOPE_IO], "`alloc_space` of `memory`")],
    ),
    TypeRow::new(
        "Allocations",
        &[ALLOC_OBJECTS],
        &[(DDTRACES, "`alloc-samples`"), (&[&PYROSCOPE_IO], "`alloc_objects` of `memory`")],
    ),
    TypeRow::new("Thrown Exceptions", &[EXCEPTIONS], &[(&[&DDTRACE_PY313], "`exception-samples`")])
        .note("ddtrace 4 tells them on Python 3.12 and later"),
    TypeRow::new("Lock Wait Time", &[LOCK_WAIT], &[(DDTRACES, "`lock-acquire-wait`")]),
    TypeRow::new("Locked Time", &[LOCK_HOLD], &[(DDTRACES, "`lock-release-hold`")]),
    TypeRow::new("Lock Acquires", &[LOCK_ACQUIRES], &[(DDTRACES, "`lock-acquire`")]),
    TypeRow::new("Lock Releases", &[LOCK_RELEASES], &[(DDTRACES, "`lock-release`")]),
];

fn pyroscope_io(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut python = install::python(stage)?;
    python.arg(stage.sources(stage.name).join("app.py"));
    stage.run(python.args([stage.name, &stage.addresses.main, "12"]))
}

fn ddtrace(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    flask(stage, &mut install::python(stage)?)
}

fn ddtrace_py313(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let program = cpython(stage)?;
    let options = ["--python-version", "3.13", "--implementation", "cp"];
    let packages = install::packages(stage, DDTRACE.name, &options)?;
    let mut python = stage.command(&program.to_string_lossy(), &[])?;
    python.env("PYTHONPATH", packages).env("PYTHONUNBUFFERED", "1");
    // Where its own libraries are: Java's loader would know.
    python.env("LD_LIBRARY_PATH", stage.folder(stage.name)?.join(CPYTHON));
    python.env("DD_PROFILING_EXCEPTION_SAMPLING_INTERVAL", "10");
    flask(stage, &mut python)
}

fn cpython(stage: &Stage<'_>) -> anyhow::Result<PathBuf> {
    let jar = install::maven(stage, CPYTHON_JAR)?;
    let folder = stage.folder(stage.name)?;
    let program = folder.join(CPYTHON).join("bin/python3.13");
    if !program.is_file() {
        let unpack = ["-m", "zipfile", "--extract"];
        run(command(&folder, "python3", &unpack).arg(jar).arg(&folder))?;
        install::make_program(&program)?;
    }
    Ok(program)
}

/// One program for all versions of it, in a folder of another name: a service called like the folder of its
/// program is taken for one without a name.
fn flask(stage: &mut Stage<'_>, python: &mut Command) -> anyhow::Result<()> {
    let interpreter = python.get_program().to_owned();
    python.arg(stage.folder(stage.name)?.join("packages/bin/ddtrace-run")).arg(interpreter);
    python.arg(stage.sources("flask-books").join("app.py")).arg("12");
    datadog::environment(python, stage);
    python.envs([("DD_PROFILING_CAPTURE_PCT", "100"), ("DD_PROFILING_UPLOAD_INTERVAL", "8")]);
    stage.run(python)
}

fn otel(stage: &mut Stage<'_>, protocol: &str, address: &str) -> anyhow::Result<()> {
    let mut python = install::python(stage)?;
    python.arg(stage.sources("otel-python").join("app.py")).args([protocol, "4"]);
    python.env("OTEL_SERVICE_NAME", stage.name);
    python.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    stage.run(python.env("OTEL_EXPORTER_OTLP_ENDPOINT", address))
}
