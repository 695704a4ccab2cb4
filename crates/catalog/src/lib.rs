//! What exists: segments and their state, in SQLite.
