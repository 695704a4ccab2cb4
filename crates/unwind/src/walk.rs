//! Walking a copied stack.

use crate::limits;
use crate::module::{Module, Tables};
use framehop::x86_64::{CacheX86_64, Reg, UnwindRegsX86_64};
use framehop::{FrameAddress, Unwinder as _};
use std::sync::Arc;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At the root of the stack.
    Complete,
    /// Before it: unwind information or stack bytes were missing.
    Truncated,
}

/// Registers and the top of the stack of a sampled thread.
#[derive(Clone, Copy, Debug)]
pub struct StackCopy<'a> {
    /// AX BX CX DX SI DI BP SP IP, then R8 to R15.
    pub registers: &'a [u64; 17],
    /// Bytes from the stack pointer upwards.
    pub stack: &'a [u8],
}

/// Places in [`StackCopy::registers`].
const BP: usize = 6;
const SP: usize = 7;
const IP: usize = 8;

const REGISTERS: [Reg; 17] = [
    Reg::RAX,
    Reg::RBX,
    Reg::RCX,
    Reg::RDX,
    Reg::RSI,
    Reg::RDI,
    Reg::RBP,
    Reg::RSP,
    // Place of the instruction pointer, set apart.
    Reg::RSP,
    Reg::R8,
    Reg::R9,
    Reg::R10,
    Reg::R11,
    Reg::R12,
    Reg::R13,
    Reg::R14,
    Reg::R15,
];

/// A module in a process.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The module.
    pub module: Arc<Module>,
    /// From [`Module::bias`].
    pub bias: u64,
}

/// Walks stacks of any process; keeps the rules it found.
pub struct Unwinder {
    caches: Vec<CacheX86_64>,
    /// For code that no module holds: rules by frame pointer only.
    bare: Tables,
    modules: u32,
}

impl std::fmt::Debug for Unwinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unwinder").finish_non_exhaustive()
    }
}

impl Default for Unwinder {
    fn default() -> Self {
        let caches = std::iter::repeat_with(CacheX86_64::new).take(limits::CACHES).collect();
        Self { caches, bare: Tables::new(), modules: 0 }
    }
}

/// Spreads neighbouring addresses over all caches, independently of their place within one.
fn cache_of(address: u64) -> usize {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % limits::CACHES
}

