//! Uploads that are kept as they came: a file for each body, named after its contents, and a row of
//! the catalog for each upload. Both are durable before the profiles are, so that a profile which was
//! acknowledged has its payload. A payload goes with the first of its profiles that goes, because it
//! holds that one, too.

pub(super) mod backup;
mod going;

use super::{Inner, Store, append, count};
use crate::hidden::Tombstone;
use crate::layer::FileLayer;
use crate::limits::{
    FSCK_PROBLEMS_MAX, Options, PAYLOAD_REQUEST_BYTES_MAX, PAYLOAD_SERVICES_MAX, PAYLOADS_MAX,
};
use crate::payload::{NewPayload, bounds_of, services_of};
use crate::{Error, files};
use bytes::Bytes;
use catalog::PayloadRow;
use profile::labels::names::SERVICE;
use profile::{Labels, Profile};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stdx::Ulid;

pub(super) const DIR: &str = "payloads";

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    rows: Mutex<Rows>,
    /// Whoever holds this writes or removes files; locked before `rows`.
    files: Mutex<()>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: BTreeMap<Ulid, Held>,
    bytes: u64,
    /// Bytes by rule.
    by_rule: HashMap<usize, u64>,
    /// How many rows have each file.
    files: HashMap<String, usize>,
    /// Files that nothing has any more and that could not be removed yet.
    orphans: BTreeSet<String>,
    /// Whose profiles were acknowledged, which the catalog does not know yet.
    answered: Vec<Ulid>,
    /// Of which nothing was acknowledged, and how many flushes there had been by then. Their profiles
    /// may still stand in a log: until that is gone a restart could bring them back.
    doomed: Vec<(Ulid, u64)>,
}

#[derive(Clone, Debug)]
struct Held {
    row: Arc<PayloadRow>,
    /// The rule that keeps it; none where the rules have changed since.
    rule: Option<usize>,
}

impl Rows {
    fn insert(&mut self, row: Arc<PayloadRow>, rule: Option<usize>) {
        let id = row.id;
        if self.by_id.contains_key(&id) {
            return;
        }
        self.bytes += row.bytes;
        if let Some(rule) = rule {
            *self.by_rule.entry(rule).or_default() += row.bytes;
        }
        *self.files.entry(row.sha256.clone()).or_default() += 1;
        self.orphans.remove(&row.sha256);
        self.by_id.insert(id, Held { row, rule });
    }

    fn remove(&mut self, id: Ulid) {
        let Some(Held { row, rule }) = self.by_id.remove(&id) else { return };
        self.bytes = self.bytes.saturating_sub(row.bytes);
        if let Some(bytes) = rule.and_then(|rule| self.by_rule.get_mut(&rule)) {
            *bytes = bytes.saturating_sub(row.bytes);
        }
        let left = self.files.get_mut(&row.sha256).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            self.files.remove(&row.sha256);
            self.orphans.insert(row.sha256.clone());
        }
        self.answered.retain(|have| *have != id);
        self.doomed.retain(|(have, _)| *have != id);
    }

    /// The oldest that have to go so that one of so many bytes fits.
    fn victims(&self, rule: usize, bytes: u64, options: &Options) -> Vec<Ulid> {
        let rule_max = options.payload_rules.get(rule).map_or(0, |rule| rule.bytes_max);
        let of_rule = self.by_rule.get(&rule).copied().unwrap_or(0);
        let mut over_rule = (of_rule + bytes).saturating_sub(rule_max);
        let mut over = (self.bytes + bytes).saturating_sub(options.payload_bytes_max);
        let mut over_count = (self.by_id.len() + 1).saturating_sub(PAYLOADS_MAX);
        let mut victims = Vec::new();
        for (id, held) in &self.by_id {
            if over_rule == 0 && over == 0 && over_count == 0 {
                break;
            }
            let is_of_rule = held.rule == Some(rule);
            if over > 0 || over_count > 0 || (over_rule > 0 && is_of_rule) {
                victims.push(*id);
                over = over.saturating_sub(held.row.bytes);
                over_count = over_count.saturating_sub(1);
                if is_of_rule {
                    over_rule = over_rule.saturating_sub(held.row.bytes);
                }
            }
        }
        victims
    }
}

