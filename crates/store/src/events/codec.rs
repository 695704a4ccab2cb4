//! The log's binary form of events, the last part of a profile's. Format page: `docs/formats/wal.md`.

use crate::codec::read::{Reader, Result};
use crate::codec::write::{SharedTexts, Writer};
use profile::{Reading, RuntimeEvent};
use std::sync::Arc;
use stdx::Timestamp;

/// Writes events: a table of all texts, then the events with their places in it. Nothing where there
/// are none, so that a profile without them is written as it always was.
pub(crate) fn write(out: &mut Writer, events: &[RuntimeEvent]) {
    if events.is_empty() {
        return;
    }
    let (mut texts, mut rows) = (SharedTexts::default(), Writer::default());
    rows.number(events.len() as u64);
    let mut before = 0_i64;
    for event in events {
        rows.number(texts.place(&event.category));
        rows.number(texts.place(&event.name));
        let start = event.start.nanos();
        rows.signed(start.wrapping_sub(before));
        before = start;
        rows.signed(event.duration_nanos);
        rows.bytes.push(u8::from(event.reading.is_some()));
        if let Some(Reading { value, unit }) = &event.reading {
            rows.bytes.extend_from_slice(&value.to_le_bytes());
            rows.number(texts.place(unit));
        }
        rows.number(event.attributes.len() as u64);
        for (name, value) in &event.attributes {
            rows.number(texts.place(name));
            rows.number(texts.place(value));
        }
    }
    texts.finish(&rows, out);
}

/// Reads what [`write`] wrote.
pub(crate) fn read(from: &mut Reader<'_>) -> Result<Vec<RuntimeEvent>> {
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let texts = from.shared_texts()?;
    let (mut events, mut before) = (Vec::new(), 0);
    for _ in 0..from.count()? {
        events.push(event(from, &texts, &mut before)?);
    }
    Ok(events)
}

fn event(from: &mut Reader<'_>, texts: &[Arc<str>], before: &mut i64) -> Result<RuntimeEvent> {
    let text = |from: &mut Reader<'_>| from.text_of(texts);
    let (category, name) = (text(from)?, text(from)?);
    *before = before.wrapping_add(from.signed()?);
    let duration_nanos = from.signed()?.max(0);
    let reading = match from.byte()? {
        0 => None,
        1 => {
            let value = f64::from_le_bytes(from.array()?);
            let value = value.is_finite().then_some(value).ok_or("a reading is no number")?;
            Some(Reading { value, unit: text(from)? })
        }
        _ => return Err("a reading is neither there nor not"),
    };
    let mut attributes = Vec::new();
    for _ in 0..from.count()? {
        attributes.push((text(from)?, text(from)?));
    }
    let start = Timestamp::from_nanos(*before);
    Ok(RuntimeEvent { category, name, start, duration_nanos, reading, attributes })
}
