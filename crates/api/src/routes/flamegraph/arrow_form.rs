//! A flame graph as an Arrow IPC stream of one batch.

use super::Flame;
use arrow::array::{
    ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt8Array, UInt16Array,
    UInt32Array,
};
use arrow::datatypes::{Field, Schema, UInt8Type, UInt32Type};
use arrow::error::ArrowError;
use arrow_ipc::writer::StreamWriter;
use std::collections::HashMap;
use std::sync::Arc;

/// Key of the schema's metadata under which the answer's meta is, as JSON.
const META_KEY: &str = "vesta";

/// The stream's bytes.
pub(super) fn encode(flame: &Flame) -> Result<Vec<u8>, ArrowError> {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("depth", Arc::new(UInt16Array::from(flame.depth.clone()))),
        ("name", dictionary(&flame.name, &flame.names)?),
        ("library", dictionary(&flame.library, &flame.libraries)?),
        ("file", dictionary(&flame.file, &flame.files)?),
        ("line", Arc::new(UInt32Array::from(flame.line.clone()))),
        ("total", Arc::new(Int64Array::from(flame.total.clone()))),
        ("self", Arc::new(Int64Array::from(flame.own.clone()))),
        ("class", classes(flame)?),
        ("flags", Arc::new(UInt8Array::from(flame.flags.clone()))),
    ];
    let meta = serde_json::to_string(&flame.meta)
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let fields =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false));
    let metadata = HashMap::from([(META_KEY.to_owned(), meta)]);
    let schema = Schema::new(fields.collect::<Vec<_>>()).with_metadata(metadata);
    let schema = Arc::new(schema);
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    writer.finish()?;
    writer.into_inner()
}

/// One byte a node: there are few classes.
fn classes(flame: &Flame) -> Result<ArrayRef, ArrowError> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(&flame.classes));
    let keys = UInt8Array::from(flame.class.clone());
    Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(keys, texts)?))
}

fn dictionary(keys: &[u32], texts: &[String]) -> Result<ArrayRef, ArrowError> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let keys = UInt32Array::from(keys.to_vec());
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, texts)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow_ipc::reader::StreamReader;

    #[test]
    fn the_stream_reads_back() {
        let flame = Flame {
            names: vec!["total".to_owned(), "main".to_owned()],
            libraries: vec![String::new()],
            files: vec![String::new()],
            depth: vec![0, 1],
            name: vec![0, 1],
            library: vec![0, 0],
            file: vec![0, 0],
            line: vec![0, 0],
            total: vec![7, 7],
            own: vec![0, 7],
            flags: vec![0, 2],
            classes: vec!["unknown".to_owned(), "own".to_owned()],
            class: vec![0, 1],
            ..Flame::default()
        };
        let bytes = encode(&flame).unwrap();
        let mut reader = StreamReader::try_new(&bytes[..], None).unwrap();
        let meta = &reader.schema().metadata["vesta"];
        assert!(serde_json::from_str::<serde_json::Value>(meta).unwrap()["type"].is_object());
        let batch = reader.next().unwrap().unwrap();
        let names = batch.column_by_name("name").unwrap().as_dictionary::<UInt32Type>();
        let names = names.downcast_dict::<StringArray>().unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [Some("total"), Some("main")]);
        let classes = batch.column_by_name("class").unwrap().as_dictionary::<UInt8Type>();
        let classes = classes.downcast_dict::<StringArray>().unwrap();
        assert_eq!(classes.into_iter().collect::<Vec<_>>(), [Some("unknown"), Some("own")]);
        assert!(reader.next().is_none());
    }
}
