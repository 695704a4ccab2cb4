//! Backup and restore: the segments of a store or of one tenant, its pins, and a manifest with the
//! checksum of every file, as a tape archive. What is in the memtable is flushed first; segments
//! never change, so the store goes on meanwhile.

use super::{Inner, Store, names, payloads, roll, tar};
use crate::Error;
use crate::limits::{BACKUP_CHUNK_BYTES, BACKUP_FILE_BYTES_MAX};
use crate::rollup::{self, Rollup};
use crate::segment::{self, Segment};
use bytes::Bytes;
use catalog::{Content, NamesRow, OpenHour, PayloadRow, Pin, SegmentRow};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};

/// Version 1 had no rollups and no names, version 2 no payloads, version 3 no spans, version 4 no
/// events.
const VERSION: u64 = 5;
const MANIFEST: &str = "manifest.json";

/// A backup being made. Its files stay until it is dropped.
#[derive(Debug)]
pub struct Backup {
    inner: Arc<Inner>,
    segments: Vec<Arc<Segment>>,
    pins: Vec<Pin>,
    names: Vec<Arc<NamesRow>>,
    rollups: Vec<Arc<Rollup>>,
    open_hours: Vec<OpenHour>,
    payloads: Vec<Arc<PayloadRow>>,
}

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Segments that are there now.
    pub segments: u64,
    /// Of those, there before.
    pub known: u64,
    /// Profiles of the new ones.
    pub profiles: u64,
    /// Pins that are there now.
    pub pins: u64,
    /// Hourly rollups that were added; hours that have one keep theirs.
    pub rollups: u64,
    /// Uploads that were added as they came.
    pub payloads: u64,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl Store {
    /// Everything of a tenant, or of all, as of now; what is deleted is left out.
    pub async fn backup(&self, tenant: Option<&str>) -> Result<Backup, Error> {
        // Files of a backup hold nothing that is hidden.
        self.delete_once().await?;
        self.flush().await?;
        let is_its = |have: &str| tenant.is_none_or(|tenant| tenant == have);
        let segments = self.inner.state().all_segments();
        let segments = segments.into_iter().filter(|segment| is_its(&segment.row.tenant)).collect();
        let pins = self.inner.pins();
        let pins = pins.iter().filter(|pin| is_its(&pin.tenant)).cloned().collect();
        let names = self.inner.names.rows();
        let names = names.iter().filter(|row| is_its(&row.tenant)).cloned().collect();
        let (rollups, open_hours) = self.inner.rollups_for_backup(tenant);
        let mut payloads = self.inner.payloads.all();
        payloads.retain(|row| is_its(&row.tenant));
        let inner = Arc::clone(&self.inner);
        Ok(Backup { inner, segments, pins, names, rollups, open_hours, payloads })
    }

    /// Puts a backup's segments and pins beside what is there. Segments that are there already are
    /// left alone. Either all of it is there afterwards, or nothing.
    pub async fn restore(&self, from: impl Read + Send + 'static) -> Result<Restored, Error> {
        let inner = Arc::clone(&self.inner);
        let turn = Arc::clone(&inner.maintenance).lock_owned().await;
        super::in_background(move || {
            let _turn = turn;
            let mut incoming = Incoming::new(&inner);
            let result = incoming.take(from);
            if result.is_err() {
                incoming.undo();
            }
            result
        })
        .await
    }
}

impl Backup {
    /// Hands the archive over piece by piece; blocks. Ends early when `put` does not want more.
    pub fn write(&self, put: &mut dyn FnMut(Bytes) -> bool) -> Result<(), Error> {
        let mut segments = Vec::new();
        for segment in &self.segments {
            let mut files = serde_json::Map::new();
            for (table, _) in &segment.index.files {
                let path = segment.path(table);
                let read = self.inner.layer.read(&path);
                let file = read.map_err(Error::io(format!("read {path}")))?;
                let sum = json!({ "bytes": file.len(), "sha256": hex(&Sha256::digest(&file)) });
                files.insert(path.clone(), sum);
                if !put_file(put, &path, file) {
                    return Ok(());
                }
            }
            segments.push(describe(&segment.row, files));
        }
        let mut rollups = Vec::new();
        for rollup in &self.rollups {
            let Some(value) = roll::backup::write(rollup, put)? else { return Ok(()) };
            rollups.push(value);
        }
        let pins: Vec<Value> = self.pins.iter().map(describe_pin).collect();
        let mut names = Vec::new();
        for row in &self.names {
            // A table that was removed since is not missed.
            let Ok(file) = self.inner.layer.read(&names::path(row.id)) else { continue };
            names.push(describe_names(row, &hex(&Sha256::digest(&file))));
            if !put_file(put, &names::path(row.id), file) {
                return Ok(());
            }
        }
        let Some(payloads) = payloads::backup::write(&self.inner, &self.payloads, put) else {
            return Ok(());
        };
        let open_hours: Vec<Value> = self.open_hours.iter().map(roll::backup::describe).collect();
        let manifest = json!({
            "version": VERSION, "segments": segments, "pins": pins, "rollups": rollups,
            "open_hours": open_hours, "names": names, "payloads": payloads,
        });
        if put_file(put, MANIFEST, manifest.to_string().into()) {
            put(Bytes::from_static(&tar::END));
        }
        Ok(())
    }
}

