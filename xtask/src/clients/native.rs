//! Clients for Rust, and for native programs of any language.

use super::expect::{Expect, PYROSCOPE_SHOP};
use super::stage::Stage;
use super::types::{
    ALLOC_OBJECTS, ALLOC_SPACE, CPU, CPU_SAMPLES, FOLDED, FREE_OBJECTS, INUSE_OBJECTS, INUSE_SPACE,
    LOCK_ACQUIRES, LOCK_WAIT, MALLOC_OBJECTS, MALLOC_SPACE, TypeRow, WALL, WALL_SAMPLES,
};
use super::{ClientEntry, install, java};
use crate::command::{command, run};
use crate::setup::Need;
use anyhow::{Context, ensure};
use std::path::PathBuf;

const COMPILER: Need = Need::new("g++", "build-essential", "compiles a native program");

/// Linux's perf: its samples as folded text, uploaded as a file.
pub(super) const PERF: ClientEntry = ClientEntry {
    name: "perf",
    versions: "the perf of this machine",
    needs: &[Need::new("perf", "linux-perf", "records a native program"), COMPILER],
    run: perf,
    expects: &[&[
        Expect::Share(FOLDED, "count_words", 70, 100),
        Expect::First(FOLDED, "count_words"),
    ]],
};

/// gperftools, whose two files Google's pprof gives names and makes into its own format.
pub(super) const GPERFTOOLS: ClientEntry = ClientEntry {
    name: "gperftools",
    versions: "the gperftools of this machine, github.com/google/pprof",
    needs: &[
        COMPILER,
        Need::new("go", "golang-go", "builds what converts the files of gperftools"),
        Need::new("google-pprof", "google-perftools", "profiles a native program"),
    ],
    run: gperftools,
    expects: &[&[
        Expect::Share(CPU, "count_words", 70, 100),
        Expect::First(CPU, "count_words"),
        Expect::Share(ALLOC_SPACE, "fill_shelf", 50, 100),
        Expect::Share(INUSE_SPACE, "fill_shelf", 90, 100),
    ]],
};

/// async-profiler in a program without Java.
pub(super) const ASYNC_PROFILER_NATIVE: ClientEntry = ClientEntry {
    name: "async-profiler-native",
    versions: "async-profiler 4.6",
    needs: &[COMPILER, java::JDK, java::MAVEN],
    run: async_profiler,
    expects: &[&[
        Expect::Share(CPU, "count_words", 70, 100),
        Expect::Share(WALL, "take_turns", 20, 100),
        Expect::Share(MALLOC_SPACE, "fill_shelf", 20, 100),
        Expect::Share(LOCK_WAIT, "take_turns", 90, 100),
    ]],
};

/// Pyroscope's for Rust, which pushes pprof.
pub(super) const PYROSCOPE_RS: ClientEntry = ClientEntry {
    name: "pyroscope-rs",
    versions: "pyroscope 2.1.5 (Rust)",
    needs: &[],
    run: pyroscope_rs,
    expects: &[PYROSCOPE_SHOP],
};

/// What users of native programs know.
pub(super) const TYPES: &[TypeRow] = &[
    TypeRow::new(
        "CPU Time",
        &[CPU],
        &[
            (&[&GPERFTOOLS], "`cpu` of the CPU profile"),
            (&[&ASYNC_PROFILER_NATIVE], "`jdk.ExecutionSample`"),
            (&[&PYROSCOPE_RS], "`cpu` of `process_cpu`"),
        ],
    )
    .note(
        "also of `vesta-agent`, of any program: its own tests compare it with known \
        shares",
    ),
    TypeRow::new(
        "CPU Samples",
        &[CPU_SAMPLES],
        &[
            (&[&GPERFTOOLS], "`samples` of the CPU profile"),
            (&[&ASYNC_PROFILER_NATIVE], "`jdk.ExecutionSample`"),
        ],
    ),
    TypeRow::new("Samples", &[FOLDED], &[(&[&PERF], "`cpu-clock` as folded text")])
        .note("folded text does not say what it counts"),
    TypeRow::new(
        "Wall Time",
        &[WALL],
        &[(&[&ASYNC_PROFILER_NATIVE], "`profiler.WallClockSample`")],
    ),
    TypeRow::new(
        "Wall Samples",
        &[WALL_SAMPLES],
        &[(&[&ASYNC_PROFILER_NATIVE], "`profiler.WallClockSample`")],
    ),
    TypeRow::new(
        "Allocated Memory",
        &[ALLOC_SPACE],
        &[(&[&GPERFTOOLS], "`alloc_space` of the heap profile")],
    ),
    TypeRow::new(
        "Allocations",
        &[ALLOC_OBJECTS],
        &[(&[&GPERFTOOLS], "`alloc_objects` of the heap profile")],
    ),
    TypeRow::new(
        "Heap Live Size",
        &[INUSE_SPACE],
        &[(&[&GPERFTOOLS], "`inuse_space` of the heap profile")],
    ),
    TypeRow::new(
        "Heap Live Objects",
        &[INUSE_OBJECTS],
        &[(&[&GPERFTOOLS], "`inuse_objects` of the heap profile")],
    ),
    TypeRow::new(
        "Native Memory",
        &[MALLOC_SPACE, MALLOC_OBJECTS, FREE_OBJECTS],
        &[(&[&ASYNC_PROFILER_NATIVE], "`profiler.Malloc`, `profiler.Free`")],
    ),
    TypeRow::new(
        "Lock Wait Time",
        &[LOCK_WAIT],
        &[(&[&ASYNC_PROFILER_NATIVE], "`profiler.NativeLock`")],
    )
    .note("of locks of `pthread`"),
    TypeRow::new(
        "Lock Acquires",
        &[LOCK_ACQUIRES],
        &[(&[&ASYNC_PROFILER_NATIVE], "`profiler.NativeLock`")],
    )
    .note("those that waited"),
];

