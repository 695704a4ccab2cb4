//! An ELF file as unwinding needs it: code segments, unwind tables, build id.

use crate::limits;
use framehop::Unwinder as _;
use memmap2::Mmap;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSection as _};
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

/// Why a file gives no module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be mapped.
    #[error("cannot map the file: {0}")]
    Map(#[from] io::Error),
    /// The file is not a 64-bit ELF file.
    #[error("not a 64-bit ELF file: {0}")]
    Elf(#[from] object::Error),
    /// The file is too large.
    #[error(
        "the file has {size_bytes} bytes, more than the {} that are mapped",
        limits::FILE_BYTES_MAX
    )]
    TooLarge {
        /// Its size.
        size_bytes: u64,
    },
}

enum Backing {
    File(Mmap),
    Memory(Vec<u8>),
}

/// A part of a module's file, kept alive by it.
#[derive(Clone)]
pub(crate) struct Bytes {
    backing: Arc<Backing>,
    range: Range<usize>,
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &*self.backing {
            Backing::File(map) => map,
            Backing::Memory(bytes) => bytes,
        };
        all.get(self.range.clone()).unwrap_or_default()
    }
}

/// A loaded part of the file that holds code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub size: u64,
    /// Address the file states for it.
    pub address: u64,
}

#[derive(Clone)]
struct Section {
    range: Range<u64>,
    bytes: Bytes,
}

/// What unwinds one module in the addresses that its file states.
pub(crate) type Tables = framehop::x86_64::UnwinderX86_64<Bytes>;

/// An ELF file's code and unwind tables.
pub struct Module {
    all: Bytes,
    segments: Vec<Segment>,
    text: Option<Section>,
    eh_frame: Option<Section>,
    eh_frame_hdr: Option<Section>,
    debug_frame: Option<Section>,
    got: Option<Range<u64>>,
    build_id: Option<String>,
    go_table: Option<(Range<usize>, u64)>,
    debug_bytes: u64,
    line_bytes: u64,
    tables: OnceLock<Tables>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("build_id", &self.build_id).finish_non_exhaustive()
    }
}

