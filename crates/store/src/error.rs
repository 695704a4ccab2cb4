//! What can go wrong in the store, by what the caller should do.

use std::io;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No room now: try again later.
    Full,
    /// The disk is full: somebody has to make room.
    DiskFull,
    /// The request itself is wrong: do not repeat it.
    Invalid,
    /// The machine failed.
    Io,
    /// Stored bytes are damaged.
    Corrupt,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room for an append.
    #[error("the store is full ({what}); try again in a few seconds")]
    Full {
        /// What has no room.
        what: String,
    },
    /// No room on the disk.
    #[error(
        "the disk is full ({what}): make room on it, or keep less (--retention-days, --disk-budget)"
    )]
    DiskFull {
        /// What is known.
        what: String,
    },
    /// A request beyond a limit.
    #[error("the store refuses this: {what}")]
    Invalid {
        /// What is wrong.
        what: String,
    },
    /// A file operation failed.
    #[error("file operation failed: {what}")]
    Io {
        /// Which operation.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Damaged files.
    #[error("damaged store file: {what}; restore it or delete the segment")]
    Corrupt {
        /// What and where.
        what: String,
    },
    /// The catalog failed.
    #[error("the catalog failed")]
    Catalog(#[from] catalog::Error),
    /// Parquet could not be written or read.
    #[error("parquet failed")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow arrays could not be built.
    #[error("arrow failed")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            _ if self.is_disk_full() => ErrorKind::DiskFull,
            Self::Full { .. } => ErrorKind::Full,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::DiskFull { .. } => ErrorKind::DiskFull,
            Self::Io { .. } | Self::Catalog(_) => ErrorKind::Io,
            Self::Corrupt { .. } | Self::Parquet(_) | Self::Arrow(_) => ErrorKind::Corrupt,
        }
    }

    /// Whether the disk has no room.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Catalog(error) => error.is_disk_full(),
            _ => false,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// The same failure for another waiter of the same group commit.
    pub(crate) fn for_waiter(&self) -> Self {
        match self {
            Self::Io { what, source } => Self::Io {
                what: what.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::Io { what: other.to_string(), source: io::Error::other("group commit") },
        }
    }
}
