//! What fuzz targets call: everything reachable from the bytes of an uploaded file.

use crate::names::{NameTable, Place, read};

/// Reads bytes as a file and as a table of names.
pub fn names(bytes: &[u8]) {
    let places = [0, 0x1200, u64::MAX].map(|address| Place { address, ..Place::default() });
    if let Ok(names) = read(&bytes, &|| false) {
        let table = names.table.encode().expect("memory is enough");
        assert_eq!(NameTable::decode(&table).as_ref(), Ok(&names.table));
        for place in places {
            names.table.find(place);
        }
    }
    if let Ok(table) = NameTable::decode(bytes) {
        for place in places {
            table.find(place);
        }
    }
}
