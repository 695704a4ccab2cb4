//! User-space unwinding of sampled stacks.
//!
//! A [`Module`] is an ELF file's code and unwind tables, shared between all processes that map it.
//! A [`Space`] is one process's view: which module lies where. [`Unwinder`] walks a copied stack
//! with call frame information where a module has it and with frame pointers where code has none
//! (JIT-compiled code), and says whether the walk reached the stack's root.
#![allow(unsafe_code, reason = "mapping files into memory")]

pub mod limits;
mod module;
mod space;
mod walk;

pub use module::{Error, Module, Segment};
pub use space::Space;
pub use walk::{Outcome, StackCopy, Unwinder};
