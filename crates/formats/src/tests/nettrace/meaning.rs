//! What files say, piece by piece.

use super::writer::{
    Event, Form, TYPES, Trace, event, method, plain, sample, sampled, short, tick, varuint,
};
use super::{in_words, read};
use crate::{DecodedProfile, IssueKind, Options, decode};
use profile::folded::stack_names;

fn trace(form: Form) -> Trace {
    let mut trace = Trace::new(form);
    trace.types(TYPES);
    trace
}

fn names(decoded: &DecodedProfile, at: usize) -> Vec<String> {
    stack_names(&decoded.profile.tables, decoded.profile.samples[at].stack)
}

#[test]
fn a_sample_stands_for_the_time_since_the_thread_s_last_one() {
    let mut trace = trace(Form::Compressed);
    trace.stacks(1, &[&[0x1010]]);
    let other = |ticks| Event { thread: 8, ..sample(ticks, 1) };
    // In units of 100 ns: asked for are 10,000; 500,000 is a gap.
    let samples = [sample(0, 2), other(10), sample(14_000, 2), other(14_010), sample(600_000, 2)];
    trace.events(&samples);
    trace.events(&[method(0x1000, 0x20, "A", "B")]);
    let decoded = read(&trace.end());
    let nanos: Vec<i64> = decoded.profile.samples.iter().map(|one| one.values[2]).collect();
    assert_eq!(nanos, [1_000_000, 1_000_000, 1_400_000, 1_400_000, 1_000_000]);
}

#[test]
fn a_call_that_ends_its_method_belongs_to_it() {
    let mut trace = trace(Form::Compressed);
    // The leaf is at the first instruction of B; A's call of it is A's last instruction.
    trace.stacks(1, &[&[0x1020, 0x1020, 0x5000]]);
    trace.events(&[sample(0, 2)]);
    trace.events(&[method(0x1000, 0x20, "T", "A"), method(0x1020, 0x20, "T", "B")]);
    let mut decoded = decode(&trace.end(), &Options::default());
    assert_eq!(decoded.issues.len(), 1);
    assert_eq!(decoded.issues[0].kind, IssueKind::Reference);
    assert!(decoded.issues[0].example.starts_with("1 addresses"), "{:?}", decoded.issues);
    let decoded = decoded.profiles.remove(0);
    assert_eq!(names(&decoded, 0), ["0x4fff", "T.A", "T.B"]);
    assert_eq!(decoded.profile.metadata.unsymbolized, 1);
}

#[test]
fn stacks_are_forgotten_at_sequence_points() {
    let mut trace = trace(Form::Compressed);
    trace.stacks(1, &[&[0x1010]]);
    trace.events(&[sample(0, 2)]);
    trace.sequence_point(0);
    trace.events(&[sample(10, 2)]);
    trace.stacks(1, &[&[0x2010]]);
    trace.events(&[sample(20, 2)]);
    trace.events(&[method(0x1000, 0x20, "T", "A"), method(0x2000, 0x20, "T", "B")]);
    let mut decoded = decode(&trace.end(), &Options::default());
    let issues: Vec<_> = decoded.issues.iter().map(|one| (one.kind, one.count)).collect();
    assert_eq!(issues, [(IssueKind::Reference, 1)], "{:?}", decoded.issues);
    let decoded = decoded.profiles.remove(0);
    let stacks: Vec<_> = (0..3).map(|at| names(&decoded, at)).collect();
    assert_eq!(stacks, [vec!["T.A".to_owned()], vec![], vec!["T.B".to_owned()]]);
}

#[test]
fn a_wait_without_a_stack_is_where_it_began() {
    for form in super::writer::FORMS {
        let mut trace = trace(form);
        trace.threads(&[(42, 7, ""), (42, 8, "")]);
        trace.stacks(1, &[&[0x1010], &[0x2010]]);
        let contended = |thread, ticks| Event { thread, ..event(4, ticks, vec![0; 3]) };
        let over = |thread, ticks| Event { thread, stack: 0, ..event(5, ticks, vec![0; 3]) };
        trace.events(&[contended(7, 10), Event { stack: 2, ..contended(8, 20) }]);
        // What a start's stack is called changes before its end is seen.
        trace.sequence_point(0);
        trace.threads(&[(42, 7, ""), (42, 8, "")]);
        trace.stacks(1, &[&[0x2010], &[0x1010]]);
        let waits = [Event { stack: 0, ..event(6, 80, vec![1]) }, event(7, 90, vec![0; 2])];
        trace.events(&[over(8, 50), over(7, 60), over(7, 70)]);
        trace.events(&waits);
        trace.events(&[method(0x1000, 0x20, "T", "A"), method(0x2000, 0x20, "T", "B")]);
        let decoded = read(&trace.end());
        let stacks: Vec<_> = (0..4).map(|at| names(&decoded, at).concat()).collect();
        // The third has no start; the last has a stack of its own.
        assert_eq!(stacks, ["T.B", "T.A", "", "T.B"], "{form:?}");
    }
}

