//! Files that are durable, with their directory entries, when a call returns.

use crate::Error;
use crate::layer::FileLayer;
use std::io;

fn write(layer: &dyn FileLayer, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = layer.create(path)?;
    file.append(bytes)?;
    file.sync()
}

/// Puts a file into `dir`. What a failure leaves behind is removed when the store is opened, if not
/// here.
pub(crate) fn put(layer: &dyn FileLayer, dir: &str, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let written = write(layer, path, bytes).and_then(|()| layer.sync_dir(dir));
    if written.is_err() {
        let _ = layer.remove_file(path);
    }
    written.map_err(Error::io(format!("write {path}")))
}

/// Puts a directory of Parquet files, by name and contents, into `parent`.
pub(crate) fn put_tables(
    layer: &dyn FileLayer,
    parent: &str,
    dir: &str,
    files: &[(&'static str, Vec<u8>)],
) -> Result<(), Error> {
    layer.create_dir(dir).map_err(Error::io(format!("create {dir}")))?;
    for (name, bytes) in files {
        let path = format!("{dir}/{name}.parquet");
        write(layer, &path, bytes).map_err(Error::io(format!("write {path}")))?;
    }
    layer.sync_dir(dir).map_err(Error::io(format!("sync {dir}")))?;
    layer.sync_dir(parent).map_err(Error::io(format!("sync {parent}")))
}
