//! A file of a segment that is read a piece at a time.

use crate::layer::FileLayer;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes read at a time where it is not known how many are wanted: a page's header.
const HEADER_BYTES: u64 = 512;

/// A file of known length.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    pub(super) layer: Arc<dyn FileLayer>,
    pub(super) path: String,
    pub(super) length: u64,
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pieces {
    type T = From;

    fn get_read(&self, start: u64) -> Result<From> {
        Ok(From { file: self.clone(), at: start, ahead: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(length as u64);
        let bytes = self.layer.read_range(&self.path, start..end);
        let bytes = bytes.map_err(|error| ParquetError::External(Box::new(error)))?;
        if bytes.len() != length {
            return Err(ParquetError::EOF(format!("{} was read in part", self.path)));
        }
        Ok(bytes)
    }
}

/// Reads on from a place in a file.
#[derive(Debug)]
pub(crate) struct From {
    file: Pieces,
    at: u64,
    ahead: Bytes,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let end = self.at.saturating_add(HEADER_BYTES).min(self.file.length);
            if self.at >= end {
                return Ok(0);
            }
            self.ahead = self.file.layer.read_range(&self.file.path, self.at..end)?;
            self.at = end;
        }
        let count = buffer.len().min(self.ahead.len());
        buffer[..count].copy_from_slice(&self.ahead.split_to(count));
        Ok(count)
    }
}
