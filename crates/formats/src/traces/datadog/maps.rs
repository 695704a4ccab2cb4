//! Spans as maps, in msgpack: `/v0.3`, `/v0.4`, and within the chunks of `/v0.7`.

use super::chunks::{Chunks, first};
use super::given::{Given, Scalar};
use crate::msgpack::{Damage, Reader, Value};
use std::borrow::Cow;

/// Reads a list of chunks.
pub(super) fn read(body: &[u8], to: &mut Chunks) {
    let mut reader = Reader::new(body);
    let read = match reader.value() {
        Ok(Value::List(count)) => chunks(&mut reader, count, to),
        Ok(_) => return to.unknown("this is no list of traces in msgpack or JSON"),
        Err(damage) => Err(damage),
    };
    end(read, &reader, to);
}

/// Reads a map with chunks.
pub(super) fn read_payload(body: &[u8], to: &mut Chunks) {
    let mut reader = Reader::new(body);
    let read = match reader.value() {
        Ok(Value::Map(count)) => payload(&mut reader, count, to),
        Ok(_) => return to.unknown("this is no map with chunks in msgpack"),
        Err(damage) => Err(damage),
    };
    end(read, &reader, to);
}

/// The end of a message, or of what can be read of it.
pub(super) fn end(read: Result<(), Damage>, reader: &Reader<'_>, to: &mut Chunks) {
    match read {
        Err(damage) => to.stopped(damage),
        Ok(()) if reader.left() > 0 => {
            to.malformed(&format!("nothing is read from byte {} on", reader.offset()));
        }
        Ok(()) => {}
    }
}

fn payload(reader: &mut Reader<'_>, count: u32, to: &mut Chunks) -> Result<(), Damage> {
    for _ in 0..count {
        let field = text(reader)?;
        if field == "chunks" {
            let count = list(reader, to, "`chunks` is no list")?;
            for _ in 0..count {
                let read = chunk_map(reader, to);
                to.end_chunk();
                read?;
            }
            continue;
        }
        let value = scalar(reader)?.into_text();
        match &*field {
            "env" => first(&mut to.process.env, &value),
            "app_version" => first(&mut to.process.version, &value),
            "hostname" => first(&mut to.process.host, &value),
            "runtime_id" => first(&mut to.process.instance, &value),
            "language_name" => first(&mut to.process.language, &value),
            _ => {}
        }
    }
    Ok(())
}

/// A chunk that says more than its spans.
fn chunk_map(reader: &mut Reader<'_>, to: &mut Chunks) -> Result<(), Damage> {
    let count = map(reader, to, "a chunk is no map")?;
    for _ in 0..count {
        let field = text(reader)?;
        match &*field {
            "spans" => {
                let count = list(reader, to, "the spans of a chunk are no list")?;
                spans(reader, count, to)?;
            }
            "tags" => {
                for _ in 0..map(reader, to, "the tags of a chunk are no map")? {
                    let (name, value) = (text(reader)?, scalar(reader)?);
                    if name == "_dd.p.tid" {
                        to.set_trace_high(&value.into_text());
                    }
                }
            }
            _ => skip(reader)?,
        }
    }
    Ok(())
}

fn chunks(reader: &mut Reader<'_>, count: u32, to: &mut Chunks) -> Result<(), Damage> {
    for _ in 0..count {
        let count = list(reader, to, "a trace is no list of spans")?;
        let read = spans(reader, count, to);
        to.end_chunk();
        read?;
    }
    Ok(())
}

fn spans(reader: &mut Reader<'_>, count: u32, to: &mut Chunks) -> Result<(), Damage> {
    for _ in 0..count {
        span(reader, to)?;
    }
    Ok(())
}

fn span(reader: &mut Reader<'_>, to: &mut Chunks) -> Result<(), Damage> {
    let head = reader.value()?;
    let Value::Map(count) = head else {
        to.reject("", "it is no map");
        return reader.skip(head);
    };
    let mut given = Given::default();
    for _ in 0..count {
        let field = text(reader)?;
        match &*field {
            "meta" => {
                for _ in 0..map(reader, to, "`meta` of a span is no map")? {
                    given.meta(text(reader)?, scalar(reader)?.into_text());
                }
            }
            "metrics" => {
                for _ in 0..map(reader, to, "`metrics` of a span is no map")? {
                    given.metric(text(reader)?, scalar(reader)?);
                }
            }
            _ => given.set(&field, scalar(reader)?),
        }
    }
    to.add(given);
    Ok(())
}

/// Number of elements of a list; what is none has none.
pub(super) fn list(reader: &mut Reader<'_>, to: &mut Chunks, wrong: &str) -> Result<u32, Damage> {
    match reader.value()? {
        Value::List(count) => return Ok(count),
        Value::Nil => {}
        head => {
            to.malformed(wrong);
            reader.skip(head)?;
        }
    }
    Ok(0)
}

/// Number of pairs of a map; what is none has none.
pub(super) fn map(reader: &mut Reader<'_>, to: &mut Chunks, wrong: &str) -> Result<u32, Damage> {
    match reader.value()? {
        Value::Map(count) => return Ok(count),
        Value::Nil => {}
        head => {
            to.malformed(wrong);
            reader.skip(head)?;
        }
    }
    Ok(0)
}

/// A value without parts; others are passed over and say nothing.
pub(super) fn scalar<'a>(reader: &mut Reader<'a>) -> Result<Scalar<'a>, Damage> {
    Ok(match reader.value()? {
        Value::Text(bytes) | Value::Binary(bytes) => Scalar::Text(String::from_utf8_lossy(bytes)),
        Value::Unsigned(number) => Scalar::Unsigned(number),
        Value::Negative(number) => Scalar::Negative(number),
        Value::Float(number) => Scalar::Float(number),
        Value::Flag(flag) => Scalar::Unsigned(flag.into()),
        head => {
            reader.skip(head)?;
            Scalar::Nothing
        }
    })
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, Damage> {
    Ok(scalar(reader)?.into_text())
}

fn skip(reader: &mut Reader<'_>) -> Result<(), Damage> {
    let head = reader.value()?;
    reader.skip(head)
}
