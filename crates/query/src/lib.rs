//! The views answered by DataFusion over the store.
