//! Programs whose truth is known, through the whole line: kernel, agent, OTLP, store, query, API.

#![expect(clippy::print_stdout, reason = "the figures, with --nocapture")]

use crate::harness::{Server, folder, of_service};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Samples of each program that are waited for.
const SAMPLES_MIN: u64 = 2_200;
/// Longest wait for them: seven busy programs may have to share two CPUs with other tests.
const WAIT_MAX: Duration = Duration::from_mins(4);
const SAMPLES: &str = "process_cpu:samples:count:cpu:nanoseconds";

/// Child processes that end with the test.
#[derive(Default)]
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // What ended by itself needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    fn start(&mut self, service: &str, command: &mut Command) -> u32 {
        command.env("OTEL_SERVICE_NAME", service).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.push(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        self.0.last().expect("just added").id()
    }
}

fn targets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Runs a program of the set-up to its end; `cargo xtask test` installs what is missing.
fn run(program: &str, arguments: &[&str], folder: &Path) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdout(Stdio::null());
    let status = command.status().unwrap_or_else(|error| {
        panic!("{program} is needed: {error}; `cargo xtask test` installs it")
    });
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn build(folder: &Path) {
    for source in ["ratio.c", "native.cpp", "gowork.go", "Work.java"] {
        std::fs::copy(targets().join(source), folder.join(source)).expect("copied");
    }
    let native = ["-O2", "-fomit-frame-pointer", "-g", "-pthread"];
    run("gcc", &[&native[..], &["ratio.c", "-o", "ratio"]].concat(), folder);
    run("g++", &[&native[..], &["native.cpp", "-o", "native"]].concat(), folder);
    run("go", &["build", "-o", "gowork", "gowork.go"], folder);
    run("go", &["build", "-ldflags=-s -w", "-o", "gostripped", "gowork.go"], folder);
    run("javac", &["Work.java"], folder);
}

/// Starts all programs; returns the process id of Java's.
fn start_programs(folder: &Path, running: &mut Running) -> u32 {
    for name in ["ratio", "native", "gowork", "gostripped"] {
        running.start(name, &mut Command::new(folder.join(name)));
    }
    let mut python = Command::new("python3");
    running.start("pywork", python.arg(targets().join("work.py")));
    let mut node = Command::new("node");
    // A perf map has no entries for what V8 inlines.
    let flags = ["--perf-basic-prof", "--max-inlined-bytecode-size=0"];
    running.start("jswork", node.args(flags).arg(targets().join("work.js")).current_dir(folder));
    let mut java = Command::new("java");
    java.args(["-XX:+PreserveFramePointer", "Work"]).current_dir(folder);
    running.start("javawork", &mut java)
}

struct Truth {
    server: Server,
}

impl Truth {
    async fn ask(&self, route: &str, service: &str, more: &str) -> Value {
        let query = of_service(service);
        self.server.get(&format!("/api/v1/{route}?type={SAMPLES}&{query}&{more}")).await.ok()
    }

    async fn samples(&self, service: &str) -> u64 {
        self.ask("flamegraph", service, "max_nodes=2").await["meta"]["total"].as_u64().unwrap_or(0)
    }