#[test]
fn lost_events_are_counted() {
    for form in super::writer::FORMS {
        let mut trace = trace(form);
        trace.threads(&[(42, 7, ""), (42, 9, "")]);
        let lossy = Event { stack: 0, lost: 3, ..sample(20, 2) };
        trace.events(&[Event { stack: 0, ..sample(10, 2) }, lossy]);
        trace.sequence_point(4);
        trace.events(&[Event { stack: 0, ..sample(30, 2) }]);
        assert_eq!(read(&trace.end()).profile.metadata.lost, 7, "{form:?}");
    }
}

#[test]
fn a_sampled_allocation_stands_for_those_that_were_not() {
    let mut trace = trace(Form::Compressed);
    let unplaced = |event| Event { stack: 0, ..event };
    trace.events(&[
        unplaced(sampled(0, 24, "Small")),
        unplaced(sampled(1, 10_240_000, "Large")),
        unplaced(tick(2, 106_496, "Small")),
    ]);
    let decoded = read(&trace.end());
    let values: Vec<_> = decoded.profile.samples.iter().map(|one| &one.values[..2]).collect();
    // Small objects share 102,400 bytes; what is a hundred times as large is always sampled.
    assert_eq!(values, [[102_412, 4_267], [10_240_000, 1], [106_496, 0]]);
    let kinds: Vec<_> = decoded.profile.kinds.iter().map(|kind| kind.id.as_ref()).collect();
    assert_eq!(kinds, ["heap", "custom|dotnet|alloc_space.AllocationTick:bytes|:"]);
}

#[test]
fn labels_and_threads_of_plain_files_are_kept() {
    let mut trace = trace(Form::Plain);
    trace.threads(&[(42, 7, "worker"), (42, 9, "")]);
    let span = [vec![4], 0xabcd_u64.to_le_bytes().to_vec()].concat();
    let traced = [vec![3], vec![0; 15], vec![5]].concat();
    let tenant = [vec![5], plain("tenant"), plain("blue")].concat();
    let number = [vec![6 | 0x80], plain("retries"), vec![3]].concat();
    let other = [vec![1 | 0x80], vec![0; 16]].concat();
    trace.labels(1, 2, &[traced, span, tenant, number, other].concat());
    let labelled = Event { stack: 0, labels: 1, ..sample(0, 2) };
    trace.events(&[labelled.clone(), Event { labels: 2, ..labelled }]);
    let words = in_words(&read(&trace.end()));
    for part in [
        "Some((7, \"worker\"))",
        "trace_id: 5, span_id: 43981",
        "\"tenant\"=\"blue\"",
        "\"retries\"=-2 \"\"",
    ] {
        assert!(words[0].contains(part), "{} without {part}", words[0]);
        assert!(words[1].contains("None [\"\"thread mode\"=\"managed\"\"]"), "{}", words[1]);
    }
}

/// As profilers of the whole system write them.
#[test]
fn samples_of_all_processes_are_named_by_process() {
    let mut trace = trace(Form::Plain);
    trace.threads(&[(10, 7, "one"), (20, 8, "two"), (10, 9, "")]);
    trace.stacks(1, &[&[0x1010, 0x1810, 0xffff_ffff_8000_0000]]);
    let other = |event| Event { thread: 8, ..event };
    trace.events(&[event(30, 0, varuint(3)), other(event(30, 0, varuint(1)))]);
    trace.events(&[event(31, 10, varuint(500))]);
    let numbers =
        |numbers: &[u64]| numbers.iter().flat_map(|one| varuint(*one)).collect::<Vec<_>>();
    let mapping = |process, file| {
        let place = numbers(&[process + 1, process, 0x1000, 0x2000, 0]);
        event(32, 20, [place, short(file), varuint(0)].concat())
    };
    let symbol = |mapping, start, end, name| {
        event(33, 20, [numbers(&[1, mapping, start, end]), short(name)].concat())
    };
    trace.events(&[
        mapping(10, "/bin/one"),
        mapping(20, "/bin/two"),
        symbol(11, 0x1000, 0x1100, "main"),
        other(symbol(21, 0x1000, 0x1100, "start")),
        symbol(0, 0xffff_ffff_7fff_0000, 0xffff_ffff_8fff_0000, "do_syscall"),
    ]);
    let decoded = decode(&trace.end(), &Options::default()).profiles.remove(0);
    let words = in_words(&decoded);
    let names: Vec<_> = (0..3).map(|at| names(&decoded, at)).collect();
    assert_eq!(names[0], ["do_syscall", "0x180f", "main"]);
    assert_eq!(names[1].last().map(String::as_str), Some("start"));
    assert!(words[0].starts_with("stack [3000000, 3, 0, 0]"), "{}", words[0]);
    assert!(
        words[0].contains("180f false Some((4096, 8192, 0, \"/bin/one\", \"\"))"),
        "{}",
        words[0]
    );
    assert!(words[1].contains("\"process\"=20"), "{}", words[1]);
    assert!(words[2].starts_with("off_cpu [50000, 0, 0, 0]"), "{}", words[2]);
}
