//! Symbols: addresses of a process or file to functions, files and lines.
