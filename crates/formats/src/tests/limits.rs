//! Every limit is kept, and told when it is hit.

use super::bombs;
use crate::{Decoded, IssueKind, Limits, Options, otlp, pprof};
use profile::Tables;
use wire::Message;
use wire::pprof as message;

const COUNT: u64 = 10;

/// Ten of everything: locations of three lines, distinct stacks, five labels a sample; two types of
/// one kind.
fn ten() -> Vec<u8> {
    let function = |id: u64| message::Function { id, name: id as i64, ..Default::default() };
    let line = |function_id| message::Line { function_id, ..Default::default() };
    let location = |id: u64| message::Location {
        id,
        address: id,
        line: vec![line(id), line(id % COUNT + 1), line(1)],
        ..Default::default()
    };
    let label = |key: u64, text: u64| message::Label {
        key: (key + 1) as i64,
        str: (text % COUNT + 1) as i64,
        ..Default::default()
    };
    let sample = |at: u64| message::Sample {
        location_id: (0..8).map(|depth| (at + depth) % COUNT + 1).collect(),
        value: vec![1, 2],
        label: (0..5).map(|key| label(key, at + key)).collect(),
    };
    let value_type = |name| message::ValueType { r#type: name, unit: 1 };
    message::Profile {
        sample_type: vec![value_type(1), value_type(2)],
        function: (1..=COUNT).map(function).collect(),
        location: (1..=COUNT).map(location).collect(),
        sample: (0..COUNT).map(sample).collect(),
        string_table: (0..=COUNT).map(|at| "text".repeat(at as usize)).collect(),
        ..message::Profile::default()
    }
    .encode_to_vec()
}

/// What decoding gives under `change`d limits; that a limit was hit must be told.
fn hit(change: impl FnOnce(&mut Limits)) -> (Decoded, Tables) {
    let mut limits = Limits::default();
    change(&mut limits);
    let decoded = pprof::decode(&ten(), &Options { limits, ..Options::default() });
    assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit), "it is told");
    let tables = decoded.profiles[0].profile.tables.clone();
    (decoded, tables)
}

#[test]
fn without_small_limits_everything_is_read() {
    let decoded = super::single(pprof::decode(&ten(), &Options::default()));
    let tables = &decoded.profile.tables;
    assert_eq!((tables.locations.len(), tables.functions.len()), (10, 10));
    assert_eq!(tables.stacks.len(), 81);
    assert_eq!(decoded.type_map.len(), 2);
}

#[test]
fn tables_keep_to_their_limits() {
    let (_, tables) = hit(|limits| limits.locations_max = 4);
    assert!(tables.locations.len() <= 4 && tables.functions.len() <= 4);
    let (_, tables) = hit(|limits| limits.lines_max = 5);
    assert_eq!(tables.locations.rows().iter().map(|row| row.lines.len()).sum::<usize>(), 5);
    let (_, tables) = hit(|limits| limits.stack_nodes_max = 20);
    // Beyond the limit each stack is its leaf.
    assert!(tables.stacks.len() <= 20 + COUNT as usize + 1, "{}", tables.stacks.len());
    let (_, tables) = hit(|limits| limits.strings_max = 6);
    assert!(tables.strings.len() <= 6, "{}", tables.strings.len());
    let (_, tables) = hit(|limits| limits.string_bytes_max = 5);
    assert!(tables.strings.iter().all(|text| text.len() <= 5));
}

#[test]
fn labels_keep_to_their_limits() {
    let sizes =
        |tables: &Tables| -> Vec<usize> { tables.attributes.rows().iter().map(Vec::len).collect() };
    let (_, tables) = hit(|limits| limits.labels_max = 12);
    assert_eq!(sizes(&tables).iter().sum::<usize>(), 10, "two sets of five");
    let (decoded, tables) = hit(|limits| limits.labels_per_sample_max = 2);
    assert!(sizes(&tables).iter().all(|size| *size == 2));
    assert_eq!(decoded.profiles[0].profile.samples.len(), COUNT as usize);
}

#[test]
fn payloads_keep_to_their_limits() {
    let (decoded, _) = hit(|limits| limits.sample_types_max = 1);
    assert_eq!(decoded.profiles[0].type_map.len(), 1);
    let (decoded, _) = hit(|limits| limits.decompressed_bytes_max = ten().len() - 60);
    assert_eq!(decoded.profiles.len(), 1);
    let limits = Limits { profiles_max: 2, ..Limits::default() };
    let decoded = otlp::decode(&bombs::export(), &Options { limits, ..Options::default() });
    assert_eq!((decoded.profiles.len(), decoded.issues[0].kind), (2, IssueKind::Limit));
}
