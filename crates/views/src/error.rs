//! Why a question was not answered.

/// An error of a view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The question is malformed: says what and where.
    #[error("{0}")]
    Invalid(String),
    /// The profile type is not known in the selection.
    #[error("no profile type {0:?}: ask for the types that the selection has")]
    UnknownType(String),
    /// A limit was hit.
    #[error("{0}")]
    TooLarge(String),
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Store(String),
}
