//! Clients for Java, and the JDK itself.

use super::expect::Expect;
use super::install::{self, Artifact};
use super::stage::Stage;
use super::types::{
    ALLOC_OBJECTS, ALLOC_SPACE, CPU, CPU_SAMPLES, EXCEPTIONS, FILE_READ, FILE_READ_TIME,
    FILE_WRITE_TIME, FILE_WRITTEN, FREE_OBJECTS, INUSE_OBJECTS, INUSE_SPACE, LOCK_ACQUIRES,
    LOCK_WAIT, MALLOC_OBJECTS, MALLOC_SPACE, NATIVE_SAMPLES, SOCKET_READ, SOCKET_READ_TIME,
    SOCKET_WRITE_TIME, SOCKET_WRITTEN, SYNCHRONIZATION, SYNCHRONIZATIONS, TypeRow, WALL,
    WALL_SAMPLES,
};
use super::{ClientEntry, datadog};
use crate::command::{command, run};
use crate::setup::Need;
use anyhow::Context;
use std::path::PathBuf;
use std::process::Command;

pub(super) const JDK: Need =
    Need::new("javac", "default-jdk-headless", "compiles a program for Java's clients");
pub(super) const MAVEN: Need = Need::new("mvn", "maven", "fetches clients for Java");
const NEEDS: &[Need] = &[JDK, MAVEN];

/// What the program throws.
const ILLEGAL_STATE: &str = "java.lang.IllegalStateException";

/// What all see of the shop.
const SHOP: &[Expect] = &[Expect::Thread(CPU, "clerk-0")];
/// What those see whose samples are of the program's threads alone.
const HOT: &[Expect] = &[
    Expect::Share(CPU, "Shop.countWords", 40, 100),
    Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 40, 100),
    Expect::Share(LOCK_WAIT, "Shop.takeTurns", 50, 100),
];
/// What those see that record the JDK's events of input and output.
const INPUT_OUTPUT: &[Expect] = &[
    Expect::Share(FILE_WRITTEN, "Shop.readBooks", 50, 100),
    Expect::Share(SOCKET_READ_TIME, "Shop.visit", 50, 100),
];

/// The JDK's own recording, uploaded as a file.
pub(super) const JFR: ClientEntry = ClientEntry {
    name: "jfr",
    versions: "the JDK of this machine",
    needs: &[JDK],
    run: jfr,
    expects: &[
        SHOP,
        HOT,
        INPUT_OUTPUT,
        &[
            Expect::First(CPU, "Shop.countWords"),
            Expect::Share(FILE_READ, "Shop.readBooks", 50, 100),
            Expect::Share(SYNCHRONIZATIONS, "Shop.meetReaders", 10, 100),
            Expect::Share(LOCK_WAIT, "Shop.takeTurns", 90, 100),
            Expect::Share(EXCEPTIONS, "Shop.dropBooks", 40, 100),
            Expect::Attribute(ALLOC_SPACE, "allocated class", "byte[]", "Shop.fillShelf"),
            Expect::Attribute(EXCEPTIONS, "exception type", ILLEGAL_STATE, "Shop.dropBooks"),
        ],
    ],
};

/// Datadog's.
pub(super) const DD_JAVA_AGENT: ClientEntry = ClientEntry {
    name: "dd-java-agent",
    versions: "dd-java-agent 1.68.1",
    needs: NEEDS,
    run: |stage| dd_java_agent(stage, "true"),
    expects: &[
        SHOP,
        DATADOG,
        INPUT_OUTPUT,
        datadog::TAGS,
        &[
            Expect::Share(WALL, "Shop.takeTurns", 10, 100),
            Expect::Linked(CPU, "Shop.countWords", 5),
        ],
    ],
};
/// What Datadog's sees. It also reads its own files, ten times what the program reads, and its threads wait
/// for one another while it starts.
const DATADOG: &[Expect] = &[
    Expect::Share(LOCK_WAIT, "Shop.takeTurns", 25, 100),
    Expect::Share(CPU, "Shop.countWords", 15, 100),
    Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 20, 100),
    Expect::Share(FILE_READ, "Shop.readBooks", 3, 100),
    Expect::Label("runtime", "jvm"),
    Expect::DatadogTraces,
];

