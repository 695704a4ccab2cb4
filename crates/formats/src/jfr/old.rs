//! Chunks of version 0.9, which Oracle's JDK 7 and 8 wrote: each is rewritten as one of version 2, so
//! that all that is known of events, types and constants holds for them, too.
//!
//! Such a chunk is a header of 16 bytes, events (some of them of constants), and the description of
//! all types as the last event. Numbers are big-endian, and events have their fields in order:
//! the end, the start, the thread and the stack where the type has them, and its own.

mod describe;
mod types;

use super::header::HEADER_BYTES;
use super::input::Input;
use crate::decoded::{IssueKind, Issues};
use crate::limits::{JFR_ELEMENTS_MAX, Limits};
use types::{Event, Op, Types};

const TYPE_OF_CONSTANTS: i32 = 1;
const HEAD_BYTES: usize = 16;
const NANOS_PER_MILLI: i64 = 1_000_000;
/// The kind of a text, in version 2: UTF-8, and UTF-16.
const PLAIN: u8 = 3;
const WIDE: u8 = 4;

/// How long a chunk is; `None` where it ends before its types do.
pub(super) fn size(chunk: &[u8]) -> Option<u64> {
    let mut input = Input::new(chunk, false);
    input.at = 8;
    let types_at = input.long()?;
    input.at = usize::try_from(types_at).ok().filter(|at| *at >= HEAD_BYTES)?;
    types_at.checked_add(u64::try_from(input.int()?).ok()?)
}

/// The chunk in version 2; `None`, and an issue, where its types cannot be read.
pub(super) fn rewritten(chunk: &[u8], limits: &Limits, issues: &mut Issues) -> Option<Vec<u8>> {
    let mut input = Input::new(chunk, false);
    input.at = 8;
    let types_at = input.long().and_then(|at| usize::try_from(at).ok());
    let read = types_at.and_then(|at| Types::read(input.range(at, usize::MAX)));
    let (Some(at), Some(types)) = (types_at, read) else {
        issues.add(IssueKind::Damage, || {
            "the type descriptions of a chunk of version 0 are damaged: it is not read".to_owned()
        });
        return None;
    };
    if types.is_cut() {
        issues.add(IssueKind::Limit, || {
            format!("of a chunk of version 0 only {JFR_ELEMENTS_MAX} parts of types are read")
        });
    }
    let mut writer = Writer { out: vec![0; HEADER_BYTES], types: &types };
    let mut events = Input::new(&chunk[..at.min(chunk.len())], false);
    events.at = HEAD_BYTES;
    while events.left() > 0 {
        let place = events.at;
        if writer.out.len() > limits.decompressed_bytes_max {
            issues.add(IssueKind::Limit, || {
                format!("of a chunk of version 0 only the events before {place} are read")
            });
            break;
        }
        if writer.event(&mut events).is_none() {
            issues.add(IssueKind::Damage, || {
                format!("an event at {place} of a chunk of version 0 is damaged")
            });
            if events.at <= place {
                break;
            }
        }
    }
    Some(writer.finish())
}

struct Writer<'t> {
    out: Vec<u8>,
    types: &'t Types,
}

