//! `/v0.5`: a table of all texts, then spans as lists of twelve values that point into it.

use super::chunks::Chunks;
use super::given::{Given, Scalar};
use super::maps::{end, list, map, scalar};
use crate::limits::Limits;
use crate::msgpack::{Damage, Reader, Value};
use std::borrow::Cow;

/// The values of a span in their order.
const FIELDS: [&str; 12] = [
    "service",
    "name",
    "resource",
    "trace_id",
    "span_id",
    "parent_id",
    "start",
    "duration",
    "error",
    "meta",
    "metrics",
    "type",
];

/// The texts, and how much may still be read of them: one may be meant many times.
struct Texts<'a> {
    all: Vec<&'a [u8]>,
    work_left: usize,
}

const NO_TEXT: &str = "it names a text that is not in the table";

impl<'a> Texts<'a> {
    /// The text that a value points at.
    fn at(&mut self, value: &Scalar<'a>, to: &mut Chunks) -> Option<Cow<'a, str>> {
        let Scalar::Unsigned(index) = value else { return None };
        let bytes = *self.all.get(usize::try_from(*index).ok()?)?;
        let Some(left) = self.work_left.checked_sub(bytes.len() + 1) else {
            to.limited(|| "the texts of the spans are too long, all together".to_owned());
            return None;
        };
        self.work_left = left;
        Some(String::from_utf8_lossy(bytes))
    }
}

/// Reads a table and a list of chunks.
pub(super) fn read(body: &[u8], limits: &Limits, to: &mut Chunks) {
    let mut reader = Reader::new(body);
    let read = match reader.value() {
        Ok(Value::List(2)) => table_and_chunks(&mut reader, limits, to),
        Ok(_) => return to.unknown("this is no pair of texts and traces in msgpack"),
        Err(damage) => Err(damage),
    };
    end(read, &reader, to);
}

fn table_and_chunks(
    reader: &mut Reader<'_>,
    limits: &Limits,
    to: &mut Chunks,
) -> Result<(), Damage> {
    let count = list(reader, to, "the texts are no list")?;
    let mut texts = Texts { all: Vec::new(), work_left: limits.work_bytes_max };
    for _ in 0..count {
        let value = reader.value()?;
        let text = match value {
            Value::Text(text) | Value::Binary(text) => text,
            other => {
                to.malformed("an entry of the table is no text");
                reader.skip(other)?;
                &[]
            }
        };
        if texts.all.len() < limits.strings_max {
            texts.all.push(text);
        } else {
            to.limited(|| format!("only {} texts are read", limits.strings_max));
        }
    }
    let count = list(reader, to, "the traces are no list")?;
    for _ in 0..count {
        let count = list(reader, to, "a trace is no list of spans")?;
        let read = (0..count).try_for_each(|_| span(reader, &mut texts, to));
        to.end_chunk();
        read?;
    }
    Ok(())
}

fn span<'a>(reader: &mut Reader<'a>, texts: &mut Texts<'a>, to: &mut Chunks) -> Result<(), Damage> {
    let head = reader.value()?;
    let Value::List(count) = head else {
        to.reject("", "it is no list");
        return reader.skip(head);
    };
    let mut given = Given::default();
    for at in 0..count {
        match FIELDS.get(at as usize) {
            Some(&"meta") => {
                for _ in 0..map(reader, to, "`meta` of a span is no map")? {
                    let (name, value) = (scalar(reader)?, scalar(reader)?);
                    match (texts.at(&name, to), texts.at(&value, to)) {
                        (Some(name), Some(value)) => given.meta(name, value),
                        _ => given.wrong = Some(NO_TEXT),
                    }
                }
            }
            Some(&"metrics") => {
                for _ in 0..map(reader, to, "`metrics` of a span is no map")? {
                    let (name, value) = (scalar(reader)?, scalar(reader)?);
                    match texts.at(&name, to) {
                        Some(name) => given.metric(name, value),
                        None => given.wrong = Some(NO_TEXT),
                    }
                }
            }
            Some(&field @ ("service" | "name" | "resource" | "type")) => {
                let value = scalar(reader)?;
                match texts.at(&value, to) {
                    Some(text) => given.set(field, Scalar::Text(text)),
                    None => given.wrong = Some(NO_TEXT),
                }
            }
            Some(field) => given.set(field, scalar(reader)?),
            None => drop(scalar(reader)?),
        }
    }
    to.add(given);
    Ok(())
}
