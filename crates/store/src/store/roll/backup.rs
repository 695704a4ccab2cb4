//! Rollups in backups.

use super::super::Inner;
use super::super::backup::{Incoming, hex, id_in, put_file, unhex, wrong};
use super::{hours_of_profiles, open_of};
use crate::Error;
use crate::rollup::{self, Rollup};
use crate::segment::Segment;
use bytes::Bytes;
use catalog::{OpenHour, RollupRow};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

impl Inner {
    /// Rollups, and hours that something came to since.
    pub(in crate::store) fn rollups_for_backup(
        &self,
        tenant: Option<&str>,
    ) -> (Vec<Arc<Rollup>>, Vec<OpenHour>) {
        let rolled = self.rolled();
        let is_its = |have: &str| tenant.is_none_or(|tenant| tenant == have);
        let live = rolled.live.iter().filter(|(place, _)| is_its(&place.0));
        let open = rolled.open.iter().filter(|(place, _)| is_its(&place.0));
        let open = open.flat_map(|(place, segments)| {
            segments.iter().map(|segment| OpenHour {
                tenant: place.0.clone(),
                hour_ms: place.1,
                segment: *segment,
            })
        });
        (live.map(|(_, rollup)| Arc::clone(rollup)).collect(), open.collect())
    }

    /// The catalog has these.
    pub(in crate::store) fn restored(&self, rollups: Vec<Arc<Rollup>>, hours: Vec<OpenHour>) {
        self.opened(hours);
        let mut rolled = self.rolled();
        for rollup in rollups {
            let place = (rollup.row.tenant.clone(), rollup.row.hour_ms);
            rolled.live.insert(place, rollup);
        }
    }
}

/// Hands a rollup's files over and describes it; `None` when no more is wanted.
pub(in crate::store) fn write(
    rollup: &Rollup,
    put: &mut dyn FnMut(Bytes) -> bool,
) -> Result<Option<Value>, Error> {
    let mut files = Map::new();
    for (table, _) in &rollup.contents.files {
        let Some(file) = rollup.file(table)? else { continue };
        let path = rollup.path(table);
        let sum = json!({ "bytes": file.len(), "sha256": hex(&Sha256::digest(&file)) });
        files.insert(path.clone(), sum);
        if !put_file(put, &path, file) {
            return Ok(None);
        }
    }
    let row = &rollup.row;
    Ok(Some(json!({
        "id": row.id.to_string(), "tenant": row.tenant, "hour_ms": row.hour_ms,
        "bytes": row.bytes, "is_sealed": rollup.is_sealed(),
        "created_at_ns": row.created_at.nanos(), "contents": hex(&row.contents), "files": files,
    })))
}

/// An open hour in the manifest.
pub(in crate::store) fn describe(hour: &OpenHour) -> Value {
    let segment = hour.segment.to_string();
    json!({ "tenant": hour.tenant, "hour_ms": hour.hour_ms, "segment": segment })
}

fn row_of(value: &Value) -> Option<RollupRow> {
    Some(RollupRow {
        id: Ulid::from_string(value["id"].as_str()?).ok()?,
        tenant: value["tenant"].as_str()?.to_owned(),
        hour_ms: value["hour_ms"].as_i64()?,
        bytes: value["bytes"].as_u64()?,
        is_sealed: value["is_sealed"].as_bool()?,
        created_at: Timestamp::from_nanos(value["created_at_ns"].as_i64()?),
        contents: unhex(value["contents"].as_str()?)?,
    })
}

fn listed<'a>(manifest: &'a Value, name: &str) -> &'a [Value] {
    manifest[name].as_array().map_or(&[], Vec::as_slice)
}

/// The rollups of hours that have none here; every file of each came, whole.
pub(in crate::store) fn take(
    incoming: &Incoming<'_>,
    manifest: &Value,
) -> Result<Vec<Arc<Rollup>>, Error> {
    let inner = incoming.inner;
    let mut taken = Vec::new();
    for value in listed(manifest, "rollups") {
        let row = row_of(value).ok_or_else(|| wrong("the manifest is damaged"))?;
        let rollup = Rollup::new(row, Arc::clone(&inner.layer))?;
        for (table, bytes) in &rollup.contents.files {
            let path = rollup.path(table);
            let sum = &value["files"][path.as_str()];
            let have = incoming.files.get(&path);
            let is_whole = have.is_some_and(|(came, sha256)| {
                came == bytes && sum["bytes"] == *came && sum["sha256"] == sha256.as_str()
            });
            if !is_whole || id_in(rollup::DIR, &path) != Some(rollup.row.id) {
                return Err(wrong(format!("{path} is missing or damaged")));
            }
        }
        let place = (rollup.row.tenant.clone(), rollup.row.hour_ms);
        if !inner.rolled().live.contains_key(&place) {
            let dir = rollup::dir(rollup.row.id);
            inner.layer.sync_dir(&dir).map_err(Error::io(format!("sync {dir}")))?;
            taken.push(Arc::new(rollup));
        }
    }
    inner.layer.sync_dir(rollup::DIR).map_err(Error::io("sync rollups"))?;
    Ok(taken)
}

/// Hours that new segments bring something to: those that were open where the backup was made, and
/// those whose rollup did not come with it.
pub(in crate::store) fn open_hours(
    inner: &Inner,
    manifest: &Value,
    segments: &[Arc<Segment>],
    rollups: &[Arc<Rollup>],
) -> Result<Vec<OpenHour>, Error> {
    let mut hours = Vec::new();
    for segment in segments {
        let came = hours_of_profiles(&segment.read_profiles()?, inner.first_hour());
        let mut open = open_of(segment, &came);
        open.retain(|hour| {
            let is_its = |rollup: &Arc<Rollup>| {
                rollup.row.tenant == hour.tenant && rollup.row.hour_ms == hour.hour_ms
            };
            !rollups.iter().any(is_its)
        });
        hours.extend(open);
    }
    for value in listed(manifest, "open_hours") {
        let hour = (|| {
            let segment = Ulid::from_string(value["segment"].as_str()?).ok()?;
            let tenant = value["tenant"].as_str()?.to_owned();
            Some(OpenHour { tenant, hour_ms: value["hour_ms"].as_i64()?, segment })
        })();
        let hour = hour.ok_or_else(|| wrong("the manifest is damaged"))?;
        let is_new = segments.iter().any(|segment| segment.id == hour.segment);
        if is_new && hour.hour_ms >= inner.first_hour() {
            hours.push(hour);
        }
    }
    Ok(hours)
}
