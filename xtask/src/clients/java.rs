//! Clients for Java, and the JDK itself.

use super::ClientEntry;
use super::expect::{ALLOC_SPACE, CPU, EXCEPTIONS, Expect, LOCK_WAIT, WALL};
use super::install::{self, Artifact};
use super::stage::Stage;
use crate::command::{command, run};
use crate::setup::Need;
use anyhow::Context;
use std::path::PathBuf;
use std::process::Command;

const JDK: Need =
    Need::new("javac", "default-jdk-headless", "compiles a program for Java's clients");
const MAVEN: Need = Need::new("mvn", "maven", "fetches clients for Java");
const NEEDS: &[Need] = &[JDK, MAVEN];

/// What the program throws.
const ILLEGAL_STATE: &str = "java.lang.IllegalStateException";

/// The JDK's own recording, uploaded as a file.
pub(super) const JFR: ClientEntry = ClientEntry {
    name: "jfr",
    versions: "the JDK of this machine",
    needs: &[JDK],
    run: jfr,
    expects: &[&[
        Expect::Share(CPU, "Shop.countWords", 40, 100),
        Expect::First(CPU, "Shop.countWords"),
        Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 40, 100),
        Expect::Share(LOCK_WAIT, "Shop.takeTurns", 90, 100),
        Expect::Share(EXCEPTIONS, "Shop.dropBooks", 40, 100),
        Expect::Attribute(ALLOC_SPACE, "allocated class", "byte[]", "Shop.fillShelf"),
        Expect::Attribute(EXCEPTIONS, "exception type", ILLEGAL_STATE, "Shop.dropBooks"),
        Expect::Thread(CPU, "clerk-0"),
    ]],
};

/// Datadog's.
pub(super) const DD_JAVA_AGENT: ClientEntry = ClientEntry {
    name: "dd-java-agent",
    versions: "dd-java-agent 1.68.1",
    needs: NEEDS,
    run: dd_java_agent,
    expects: &[&[
        Expect::Share(CPU, "Shop.countWords", 15, 100),
        Expect::Share(WALL, "Shop.takeTurns", 10, 100),
        Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 20, 100),
        Expect::Label("env", "test"),
        Expect::Label("version", "1.0"),
        Expect::Label("team", "books"),
        Expect::Label("runtime", "jvm"),
        Expect::Thread(CPU, "clerk-0"),
        Expect::Linked(CPU, "Shop.countWords", 5),
        Expect::DatadogTraces,
    ]],
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
    expects: &[&[
        Expect::Share(CPU, "Shop.countWords", 40, 100),
        Expect::First(CPU, "Shop.countWords"),
        Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 40, 100),
        Expect::Share(LOCK_WAIT, "Shop.takeTurns", 50, 100),
        Expect::Label("region", "eu"),
        Expect::Thread(CPU, "clerk-0"),
    ]],
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
    expects: &[&[
        Expect::Share(CPU, "Shop.countWords", 40, 100),
        Expect::Share(WALL, "Shop.takeTurns", 1, 100),
        Expect::Share(ALLOC_SPACE, "Shop.fillShelf", 40, 100),
        Expect::Share(LOCK_WAIT, "Shop.takeTurns", 50, 100),
        Expect::Thread(CPU, "clerk-0"),
    ]],
};
const ASYNC_PROFILER_JAR: Artifact = Artifact {
    coordinates: "tools.profiler:async-profiler:4.6",
    sha256: "a5d3d9f4582c2033fa9db518046e73ef97219801f3e7542b82e3e09261ebe493",
};

/// The program, compiled; options of the JVM are to be added before [`shop`].
fn java(stage: &Stage<'_>) -> anyhow::Result<Command> {
    let folder = stage.folder(stage.name)?;
    let source = stage.sources("java").join("Shop.java");
    run(command(&folder, "javac", &["-g", "-d", "."]).arg(source))?;
    Ok(command(&folder, "java", &["-cp", "."]))
}

/// Its class and how long it runs.
const SHOP: [&str; 2] = ["Shop", "12"];

fn with_agent(stage: &Stage<'_>, jar: Artifact) -> anyhow::Result<Command> {
    let jar = install::maven(stage, jar)?;
    let mut java = java(stage)?;
    java.arg(format!("-javaagent:{}", jar.display()));
    Ok(java)
}

fn jfr(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut java = java(stage)?;
    let recording =
        "filename=shop.jfr,settings=profile,jdk.JavaExceptionThrow#enabled=true,dumponexit=true";
    java.arg(format!("-XX:StartFlightRecording:{recording}"));
    stage.run(java.args(SHOP))?;
    upload(stage, "shop.jfr")
}

fn upload(stage: &Stage<'_>, name: &str) -> anyhow::Result<()> {
    let file: PathBuf = stage.folder(stage.name)?.join(name);
    let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    stage.upload(&bytes)
}

fn dd_java_agent(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut java = with_agent(stage, DD_JAVA_AGENT_JAR)?;
    java.env("DD_TRACE_AGENT_URL", &stage.addresses.datadog);
    java.envs([
        ("DD_SERVICE", stage.name),
        ("DD_ENV", "test"),
        ("DD_VERSION", "1.0"),
        ("DD_TAGS", "team:books"),
        ("DD_PROFILING_ENABLED", "true"),
        ("DD_PROFILING_START_DELAY", "0"),
        ("DD_PROFILING_START_FORCE_FIRST", "true"),
        ("DD_PROFILING_UPLOAD_PERIOD", "10"),
        ("DD_TRACE_METHODS", "Shop[handle]"),
    ]);
    stage.run(java.args(SHOP))
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
    stage.run(java.args(SHOP))
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
        ("PYROSCOPE_UPLOAD_INTERVAL", "5s"),
        ("PYROSCOPE_LABELS", "region=eu"),
    ]);
    stage.run(java.args(SHOP))
}

fn async_profiler(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let jar = install::maven(stage, ASYNC_PROFILER_JAR)?;
    let mut java = java(stage)?;
    let library = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let library = format!("{library}/libasyncProfiler.so");
    run(command(&stage.folder(stage.name)?, "jar", &["-xf"]).arg(jar).arg(&library))?;
    let options = "start,event=itimer,interval=10ms,wall=50ms,alloc=64k,lock=1ms,jfr,file=shop.jfr";
    let library = stage.folder(stage.name)?.join(library);
    java.arg(format!("-agentpath:{}={options}", library.display()));
    stage.run(java.args(SHOP))?;
    upload(stage, "shop.jfr")
}
