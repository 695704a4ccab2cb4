//! Payloads in backups: their bodies' files, and their rows in the manifest.

use super::super::Inner;
use super::super::backup::{Incoming, put_file, wrong};
use super::{hash, path};
use crate::Error;
use bytes::Bytes;
use catalog::PayloadRow;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

/// Hands the bodies over; what the manifest says of them comes back, `None` when no more is wanted.
pub(in crate::store) fn write(
    inner: &Inner,
    rows: &[Arc<PayloadRow>],
    put: &mut dyn FnMut(Bytes) -> bool,
) -> Option<Vec<Value>> {
    let mut described = Vec::new();
    let mut written: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        let path = path(&row.sha256);
        if !written.contains(row.sha256.as_str()) {
            // One that went since is not missed.
            let Ok(body) = inner.layer.read(&path) else { continue };
            if hash(&body) != row.sha256 {
                // The rest is worth a backup nevertheless.
                tracing::error!(path, "a damaged payload was left out of a backup");
                continue;
            }
            if !put_file(put, &path, body) {
                return None;
            }
            written.insert(&row.sha256);
        }
        described.push(json!({
            "id": row.id.to_string(), "tenant": row.tenant, "sha256": row.sha256,
            "bytes": row.bytes, "request": row.request, "services": row.services,
            "profiles": row.profiles, "t_min_ns": row.t_min_ns, "t_max_ns": row.t_max_ns,
            "received_at_ns": row.received_at.nanos(),
        }));
    }
    Some(described)
}

fn row_of(value: &Value) -> Option<PayloadRow> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let services = value["services"].as_array()?.iter();
    Some(PayloadRow {
        id: Ulid::from_string(value["id"].as_str()?).ok()?,
        tenant: text("tenant")?,
        sha256: text("sha256")?,
        bytes: value["bytes"].as_u64()?,
        request: text("request")?,
        services: services.map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        profiles: value["profiles"].as_u64()?,
        t_min_ns: value["t_min_ns"].as_i64()?,
        t_max_ns: value["t_max_ns"].as_i64()?,
        received_at: Timestamp::from_nanos(value["received_at_ns"].as_i64()?),
        // A backup may hold one without its profiles: the next start looks.
        is_settled: false,
    })
}

/// Takes a body of a backup.
pub(in crate::store) fn put(
    incoming: &mut Incoming<'_>,
    path: &str,
    sha256: &str,
    (contents, sum): (&[u8], String),
) -> Result<(), Error> {
    if sum != sha256 {
        return Err(wrong(format!("{path} is damaged")));
    }
    incoming.files.insert(path.to_owned(), (contents.len() as u64, sum));
    if incoming.inner.has_body(sha256) {
        return Ok(());
    }
    incoming.inner.write_body(sha256, contents)
}

/// The payloads of the manifest; each must have come whole.
pub(in crate::store) fn take(
    incoming: &Incoming<'_>,
    manifest: &Value,
) -> Result<Vec<PayloadRow>, Error> {
    let none = Vec::new();
    let listed = manifest["payloads"].as_array().unwrap_or(&none).iter();
    let row = |value: &Value| {
        let row = row_of(value).ok_or_else(|| wrong("the manifest is damaged"))?;
        let path = path(&row.sha256);
        let is_whole = |(bytes, sum): &(u64, String)| *bytes == row.bytes && *sum == row.sha256;
        let came = incoming.files.get(&path).is_some_and(is_whole);
        came.then_some(row).ok_or_else(|| wrong(format!("{path} is missing or damaged")))
    };
    listed.map(row).collect()
}
