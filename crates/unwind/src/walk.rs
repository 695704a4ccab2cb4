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
