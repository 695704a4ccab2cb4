//! Shares, names and complete stacks of programs whose truth is known.

use crate::decode::Process;
use crate::support::{Running, alone, compile_c, record};
use std::process::Command;

/// Two threads that split their CPU time 3:1:1 over three functions.
const RATIO: &str = r"
#include <pthread.h>
static volatile double sink;
__attribute__((noinline)) static double spin(long n) {
    double s = 0;
    for (long i = 1; i < n; i++) s += 1.0 / (i * (double)i + s);
    return s;
}
__attribute__((noinline)) void heavy(long n) { sink = spin(3 * n); __asm__ volatile(``); }
__attribute__((noinline)) void light_a(long n) { sink = spin(n); __asm__ volatile(``); }
__attribute__((noinline)) void light_b(long n) { sink = spin(n); __asm__ volatile(``); }
static void *work(void *p) {
    for (;;) { heavy(20000); light_a(20000); light_b(20000); }
    return p;
}
int main(void) {
    pthread_t t[2];
    for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, work, 0);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
}
";

const SHORT: &str = r"
volatile double sink;
__attribute__((noinline)) void burn(void) { for (long i = 1; i < 60000000; i++) sink += 1.0 / i; }
int main(void) { burn(); }
";

const GO: &str = r#"package main

import ("sort"; "time"; "sync")

//go:noinline
func leaf(n int) float64 {
	s := 0.0
	for i := 1; i < n; i++ { s += 1.0 / (float64(i)*float64(i) + s) }
	return s
}

//go:noinline
func sorter() { a := make([]int, 20000); for i := range a { a[i] = (i * 7919) % 20011 }; sort.Ints(a) }

func main() {
	var wg sync.WaitGroup
	for k := 0; k < 2; k++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
				leaf(30000)
				sorter()
			}
		}()
	}
	wg.Wait()
}
"#;

/// Fails unless `observed` of `total` is within five standard deviations of `share`.
fn check_share(observed: u64, total: u64, share: f64) {
    let total = total as f64;
    let sigma = (share * (1.0 - share) / total).sqrt();
    let seen = observed as f64 / total;
    assert!((seen - share).abs() <= 5.0 * sigma, "{seen} of {total}, not {share} +- 5 x {sigma}");
}

fn check_complete(process: &Process) {
    let complete = process.complete();
    assert!(complete >= 0.99, "only {complete} of {} stacks are complete", process.total());
}

#[test]
fn shares_of_a_program_without_frame_pointers() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile_c(folder.path(), "ratio", &RATIO.replace('`', "\""));
    let running = Running::start(&mut Command::new(program));
    let arguments = ["--pid", &running.pid(), "--frequency", "999", "--duration", "8"];
    let recorded = record(folder.path(), &arguments);
    let process = recorded.of_service("ratio");
    let total = process.total();
    assert!(total >= 2_000, "only {total} samples");
    check_complete(process);
    let parts = ["heavy", "light_a", "light_b"].map(|it| process.with(it));
    let inside: u64 = parts.iter().sum();
    assert!(inside as f64 > 0.97 * total as f64, "{inside} of {total} are in the three functions");
    for (part, share) in parts.into_iter().zip([0.6, 0.2, 0.2]) {
        check_share(part, inside, share);
    }
    assert_eq!(process.period, 1_000_000_000 / 999);
    assert_eq!(process.attributes["vesta.source"], "agent");
    assert_eq!(process.attributes["vesta.service.name.source"], "executable");
    assert!(process.stacks.iter().all(|it| it.1 == "ratio"), "threads are named");
}

#[test]
fn a_stripped_program_shows_its_functions_by_their_place() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile_c(folder.path(), "ratio", &RATIO.replace('`', "\""));
    let stripped = Command::new("strip").arg(&program).status().expect("binutils are installed");
    assert!(stripped.success());
    let running = Running::start(&mut Command::new(program));
    let arguments = ["--pid", &running.pid(), "--frequency", "999", "--duration", "4"];
    let recorded = record(folder.path(), &arguments);
    let process = recorded.of_service("ratio");
    check_complete(process);
    // Not one line for each sampled address, but one for each function: `spin`, called by three.
    let is_place = |it: &String| it.starts_with("[function at ");
    let mut callers = std::collections::BTreeMap::<&str, u64>::new();
    for (names, _, count) in process.stacks.iter().filter(|it| it.0.iter().all(is_place)) {
        *callers.entry(&names[1]).or_default() += count;
    }
    let inside: u64 = callers.values().sum();
    let total = process.total();
    assert!(inside as f64 > 0.9 * total as f64, "{callers:?} of {total}");
    let heavy = callers.values().max().copied().unwrap_or_default();
    check_share(heavy, inside, 0.6);
    let unnamed: u64 = process.counters["vesta.frames.unsymbolized"].parse().expect("a number");
    assert!(unnamed >= inside, "a place is no name: {unnamed} of {inside}");
}

#[test]
fn a_stripped_go_program_shows_its_functions() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("gowork.go");
    std::fs::write(&source, GO).expect("writable");
    let mut build = Command::new("go");
    build.args(["build", "-ldflags", "-s -w", "-o", "gowork", "gowork.go"]);
    let built = build.current_dir(folder.path()).status();
    assert!(built.expect("go is needed; `cargo xtask test` installs it").success());
    let mut command = Command::new(folder.path().join("gowork"));
    let running = Running::start(command.env("OTEL_SERVICE_NAME", "gopher"));
    let arguments = ["--pid", &running.pid(), "--frequency", "299", "--duration", "5"];
    let recorded = record(folder.path(), &arguments);
    let process = recorded.of_service("gopher");
    check_complete(process);
    assert_eq!(process.attributes["process.runtime.name"], "go");
    assert_eq!(process.attributes["vesta.service.name.source"], "OTEL_SERVICE_NAME");
    let total = process.total();
    let own = process.with("main.leaf") + process.with("main.sorter");
    assert!(own as f64 > 0.8 * total as f64, "{own} of {total} are in its own functions");
}

#[test]
fn processes_of_less_than_a_second_are_named() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile_c(folder.path(), "shortlived", SHORT);
    let script = format!("while true; do {}; done", program.display());
    let running = Running::start(Command::new("sh").args(["-c", &script]));
    let arguments = ["--pid", &running.pid(), "--frequency", "299", "--duration", "4"];
    let recorded = record(folder.path(), &arguments);
    let lives: Vec<&Process> = recorded
        .0
        .iter()
        .filter(|it| it.attributes["process.executable.name"] == "shortlived")
        .collect();
    assert!(lives.len() >= 3, "only {} short lives were seen", lives.len());
    let samples: u64 = lives.iter().map(|it| it.total()).sum();
    let named: u64 = lives.iter().map(|it| it.with("burn")).sum();
    assert!(named as f64 > 0.9 * samples as f64, "{named} of {samples} have names");
    let unnamed = recorded.0.iter().filter(|it| it.attributes["service.name"] == "unknown").count();
    assert_eq!(unnamed, 0);
}
