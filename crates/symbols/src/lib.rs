//! Symbols: addresses of a file or of generated code to functions, files and lines.
//!
//! [`ElfSymbols`] answers for ELF files with debug information, [`functions()`] and
//! [`ByAddress`] for others,
//! [`GoTable`] for Go programs (stripped ones too), [`PerfMap`] for code a runtime generated,
//! [`KernelSymbols`] for the kernel, [`names`] for files that are uploaded later. All names are
//! untrusted text: cut to a length, never interpreted.

mod by_address;
mod elf;
mod frame;
pub mod fuzz;
mod go;
mod kernel;
pub mod limits;
mod lines;
pub mod names;
mod perf_map;
mod table;
mod v8;

pub use by_address::ByAddress;
pub use elf::ElfSymbols;
pub use frame::Frame;
pub use go::{GoTable, is_go_root};
pub use kernel::KernelSymbols;
pub use lines::{Line, lines};
pub use perf_map::PerfMap;
pub use table::{Function, functions};
pub use v8::v8_function;
