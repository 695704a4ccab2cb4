//! The orphan sweep, when a store is opened: folders of segments that the catalog does not name.
//!
//! A segment whose flush was cut off has no row; its profiles are still in the log. But a catalog that
//! was copied without its `-wal` file, or restored from an older copy, does not name segments that
//! were committed, and then their folders are all there is. So nothing unknown is deleted at once:
//! it is moved to [`TRASH`], from where it is deleted when the catalog has been used for long enough
//! after. More than a flush can explain is not touched at all, and said so.

use super::{Counters, count};
use crate::Error;
use crate::layer::FileLayer;
use crate::limits::ORPHANS_MAX;
use crate::rollup;
use crate::segment::{self, Segment};
use catalog::Catalog;
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::Ulid;

/// Where folders go that the catalog does not name.
pub(crate) const TRASH: &str = "trash";

/// Removes the files of retired segments, and moves aside those of segments that were never
/// committed.
pub(super) fn run(
    layer: &dyn FileLayer,
    catalog: &Catalog,
    live: &[Arc<Segment>],
    counters: &Counters,
) -> Result<(), Error> {
    let retired: BTreeSet<Ulid> = catalog.retired()?.into_iter().collect();
    let live: BTreeSet<Ulid> = live.iter().map(|segment| segment.id).collect();
    let names = layer.list(segment::DIR).map_err(Error::io("list segments"))?;
    // What is not named like a segment is not ours to touch.
    let ids: Vec<Ulid> = names.iter().filter_map(|name| Ulid::from_string(name).ok()).collect();
    let unknown = |id: &&Ulid| !live.contains(id) && !retired.contains(id);
    let orphans: Vec<Ulid> = ids.iter().filter(unknown).copied().collect();
    if orphans.len() > ORPHANS_MAX {
        tracing::error!(
            folders = orphans.len(),
            "the catalog does not name these folders of segments: was catalog.sqlite copied without \
             catalog.sqlite-wal? They are left where they are; `vesta admin fsck` lists them"
        );
        count(&counters.orphans_left, orphans.len() as u64);
    } else {
        move_aside(layer, &orphans, counters)?;
    }
    for id in ids.iter().filter(|id| retired.contains(id)) {
        let dir = segment::dir(*id);
        layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
    }
    layer.sync_dir(segment::DIR).map_err(Error::io("sync segments"))?;
    layer.step("forget retired segments").map_err(Error::io("forget retired segments"))?;
    let retired: Vec<Ulid> = retired.into_iter().collect();
    Ok(catalog.forget(&retired)?)
}

/// The same for rollups; what is left of one that was cut off can be made again.
pub(super) fn rollups(
    layer: &dyn FileLayer,
    catalog: &Catalog,
    live: &BTreeSet<Ulid>,
) -> Result<(), Error> {
    let names = layer.list(rollup::DIR).map_err(Error::io("list rollups"))?;
    let ids: Vec<Ulid> = names.iter().filter_map(|name| Ulid::from_string(name).ok()).collect();
    let retired = catalog.retired_rollups()?;
    let unknown = ids.iter().filter(|id| !live.contains(id) && !retired.contains(id));
    let unknown: Vec<Ulid> = unknown.copied().collect();
    if unknown.len() > ORPHANS_MAX {
        tracing::error!(
            folders = unknown.len(),
            "the catalog does not name these folders of rollups; they are left where they are"
        );
    } else if !unknown.is_empty() {
        layer.create_dir(TRASH).map_err(Error::io("create the trash"))?;
        layer.sync_dir("").map_err(Error::io("sync the data directory"))?;
        for id in &unknown {
            let (from, to) = (rollup::dir(*id), format!("{TRASH}/{id}"));
            layer.remove_dir(&to).map_err(Error::io(format!("remove {to}")))?;
            layer.rename(&from, &to).map_err(Error::io(format!("move {from} to {to}")))?;
        }
        layer.sync_dir(TRASH).map_err(Error::io("sync the trash"))?;
    }
    for id in ids.iter().filter(|id| retired.contains(id)) {
        let dir = rollup::dir(*id);
        layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
    }
    layer.sync_dir(rollup::DIR).map_err(Error::io("sync rollups"))?;
    layer.step("forget retired rollups").map_err(Error::io("forget retired rollups"))?;
    Ok(catalog.forget_rollups(&retired)?)
}

fn move_aside(layer: &dyn FileLayer, orphans: &[Ulid], counters: &Counters) -> Result<(), Error> {
    if orphans.is_empty() {
        return Ok(());
    }
    layer.create_dir(TRASH).map_err(Error::io("create the trash"))?;
    layer.sync_dir("").map_err(Error::io("sync the data directory"))?;
    for id in orphans {
        let (from, to) = (segment::dir(*id), format!("{TRASH}/{id}"));
        // One that was moved before a power cut and came back.
        layer.remove_dir(&to).map_err(Error::io(format!("remove {to}")))?;
        layer.rename(&from, &to).map_err(Error::io(format!("move {from} to {to}")))?;
        tracing::warn!(%id, "moved a folder that the catalog does not name to {TRASH}");
        count(&counters.orphans_removed, 1);
    }
    layer.sync_dir(TRASH).map_err(Error::io("sync the trash"))
}

/// Deletes what has been in the trash for long; ids begin with the time of their making.
pub(super) fn empty_trash(layer: &dyn FileLayer, older_than_ms: u64) -> Result<usize, Error> {
    let names = layer.list(TRASH).map_err(Error::io("list the trash"))?;
    let ids = names.iter().filter_map(|name| Ulid::from_string(name).ok());
    let mut removed = 0;
    for id in ids.filter(|id| id.timestamp_ms() < older_than_ms) {
        let dir = format!("{TRASH}/{id}");
        layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
        removed += 1;
    }
    if removed > 0 {
        layer.sync_dir(TRASH).map_err(Error::io("sync the trash"))?;
    }
    Ok(removed)
}