/// Reads the words of the copied stack.
fn reader(copy: StackCopy<'_>) -> impl FnMut(u64) -> Result<u64, ()> + '_ {
    let sp = copy.registers[SP];
    move |address| {
        let at = usize::try_from(address.checked_sub(sp).ok_or(())?).map_err(|_| ())?;
        let word = copy.stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
        Ok(u64::from_le_bytes(word.try_into().map_err(|_| ())?))
    }
}

impl Unwinder {
    /// One with empty caches.
    pub fn new() -> Self {
        Self::default()
    }

    /// To be told from time to time how many modules were opened so far: starts the caches anew
    /// before framehop's numbers for modules could repeat.
    pub fn note_modules(&mut self, opened: u32) {
        if opened.wrapping_sub(self.modules) >= limits::MODULES_PER_CACHE_MAX {
            *self = Self { modules: opened, ..Self::default() };
        }
    }

    /// Walks the stack and appends the addresses of its frames, leaf first: the instruction
    /// pointer, then return addresses less one, so that each lies inside its call. `find` says
    /// which module holds an address.
    pub fn walk(
        &mut self,
        copy: StackCopy<'_>,
        mut find: impl FnMut(u64) -> Option<Placed>,
        frames: &mut Vec<u64>,
    ) -> Outcome {
        let mut registers = registers(copy);
        let mut read = reader(copy);
        let mut address = FrameAddress::InstructionPointer(copy.registers[IP]);
        for depth in 1..=limits::FRAMES_MAX {
            let inside = address.address_for_lookup();
            frames.push(inside);
            let placed = find(inside);
            let (tables, bias) =
                placed.as_ref().map_or((&self.bare, 0), |it| (it.module.tables(), it.bias));
            let Some(stated) = less(address, bias) else { return Outcome::Truncated };
            let cache = &mut self.caches[cache_of(stated.address_for_lookup())];
            let next = tables.unwind_frame(stated, &mut registers, cache, &mut read);
            let root = match next {
                Ok(Some(next)) => match FrameAddress::from_return_address(next) {
                    Some(next) => {
                        address = next;
                        continue;
                    }
                    None => true,
                },
                Ok(None) => return Outcome::Complete,
                Err(error) => error == framehop::Error::ReturnAddressIsNull,
            };
            // Thread starts without their own rule end at a zero; only believed where real tables
            // led there.
            let has_tables = placed.is_some_and(|it| it.module.has_tables());
            return if root && depth > 1 && has_tables {
                Outcome::Complete
            } else {
                Outcome::Truncated
            };
        }
        Outcome::Truncated
    }
}

fn registers(copy: StackCopy<'_>) -> UnwindRegsX86_64 {
    let [.., _] = copy.registers;
    let mut registers =
        UnwindRegsX86_64::new(copy.registers[IP], copy.registers[SP], copy.registers[BP]);
    for (at, (register, value)) in REGISTERS.iter().zip(copy.registers).enumerate() {
        if at != IP {
            registers.set(*register, *value);
        }
    }
    registers
}

/// The address as the file states it.
fn less(address: FrameAddress, bias: u64) -> Option<FrameAddress> {
    match address {
        FrameAddress::InstructionPointer(it) => {
            Some(FrameAddress::InstructionPointer(it.wrapping_sub(bias)))
        }
        FrameAddress::ReturnAddress(it) => {
            FrameAddress::from_return_address(it.get().wrapping_sub(bias))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_module() -> Arc<Module> {
        let file = std::fs::File::open("/proc/self/exe").expect("readable");
        Arc::new(Module::from_file(&file).expect("an ELF file"))
    }

    /// A stack of frame pointers through code without a module, ended by a zero.
    fn frame_pointer_stack() -> Vec<u8> {
        let words: [u64; 6] = [0x7000_0010, 0xa001, 0x7000_0020, 0xb001, 0, 0];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn code_without_a_module_is_walked_by_frame_pointer() {
        let mut registers = [0; 17];
        (registers[6], registers[7], registers[8]) = (0x7000_0000, 0x7000_0000, 0x9000);
        let stack = frame_pointer_stack();
        let mut frames = Vec::new();
        let copy = StackCopy { registers: &registers, stack: &stack };
        let outcome = Unwinder::new().walk(copy, |_| None, &mut frames);
        assert_eq!(outcome, Outcome::Complete, "a frame pointer of zero is the root's");
        assert_eq!(frames[..3], [0x9000, 0xa000, 0xb000]);
    }

    #[test]
    fn arbitrary_registers_and_stacks_end_in_bounds() {
        let module = own_module();
        let segment = module.segments()[0];
        let base = 0x5555_0000_0000;
        let bias = module.bias(base, segment.offset & !0xfff).expect("code");
        let placed = Placed { module: module.clone(), bias };
        let code = base..base + segment.size;
        let mut unwinder = Unwinder::new();
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 7
        };
        for round in 0..2_000 {
            let mut registers = [0; 17];
            registers.fill_with(&mut next);
            registers[8] = base + next() % segment.size;
            let stack: Vec<u8> = (0..round % 4_096).map(|_| next() as u8).collect();
            let mut frames = Vec::new();
            let copy = StackCopy { registers: &registers, stack: &stack };
            unwinder.walk(copy, |it| code.contains(&it).then(|| placed.clone()), &mut frames);
            assert!(!frames.is_empty() && frames.len() <= limits::FRAMES_MAX);
        }
    }

    #[test]
    fn addresses_come_from_the_segment_that_holds_the_code() {
        let module = own_module();
        let segment = module.segments()[0];
        assert_eq!(module.address_of(segment.offset), Some(segment.address));
        let last = segment.size - 1;
        assert_eq!(module.address_of(segment.offset + last), Some(segment.address + last));
        assert_eq!(module.address_of(u64::MAX), None);
        assert!(module.has_tables() && !module.is_go());
    }

    #[test]
    fn code_without_symbols_still_has_functions() {
        use object::{Object as _, ObjectSymbol as _};
        let module = own_module();
        let file = object::File::parse(module.bytes()).expect("an ELF file");
        let functions = file.symbols().filter(|it| it.kind() == object::SymbolKind::Text);
        let sized: Vec<_> = functions.filter(|it| it.size() > 32).take(200).collect();
        let is_right = |address: u64, size: u64| {
            let function = module.function(address + size / 2)?;
            let offset = module.offset_of(function.start)?;
            assert!(function.contains(&(address + size / 2)));
            Some(function.start == address && module.address_of(offset) == Some(address))
        };
        let right = sized.iter().filter(|it| is_right(it.address(), it.size()) == Some(true));
        assert!(right.count() > 190, "of {}", sized.len());
        assert_eq!(module.function(8), None);
    }

    #[test]
    fn files_that_are_no_elf_are_refused() {
        assert!(Module::from_bytes(b"#!/bin/sh\n".to_vec()).is_err());
        let mut bytes = std::fs::read("/proc/self/exe").expect("readable");
        for cut in [64, 1_000, 4_096, 100_000] {
            // A cut file may still give a module; it must not panic.
            let _ = Module::from_bytes(bytes[..cut].to_vec());
        }
        for at in (0..64).chain(bytes.len() - 512..bytes.len()) {
            bytes[at] ^= 0xff;
        }
        let _ = Module::from_bytes(bytes);
    }
}
