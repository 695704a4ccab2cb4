//! Threads and labels of version 6, which events name by keys.

use super::container::Block;
use super::input::{Input, Text};
use crate::decoded::{IssueKind, Issues};
use crate::limits::{NETTRACE_STACKS_MAX, NETTRACE_THREADS_MAX};
use profile::KeyedMap;

/// A thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ThreadRow<'a> {
    pub(super) process: u64,
    pub(super) id: u64,
    pub(super) name: Text<'a>,
}

/// The threads that are known at a place in the file.
#[derive(Debug, Default)]
pub(super) struct Threads<'a>(KeyedMap<u64, ThreadRow<'a>>);

impl<'a> Threads<'a> {
    pub(super) fn read(&mut self, block: &Block<'a>, issues: &mut Issues) {
        let mut input = Input::new(block.bytes);
        while input.left() > 0 {
            let at = block.at + input.at;
            let row = input.u16().and_then(|size| input.part(usize::from(size)));
            let Some((key, row)) = row.and_then(thread) else {
                issues.add(IssueKind::Damage, || format!("a thread at {at} cannot be read"));
                return;
            };
            if self.0.len() >= NETTRACE_THREADS_MAX {
                issues.add(IssueKind::Limit, || {
                    format!("only {NETTRACE_THREADS_MAX} threads at a time are known")
                });
                return;
            }
            self.0.insert(key, row);
        }
    }

    pub(super) fn remove(&mut self, block: &Block<'_>) {
        let mut input = Input::new(block.bytes);
        while let (Some(key), Some(_sequence)) = (input.varuint(), input.varuint()) {
            self.0.remove(&key);
        }
    }

    pub(super) fn get(&self, key: u64) -> ThreadRow<'a> {
        self.0.get(&key).copied().unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn thread(mut input: Input<'_>) -> Option<(u64, ThreadRow<'_>)> {
    let key = input.varuint()?;
    let mut row = ThreadRow::default();
    while input.left() > 0 {
        match input.u8()? {
            1 => row.name = input.plain()?,
            2 => row.process = input.varuint()?,
            3 => row.id = input.varuint()?,
            4 => drop((input.plain()?, input.plain()?)),
            // What comes later in the format.
            _ => break,
        }
    }
    Some((key, row))
}

/// A label.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label<'a> {
    Trace(u128),
    Span(u64),
    Text(Text<'a>, Text<'a>),
    Number(Text<'a>, i64),
    /// Activities, and what overrides the type's.
    Other,
}

/// The lists of labels that are known at a place in the file.
#[derive(Debug, Default)]
pub(super) struct Lists<'a>(KeyedMap<u32, Input<'a>>);

impl<'a> Lists<'a> {
    pub(super) fn read(&mut self, block: &Block<'a>, issues: &mut Issues) {
        let mut input = Input::new(block.bytes);
        let (Some(first), Some(count)) = (input.u32(), input.u32()) else { return };
        for at in 0..count {
            if self.0.len() >= NETTRACE_STACKS_MAX {
                issues.add(IssueKind::Limit, || {
                    format!("only {NETTRACE_STACKS_MAX} lists of labels between sequence points")
                });
                return;
            }
            let start = input;
            loop {
                let place = block.at + input.at;
                let Some((_, is_last)) = label(&mut input) else {
                    issues.add(IssueKind::Damage, || format!("a label at {place} is damaged"));
                    return;
                };
                if is_last {
                    break;
                }
            }
            self.0.insert(first.wrapping_add(at), start);
        }
    }

    /// The labels of a list.
    pub(super) fn get(&self, key: u32) -> impl Iterator<Item = Label<'a>> + use<'a> {
        let mut input = self.0.get(&key).copied();
        std::iter::from_fn(move || {
            let (label, is_last) = label(input.as_mut()?)?;
            if is_last {
                input = None;
            }
            Some(label)
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A label, and whether it is the last one of its list.
fn label<'a>(input: &mut Input<'a>) -> Option<(Label<'a>, bool)> {
    let kind = input.u8()?;
    let label = match kind & 0x7f {
        1 | 2 => input.take(16).map(|_| Label::Other),
        3 => input.take(16)?.try_into().ok().map(|id| Label::Trace(u128::from_be_bytes(id))),
        4 => input.u64().map(Label::Span),
        5 => Some(Label::Text(input.plain()?, input.plain()?)),
        6 => Some(Label::Number(input.plain()?, input.varint()?)),
        7 | 9 | 10 => input.take(1).map(|_| Label::Other),
        8 => input.take(8).map(|_| Label::Other),
        _ => None,
    };
    Some((label?, kind & 0x80 != 0))
}
