//! Pins, and what retention has done and will do.

use super::{Inner, Store};
use crate::Error;
use crate::limits::{PIN_NAME_BYTES_MAX, PINS_MAX};
use crate::rules::{RetentionRule, is_useful};
use catalog::{Dropped, Pin};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use stdx::{TimeRange, Timestamp};

/// What a tenant has on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantUsage {
    /// Its name.
    pub tenant: String,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Profiles in them.
    pub profiles: u64,
    /// First and last time in them, in nanoseconds; `None` without segments.
    pub bounds: Option<(i64, i64)>,
}

/// What is kept, why, and what was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionStatus {
    /// How long what no rule names is kept.
    pub retention: Duration,
    /// Rules.
    pub rules: Vec<RetentionRule>,
    /// Bytes that segments and logs may take together.
    pub budget_bytes: Option<u64>,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Bytes of logs.
    pub wal_bytes: u64,
    /// Bytes free on the disk, where the layer knows.
    pub free_bytes: Option<u64>,
    /// By tenant, sorted by name.
    pub tenants: Vec<TenantUsage>,
    /// What was dropped lately, newest first.
    pub drops: Vec<Dropped>,
}

impl Inner {
    /// Pins as of now.
    pub(super) fn pins(&self) -> Arc<Vec<Pin>> {
        Arc::clone(&self.pins.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn load_pins(&self) -> Result<(), Error> {
        let pins = Arc::new(self.catalog.pins()?);
        *self.pins.lock().unwrap_or_else(PoisonError::into_inner) = pins;
        Ok(())
    }
}

fn check(name: &str, service: &str, range: TimeRange) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid { what });
    let is_printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_printable(name) || name.len() > PIN_NAME_BYTES_MAX {
        return invalid(format!("a pin's name has 1 to {PIN_NAME_BYTES_MAX} printable bytes"));
    }
    if service.is_empty() {
        return invalid("a pin is of a service: name it".to_owned());
    }
    if !is_useful(range) {
        return invalid("a pin's range is empty: its start must be before its end".to_owned());
    }
    Ok(())
}

impl Store {
    /// Keeps a range of a service beyond retention and disk budget, until the pin is removed.
    /// Profiles with any time in the range are kept whole.
    pub async fn pin(
        &self,
        tenant: &str,
        name: &str,
        service: &str,
        range: TimeRange,
    ) -> Result<Pin, Error> {
        check(name, service, range)?;
        let inner = Arc::clone(&self.inner);
        let pin = Pin {
            id: inner.new_id(),
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            service: service.to_owned(),
            range,
            created_at: inner.clock.now(),
        };
        let turn = Arc::clone(&inner.keeping).lock_owned().await;
        super::in_background(move || {
            let _turn = turn;
            if inner.pins().iter().filter(|have| have.tenant == pin.tenant).count() >= PINS_MAX {
                let what = format!("there are {PINS_MAX} pins already: remove one first");
                return Err(Error::Invalid { what });
            }
            inner.step("before the pin's commit")?;
            let is_added = inner.catalog.add_pin(&pin)?;
            inner.step("after the pin's commit")?;
            inner.load_pins()?;
            if is_added {
                return Ok(pin);
            }
            let what = format!("there is another pin named {:?}: choose another name", pin.name);
            Err(Error::Invalid { what })
        })
        .await
    }

    /// Removes a pin; `false` when there is none of this name.
    pub async fn unpin(&self, tenant: &str, name: &str) -> Result<bool, Error> {
        let inner = Arc::clone(&self.inner);
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        let turn = Arc::clone(&inner.keeping).lock_owned().await;
        super::in_background(move || {
            let _turn = turn;
            let removed = inner.catalog.remove_pin(&tenant, &name)?;
            inner.load_pins()?;
            Ok(removed)
        })
        .await
    }

    /// A tenant's pins, oldest first.
    pub fn pins(&self, tenant: &str) -> Vec<Pin> {
        let pins = self.inner.pins();
        pins.iter().filter(|pin| pin.tenant == tenant).cloned().collect()
    }

    /// What is kept, why, and what was dropped lately.
    pub async fn retention_status(&self) -> Result<RetentionStatus, Error> {
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            let drops = inner.catalog.drops()?;
            let mut tenants: BTreeMap<String, TenantUsage> = BTreeMap::new();
            let segments = inner.state().all_segments();
            for segment in &segments {
                let row = &segment.row;
                let usage = tenants.entry(row.tenant.clone()).or_default();
                usage.tenant.clone_from(&row.tenant);
                usage.bytes += row.bytes;
                usage.segments += 1;
                usage.profiles += segment.index.profiles;
                let (first, last) = usage.bounds.unwrap_or((i64::MAX, i64::MIN));
                usage.bounds = Some((first.min(row.t_min_ns), last.max(row.t_max_ns)));
            }
            Ok(RetentionStatus {
                retention: inner.options.retention,
                rules: inner.options.retention_rules.clone(),
                budget_bytes: inner.options.disk_budget_bytes,
                segment_bytes: segments.iter().map(|segment| segment.row.bytes).sum(),
                wal_bytes: inner.counters.wal_bytes.load(Ordering::Relaxed),
                free_bytes: inner.layer.free_bytes().ok().flatten(),
                tenants: tenants.into_values().collect(),
                drops,
            })
        })
        .await
    }

    /// When the profiles on disk begin, over all tenants.
    pub fn oldest(&self) -> Option<Timestamp> {
        let state = self.inner.state();
        let oldest = state.segments.iter().map(|segment| segment.row.t_min_ns).min();
        oldest.map(Timestamp::from_nanos)
    }
}