impl Writer<'_> {
    fn int(&mut self, number: i32) {
        self.out.extend(number.to_be_bytes());
    }

    fn long(&mut self, number: u64) {
        self.out.extend(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.out.push(PLAIN);
        self.int(text.len() as i32);
        self.out.extend(text.as_bytes());
    }

    /// An event of what `write` writes; nothing where that fails.
    fn sized(&mut self, write: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let start = self.out.len();
        self.int(0);
        if write(self).is_none() {
            self.out.truncate(start);
            return None;
        }
        let size = i32::try_from(self.out.len() - start).ok()?;
        self.out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        Some(())
    }

    /// Rewrites the event that comes next, and moves behind it.
    fn event(&mut self, events: &mut Input<'_>) -> Option<()> {
        let start = events.at;
        let size = usize::try_from(events.int()?).ok()?;
        let end = start.checked_add(size)?;
        if size < 8 || end > start + 4 + events.left() {
            return None;
        }
        let mut event = events.range(events.at, end);
        events.at = end;
        let kind = event.int()?;
        if kind == TYPE_OF_CONSTANTS {
            return self.constants(&mut event);
        }
        // What is not described is not counted either: nothing is known of it.
        let Some(described) = self.types.event(kind) else { return Some(()) };
        if described.is_setting {
            return self.setting(described, &mut event);
        }
        self.sized(|writer| writer.fields(described, kind, &mut event))
    }

    fn fields(&mut self, described: &Event, kind: i32, event: &mut Input<'_>) -> Option<()> {
        self.long(u64::from(kind.cast_unsigned()));
        let end = event.long()?;
        if described.has_start {
            let start = event.long()?;
            self.long(start);
            self.long(end.wrapping_sub(start));
        } else {
            self.long(end);
        }
        if described.has_thread {
            self.op(&Op::Key(4), event)?;
        }
        if described.has_stack {
            self.op(&Op::Key(8), event)?;
        }
        described.ops.iter().try_for_each(|op| self.op(op, event))
    }

    fn op(&mut self, op: &Op, input: &mut Input<'_>) -> Option<()> {
        match op {
            Op::Copy(bytes) => self.out.extend(input.take(*bytes)?),
            Op::Key(bytes) => {
                let key = input.take(*bytes)?;
                self.long(key.iter().fold(0, |key, byte| key << 8 | u64::from(*byte)));
            }
            Op::Plain => {
                let bytes = input.take(2)?;
                let text = input.take(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))?;
                self.out.push(PLAIN);
                self.int(text.len() as i32);
                self.out.extend(text);
            }
            Op::Wide => {
                let units = input.int()?;
                let text = input.take(usize::try_from(units).ok()?.checked_mul(2)?)?;
                self.out.push(WIDE);
                self.int(units);
                self.out.extend(text);
            }
            Op::Array(ops) => {
                let count = input.count()?;
                self.int(count as i32);
                // What takes no bytes may be said to be there any number of times.
                for _ in 0..if ops.is_empty() { 0 } else { count } {
                    ops.iter().try_for_each(|op| self.op(op, input))?;
                }
            }
        }
        Some(())
    }

    fn constants(&mut self, event: &mut Input<'_>) -> Option<()> {
        let (time, _previous) = (event.long()?, event.long()?);
        while event.left() > 0 {
            let (content, count) = (event.int()?, event.count()?);
            let described = self.types.content(content)?;
            self.sized(|writer| {
                // Type, start, duration, where the one before is, what it is for, pools.
                for number in [1, time, 0, 0] {
                    writer.long(number);
                }
                writer.out.push(0);
                writer.int(1);
                writer.long(described.class);
                writer.int(count as i32);
                for _ in 0..count {
                    let start = writer.out.len();
                    writer.op(&Op::Key(described.key_bytes), event)?;
                    if described.is_thread {
                        // Its key is the system's id.
                        writer.out.extend_from_within(start..start + 8);
                    }
                    described.ops.iter().try_for_each(|op| writer.op(op, event))?;
                }
                Some(())
            })?;
        }
        Some(())
    }

    /// A setting of an event type becomes what it is today: one event a value.
    fn setting(&mut self, described: &Event, event: &mut Input<'_>) -> Option<()> {
        let time = event.long()?;
        let (mut period, mut of) = (0, 0);
        for (name, op) in described.names.iter().zip(&described.ops) {
            let mut value = *event;
            let mut skipped = Writer { out: Vec::new(), types: self.types };
            skipped.op(op, event)?;
            match name.as_str() {
                "period" => period = value.long()?.cast_signed(),
                "id" => of = value.int()?,
                _ => {}
            }
        }
        if period <= 0 {
            return Some(());
        }
        self.sized(|writer| {
            writer.long(described.kind);
            writer.long(time);
            writer.long(u64::from(of.cast_unsigned()));
            writer.text("period");
            writer.text(&format!("{period} ms"));
            Some(())
        })
    }

    fn finish(mut self) -> Vec<u8> {
        let types_at = self.out.len();
        let types = self.types;
        let description = describe::metadata(types);
        let written = self.sized(|writer| {
            writer.out.extend(description);
            Some(())
        });
        debug_assert!(written.is_some(), "bounded by what types may be");
        let millis = |millis: i64| millis.saturating_mul(NANOS_PER_MILLI).cast_unsigned();
        let longs = [
            self.out.len() as u64,
            0,
            types_at as u64,
            millis(types.start_millis),
            millis(types.end_millis.saturating_sub(types.start_millis)),
            types.start_ticks,
            types.ticks_per_second,
        ];
        let head: Vec<u8> = b"FLR\0\0\x02\0\0".to_vec();
        let head = longs.into_iter().fold(head, |mut head, number| {
            head.extend(number.to_be_bytes());
            head
        });
        self.out[..head.len()].copy_from_slice(&head);
        self.out
    }
}
