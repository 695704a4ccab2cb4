//! Tests across formats.

mod bombs;
mod datadog_traces;
mod events;
mod export;
mod fixtures;
mod jfr;
mod limits;
mod load;
mod logs;
mod mutation;
mod nettrace;
mod otlp;
mod round_trip;
mod traces;

use crate::{Decoded, DecodedProfile, IssueKind};
use profile::{Profile, Sample, folded};

/// The one profile of a payload that has no issue.
fn single(mut decoded: Decoded) -> DecodedProfile {
    assert_eq!(decoded.issues, [], "no issue expected");
    assert_eq!(decoded.profiles.len(), 1);
    decoded.profiles.remove(0)
}

/// Whether a payload has an issue of a sort.
fn has(decoded: &Decoded, kind: IssueKind) -> bool {
    decoded.issues.iter().any(|issue| issue.kind == kind)
}

/// Samples of all profiles of a payload.
fn samples(decoded: &Decoded) -> usize {
    decoded.profiles.iter().map(|one| one.profile.samples.len()).sum()
}

/// Sum of a payload's sample type over the rows of its kind.
fn total(decoded: &DecodedProfile, sample_type: &str) -> i64 {
    let mapped = decoded.type_map.iter().find(|mapped| mapped.sample_type == sample_type);
    let mapped = mapped.expect("a sample type of the payload");
    decoded.profile.totals(mapped.kind)[mapped.measure]
}

/// A sample in words, so that samples of different tables compare.
fn describe(profile: &Profile, sample: &Sample) -> String {
    let tables = &profile.tables;
    let locations: Vec<String> = tables
        .stacks
        .leaf_first(sample.stack)
        .map(|id| {
            let location = tables.locations.get(id).expect("own location");
            let mapping = location.mapping.and_then(|id| tables.mappings.get(id));
            let mapping = mapping.map(|row| {
                (row.start, row.limit, row.offset, tables.text(row.file), tables.text(row.build_id))
            });
            let names = folded::frame_names(tables, location);
            let lines: Vec<_> = location
                .lines
                .iter()
                .map(|line| {
                    let function = tables.functions.get(line.function).expect("own function");
                    let system_name = tables.text(function.system_name);
                    (
                        line.line,
                        line.column,
                        system_name,
                        tables.text(function.file),
                        function.start_line,
                    )
                })
                .collect();
            format!("{:x} {} {mapping:?} {names:?} {lines:?}", location.address, location.is_folded)
        })
        .collect();
    let thread = sample.thread.and_then(|id| tables.threads.get(id));
    let thread = thread.map(|thread| (thread.id, tables.text(thread.name)));
    let link = sample.link.and_then(|id| tables.links.get(id));
    let attributes = sample.attributes.and_then(|id| tables.attributes.get(id));
    let mut attributes: Vec<String> = attributes
        .into_iter()
        .flatten()
        .map(|attribute| {
            let value = match attribute.value {
                profile::AttributeValue::Text(id) => format!("{:?}", tables.text(id)),
                profile::AttributeValue::Number(number, unit) => {
                    format!("{number} {:?}", tables.text(unit))
                }
            };
            format!("{:?}={value}", tables.text(attribute.key))
        })
        .collect();
    attributes.sort();
    let kind = &profile.kinds[sample.kind.0 as usize].id;
    let (values, time) = (sample.values, sample.time);
    format!("{kind} {values:?} {time:?} {thread:?} {link:?} {attributes:?} {locations:?}")
}
