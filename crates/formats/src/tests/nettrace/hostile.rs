//! Files that are damaged, or made to cost: told by an issue, small and quick.

use super::writer::{Event, FORMS, Form, TYPES, Trace, sample, small};
use crate::tests::{has, samples};
use crate::{Decoded, IssueKind, Limits, Options, nettrace};

fn read(bytes: &[u8]) -> Decoded {
    nettrace::decode(bytes, &Options::default())
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    for form in FORMS {
        let whole = small(form);
        let count = samples(&read(&whole));
        let step = if matches!(form, Form::Compressed | Form::Plain) { 1 } else { 5 };
        for at in (0..whole.len()).step_by(step) {
            let cut = read(&whole[..at]);
            assert!(samples(&cut) <= count && cut.issues.len() < 10);
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                assert!(samples(&read(&changed)) <= 1_000);
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_keeps_what_came_before() {
    for form in FORMS {
        let whole = small(form);
        let decoded = read(&whole[..whole.len() - 40]);
        assert_eq!(samples(&decoded), 11, "{form:?}");
        let damage = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Damage);
        assert!(damage.expect("an issue").example.contains(" at "), "{:?}", decoded.issues);
    }
}

#[test]
fn a_file_without_its_end_is_whole() {
    // So ends what is read while the program runs.
    for form in FORMS {
        let mut bytes = small(form);
        bytes.truncate(bytes.len() - if bytes.ends_with(&[0; 4]) { 4 } else { 1 });
        assert!(!has(&read(&bytes), IssueKind::Damage), "{form:?}");
    }
}

#[test]
fn events_of_no_type_are_told() {
    let mut trace = Trace::new(Form::Compressed);
    trace.events(&[sample(0, 2), sample(1, 2)]);
    let decoded = read(&trace.end());
    assert!(has(&decoded, IssueKind::Reference) && samples(&decoded) == 0);
}

#[test]
fn one_deep_stack_for_many_processes_is_paid_for_each_time() {
    let mut trace = Trace::new(Form::Plain);
    trace.types(TYPES);
    let processes: Vec<_> = (1..=300).map(|one| (one, one, "")).collect();
    trace.threads(&processes);
    let deep: Vec<u64> = (1..=1_000).map(|at| at * 16).collect();
    trace.stacks(1, &[&deep]);
    let events: Vec<_> =
        (1..=300).map(|thread| Event { thread, ..sample(thread as i64, 2) }).collect();
    trace.events(&events);
    let limits = Limits { work_bytes_max: 1 << 20, ..Limits::default() };
    let decoded = nettrace::decode(&trace.end(), &Options { limits, ..Options::default() });
    assert!(has(&decoded, IssueKind::Limit), "{:?}", decoded.issues);
    assert!(decoded.profiles[0].profile.tables.locations.len() <= 1_000 * 132);
}

#[test]
fn more_samples_than_allowed_are_told() {
    let mut trace = Trace::new(Form::Compressed);
    trace.types(TYPES);
    let events: Vec<_> = (0..100).map(|at| Event { stack: 0, ..sample(at, 2) }).collect();
    trace.events(&events);
    let limits = Limits { samples_max: 10, ..Limits::default() };
    let decoded = nettrace::decode(&trace.end(), &Options { limits, ..Options::default() });
    assert_eq!(samples(&decoded), 10);
    assert!(has(&decoded, IssueKind::Limit));
}
