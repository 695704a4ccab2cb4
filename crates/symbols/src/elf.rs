//! Functions, files and lines of ELF files, by blazesym.

use crate::frame::{Frame, cut};
use crate::limits;
use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};
use rustc_hash::FxHashSet;
use std::path::{Path, PathBuf};

/// A symboliser of ELF files that keeps a bounded number of them parsed.
pub struct ElfSymbols {
    symbolizer: Symbolizer,
    files: FxHashSet<PathBuf>,
    parsed_bytes: u64,
    was_asked: bool,
    idle_calls: u32,
}

impl std::fmt::Debug for ElfSymbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElfSymbols").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Default for ElfSymbols {
    fn default() -> Self {
        Self {
            symbolizer: symbolizer(),
            files: FxHashSet::default(),
            parsed_bytes: 0,
            was_asked: false,
            idle_calls: 0,
        }
    }
}

fn symbolizer() -> Symbolizer {
    Symbolizer::builder()
        .enable_auto_reload(false)
        .enable_code_info(true)
        .enable_inlined_fns(true)
        .enable_demangling(true)
        .build()
}

fn place(info: Option<&CodeInfo<'_>>) -> (String, u32) {
    let Some(info) = info else { return (String::new(), 0) };
    let file =
        info.dir.as_deref().map_or_else(|| PathBuf::from(&info.file), |dir| dir.join(&info.file));
    (cut(&file.to_string_lossy()), info.line.unwrap_or(0))
}

/// Innermost inlined function first, the real one last.
fn frames(symbol: &Sym<'_>) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(1 + symbol.inlined.len());
    let (file, line) = place(symbol.code_info.as_deref());
    frames.push(Frame { function: cut(&symbol.name), file, line, ..Frame::default() });
    for inlined in symbol.inlined.iter().take(limits::INLINES_MAX) {
        let (file, line) = place(inlined.code_info.as_ref());
        frames.push(Frame { function: cut(&inlined.name), file, line, ..Frame::default() });
    }
    frames.reverse();
    frames
}

impl ElfSymbols {
    /// One with nothing parsed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The functions at `addresses` (as the file `path` states them), each with what was inlined
    /// there, innermost first; empty where nothing is known. Debug information is read when
    /// `debug_bytes`, its size, is within the limit.
    pub fn symbolize(
        &mut self,
        path: &Path,
        debug_bytes: u64,
        addresses: &[u64],
    ) -> Vec<Vec<Frame>> {
        self.was_asked = true;
        if !self.files.contains(path) {
            if self.parsed_bytes.saturating_add(debug_bytes) > limits::PARSED_BYTES_MAX {
                self.forget();
            }
            self.parsed_bytes += debug_bytes;
            self.files.insert(path.to_owned());
        }
        let mut elf = Elf::new(path);
        elf.debug_syms = debug_bytes > 0 && debug_bytes <= limits::DEBUG_BYTES_MAX;
        let source = Source::Elf(elf);
        let answer = self.symbolizer.symbolize(&source, Input::VirtOffset(addresses));
        match answer {
            Ok(symbols) => symbols
                .iter()
                .map(|it| match it {
                    Symbolized::Sym(symbol) => frames(symbol),
                    Symbolized::Unknown(_) => Vec::new(),
                })
                .collect(),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no symbols");
                vec![Vec::new(); addresses.len()]
            }
        }
    }

    /// Drops what is parsed if nothing was asked since the last call: memory for a minute's silence.
    pub fn forget_when_idle(&mut self) {
        self.idle_calls = if self.was_asked { 0 } else { self.idle_calls + 1 };
        self.was_asked = false;
        if self.idle_calls == limits::IDLE_CALLS_MAX {
            self.forget();
        }
    }

    /// Drops what is parsed.
    pub fn forget(&mut self) {
        self.symbolizer = symbolizer();
        self.files.clear();
        self.parsed_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSymbol as _};

    #[test]
    fn a_symbol_is_found_by_its_address() {
        let path = std::env::current_exe().expect("known");
        let bytes = std::fs::read(&path).expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let symbol = file
            .symbols()
            .find(|it| {
                it.name()
                    .is_ok_and(|name| name.contains("ElfSymbols") && name.contains("symbolize"))
            })
            .expect("this crate's function is in its test's symbols");
        let mut symbols = ElfSymbols::new();
        let found = symbols.symbolize(&path, 0, &[symbol.address() + 1, u64::MAX - 5]);
        let name = &found[0].last().expect("a function").function;
        assert!(name.contains("ElfSymbols") && !name.starts_with("_ZN"), "{name}");
        assert!(found[1].is_empty());
    }

    #[test]
    fn files_that_are_gone_give_nothing() {
        let found = ElfSymbols::new().symbolize(Path::new("/nonexistent"), 0, &[1, 2]);
        assert_eq!(found, [vec![], vec![]]);
    }
}
