//! Names of kernel functions, from the text of `/proc/kallsyms`.

use crate::frame::Frame;
use crate::limits;
use std::io::BufRead;

/// Kernel functions sorted by address.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    names: String,
    /// Address, start and length of the name.
    symbols: Vec<(u64, u32, u16)>,
}

impl KernelSymbols {
    /// Reads lines of `address type name [module]`. Addresses that the kernel hides (all zero)
    /// give no symbols.
    pub fn read(mut text: impl BufRead) -> Self {
        let mut this = Self::default();
        let mut line = String::new();
        while this.symbols.len() < limits::KERNEL_SYMBOLS_MAX {
            line.clear();
            if !matches!(text.read_line(&mut line), Ok(1..)) {
                break;
            }
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            if address == 0 || !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let start = this.names.len() as u32;
            this.names.push_str(name);
            this.symbols.push((address, start, name.len().min(1024) as u16));
        }
        this.symbols.sort_by_key(|(address, ..)| *address);
        this.symbols.dedup_by_key(|(address, ..)| *address);
        this.symbols.shrink_to_fit();
        this.names.shrink_to_fit();
        this
    }

    /// Whether the kernel told any addresses.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The function that `address` lies in.
    pub fn find(&self, address: u64) -> Option<Frame> {
        let at = self.symbols.partition_point(|(start, ..)| *start <= address).checked_sub(1)?;
        let (_, start, len) = self.symbols[at];
        let start = start as usize;
        self.names.get(start..start + usize::from(len)).map(Frame::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_function_below_an_address() {
        let text = "ffff02 T late\nffff00 t early [mod]\nffff01 d data\nbroken\n";
        let symbols = KernelSymbols::read(text.as_bytes());
        let name = |address| symbols.find(address).map(|frame| frame.function);
        assert_eq!(name(0xfffeff), None);
        assert_eq!(name(0xffff01).as_deref(), Some("early"));
        assert_eq!(name(0xffffff).as_deref(), Some("late"));
    }

    #[test]
    fn hidden_addresses_give_nothing() {
        assert!(KernelSymbols::read("0000000000000000 T a\n".as_bytes()).is_empty());
    }
}
