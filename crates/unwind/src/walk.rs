//! Walking a copied stack.

use crate::limits;
use crate::space::Space;
use framehop::x86_64::{CacheX86_64, Reg, UnwindRegsX86_64};
use framehop::{FrameAddress, Unwinder as _};

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

/// Walks stacks of any process; keeps the rules it found.
#[derive(Default)]
pub struct Unwinder {
    cache: CacheX86_64,
    spaces: u32,
}

impl std::fmt::Debug for Unwinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unwinder").finish_non_exhaustive()
    }
}

impl Unwinder {
    /// One with an empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called whenever a module was added to any space: starts the cache anew before its
    /// generation counter could repeat.
    pub fn note_module_added(&mut self) {
        self.spaces += 1;
        if self.spaces >= limits::CACHE_GENERATIONS_MAX {
            *self = Self::default();
        }
    }

    /// Walks the stack and appends the addresses of its frames, leaf first: the instruction
    /// pointer, then return addresses less one, so that each lies inside its call.
    pub fn walk(&mut self, space: &Space, copy: StackCopy<'_>, frames: &mut Vec<u64>) -> Outcome {
        let [.., _] = copy.registers;
        let ip = copy.registers[8];
        let sp = copy.registers[7];
        let mut registers = UnwindRegsX86_64::new(ip, sp, copy.registers[6]);
        for (at, (register, value)) in REGISTERS.iter().zip(copy.registers).enumerate() {
            if at != 8 {
                registers.set(*register, *value);
            }
        }
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(sp).ok_or(())?).map_err(|_| ())?;
            let word = copy.stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
            Ok(u64::from_le_bytes(word.try_into().map_err(|_| ())?))
        };
        let mut walk = space.inner.iter_frames(ip, registers, &mut self.cache, &mut read);
        let mut last = ip;
        let mut depth = 0;
        loop {
            match walk.next() {
                Ok(Some(frame)) => {
                    last = match frame {
                        FrameAddress::InstructionPointer(address) => address,
                        FrameAddress::ReturnAddress(address) => address.get() - 1,
                    };
                    if depth == limits::FRAMES_MAX {
                        return Outcome::Truncated;
                    }
                    depth += 1;
                    frames.push(last);
                }
                Ok(None) => return Outcome::Complete,
                // Thread starts without their own rule end at a zero; only believed where real
                // tables led there.
                Err(framehop::Error::ReturnAddressIsNull)
                    if depth > 1 && space.has_tables(last) =>
                {
                    return Outcome::Complete;
                }
                Err(_) => return Outcome::Truncated,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Module;
    use std::sync::Arc;

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
        Unwinder::new().walk(&Space::new(), copy, &mut frames);
        assert_eq!(frames[..3], [0x9000, 0xa000, 0xb000]);
    }

    #[test]
    fn arbitrary_registers_and_stacks_end_in_bounds() {
        let module = own_module();
        let segment = module.segments()[0];
        let mut space = Space::new();
        let base = 0x5555_0000_0000;
        let page = segment.offset & !0xfff;
        assert!(space.add(base..base + segment.size, page, &module));
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
            unwinder.walk(&space, StackCopy { registers: &registers, stack: &stack }, &mut frames);
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