pub(super) fn put_file(put: &mut dyn FnMut(Bytes) -> bool, path: &str, mut file: Bytes) -> bool {
    let bytes = file.len() as u64;
    if !put(tar::header(path, bytes).into()) {
        return false;
    }
    while !file.is_empty() {
        let piece = file.split_to(file.len().min(BACKUP_CHUNK_BYTES));
        if !put(piece) {
            return false;
        }
    }
    put(tar::padding(bytes).into())
}

fn describe(row: &SegmentRow, files: serde_json::Map<String, Value>) -> Value {
    json!({
        "id": row.id.to_string(), "content": row.content.name(), "level": row.level,
        "tenant": row.tenant, "t_min_ns": row.t_min_ns, "t_max_ns": row.t_max_ns,
        "rows": row.rows, "bytes": row.bytes,
        "created_at_ns": row.created_at.nanos(), "range_index": hex(&row.range_index),
        "files": files,
    })
}

fn describe_pin(pin: &Pin) -> Value {
    json!({
        "id": pin.id.to_string(), "tenant": pin.tenant, "name": pin.name, "service": pin.service,
        "start_ns": pin.range.start.nanos(), "end_ns": pin.range.end.nanos(),
        "created_at_ns": pin.created_at.nanos(),
    })
}

fn describe_names(row: &NamesRow, sha256: &str) -> Value {
    json!({
        "id": row.id.to_string(), "tenant": row.tenant, "build_ids": row.build_ids,
        "file": row.file, "sources": row.sources, "functions": row.functions, "bytes": row.bytes,
        "created_at_ns": row.created_at.nanos(), "notes": row.notes, "sha256": sha256,
    })
}

fn names_of(value: &Value) -> Option<NamesRow> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let texts = |name: &str| {
        let list = value[name].as_array()?.iter();
        list.map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    Some(NamesRow {
        id: Ulid::from_string(value["id"].as_str()?).ok()?,
        tenant: text("tenant")?,
        build_ids: texts("build_ids")?,
        file: text("file")?,
        sources: texts("sources")?,
        functions: value["functions"].as_u64()?,
        bytes: value["bytes"].as_u64()?,
        created_at: Timestamp::from_nanos(value["created_at_ns"].as_i64()?),
        notes: texts("notes")?,
    })
}

fn segment_of(value: &Value) -> Option<SegmentRow> {
    let number = |name: &str| value[name].as_i64();
    Some(SegmentRow {
        id: Ulid::from_string(value["id"].as_str()?).ok()?,
        content: match value["content"].as_str() {
            Some(name) => Content::from_name(name)?,
            None => Content::Profiles,
        },
        level: u8::try_from(number("level")?).ok()?,
        tenant: value["tenant"].as_str()?.to_owned(),
        t_min_ns: number("t_min_ns")?,
        t_max_ns: number("t_max_ns")?,
        rows: value["rows"].as_u64()?,
        bytes: value["bytes"].as_u64()?,
        created_at: Timestamp::from_nanos(number("created_at_ns")?),
        range_index: unhex(value["range_index"].as_str()?)?,
    })
}

fn pin_of(value: &Value) -> Option<Pin> {
    let time = |name: &str| value[name].as_i64().map(Timestamp::from_nanos);
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Pin {
        id: Ulid::from_string(value["id"].as_str()?).ok()?,
        tenant: text("tenant")?,
        name: text("name")?,
        service: text("service")?,
        range: TimeRange::new(time("start_ns")?, time("end_ns")?),
        created_at: time("created_at_ns")?,
    })
}

/// A backup being read.
pub(super) struct Incoming<'a> {
    pub(super) inner: &'a Inner,
    known: BTreeSet<Ulid>,
    written: BTreeSet<Ulid>,
    /// The same for rollups.
    known_rollups: BTreeSet<Ulid>,
    written_rollups: BTreeSet<Ulid>,
    /// Size and checksum of each file that came.
    pub(super) files: BTreeMap<String, (u64, String)>,
}