impl Module {
    /// Maps a file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_file(file: &File) -> Result<Self, Error> {
        let size_bytes = file.metadata()?.len();
        if size_bytes > limits::FILE_BYTES_MAX {
            return Err(Error::TooLarge { size_bytes });
        }
        // SAFETY: the mapping is private and read-only. A file cut short while mapped would raise
        // SIGBUS; the kernel refuses writes to running programs, and package managers replace
        // libraries instead of overwriting them.
        let map = unsafe { Mmap::map(file)? };
        Self::parse(Backing::File(map))
    }

    /// Takes an ELF image from memory, e.g. the vdso.
    ///
    /// # Errors
    /// [`Error::Elf`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::parse(Backing::Memory(bytes))
    }

    fn parse(backing: Backing) -> Result<Self, Error> {
        let backing = Arc::new(backing);
        let all = Bytes { range: 0..usize::MAX, backing };
        let len = match &*all.backing {
            Backing::File(map) => map.len(),
            Backing::Memory(bytes) => bytes.len(),
        };
        let all = Bytes { range: 0..len, ..all };
        let holder = all.clone();
        let data: &[u8] = &holder;
        let elf = Elf::parse(data)?;
        let segments = code_segments(&elf, data)?;
        let range = |name: &str| {
            let section = elf.section_by_name(name)?;
            Some(section.address()..section.address().checked_add(section.size())?)
        };
        let section = |name: &str| {
            let found = elf.section_by_name(name)?;
            if found.compressed_file_range().ok()?.format != object::CompressionFormat::None {
                return None;
            }
            let (offset, size) = found.file_range()?;
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            (end <= len).then_some(())?;
            let bytes = Bytes { backing: all.backing.clone(), range: start..end };
            Some(Section { range: range(name)?, bytes })
        };
        let go_section = section(".gopclntab").or_else(|| section(".data.rel.ro.gopclntab"));
        let text = section(".text");
        // Only where the table does not say: looking for it means a pass over all symbols.
        let go_text = go_section
            .as_ref()
            .filter(|it| !states_text(&it.bytes))
            .and_then(|_| elf.symbol_by_name("runtime.text"))
            .map(|it| object::ObjectSymbol::address(&it))
            .or_else(|| text.as_ref().map(|it| it.range.start));
        let debug_bytes = debug_bytes(&elf);
        let line_bytes = elf.section_by_name(".debug_line").map_or(0, |it| it.size());
        let build_id = elf.build_id().ok().flatten().filter(|it| it.len() <= 64).map(hex);
        Ok(Self {
            segments,
            eh_frame: section(".eh_frame"),
            eh_frame_hdr: section(".eh_frame_hdr"),
            debug_frame: section(".debug_frame"),
            got: range(".got"),
            build_id,
            go_table: go_section.map(|it| (it.bytes.range, go_text.unwrap_or(0))),
            debug_bytes,
            line_bytes,
            text,
            all,
            tables: OnceLock::new(),
        })
    }

    /// The GNU build id in hexadecimal digits.
    pub fn build_id(&self) -> Option<&str> {
        self.build_id.as_deref()
    }

    /// The loaded parts that hold code.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.all
    }

    /// Gives the pages read so far back; they are read again from the page cache when needed.
    pub fn release_pages(&self) {
        if let Backing::File(map) = &*self.all.backing {
            // SAFETY: the mapping is of a file and never written, so that dropped pages come back
            // with the same bytes. A refusal only means that memory stays in use.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    /// Go's function table and the address its text begins at, if the file is a Go program.
    pub fn go_table(&self) -> Option<(&[u8], u64)> {
        let (range, text) = self.go_table.as_ref()?;
        Some((self.all.get(range.clone())?, *text))
    }

    /// Whether the file is a Go program.
    pub fn is_go(&self) -> bool {
        self.go_table.is_some()
    }

    /// Size of its debug information with its symbol tables, in bytes; 0 without the former.
    pub fn debug_bytes(&self) -> u64 {
        self.debug_bytes
    }

    /// Size of its line programs, in bytes.
    pub fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// The address the file states for the byte at `offset`.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|it| {
            // The mapping of a segment starts at the page that holds its first byte.
            offset >= it.offset & !0xfff && offset < it.offset.saturating_add(it.size)
        })?;
        segment.address.checked_add(offset)?.checked_sub(segment.offset)
    }

    /// The offset in the file of an address that the file states: [`Self::address_of`] backwards.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|it| {
            address >= it.address & !0xfff && address < it.address.saturating_add(it.size)
        })?;
        segment.offset.checked_add(address)?.checked_sub(segment.address)
    }

    /// How far the module lies above the addresses its file states, in a process that maps the file
    /// from `offset` on at `start`; none when the file holds no code there.
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        Some(start.wrapping_sub(self.address_of(offset)?))
    }

    /// The same for every process that maps the file, so that rules found once serve all.
    pub(crate) fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| {
            let mut tables = Tables::new();
            let start = self.segments.iter().map(|it| it.address & !0xfff).min();
            let end = self.segments.iter().map(|it| it.address.saturating_add(it.size)).max();
            if let (Some(start), Some(end)) = (start, end) {
                let sections = self.sections(start);
                tables.add_module(framehop::Module::new(
                    String::new(),
                    start..end,
                    start,
                    sections,
                ));
            }
            tables
        })
    }

    /// The function around an address (as the file states addresses), by its unwind table: known for
    /// stripped code, too.
    pub fn function(&self, address: u64) -> Option<Range<u64>> {
        let (header, frames) = (self.eh_frame_hdr.as_ref()?, self.eh_frame.as_ref()?);
        let bases = gimli::BaseAddresses::default()
            .set_eh_frame_hdr(header.range.start)
            .set_eh_frame(frames.range.start)
            .set_text(self.text.as_ref()?.range.start)
            .set_got(self.got.as_ref().map_or(0, |it| it.start));
        let parsed = gimli::EhFrameHdr::new(&header.bytes, gimli::LittleEndian);
        let parsed = parsed.parse(&bases, 8).ok()?;
        let frames = gimli::EhFrame::new(&frames.bytes, gimli::LittleEndian);
        let found = parsed.table()?.fde_for_address(
            &frames,
            &bases,
            address,
            gimli::UnwindSection::cie_from_offset,
        );
        let found = found.ok()?;
        Some(found.initial_address()..found.end_address())
    }

    fn sections(&self, base_svma: u64) -> framehop::ExplicitModuleSectionInfo<Bytes> {
        let range = |it: &Option<Section>| it.as_ref().map(|it| it.range.clone());
        let bytes = |it: &Option<Section>| it.as_ref().map(|it| it.bytes.clone());
        framehop::ExplicitModuleSectionInfo {
            base_svma,
            text_svma: range(&self.text),
            text: bytes(&self.text),
            got_svma: self.got.clone(),
            eh_frame_svma: range(&self.eh_frame),
            eh_frame: bytes(&self.eh_frame),
            eh_frame_hdr_svma: range(&self.eh_frame_hdr),
            eh_frame_hdr: bytes(&self.eh_frame_hdr),
            // Go's is large, and its stacks are walked by frame pointer.
            debug_frame: if self.eh_frame.is_none() && !self.is_go() {
                bytes(&self.debug_frame)
            } else {
                None
            },
            stubs_svma: None,
            stub_helper_svma: None,
            unwind_info: None,
            text_segment_svma: None,
            text_segment: None,
        }
    }

    /// Whether the file has tables to unwind with.
    pub fn has_tables(&self) -> bool {
        self.eh_frame.is_some() || self.debug_frame.is_some()
    }
}

type Elf<'data> = object::read::elf::ElfFile64<'data, Endianness>;

fn code_segments(elf: &Elf<'_>, data: &[u8]) -> Result<Vec<Segment>, Error> {
    let endian = elf.endian();
    let mut segments = Vec::new();
    for header in elf.elf_header().program_headers(endian, data)? {
        // Only code: the page of one segment's end may be the page of the next one's start.
        let is_code = header.p_flags(endian) & object::elf::PF_X != 0;
        if header.p_type(endian) == object::elf::PT_LOAD && is_code {
            segments.push(Segment {
                offset: header.p_offset(endian),
                size: header.p_filesz(endian),
                address: header.p_vaddr(endian),
            });
        }
    }
    Ok(segments)
}

/// Whether a Go table says where the text begins (Go 1.18 to 1.25: the third word of its header;
/// `cmd/link/internal/ld/pcln.go`) or has no need to (before, its addresses are whole).
fn states_text(table: &[u8]) -> bool {
    let is_old = table.starts_with(&0xffff_fffa_u32.to_le_bytes());
    is_old || table.get(24..32).is_some_and(|word| word != [0; 8])
}

fn debug_bytes(elf: &Elf<'_>) -> u64 {
    let is_debug = |name: &str| name.starts_with(".debug_") || name.starts_with(".zdebug_");
    let is_table = |name: &str| matches!(name, ".symtab" | ".strtab" | ".dynsym" | ".dynstr");
    let sum = |is_counted: &dyn Fn(&str) -> bool| {
        let sections = elf.sections().filter(|it| it.name().is_ok_and(is_counted));
        sections.map(|it| it.size()).fold(0, u64::saturating_add)
    };
    match sum(&is_debug) {
        0 => 0,
        debug => debug.saturating_add(sum(&is_table)),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