/// The same without a profiler of its own, as where it has none for the machine: the JDK's events alone.
/// With its own it turns off those that tell of waiting for other threads.
pub(super) const DD_JAVA_AGENT_JFR: ClientEntry = ClientEntry {
    name: "dd-java-agent-jfr",
    versions: "dd-java-agent 1.68.1 without ddprof",
    needs: NEEDS,
    run: |stage| dd_java_agent(stage, "false"),
    expects: &[
        SHOP,
        DATADOG,
        INPUT_OUTPUT,
        datadog::TAGS,
        &[Expect::Share(SYNCHRONIZATIONS, "Shop.meetReaders", 10, 100)],
    ],
};
const DD_JAVA_AGENT_JAR: Artifact = Artifact {
    coordinates: "com.datadoghq:dd-java-agent:1.68.1",
    sha256: "86c97c1348277bb024f6185c4fd15a5567c50ab648f88277dffc429adb4bf927",
};

/// OpenTelemetry's: traces.
pub(super) const OTEL_JAVA_AGENT: ClientEntry = ClientEntry {
    name: "otel-java-agent",
    versions: "opentelemetry-javaagent 2.33.1",
    needs: NEEDS,
    run: otel_java_agent,
    expects: &[&[
        Expect::Endpoint("GET /words", 20),
        Expect::Endpoint("GET /turns", 20),
        Expect::Listed,
        Expect::Label("env", "test"),
    ]],
};
const OTEL_JAVA_AGENT_JAR: Artifact = Artifact {
    coordinates: "io.opentelemetry.javaagent:opentelemetry-javaagent:2.33.1",
    sha256: "e43a270df53c6f423e0ab157be9c27ccc01d5dc3232e162fe54777573db2f149",
};

/// Pyroscope's.
pub(super) const PYROSCOPE_JAVA: ClientEntry = ClientEntry {
    name: "pyroscope-java",
    versions: "pyroscope agent 2.9.2",
    needs: NEEDS,
    run: pyroscope_java,
    expects: &[SHOP, HOT, &[Expect::First(CPU, "Shop.countWords"), Expect::Label("region", "eu")]],
};
const PYROSCOPE_JAVA_JAR: Artifact = Artifact {
    coordinates: "io.pyroscope:agent:2.9.2",
    sha256: "ad738199a90734f7b8392bae1ab892027d411acb953ef1f00cd6e8e7c669ff8f",
};

/// async-profiler's recording, uploaded as a file.
pub(super) const ASYNC_PROFILER: ClientEntry = ClientEntry {
    name: "async-profiler",
    versions: "async-profiler 4.6",
    needs: NEEDS,
    run: async_profiler,
    expects: &[SHOP, HOT, &[Expect::Share(WALL, "Shop.takeTurns", 1, 100)]],
};
const ASYNC_PROFILER_JAR: Artifact = Artifact {
    coordinates: "tools.profiler:async-profiler:4.6",
    sha256: "a5d3d9f4582c2033fa9db518046e73ef97219801f3e7542b82e3e09261ebe493",
};

/// Clients by what they record, for the rows below.
const ALL: &[&ClientEntry] =
    &[&JFR, &DD_JAVA_AGENT, &DD_JAVA_AGENT_JFR, &ASYNC_PROFILER, &PYROSCOPE_JAVA];
const OTHERS: &[&ClientEntry] = &[&JFR, &DD_JAVA_AGENT_JFR, &ASYNC_PROFILER, &PYROSCOPE_JAVA];
/// Those that turn on events of the JDK; the first of them, all.
const JDK_EVENTS: &[&ClientEntry] = &[&JFR, &DD_JAVA_AGENT, &DD_JAVA_AGENT_JFR];
const JDK_ALONE: &[&ClientEntry] = &[&JFR, &DD_JAVA_AGENT_JFR];
/// async-profiler and what is built on it.
const TLABS: &[&ClientEntry] = &[&ASYNC_PROFILER, &PYROSCOPE_JAVA];