pub(super) fn wrong(what: impl Into<String>) -> Error {
    Error::Invalid { what: format!("this backup cannot be restored: {}", what.into()) }
}

/// The segment of a file's path, when it is one.
fn segment_in(path: &str) -> Option<Ulid> {
    id_in(segment::DIR, path)
}

/// The folder of a table's path below another folder.
pub(super) fn id_in(dir: &str, path: &str) -> Option<Ulid> {
    let (id, name) = path.strip_prefix(dir)?.strip_prefix('/')?.split_once('/')?;
    let table = name.strip_suffix(".parquet")?;
    let is_plain = !table.is_empty() && table.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_plain.then(|| Ulid::from_string(id).ok().filter(|ulid| ulid.to_string() == id)).flatten()
}

impl<'a> Incoming<'a> {
    fn new(inner: &'a Inner) -> Self {
        let known = inner.state().all_segments().iter().map(|segment| segment.id).collect();
        let known_rollups = inner.rolled().live.values().map(|rollup| rollup.row.id).collect();
        Self {
            inner,
            known,
            written: BTreeSet::new(),
            known_rollups,
            written_rollups: BTreeSet::new(),
            files: BTreeMap::new(),
        }
    }

    fn take(&mut self, mut from: impl Read) -> Result<Restored, Error> {
        let mut manifest = None;
        while let Some((path, contents)) = tar::next(&mut from, BACKUP_FILE_BYTES_MAX)? {
            if path == MANIFEST {
                let parsed = serde_json::from_slice::<Value>(&contents);
                manifest = Some(parsed.map_err(|error| wrong(format!("{MANIFEST}: {error}")))?);
            } else {
                self.put(&path, &contents)?;
            }
        }
        let manifest = manifest.ok_or_else(|| wrong(format!("it has no {MANIFEST}")))?;
        self.commit(&manifest)
    }

    fn put(&mut self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let sum = hex(&Sha256::digest(contents));
        if let Some(id) = names::table_in(path) {
            self.files.insert(path.to_owned(), (contents.len() as u64, sum));
            if self.inner.names.rows().iter().all(|row| row.id != id) {
                // What a restore that was cut off left.
                let removed = self.inner.layer.remove_file(path);
                removed.map_err(Error::io(format!("remove {path}")))?;
                self.inner.write_names(id, contents)?;
            }
            return Ok(());
        }
        if let Some(sha256) = payloads::body_in(path) {
            return payloads::backup::put(self, path, sha256, (contents, sum));
        }
        let segment = segment_in(path).map(|id| (id, segment::dir(id)));
        let rollup = id_in(rollup::DIR, path).map(|id| (id, rollup::dir(id)));
        let is_rollup = rollup.is_some();
        let place = segment.or(rollup);
        let (id, dir) = place.ok_or_else(|| wrong(format!("a file {path:?} in it")))?;
        self.files.insert(path.to_owned(), (contents.len() as u64, sum));
        let (known, written) = if is_rollup {
            (&self.known_rollups, &mut self.written_rollups)
        } else {
            (&self.known, &mut self.written)
        };
        if known.contains(&id) {
            return Ok(());
        }
        let layer = &self.inner.layer;
        if written.insert(id) {
            // What a restore that was cut off left.
            layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
            layer.create_dir(&dir).map_err(Error::io(format!("create {dir}")))?;
        }
        let write = || {
            let mut file = layer.create(path)?;
            file.append(contents)?;
            file.sync()
        };
        write().map_err(Error::io(format!("write {path}")))
    }