impl Payloads {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the catalog says. Files that it does not name are removed.
    pub(super) fn open(
        layer: &dyn FileLayer,
        options: &Options,
        all: Vec<PayloadRow>,
    ) -> Result<Self, Error> {
        let payloads = Self::default();
        let mut rows = payloads.rows();
        for row in all {
            let rule = rule_of(options, &row.tenant, &row.services);
            rows.insert(Arc::new(row), rule);
        }
        let mut is_changed = false;
        for name in layer.list(DIR).map_err(Error::io(format!("list {DIR}")))? {
            // What is not named like a payload is not ours to touch.
            if is_name(&name) && !rows.files.contains_key(&name) {
                let path = path(&name);
                layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
                is_changed = true;
            }
        }
        if is_changed {
            layer.sync_dir(DIR).map_err(Error::io(format!("sync {DIR}")))?;
        }
        drop(rows);
        Ok(payloads)
    }

    /// Number and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let rows = self.rows();
        (rows.by_id.len() as u64, rows.bytes)
    }

    /// All rows, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<PayloadRow>> {
        self.rows().by_id.values().map(|held| Arc::clone(&held.row)).collect()
    }

    fn has_any_of(&self, tenant: &str) -> bool {
        self.rows().by_id.values().any(|held| held.row.tenant == tenant)
    }
}

/// The first rule that names any of the services.
fn rule_of(options: &Options, tenant: &str, services: &[String]) -> Option<usize> {
    options.payload_rules.iter().position(|rule| rule.names(tenant, services))
}