    async fn wait_for_samples(&self, services: &[&str], meanwhile: impl Fn()) {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            meanwhile();
            let mut fewest = u64::MAX;
            for service in services {
                fewest = fewest.min(self.samples(service).await);
            }
            if fewest >= SAMPLES_MIN {
                return;
            }
        }
    }

    /// Samples of a service with a function in their stack whose name `is_it`.
    async fn with(&self, service: &str, is_it: impl Fn(&str) -> bool) -> u64 {
        let top = self.ask("top", service, "sort=total&limit=1000").await;
        let rows = top["functions"].as_array().unwrap_or_else(|| panic!("{top}"));
        let found = rows.iter().filter(|row| is_it(row["name"].as_str().unwrap_or_default()));
        found.map(|row| row["total"].as_u64().expect("a number")).sum()
    }

    async fn check_complete(&self, service: &str, share_min: f64) {
        let meta = self.ask("flamegraph", service, "max_nodes=2").await["meta"].clone();
        let number = |name: &str| meta["quality"][name].as_f64().expect("a number");
        let complete = 1.0 - number("broken") / number("samples");
        println!("{service}: {} samples, {:.2} % complete", number("samples"), 100.0 * complete);
        assert!(complete >= share_min, "{service}: only {complete} of the stacks are complete");
    }

    /// Three functions that share the time 3:1:1, within five standard deviations and `slack`.
    async fn check_shares(&self, service: &str, names: [&str; 3], slack: f64) {
        let mut parts = Vec::new();
        for name in names {
            parts.push(self.with(service, |it| it == name).await as f64);
        }
        let total: f64 = parts.iter().sum();
        assert!(total >= 2_000.0, "{service}: only {total} samples are in the three functions");
        println!("{service}: {parts:?} of {total}");
        for (part, share) in parts.into_iter().zip([0.6, 0.2, 0.2]) {
            let sigma = (share * (1.0 - share) / total).sqrt();
            let seen = part / total;
            assert!(
                (seen - share).abs() <= 5.0 * sigma + slack,
                "{service}: {seen} of {total}, not {share}"
            );
        }
    }

    async fn check_has(&self, service: &str, names: &[&str]) {
        for name in names {
            assert!(self.with(service, |it| it == *name).await > 0, "{service} lacks {name}");
        }
    }
}

fn start_agent(server: &Server, running: &mut Running) {
    let vesta = Path::new(env!("CARGO_BIN_EXE_vesta"));
    let agent = vesta.with_file_name("vesta-agent");
    assert!(agent.exists(), "{} is missing: cargo build --workspace --bins", agent.display());
    let arguments =
        ["--endpoint", &server.url, "-f", "799", "--interval", "2", "--cpu-budget", "50"];
    running.start("vesta-agent", Command::new(agent).args(arguments));
}

#[tokio::test]
async fn programs_of_every_runtime_show_their_own_functions() {
    let data = folder();
    let work = folder();
    build(work.path());
    let server = Server::start(data.path(), &[]);
    let mut running = Running::default();
    let java = start_programs(work.path(), &mut running).to_string();
    start_agent(&server, &mut running);
    let truth = Truth { server };
    let services = ["ratio", "native", "gowork", "gostripped", "pywork", "jswork", "javawork"];
    let enough = truth.wait_for_samples(&services, || {
        // Java writes its map when it is told to.
        run("jcmd", &[&java, "Compiler.perfmap"], work.path());
    });
    let waited = tokio::time::timeout(WAIT_MAX, enough).await;
    waited.expect("each program has its samples within a few minutes");
    for service in ["ratio", "native", "gowork", "gostripped"] {
        truth.check_complete(service, 0.99).await;
    }
    for service in ["pywork", "jswork", "javawork"] {
        truth.check_complete(service, 0.95).await;
    }
    let parts = ["heavy", "light_a", "light_b"];
    truth.check_shares("ratio", parts, 0.0).await;
    // A runtime compiles its functions one after the other, so that its shares begin unequal.
    truth.check_shares("jswork", parts, 0.03).await;
    let java = ["double Work.heavy(int)", "double Work.lightA(int)", "double Work.lightB(int)"];
    truth.check_shares("javawork", java, 0.03).await;
    let own = ["compute(int)", "descend(int, int)", "compare(void const*, void const*)"];
    truth.check_has("native", &own).await;
    truth.check_has("native", &["throw_and_catch()", "write_to_nowhere()"]).await;
    for service in ["gowork", "gostripped"] {
        let own = ["main.leaf", "main.allocate", "main.locked", "main.sorter"];
        truth.check_has(service, &own).await;
    }
    // All but what ran before the interpreter did; more samples may have come since the first question.
    let all = truth.samples("pywork").await as f64;
    let marked = truth.with("pywork", |it| it == "[Python frames not read yet]").await as f64;
    assert!(marked >= 0.95 * all, "only {marked} of {all} stacks of Python say what is missing");
    truth.check_has("pywork", &["_PyEval_EvalFrameDefault"]).await;
}