/// What users of Java know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new(
        "CPU Time",
        &[CPU],
        &[(&[&DD_JAVA_AGENT], "`datadog.ExecutionSample`"), (OTHERS, "`jdk.ExecutionSample`")],
    ),
    TypeRow::new(
        "CPU Samples",
        &[CPU_SAMPLES],
        &[(&[&DD_JAVA_AGENT], "`datadog.ExecutionSample`"), (OTHERS, "`jdk.ExecutionSample`")],
    ),
    TypeRow::new(
        "Wall Time",
        &[WALL],
        &[
            (&[&DD_JAVA_AGENT], "`datadog.MethodSample`"),
            (&[&ASYNC_PROFILER], "`profiler.WallClockSample`"),
        ],
    ),
    TypeRow::new(
        "Wall Samples",
        &[WALL_SAMPLES],
        &[
            (&[&DD_JAVA_AGENT], "`datadog.MethodSample`"),
            (&[&ASYNC_PROFILER], "`profiler.WallClockSample`"),
        ],
    ),
    TypeRow::new(
        "Wall Time in Native Code",
        &[NATIVE_SAMPLES],
        &[(&[&JFR], "`jdk.NativeMethodSample`")],
    )
    .note(
        "a number of samples: how often the JDK looks at a thread is not known; Datadog's \
         library turns them off",
    ),
    TypeRow::new(
        "Allocations",
        &[ALLOC_OBJECTS],
        &[
            (&[&DD_JAVA_AGENT], "`datadog.ObjectSample`"),
            (JDK_ALONE, "`jdk.ObjectAllocationSample`"),
            (TLABS, "`jdk.ObjectAllocationInNewTLAB`, `jdk.ObjectAllocationOutsideTLAB`"),
        ],
    )
    .note("of all but Datadog's the number of samples"),
    TypeRow::new(
        "Allocated Memory",
        &[ALLOC_SPACE],
        &[
            (&[&DD_JAVA_AGENT], "`datadog.ObjectSample`"),
            (JDK_ALONE, "`jdk.ObjectAllocationSample`"),
            (TLABS, "`jdk.ObjectAllocationInNewTLAB`, `jdk.ObjectAllocationOutsideTLAB`"),
        ],
    ),
    TypeRow::new(
        "Heap Live Objects",
        &[INUSE_OBJECTS],
        &[(&[&DD_JAVA_AGENT], "`datadog.HeapLiveObject`"), (TLABS, "`profiler.LiveObject`")],
    )
    .note(
        "the JDK's own `jdk.OldObjectSample` is a type of its own: it is no estimate of \
        all objects",
    ),
    TypeRow::new(
        "Heap Live Size",
        &[INUSE_SPACE],
        &[(&[&DD_JAVA_AGENT], "`datadog.HeapLiveObject`"), (TLABS, "`profiler.LiveObject`")],
    ),
    TypeRow::new(
        "Native Memory",
        &[MALLOC_SPACE, MALLOC_OBJECTS, FREE_OBJECTS],
        &[(&[&ASYNC_PROFILER], "`profiler.Malloc`, `profiler.Free`")],
    ),
    TypeRow::new(
        "Thrown Exceptions",
        &[EXCEPTIONS],
        &[
            (&[&DD_JAVA_AGENT, &DD_JAVA_AGENT_JFR], "`datadog.ExceptionSample`"),
            (&[&JFR], "`jdk.JavaExceptionThrow`"),
        ],
    )
    .note("Datadog's are a sample of them"),
    TypeRow::new("Lock Wait Time", &[LOCK_WAIT], &[(ALL, "`jdk.JavaMonitorEnter`")]),
    TypeRow::new("Lock Acquires", &[LOCK_ACQUIRES], &[(ALL, "`jdk.JavaMonitorEnter`")])
        .note("those that waited; no client for Java tells how long a lock was held"),
    TypeRow::new(
        "File I/O Time",
        &[FILE_READ_TIME, FILE_WRITE_TIME],
        &[(JDK_EVENTS, "`jdk.FileRead`, `jdk.FileWrite`, `jdk.FileForce`")],
    ),
    TypeRow::new("File I/O Read", &[FILE_READ], &[(JDK_EVENTS, "`jdk.FileRead`")]),
    TypeRow::new("File I/O Written", &[FILE_WRITTEN], &[(JDK_EVENTS, "`jdk.FileWrite`")]),
    TypeRow::new("Socket I/O Read Time", &[SOCKET_READ_TIME], &[(JDK_EVENTS, "`jdk.SocketRead`")]),
    TypeRow::new(
        "Socket I/O Write Time",
        &[SOCKET_WRITE_TIME],
        &[(JDK_EVENTS, "`jdk.SocketWrite`")],
    ),
    TypeRow::new("Socket I/O Read", &[SOCKET_READ], &[(JDK_EVENTS, "`jdk.SocketRead`")]),
    TypeRow::new("Socket I/O Written", &[SOCKET_WRITTEN], &[(JDK_EVENTS, "`jdk.SocketWrite`")]),
    TypeRow::new(
        "Synchronization",
        &[SYNCHRONIZATION, SYNCHRONIZATIONS],
        &[(JDK_ALONE, "`jdk.JavaMonitorWait`, `jdk.ThreadPark`")],
    )
    .note("Datadog's library turns them off where it samples the wall clock itself"),
];

/// The program, compiled; options of the JVM are to be added before [`PROGRAM`].
fn java(stage: &Stage<'_>) -> anyhow::Result<Command> {
    let folder = stage.folder(stage.name)?;
    let source = stage.sources("java").join("Shop.java");
    run(command(&folder, "javac", &["-g", "-d", "."]).arg(source))?;
    Ok(command(&folder, "java", &["-cp", "."]))
}