/// The path of a body's file.
pub(super) fn path(sha256: &str) -> String {
    format!("{DIR}/{sha256}")
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Of a file's path, the hash of its contents.
pub(super) fn body_in(path: &str) -> Option<&str> {
    path.strip_prefix(DIR)?.strip_prefix('/').filter(|name| is_name(name))
}

/// The hash that names a body's file.
pub(super) fn hash(body: &[u8]) -> String {
    super::backup::hex(&Sha256::digest(body))
}

impl Inner {
    /// Writes a body's file, durable; one that is there already is written anew.
    pub(super) fn write_body(&self, sha256: &str, body: &[u8]) -> Result<(), Error> {
        let path = path(sha256);
        self.layer.remove_file(&path).map_err(Error::io(format!("replace {path}")))?;
        files::put(&*self.layer, DIR, &path, body)
    }

    /// Keeps an upload, when a rule says so and it fits. When this returns it is durable.
    fn keep_payload(
        &self,
        new: &NewPayload,
        (tenant, services): (&str, Vec<String>),
        (profiles, bounds): (u64, (i64, i64)),
    ) -> Result<Option<Ulid>, Error> {
        let options = &self.options;
        let Some(rule) = rule_of(options, tenant, &services) else { return Ok(None) };
        let bytes = new.body.len() as u64;
        let most = options.payload_rules.get(rule).map_or(0, |rule| rule.bytes_max);
        let beside = new.request.len() + services.iter().map(String::len).sum::<usize>();
        if bytes > most.min(options.payload_bytes_max)
            || beside > PAYLOAD_REQUEST_BYTES_MAX
            || services.len() > PAYLOAD_SERVICES_MAX
        {
            count(&self.counters.payloads_too_large, 1);
            return Ok(None);
        }
        let row = PayloadRow {
            id: self.new_id(),
            tenant: tenant.to_owned(),
            sha256: hash(&new.body),
            bytes,
            request: new.request.clone(),
            services,
            profiles,
            t_min_ns: bounds.0,
            t_max_ns: bounds.1,
            received_at: new.received_at,
            is_settled: false,
        };
        let _turn = self.payloads.files();
        let victims = self.payloads.rows().victims(rule, bytes, options);
        if !victims.is_empty() {
            self.remove_held(&victims)?;
            count(&self.counters.payloads_dropped, victims.len() as u64);
        }
        let is_new = !self.payloads.rows().files.contains_key(&row.sha256);
        if is_new {
            self.write_body(&row.sha256, &new.body).inspect_err(|error| self.space.note(error))?;
        }
        let commit = || {
            self.step("before the payload's commit")?;
            self.catalog.add_payloads(std::slice::from_ref(&row))?;
            self.step("after the payload's commit")
        };
        let (id, committed) = (row.id, commit());
        // Where it is not known whether the catalog has the row, the row is there to be removed.
        self.payloads.rows().insert(Arc::new(row), Some(rule));
        if let Err(error) = committed {
            self.doom(id);
            return Err(error);
        }
        count(&self.counters.payloads_kept, 1);
        Ok(Some(id))
    }

    /// Notes that nothing of a payload was acknowledged.
    fn doom(&self, id: Ulid) {
        let flushes = self.counters.flushes.load(Ordering::Relaxed);
        self.payloads.rows().doomed.push((id, flushes));
    }

    /// Removes payloads: the rows, then the files that no other row has. Returns how many there were.
    pub(super) fn remove_payloads(&self, ids: &[Ulid]) -> Result<usize, Error> {
        let _turn = self.payloads.files();
        let there: Vec<Ulid> = {
            let rows = self.payloads.rows();
            ids.iter().copied().filter(|id| rows.by_id.contains_key(id)).collect()
        };
        self.remove_held(&there)?;
        Ok(there.len())
    }

    /// As [`Self::remove_payloads`], for one who may change files.
    fn remove_held(&self, ids: &[Ulid]) -> Result<(), Error> {
        if !ids.is_empty() {
            self.step("before the payloads' removal")?;
            self.catalog.remove_payloads(ids)?;
            self.step("after the payloads' removal")?;
        }
        let orphans: Vec<String> = {
            let mut rows = self.payloads.rows();
            for id in ids {
                rows.remove(*id);
            }
            rows.orphans.iter().cloned().collect()
        };
        if orphans.is_empty() {
            return Ok(());
        }
        for sha256 in &orphans {
            let path = path(sha256);
            self.layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
        }
        self.layer.sync_dir(DIR).map_err(Error::io(format!("sync {DIR}")))?;
        self.payloads.rows().orphans.retain(|sha256| !orphans.contains(sha256));
        Ok(())
    }

    /// Adds what is wrong with the files.
    pub(super) fn check_payloads(&self, problems: &mut Vec<String>) -> Result<(), Error> {
        let _turn = self.payloads.files();
        let mut note = |what: String| {
            if problems.len() < FSCK_PROBLEMS_MAX {
                problems.push(what);
            }
        };
        let all = self.payloads.all();
        let listed: BTreeSet<Ulid> = self.catalog.payloads()?.iter().map(|row| row.id).collect();
        let known: BTreeSet<Ulid> = all.iter().map(|row| row.id).collect();
        for id in known.symmetric_difference(&listed) {
            note(format!("payload {id}: the catalog and the running store do not agree"));
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for row in all.iter().filter(|row| seen.insert(&row.sha256)) {
            match self.layer.read(&path(&row.sha256)) {
                Ok(body) if hash(&body) == row.sha256 && body.len() as u64 == row.bytes => {}
                Ok(body) => {
                    let id = row.id;
                    note(format!(
                        "payload {id}: {} bytes that are not those that came",
                        body.len()
                    ));
                }
                Err(error) => note(format!("payload {}: {error}", row.id)),
            }
        }
        for name in self.layer.list(DIR).map_err(Error::io(format!("list {DIR}")))? {
            if is_name(&name) && !seen.contains(name.as_str()) {
                note(format!("payload file {name}: the catalog does not name it"));
            }
        }
        Ok(())
    }

    /// Rows that came with a backup, whose files are there.
    pub(super) fn restored_payloads(&self, rows: Vec<PayloadRow>) -> Result<u64, Error> {
        let _turn = self.payloads.files();
        self.step("before the payloads' commit")?;
        self.catalog.add_payloads(&rows)?;
        let mut held = self.payloads.rows();
        let before = held.by_id.len();
        for row in rows {
            let rule = rule_of(&self.options, &row.tenant, &row.services);
            held.insert(Arc::new(row), rule);
        }
        Ok((held.by_id.len() - before) as u64)
    }

    /// Whether a row has the file already.
    pub(super) fn has_body(&self, sha256: &str) -> bool {
        self.payloads.rows().files.contains_key(sha256)
    }

    /// What was read again is known by other figures now.
    pub(super) fn update_payloads(&self, rows: &[PayloadRow]) {
        let mut held = self.payloads.rows();
        for row in rows {
            if let Some(held) = held.by_id.get_mut(&row.id) {
                held.row = Arc::new(row.clone());
            }
        }
    }
}

impl Store {
    /// Whether uploads of anybody are to be kept.
    pub fn keeps_payloads(&self) -> bool {
        !self.inner.options.payload_rules.is_empty()
    }

    /// As [`Store::append_once`]; the upload that the profiles came with is kept beside them when a
    /// rule asks for one of their services.
    pub async fn append_with(
        &self,
        tenant: &str,
        profiles: Vec<Profile>,
        payload: NewPayload,
    ) -> Result<Vec<append::Appended>, Error> {
        if profiles.is_empty() || !self.keeps_payloads() {
            return self.append_once(tenant, profiles).await;
        }
        append::check(tenant, &profiles)?;
        let inner = Arc::clone(&self.inner);
        inner.check_room()?;
        let of = (tenant.to_owned(), services_of(&profiles));
        let made = (profiles.len() as u64, bounds_of(&profiles));
        let keep = move || inner.keep_payload(&payload, (&of.0, of.1), made);
        let Some(id) = super::in_background(keep).await? else {
            return self.append_once(tenant, profiles).await;
        };
        let appended = self.append_group(tenant, profiles, true, Some(id)).await;
        // One that also holds a profile which came before would outlive the deletion of that.
        let is_new = matches!(&appended, Ok(rows) if rows.iter().all(|row| !row.is_repeat));
        if is_new {
            self.inner.payloads.rows().answered.push(id);
            return appended;
        }
        // Retention removes it, or what of it could not be removed here.
        self.inner.doom(id);
        if appended.is_ok() {
            let inner = Arc::clone(&self.inner);
            if let Err(error) = super::in_background(move || inner.remove_payloads(&[id])).await {
                tracing::warn!(%error, "a payload that nothing needs was not removed yet");
            }
        }
        appended
    }

    /// A tenant's payloads, oldest first.
    pub fn payloads(&self, tenant: &str) -> Vec<Arc<PayloadRow>> {
        let mut all = self.inner.payloads.all();
        all.retain(|row| row.tenant == tenant);
        all
    }

    /// A payload, when it is (still) kept. One that may hold what a deletion hides is not shown until
    /// the deletion is done.
    pub fn payload(&self, tenant: &str, id: Ulid) -> Option<Arc<PayloadRow>> {
        let row = self.inner.payloads.rows().by_id.get(&id).map(|held| Arc::clone(&held.row));
        let row = row.filter(|row| row.tenant == tenant)?;
        let of = |service: &String| [(SERVICE, service.as_str())].into_iter().collect();
        let labels: Vec<Labels> = row.services.iter().map(of).collect();
        let may_hold = |stone: &Arc<Tombstone>| {
            stone.touches(tenant, (row.t_min_ns, row.t_max_ns))
                && labels.iter().any(|labels| stone.may_name(labels, SERVICE))
        };
        let is_hidden = self.inner.state().tombstones.iter().any(may_hold);
        (!is_hidden).then_some(row)
    }

    /// The body of a payload, byte for byte as it came. Blocks.
    pub fn read_payload(&self, row: &PayloadRow) -> Result<Bytes, Error> {
        let path = path(&row.sha256);
        let body = self.inner.layer.read(&path).map_err(Error::io(format!("read {path}")))?;
        if hash(&body) == row.sha256 {
            return Ok(body);
        }
        Err(Error::corrupt(format!("{path}: its contents are not those that came")))
    }
}
