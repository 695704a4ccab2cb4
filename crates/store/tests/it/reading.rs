//! Reading everything of a store as text, and what a profile should read like.

use arrow::array::{
    Array, BooleanArray, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{DataType, Int32Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profile::folded::stack_names;
use profile::{AttributeValue, AttributesId, LinkId, Profile, StackId, Tables, ThreadId};
use std::collections::BTreeMap;
use stdx::{TimeRange, Ulid};
use store::{FileLayer, Part, Samples, Store, TableSet};

/// Profiles by id: a line on the profile itself, then its samples as sorted lines. A profile that
/// is there twice has its lines twice.
pub(crate) type Contents = BTreeMap<Ulid, Vec<String>>;

struct Event<'a> {
    kind: &'a str,
    stack: StackId,
    ts_ms: i64,
    timed: bool,
    thread: Option<ThreadId>,
    link: Option<LinkId>,
    attributes: Option<AttributesId>,
    values: [i64; 4],
}

/// An event in words, with the tables of each of [`TableSet::ALL`].
fn line([names, threads, links, sets]: [&Tables; 4], event: &Event<'_>) -> String {
    let thread = event.thread.map(|id| {
        let row = threads.threads.get(id).expect("the part's thread");
        format!("{}/{}", row.id, threads.text(row.name))
    });
    let link = event.link.map(|id| *links.links.get(id).expect("the part's link"));
    let attributes = event.attributes.map(|id| {
        let set = sets.attributes.get(id).expect("the part's attributes");
        let mut set: Vec<String> = set
            .iter()
            .map(|row| match row.value {
                AttributeValue::Text(text) => {
                    format!("{}={}", sets.text(row.key), sets.text(text))
                }
                AttributeValue::Number(number, unit) => {
                    format!("{}={number} {}", sets.text(row.key), sets.text(unit))
                }
            })
            .collect();
        set.sort_unstable();
        set
    });
    format!(
        "{} {:?} {} {} {thread:?} {link:?} {attributes:?} {:?}",
        event.kind,
        stack_names(names, event.stack),
        event.ts_ms,
        event.timed,
        event.values
    )
}

fn head(
    service: Option<&str>,
    samples: u64,
    totals: &mut [(String, u64, [i64; 4])],
    client: &str,
) -> String {
    totals.sort_unstable();
    format!("profile {service:?} {samples} {totals:?} {client}")
}

/// How a profile should read.
pub(crate) fn expected(profile: &Profile) -> Vec<String> {
    let mut totals: Vec<(String, u64, [i64; 4])> = Vec::new();
    for (at, kind) in profile.kinds.iter().enumerate() {
        let at = profile::KindIndex(at as u32);
        let samples = profile.samples.iter().filter(|sample| sample.kind == at).count();
        totals.push((kind.id.to_string(), samples as u64, profile.totals(at)));
    }
    let service = profile.labels.get("service_name");
    let mut lines =
        vec![head(service, profile.samples.len() as u64, &mut totals, &profile.metadata.client)];
    lines.extend(profile.samples.iter().map(|sample| {
        let event = Event {
            kind: &profile.kinds[sample.kind.0 as usize].id,
            stack: sample.stack,
            ts_ms: profile.time_of(sample).millis(),
            timed: sample.time.is_some(),
            thread: sample.thread,
            link: sample.link,
            attributes: sample.attributes,
            values: sample.values,
        };
        line([&profile.tables; 4], &event)
    }));
    lines.sort_unstable();
    lines
}

/// Everything of a tenant.
pub(crate) async fn contents(store: &Store, layer: &dyn FileLayer, tenant: &str) -> Contents {
    try_contents(store, layer, tenant).await.expect("a store that reads")
}

/// Everything of a tenant, or why it cannot be read.
pub(crate) async fn try_contents(
    store: &Store,
    layer: &dyn FileLayer,
    tenant: &str,
) -> Result<Contents, String> {
    let mut contents = Contents::new();
    for part in store.snapshot(tenant, TimeRange::ALL).parts {
        add_part(&part, layer, &mut contents).await?;
    }
    for lines in contents.values_mut() {
        lines.sort_unstable();
    }
    Ok(contents)
}

/// A schema without the dictionary numbers that a file's schema carries.
fn shape(schema: &Schema) -> Vec<(&str, &DataType, bool)> {
    let fields = schema.fields().iter();
    fields.map(|field| (field.name().as_str(), field.data_type(), field.is_nullable())).collect()
}

/// The samples of a part in batches.
pub(crate) fn batches(part: &Part, layer: &dyn FileLayer) -> Vec<RecordBatch> {
    try_batches(part, layer).expect("samples that read")
}

fn try_batches(part: &Part, layer: &dyn FileLayer) -> Result<Vec<RecordBatch>, String> {
    match part.samples() {
        Samples::Memory(batches) => Ok(batches),
        Samples::Parquet { path, rows, size } => {
            let file = layer.read(path.as_ref()).map_err(|error| error.to_string())?;
            if file.len() as u64 != size {
                return Err(format!("{} of {size} bytes", file.len()));
            }
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
            assert_eq!(reader.metadata().file_metadata().num_rows() as u64, rows);
            assert_eq!(shape(reader.schema()), shape(&store::schema::samples()));
            let batches = reader.build().expect("a reader").map(|batch| batch.expect("a batch"));
            Ok(batches.collect())
        }
    }
}

pub(crate) fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> &'a A {
    let column = batch.column_by_name(name).expect("a column of the schema");
    column.as_any().downcast_ref().expect("its type")
}

pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str, at: usize) -> Option<&'a str> {
    let column: &DictionaryArray<Int32Type> = column(batch, name);
    let values: &StringArray = column.values().as_any().downcast_ref().expect("text");
    column.key(at).map(|key| values.value(key))
}

async fn add_part(
    part: &Part,
    layer: &dyn FileLayer,
    contents: &mut Contents,
) -> Result<(), String> {
    let read = async |set| part.tables(set).await.map_err(|error| error.to_string());
    let [names, threads, links, attributes] = TableSet::ALL;
    let tables =
        [read(names).await?, read(threads).await?, read(links).await?, read(attributes).await?];
    let profiles = part.profiles().await.map_err(|error| error.to_string())?;
    for (at, row) in profiles.iter().enumerate() {
        assert_eq!(row.ordinal as usize, at);
        if row.is_hidden() {
            continue;
        }
        let mut totals: Vec<_> = row
            .kinds
            .iter()
            .map(|kind| (kind.kind.to_string(), kind.samples, kind.totals))
            .collect();
        let head =
            head(row.labels.get("service_name"), row.samples, &mut totals, &row.metadata.client);
        contents.entry(row.id).or_default().push(head);
    }
    for batch in try_batches(part, layer)? {
        let value = |name, at| {
            let column: &Int64Array = column(&batch, name);
            if column.is_null(at) { 0 } else { column.value(at) }
        };
        let ordinal = |name, at| {
            let column: &UInt32Array = column(&batch, name);
            column.is_valid(at).then(|| column.value(at))
        };
        for at in 0..batch.num_rows() {
            let profile = &profiles[ordinal("profile", at).expect("never null") as usize];
            assert_eq!(ordinal("series", at), Some(profile.series));
            if profile.is_hidden() {
                continue;
            }
            assert_eq!(
                text(&batch, "service", at),
                Some(profile.labels.get("service_name").unwrap_or(""))
            );
            assert_eq!(text(&batch, "env", at), profile.labels.get("env"));
            let event = Event {
                kind: text(&batch, "kind", at).expect("never null"),
                stack: StackId(ordinal("stack", at).expect("never null")),
                ts_ms: value("ts_ms", at),
                timed: column::<BooleanArray>(&batch, "timed").value(at),
                thread: ordinal("thread", at).map(ThreadId),
                link: ordinal("link", at).map(LinkId),
                attributes: ordinal("attributes", at).map(AttributesId),
                values: ["v0", "v1", "v2", "v3"].map(|name| value(name, at)),
            };
            contents
                .entry(profile.id)
                .or_default()
                .push(line(tables.each_ref().map(|one| &**one), &event));
        }
    }
    Ok(())
}
