//! Events of the virtual machine that are no samples: what it did, and readings of its gauges.

use super::decode::{Chunk, Event, Out};
use super::layout::{Reader, Value};
use super::names::Names;
use super::samples::amount;
use super::table::{RUNTIME, RuntimeEntry, Tells};
use crate::decoded::IssueKind;
use crate::limits::JFR_TYPES_OF_NAME_MAX;
use crate::told::{Telling, Told};
use profile::KeyedMap;

/// Fields of all events, and their slots; what an entry names follows.
const COMMON: [&str; 2] = ["startTime", "duration"];
const START: usize = 0;
const DURATION: usize = 1;

/// Reads what a chunk tells.
pub(super) fn read_runtime(chunk: &Chunk<'_>, told: &mut Told, out: &mut Out) {
    let mut plans: KeyedMap<u64, (&RuntimeEntry, Reader)> = KeyedMap::default();
    for (kind, name) in chunk.kinds() {
        let Some(entry) = RUNTIME.iter().find(|entry| entry.event == name) else { continue };
        let alike = plans.values().filter(|(have, _)| have.event == name);
        if alike.count() >= JFR_TYPES_OF_NAME_MAX {
            continue;
        }
        let wanted: Vec<&str> = COMMON.into_iter().chain(entry.fields()).collect();
        let class = chunk.types.find(kind);
        let reader = class.and_then(|class| Reader::new(&chunk.types, class, &wanted));
        plans.extend(reader.map(|reader| (kind, (entry, reader))));
    }
    if plans.is_empty() {
        return;
    }
    let mut names = Names::new(chunk);
    for event in chunk.events() {
        if let Some((entry, reader)) = plans.get(&event.kind) {
            tell(entry, reader, event, &mut names, told, out);
        }
    }
}

fn tell<'a>(
    entry: &RuntimeEntry,
    reader: &Reader,
    mut event: Event<'a>,
    names: &mut Names<'_, 'a>,
    told: &mut Told,
    out: &mut Out,
) {
    let header = &names.chunk.header;
    let (slots, is_whole) = reader.read(&mut event.body);
    if !is_whole {
        let what = || format!("a {} at {} is damaged", entry.event, event.at);
        out.issues.add(IssueKind::Damage, what);
        return;
    }
    let Value::Number(start) = slots[START] else { return };
    let number = |slot: usize| amount(slots[slot], reader.unit(slot), header);
    let mut attributes = Vec::with_capacity(entry.attributes.len());
    let first = COMMON.len();
    for (slot, (_, name)) in (first..).zip(entry.attributes) {
        let value = match slots[slot] {
            Value::None => continue,
            Value::Number(_) | Value::Fraction(_) => number(slot).rounded().to_string(),
            Value::Pooled(class, key) if names.is_thread(class) => {
                let thread = names.thread(class, key, out);
                let tables = &out.profile.tables;
                let thread = thread.and_then(|id| tables.threads.get(id));
                thread.map_or(String::new(), |thread| tables.text(thread.name).to_owned())
            }
            value => names.value_text(value, out).into_owned(),
        };
        attributes.push((*name, value));
    }
    let telling = Telling {
        category: "",
        name: entry.event,
        start: header.time(start),
        duration_nanos: number(DURATION).rounded(),
        reading: None,
        attributes: &attributes,
    };
    let (budget, issues) = (&mut out.budget, &mut out.issues);
    match entry.tells {
        Tells::Event(category) => told.add(&Telling { category, ..telling }, budget, issues),
        Tells::Readings(gauges) => {
            for (slot, (_, name, unit)) in (first + entry.attributes.len()..).zip(gauges) {
                if reader.has(slot) {
                    let reading = (number(slot).as_fraction(), *unit);
                    let telling = Telling::reading(name, telling.start, reading);
                    told.add(&Telling { attributes: &attributes, ..telling }, budget, issues);
                }
            }
        }
    }
}
