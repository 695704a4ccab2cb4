//! Foreign profile formats from and to the data model, sans-IO and total.
