//! The formats and how they are recognised.

use crate::compress::{decompress, head};
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::limits::SNIFF_BYTES;
use wire::scan::{Field, Value, fields, fields_of_beginning};

/// A format that can be read.
#[derive(Debug)]
pub struct Format {
    /// Short name, as in the `format` parameter of uploads.
    pub name: &'static str,
    /// Usual file name endings, without the dot.
    pub extensions: &'static [&'static str],
    /// What it is and who writes it.
    pub description: &'static str,
    /// Reads it; undoes compression itself.
    pub decode: fn(&[u8], &Options) -> Decoded,
    recognise: fn(&[u8]) -> bool,
}

/// Every format that can be read, in the order in which it is tried.
pub const FORMATS: &[Format] = &[
    Format {
        name: "jfr",
        extensions: &["jfr"],
        description: "JDK Flight Recorder: the JDK, async-profiler, Datadog's profiler for Java",
        decode: crate::jfr::decode,
        recognise: is_jfr,
    },
    Format {
        name: "nettrace",
        extensions: &["nettrace"],
        description: "Nettrace: .NET's EventPipe, dotnet-trace, dotnet-monitor",
        decode: crate::nettrace::decode,
        recognise: is_nettrace,
    },
    Format {
        name: "pprof",
        extensions: &["pprof", "pb.gz", "prof", "pb"],
        description: "pprof protobuf: Go, Datadog and Pyroscope libraries, Rust, C++",
        decode: crate::pprof::decode,
        recognise: is_pprof,
    },
    Format {
        name: "otlp",
        extensions: &["otlp"],
        description: "OTLP profiles v1.4 to v1.11: OpenTelemetry's eBPF profiler, vesta-agent",
        decode: crate::otlp::decode,
        recognise: is_otlp,
    },
    Format {
        name: "speedscope",
        extensions: &["speedscope.json"],
        description: "Files of speedscope: py-spy, pyinstrument, rbspy, speedscope itself",
        decode: crate::speedscope::decode,
        recognise: crate::speedscope::is_speedscope,
    },
    Format {
        name: "folded",
        extensions: &["folded", "collapsed", "txt"],
        description: "Folded stacks, `root;caller;leaf 12` a line: perf, py-spy, async-profiler",
        decode: crate::folded::decode_default,
        recognise: is_folded,
    },
];

/// The format of a payload, by content; compression is seen through.
pub fn sniff(bytes: &[u8]) -> Option<&'static Format> {
    recognised(&head(bytes))
}

fn recognised(head: &[u8]) -> Option<&'static Format> {
    FORMATS.iter().find(|format| (format.recognise)(head))
}

/// Reads a payload of any format. One that is not recognised gives no profile and an issue.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let plain = decompress(bytes, &options.limits, &mut issues);
    if let Some(format) = recognised(&plain[..plain.len().min(SNIFF_BYTES)]) {
        return (format.decode)(&plain, options).after(issues);
    }
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    issues.add(IssueKind::UnknownFormat, || {
        format!("the format was not recognised; these are read: {}", names.join(", "))
    });
    Decoded::new(Vec::new(), issues)
}

fn is_jfr(head: &[u8]) -> bool {
    head.starts_with(crate::jfr::MAGIC)
}

fn is_nettrace(head: &[u8]) -> bool {
    use crate::nettrace::{MAGIC, NETPERF_MAGIC};
    head.starts_with(MAGIC) || head.starts_with(NETPERF_MAGIC)
}

/// The first fields are pprof's, with its wire types.
fn is_pprof(head: &[u8]) -> bool {
    let mut seen = 0;
    for field in fields(head).take(8) {
        let fits = match field.number {
            1..=6 | 11 => matches!(field.value, Value::Len(_)),
            13 => matches!(field.value, Value::Len(_) | Value::Varint(_)),
            7..=10 | 12 | 14 | 15 => matches!(field.value, Value::Varint(_)),
            _ => false,
        };
        let is_part = match field.number {
            1 => is_value_type(field.value, 2),
            2 => fields(field.value.bytes().unwrap_or_default()).all(|part| part.number <= 3),
            _ => true,
        };
        if !fits || !is_part {
            return false;
        }
        seen += 1;
    }
    seen > 0
}

/// A type's name and unit; OTLP's had a third number.
fn is_value_type(value: Value<'_>, numbers: u32) -> bool {
    let mut inner = fields(value.bytes().unwrap_or_default());
    let is_fitting = inner
        .by_ref()
        .all(|field| field.number <= numbers && matches!(field.value, Value::Varint(_)));
    is_fitting && inner.damage().is_none()
}

/// The first profile of the first resource begins with a value type (a span begins with its trace
/// id), or the request begins with a dictionary, which other signals do not have.
fn is_otlp(head: &[u8]) -> bool {
    let lens = |message, number| {
        fields_of_beginning(message)
            .filter(move |field: &Field<'_>| field.number == number)
            .filter_map(|field| field.value.bytes())
    };
    match fields_of_beginning(head).next() {
        Some(Field { number: 1, value: Value::Len(_) }) => lens(head, 1)
            .flat_map(|resource| lens(resource, 2))
            .flat_map(|scope| lens(scope, 2))
            .find_map(|profile| fields_of_beginning(profile).next())
            .is_some_and(|field| match field.number {
                1 => is_value_type(field.value, 3),
                number => number == 2 || matches!((number, field.value), (3, Value::I64(_))),
            }),
        Some(Field { number: 2, value: Value::Len(dictionary) }) => {
            let mut entries = fields_of_beginning(dictionary).peekable();
            entries.peek().is_some()
                && entries.all(|entry| entry.number <= 7 && entry.value.bytes().is_some())
        }
        _ => false,
    }
}

fn is_folded(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let mut lines = lines.take(3).peekable();
    let is_stack = |line: &str| {
        let value = line.trim_end().rsplit_once(' ').map(|(_, value)| value);
        value.is_some_and(|value| value.parse::<f64>().is_ok())
    };
    lines.peek().is_some_and(|line| is_stack(line))
        && !text.bytes().any(|byte| byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x1b))
}
