//! Sums that are not trees: by place of a function, and by thread or attribute.

use crate::error;
use crate::plan::{Group, Sum};
use crate::scan::Scanner;
use crate::select::Found;
use profile::{AttributesId, ThreadId};
use rustc_hash::FxHashMap;
use store::TableSet;
use views::groups::{KeySums, attribute_key, thread_key};
use views::usage::UsageSums;
use views::{GroupBy, GroupQuery, GroupTable, Usage, UsageQuery, ViewError};

/// Where a function costs what; the filter already asks for it.
pub(crate) async fn usage(
    mut found: Found,
    query: &UsageQuery,
    scanner: &Scanner,
) -> Result<Usage, ViewError> {
    let answers = found.stack_sums(Group::StackSeries, scanner).await?;
    let mut sums = UsageSums::default();
    let mut places: FxHashMap<(usize, u32), (u32, Option<u64>)> = FxHashMap::default();
    for (key, (labels, profiles)) in found.series() {
        let place = sums.place(labels.get(&query.by).unwrap_or(""));
        places.insert(key, (place, profiles));
    }
    for (part, cells) in answers {
        let tables =
            found.selected.parts[part].part.tables(TableSet::Names).await.map_err(error::store)?;
        let values = cells.iter().filter_map(|cell| {
            let (place, profiles) = *places.get(&(part, cell.key.1))?;
            Some((cell.stack(), place, profiles, cell.value))
        });
        sums.add_stacks(found.names.over(&tables), values);
    }
    Ok(sums.finish(query, found.meta))
}

/// The table by thread or attribute.
pub(crate) async fn key_sums(
    mut found: Found,
    query: &GroupQuery,
    scanner: &Scanner,
) -> Result<GroupTable, ViewError> {
    let (column, set) = match query.by {
        GroupBy::Thread => ("thread", TableSet::Threads),
        GroupBy::Attribute(_) => ("attributes", TableSet::Attributes),
        // These have one key only: any column of few values, and tables that are not looked into.
        _ => ("series", TableSet::Threads),
    };
    let is_gauge = found.profile_type.is_gauge();
    let group = if is_gauge { Group::ColumnSeries(column) } else { Group::Column(column) };
    let sum = Sum::ValueAndRows(found.profile_type.measure_index);
    let jobs = found.kept_jobs(&found.contributors, false);
    let answers = scanner.sums(jobs, group, sum).await?;
    // With or without a filter: what is in the table.
    found.meta.samples = answers.iter().map(|(_, cells)| cells.rows()).sum();
    let series = found.series();
    let mut sums = KeySums::default();
    for (part, cells) in answers {
        let tables = found.selected.parts[part].part.tables(set).await.map_err(error::store)?;
        let mut keys: FxHashMap<u32, String> = FxHashMap::default();
        for cell in cells.iter() {
            let ordinal = cell.ordinal();
            let key = keys.entry(ordinal).or_insert_with(|| match &query.by {
                GroupBy::Thread => thread_key(&tables, Some(ThreadId(ordinal))),
                GroupBy::Attribute(name) => {
                    attribute_key(&tables, Some(AttributesId(ordinal)), name)
                }
                _ => String::new(),
            });
            let of_series = series.get(&(part, cell.key.1)).filter(|_| is_gauge);
            sums.add(key, of_series.and_then(|(_, profiles)| *profiles), cell.value);
        }
    }
    Ok(sums.finish(query, found.meta))
}
