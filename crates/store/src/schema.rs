//! Arrow schemas of a segment's tables. Format page: `docs/formats/segment.md`.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::{Arc, LazyLock};

/// Version of the segment format, in each file's footer as `vesta.version`.
pub const SEGMENT_VERSION: u32 = 4;

/// Hot labels: label name and the column that holds it, `service` first.
pub const HOT_LABELS: [(&str, &str); 7] = [
    (profile::labels::names::SERVICE, "service"),
    (profile::labels::names::ENV, "env"),
    (profile::labels::names::VERSION, "version"),
    (profile::labels::names::HOST, "host"),
    (profile::labels::names::ROLE, "role"),
    (profile::labels::names::SOURCE, "source"),
    (profile::labels::names::RUNTIME, "runtime"),
];

/// Columns of `samples`: one row per event, sorted by tenant, service, kind, series, ts_ms.
///
/// | column | type | what |
/// |---|---|---|
/// | `tenant` `service` `kind` | dictionary | never null; service is empty where the label is absent |
/// | `env` `version` `host` `role` `source` `runtime` | dictionary | null where the label is absent |
/// | `series` `profile` | u32 | ordinals of the segment |
/// | `ts_ms` | i64 | the sample's time, or its profile's window start when untimed |
/// | `timed` | bool | whether the client gave the sample a time |
/// | `ts_rest_ns` | i32? | nanoseconds below the millisecond, where the store keeps them |
/// | `stack` | u32 | node of the segment's stack prefix tree; 0 is the empty stack |
/// | `v0` … `v3` | i64? | values of the kind's measures; 0 is stored as null |
/// | `thread` `link` `attributes` | u32? | ordinals of the segment |
pub fn samples() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let mut fields = vec![
            Field::new("tenant", text(), false),
            Field::new("service", text(), false),
            Field::new("kind", text(), false),
        ];
        fields.extend(HOT_LABELS[1..].iter().map(|(_, column)| Field::new(*column, text(), true)));
        fields.extend([
            Field::new("series", DataType::UInt32, false),
            Field::new("profile", DataType::UInt32, false),
            Field::new("ts_ms", DataType::Int64, false),
            Field::new("timed", DataType::Boolean, false),
            Field::new("ts_rest_ns", DataType::Int32, true),
            Field::new("stack", DataType::UInt32, false),
        ]);
        fields.extend(["v0", "v1", "v2", "v3"].map(|v| Field::new(v, DataType::Int64, true)));
        fields.extend(
            ["thread", "link", "attributes"].map(|v| Field::new(v, DataType::UInt32, true)),
        );
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}