fn pyroscope_rs(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut program = install::rust(stage)?;
    stage.run(program.args([stage.name, &stage.addresses.main, "12"]))
}

/// The program, as `shop` in the client's folder, which is returned.
fn compile(stage: &Stage<'_>) -> anyhow::Result<PathBuf> {
    let folder = stage.folder(stage.name)?;
    let options = ["-O2", "-g", "-fno-omit-frame-pointer", "-pthread", "-o", "shop"];
    run(command(&folder, "g++", &options).arg(stage.sources("cpp-shop").join("shop.cpp")))?;
    Ok(folder)
}

fn gperftools(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    compile(stage)?;
    let mut program = stage.command("./shop", &[])?;
    // The file of the heap is written at the end, or whenever so much was allocated.
    let large = (1_u64 << 40).to_string();
    program.envs([
        ("LD_PRELOAD", "libtcmalloc_and_profiler.so.4"),
        ("CPUPROFILE", "shop.cpu"),
        ("HEAPPROFILE", "shop"),
    ]);
    stage.run(program.env("HEAP_PROFILE_ALLOCATION_INTERVAL", large))?;
    for file in ["shop.cpu", "shop.0001.heap"] {
        let mut pprof = install::go_package(stage, "github.com/google/pprof")?;
        run(pprof.args(["-proto", "-output=shop.pb.gz", "./shop", file]))?;
        stage.upload_file("shop.pb.gz")?;
    }
    Ok(())
}

fn async_profiler(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    compile(stage)?;
    let library = java::async_profiler_library(stage)?;
    let options = "start,event=itimer,interval=10ms,wall=50ms,nativemem=64k,nativelock=1ms,\
                   cstack=dwarf,jfr,file=shop.jfr";
    let mut program = stage.command("./shop", &[])?;
    program.env("LD_PRELOAD", library).env("ASPROF_COMMAND", options);
    stage.run(&mut program)?;
    stage.upload_file("shop.jfr")
}

fn perf(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let folder = compile(stage)?;
    let record = ["record", "--quiet", "-e", "cpu-clock", "-F", "99", "--call-graph", "fp"];
    let mut record = stage.command("perf", &record)?;
    stage.run(record.args(["--output", "perf.data", "./shop"]))?;
    let options = ["report", "--stdio", "--no-children", "--input", "perf.data", "--sort", "comm"];
    let mut report = command(&folder, "perf", &options);
    report.args(["--call-graph", "folded,0,caller,function,count", "--percent-limit", "0"]);
    let report = report.output().context("cannot start perf report")?;
    ensure!(report.status.success(), "perf report failed: {}", stderr(&report));
    let folded = folded_of(&String::from_utf8_lossy(&report.stdout));
    ensure!(!folded.is_empty(), "perf report prints no stacks");
    stage.upload(folded.as_bytes())
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Lines `COUNT FRAME;FRAME` of a report are lines `FRAME;FRAME COUNT` of folded text.
fn folded_of(report: &str) -> String {
    let one = |line: &str| {
        let (count, stack) = line.split_once(' ')?;
        let count: u64 = count.parse().ok()?;
        (!stack.trim().is_empty()).then(|| format!("{} {count}\n", stack.trim()))
    };
    report.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_a_report_become_folded_text() {
        let report = "# comm\n\n   99.0%  shop\n12 start;work;count_words\n3 start;work\n\n";
        assert_eq!(folded_of(report), "start;work;count_words 12\nstart;work 3\n");
    }
}
