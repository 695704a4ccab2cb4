//! Tests across formats.
