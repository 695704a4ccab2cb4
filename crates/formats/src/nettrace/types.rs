//! Types of events, by the keys that events have.

use super::container::Block;
use super::events::Events;
use super::input::{Input, Text};
use super::table::{self, What};
use crate::decoded::{IssueKind, Issues};
use crate::limits::{Limits, NETTRACE_NAME_BYTES_MAX, NETTRACE_TYPES_MAX};
use profile::KeyedMap;

/// A type of events.
#[derive(Debug)]
pub(super) struct EventType {
    /// What its events are; nothing where they are not read.
    pub(super) what: Option<What>,
    /// Whether its events say what has been, after the end.
    pub(super) is_rundown: bool,
    /// Its provider and its number or name.
    pub(super) name: String,
}

/// The types that are known at a place in the file.
#[derive(Debug, Default)]
pub(super) struct Types(KeyedMap<u32, EventType>);

/// A row: the key, the provider, the number and the name.
type Row<'a> = (u32, Text<'a>, u32, Text<'a>);

impl Types {
    pub(super) fn get(&self, key: u32) -> Option<&EventType> {
        self.0.get(&key)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes in a block of types.
    pub(super) fn read(&mut self, block: &Block<'_>, is_plain: bool, issues: &mut Issues) {
        if is_plain {
            self.read_plain(block, issues);
        } else {
            let mut rows = Events::new(block, is_plain);
            for row in rows.by_ref() {
                match described(row.payload) {
                    Some(found) => self.add(found, issues),
                    None => is_damaged(row.at, issues),
                }
            }
            rows.damage.into_iter().for_each(|at| is_damaged(at, issues));
        }
    }

    fn read_plain(&mut self, block: &Block<'_>, issues: &mut Issues) {
        let mut input = Input::new(block.bytes);
        let header = input.u16().and_then(|size| input.take(usize::from(size)));
        while header.is_some() && input.left() > 0 {
            let at = block.at + input.at;
            let Some(row) = input.u16().and_then(|size| input.part(usize::from(size))) else {
                return is_damaged(at, issues);
            };
            match described_plainly(row) {
                Some(found) => self.add(found, issues),
                None => is_damaged(at, issues),
            }
        }
    }

    fn add(&mut self, (key, provider, number, name): Row<'_>, issues: &mut Issues) {
        if self.0.len() >= NETTRACE_TYPES_MAX && !self.0.contains_key(&key) {
            issues.add(IssueKind::Limit, || {
                format!("only {NETTRACE_TYPES_MAX} types of events are read")
            });
            return;
        }
        let (provider, name) = (short(provider), short(name));
        let what = table::find(&provider, number, &name);
        let is_rundown = provider == table::RUNDOWN;
        let name = if name.is_empty() || table::is_of_runtime(&provider) {
            format!("{provider}/{number}")
        } else {
            format!("{provider}/{name}")
        };
        self.0.insert(key, EventType { what, is_rundown, name });
    }
}

fn described(payload: &[u8]) -> Option<Row<'_>> {
    let mut input = Input::new(payload);
    Some((input.u32()?, input.wide()?, input.u32()?, input.wide()?))
}

fn described_plainly(mut row: Input<'_>) -> Option<Row<'_>> {
    Some((row.varuint()? as u32, row.plain()?, row.varuint()? as u32, row.plain()?))
}

/// Names of types are compared and shown: longer ones are none that is known.
fn short(text: Text<'_>) -> String {
    let limits = Limits { string_bytes_max: NETTRACE_NAME_BYTES_MAX, ..Limits::default() };
    text.read(&limits, &mut Issues::default()).into_owned()
}

fn is_damaged(at: usize, issues: &mut Issues) {
    issues.add(IssueKind::Damage, || format!("a type of events at {at} cannot be read"));
}
