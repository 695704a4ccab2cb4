//! `/export`: slow because it writes the catalogue to a file in small pieces, syncs it, and reads
//! it back byte by byte to check it before throwing it away.

use crate::catalogue::Product;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// Writes the products as lines, checks what was written; returns the file's checksum.
#[inline(never)]
pub(crate) fn export_catalogue(products: &[Product], path: &Path) -> std::io::Result<u32> {
    let written = write_lines(products, path)?;
    let read = checksum_file(path)?;
    std::fs::remove_file(path)?;
    if written == read {
        Ok(read)
    } else {
        Err(std::io::Error::other("export differs from catalogue"))
    }
}

/// One system call a product, because nothing buffers.
#[inline(never)]
fn write_lines(products: &[Product], path: &Path) -> std::io::Result<u32> {
    let mut file = File::create(path)?;
    let mut checksum = 0;
    for product in products {
        let line = format!("{};{};{}\n", product.id, product.name, product.price_cents);
        file.write_all(line.as_bytes())?;
        checksum = line.bytes().fold(checksum, add_to_checksum);
    }
    file.sync_data()?;
    Ok(checksum)
}

#[inline(never)]
fn checksum_file(path: &Path) -> std::io::Result<u32> {
    let mut checksum = 0;
    for byte in BufReader::with_capacity(512, File::open(path)?).bytes() {
        checksum = add_to_checksum(checksum, byte?);
    }
    Ok(checksum)
}

/// Adler-like, one byte at a time.
fn add_to_checksum(checksum: u32, byte: u8) -> u32 {
    checksum.rotate_left(5).wrapping_add(u32::from(byte))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_holds_a_line_a_product() {
        let goods = crate::catalogue::make(1);
        let path = std::env::temp_dir().join(format!("vesta-shop-test-{}.csv", std::process::id()));
        let written = super::write_lines(&goods[..5], &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.starts_with("0;"));
        assert_eq!(super::export_catalogue(&goods[..5], &path).unwrap(), written);
        assert!(!path.exists());
    }
}