/// Its class and how long it runs.
const PROGRAM: [&str; 2] = ["Shop", "12"];

fn with_agent(stage: &Stage<'_>, jar: Artifact) -> anyhow::Result<Command> {
    let jar = install::maven(stage, jar)?;
    let mut java = java(stage)?;
    java.arg(format!("-javaagent:{}", jar.display()));
    Ok(java)
}

/// Events of things that the program does in less than some milliseconds.
const SHORT: &[&str] =
    &["FileRead", "FileWrite", "SocketRead", "SocketWrite", "JavaMonitorWait", "ThreadPark"];

fn jfr(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut java = java(stage)?;
    let recording =
        "filename=shop.jfr,settings=profile,jdk.JavaExceptionThrow#enabled=true,dumponexit=true";
    // Unless they are asked for, events that took less than 10 or 20 ms are none.
    let short: String = SHORT.iter().map(|event| format!(",jdk.{event}#threshold=0ms")).collect();
    java.arg(format!("-XX:StartFlightRecording:{recording}{short}"));
    stage.run(java.args(PROGRAM))?;
    stage.upload_file("shop.jfr")
}

/// `own`: whether it has a profiler of its own beside the JDK's, in a setting's words.
fn dd_java_agent(stage: &mut Stage<'_>, own: &str) -> anyhow::Result<()> {
    let mut java = with_agent(stage, DD_JAVA_AGENT_JAR)?;
    datadog::environment(&mut java, stage);
    let settings: String =
        SHORT.iter().map(|event| format!("jdk.{event}#threshold=0 ms\n")).collect();
    let file = stage.folder(stage.name)?.join("short.jfp");
    std::fs::write(&file, settings).with_context(|| format!("writing {}", file.display()))?;
    java.env("DD_PROFILING_JFR_TEMPLATE_OVERRIDE_FILE", &file);
    java.envs([
        ("DD_PROFILING_START_DELAY", "0"),
        ("DD_PROFILING_START_FORCE_FIRST", "true"),
        ("DD_PROFILING_UPLOAD_PERIOD", "10"),
        ("DD_PROFILING_DDPROF_ENABLED", own),
        ("DD_PROFILING_DDPROF_LIVEHEAP_ENABLED", own),
        ("DD_TRACE_METHODS", "Shop[handle]"),
    ]);
    stage.run(java.args(PROGRAM))
}

fn otel_java_agent(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut java = with_agent(stage, OTEL_JAVA_AGENT_JAR)?;
    java.env("OTEL_EXPORTER_OTLP_ENDPOINT", &stage.addresses.otlp_http);
    java.envs([
        ("OTEL_SERVICE_NAME", stage.name),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ]);
    stage.run(java.args(PROGRAM))
}

fn pyroscope_java(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut java = with_agent(stage, PYROSCOPE_JAVA_JAR)?;
    java.env("PYROSCOPE_SERVER_ADDRESS", &stage.addresses.main);
    java.envs([
        ("PYROSCOPE_APPLICATION_NAME", stage.name),
        ("PYROSCOPE_FORMAT", "jfr"),
        ("PYROSCOPE_PROFILING_INTERVAL", "10ms"),
        ("PYROSCOPE_PROFILER_EVENT", "itimer"),
        ("PYROSCOPE_PROFILER_ALLOC", "64k"),
        ("PYROSCOPE_PROFILER_LOCK", "1ms"),
        ("PYROSCOPE_ALLOC_LIVE", "true"),
        ("PYROSCOPE_UPLOAD_INTERVAL", "5s"),
        ("PYROSCOPE_LABELS", "region=eu"),
    ]);
    stage.run(java.args(PROGRAM))
}

fn async_profiler(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let library = async_profiler_library(stage)?;
    let mut java = java(stage)?;
    let options = "start,event=itimer,interval=10ms,wall=50ms,alloc=64k,live,lock=1ms,nativemem=64k,\
                   jfr,file=shop.jfr";
    java.arg(format!("-agentpath:{}={options}", library.display()));
    stage.run(java.args(PROGRAM))?;
    stage.upload_file("shop.jfr")
}

/// The profiler's library, taken out of its jar.
pub(super) fn async_profiler_library(stage: &Stage<'_>) -> anyhow::Result<PathBuf> {
    let jar = install::maven(stage, ASYNC_PROFILER_JAR)?;
    let folder = stage.folder(stage.name)?;
    let library = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let library = format!("{library}/libasyncProfiler.so");
    run(command(&folder, "jar", &["-xf"]).arg(jar).arg(&library))?;
    Ok(folder.join(library))
}
