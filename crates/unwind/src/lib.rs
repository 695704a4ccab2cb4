//! User-space unwinding of sampled stacks.
//!
//! A [`Module`] is an ELF file's code and unwind tables, shared between all processes that map it.
//! [`Unwinder`] walks a copied stack with call frame information where a module has it and with
//! frame pointers where code has none (JIT-compiled code), and says whether the walk reached the
//! stack's root. It asks its caller which module lies at an address, and looks rules up by the
//! address in the file: what was learnt of a library in one process serves all others.
#![allow(unsafe_code, reason = "mapping files into memory")]

pub mod limits;
mod module;
mod walk;

pub use module::{Error, Module, Segment};
pub use walk::{Outcome, Placed, StackCopy, Unwinder};
