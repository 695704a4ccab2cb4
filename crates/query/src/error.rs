//! Errors of the store and of DataFusion as errors of a view.

use datafusion_common::DataFusionError;
use std::error::Error;
use views::ViewError;

/// An error of the store.
pub(crate) fn store(error: store::Error) -> ViewError {
    ViewError::Store(chain(&error))
}

/// An error of a plan: out of memory is the question's, everything else the store's.
pub(crate) fn plan(error: DataFusionError) -> ViewError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => ViewError::TooLarge(
            "the answer needs more memory than one query may take (query_bytes_max): narrow the \
             range or the selector"
                .to_owned(),
        ),
        _ => ViewError::Store(chain(&error)),
    }
}

/// A column that is not what the format says.
pub(crate) fn column(name: &str) -> ViewError {
    ViewError::Store(format!("column {name} of the samples has another type than its format says"))
}

/// More groups than one query may have.
pub(crate) fn groups(most: usize) -> ViewError {
    ViewError::TooLarge(format!(
        "the answer has more than {most} groups, such as distinct stacks (groups_max): narrow the \
         range or the selector"
    ))
}

/// More dots than one answer may have.
pub(crate) fn dots(most: usize) -> ViewError {
    ViewError::TooLarge(format!(
        "the answer has more than {most} profiles, or spans in profiles (dots_max): narrow the \
         range or the selector"
    ))
}

/// A larger call tree than one query may have.
pub(crate) fn tree_nodes(most: usize) -> ViewError {
    ViewError::TooLarge(format!(
        "the call tree has more than {most} nodes (tree_nodes_max): narrow the range or the selector"
    ))
}

/// More rows than one query may look through.
pub(crate) fn rows(most: u64) -> ViewError {
    ViewError::TooLarge(format!(
        "more than {most} samples would have to be looked through (query_rows_max): narrow the range"
    ))
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors already say their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