    fn commit(&mut self, manifest: &Value) -> Result<Restored, Error> {
        if !manifest["version"].as_u64().is_some_and(|it| (1..=VERSION).contains(&it)) {
            return Err(wrong(format!("version {} is not known here", manifest["version"])));
        }
        let none = Vec::new();
        let mut found = Restored::default();
        let mut rows = Vec::new();
        for value in manifest["segments"].as_array().unwrap_or(&none) {
            let row = segment_of(value).ok_or_else(|| wrong("the manifest is damaged"))?;
            self.verify(&row, value)?;
            found.segments += 1;
            if self.known.contains(&row.id) {
                found.known += 1;
            } else {
                rows.push(row);
            }
        }
        let layer = &self.inner.layer;
        let mut segments = Vec::new();
        for row in &rows {
            let dir = segment::dir(row.id);
            layer.sync_dir(&dir).map_err(Error::io(format!("sync {dir}")))?;
            segments.push(Arc::new(Segment::new(row.clone(), Arc::clone(layer))?));
        }
        layer.sync_dir(segment::DIR).map_err(Error::io("sync segments"))?;
        found.profiles = segments.iter().map(|segment| segment.index.profiles).sum();
        let names = self.names(manifest)?;
        let payloads = payloads::backup::take(self, manifest)?;
        let pins = manifest["pins"].as_array().unwrap_or(&none).iter().map(pin_of);
        let pins: Option<Vec<Pin>> = pins.collect();
        let pins = pins.ok_or_else(|| wrong("the manifest is damaged"))?;
        let rollups = roll::backup::take(self, manifest)?;
        let of_profiles = segments.iter().filter(|it| it.row.content == Content::Profiles);
        let of_profiles: Vec<_> = of_profiles.cloned().collect();
        let hours = roll::backup::open_hours(self.inner, manifest, &of_profiles, &rollups)?;
        found.rollups = rollups.len() as u64;
        self.commit_parts(&rows, &rollups, &hours)?;
        self.inner.restored(rollups, hours);
        self.inner.state().put(segments);
        for pin in &pins {
            found.pins += u64::from(self.inner.catalog.add_pin(pin)?);
        }
        self.inner.load_pins()?;
        for row in &names {
            self.inner.catalog.add_names(row, &[])?;
        }
        self.inner.names.load(&self.inner.catalog)?;
        found.payloads = self.inner.restored_payloads(payloads)?;
        Ok(found)
    }

    /// The tables of names in the manifest; each must have come whole.
    fn names(&self, manifest: &Value) -> Result<Vec<NamesRow>, Error> {
        let none = Vec::new();
        let listed = manifest["names"].as_array().unwrap_or(&none);
        let row = |value: &Value| {
            let row = names_of(value).ok_or_else(|| wrong("the manifest is damaged"))?;
            let path = names::path(row.id);
            let wanted = (row.bytes, value["sha256"].as_str().unwrap_or_default());
            let is_whole = |(bytes, sum): &(u64, String)| (*bytes, sum.as_str()) == wanted;
            let came = self.files.get(&path).is_some_and(is_whole);
            came.then_some(row).ok_or_else(|| wrong(format!("{path} is missing or damaged")))
        };
        listed.iter().map(row).collect()
    }

    /// The catalog's transaction. What it has, or may have, is not undone.
    fn commit_parts(
        &mut self,
        rows: &[SegmentRow],
        rollups: &[Arc<Rollup>],
        hours: &[OpenHour],
    ) -> Result<(), Error> {
        let rollup_rows: Vec<_> = rollups.iter().map(|rollup| rollup.row.clone()).collect();
        self.inner.step("before the restore's commit")?;
        let commit = || {
            self.inner.catalog.commit_restore(rows, &rollup_rows, hours)?;
            self.inner.step("after the restore's commit")
        };
        let result = commit();
        let has_none =
            |live: Vec<SegmentRow>| live.iter().all(|row| !self.written.contains(&row.id));
        let is_undone = result.is_err() && self.inner.catalog.live().is_ok_and(has_none);
        if !is_undone {
            self.written.clear();
            self.drop_unused(rollups);
        }
        result
    }

    /// Every file of the segment came, whole.
    fn verify(&self, row: &SegmentRow, value: &Value) -> Result<(), Error> {
        let files = value["files"].as_object();
        let files = files.ok_or_else(|| wrong("the manifest is damaged"))?;
        for (path, sum) in files {
            let is_its = segment_in(path) == Some(row.id);
            let have = self.files.get(path).filter(|_| is_its);
            let is_whole = have.is_some_and(|(bytes, sha256)| {
                sum["bytes"] == *bytes && sum["sha256"] == sha256.as_str()
            });
            if !is_whole {
                return Err(wrong(format!("{path} is missing or damaged")));
            }
        }
        Ok(())
    }

    /// Removes files of rollups that were not taken: their hours have one.
    fn drop_unused(&mut self, taken: &[Arc<Rollup>]) {
        for id in std::mem::take(&mut self.written_rollups) {
            if !taken.iter().any(|rollup| rollup.row.id == id) {
                // What stays is moved aside when the store is opened.
                let _ = self.inner.layer.remove_dir(&rollup::dir(id));
            }
        }
    }

    fn undo(&self) {
        for id in &self.written_rollups {
            let _ = self.inner.layer.remove_dir(&rollup::dir(*id));
        }
        for id in &self.written {
            // What stays is moved aside when the store is opened.
            let _ = self.inner.layer.remove_dir(&segment::dir(*id));
        }
    }
}
