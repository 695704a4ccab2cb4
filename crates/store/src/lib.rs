//! Write-ahead log, memtable, Parquet segments, compaction and retention.
