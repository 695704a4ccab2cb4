//! Functions and what was inlined into them, from DWARF.
//!
//! Format: DWARF 4 and 5. Of gimli only what reads single entries is used: lists that a file may
//! make as long as it likes are read here, within limits.

use super::files::{Files, text};
use super::flat::Extent;
use super::sections::{Sections, abbreviations_bytes, word};
use super::table::Functions;
use super::{Error, GiveUp};
use crate::limits;
use crate::table::demangle;
use gimli::constants as dw;
use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAddr, DebugInfo, DebugInfoOffset, DebugRanges,
    DebugRngLists, DebuggingInformationEntry, EndianSlice, LittleEndian, RangeLists,
    RangeListsOffset, UnitHeader, UnitOffset,
};
use rustc_hash::FxHashMap;
use std::rc::Rc;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;
type Value<'a> = AttributeValue<Slice<'a>>;

/// Where linkers put the addresses of code that they left out.
const LEFT_OUT: u64 = 0;
/// Other units kept at hand for references into them.
const UNITS_KEPT: usize = 64;
/// Units whose abbreviations are kept together take at most so many bytes of their section.
const ABBREVIATIONS_KEPT_BYTES: usize = 2 << 20;

/// What the first entry of a unit says for all others.
#[derive(Debug)]
struct Unit<'a> {
    header: UnitHeader<Slice<'a>>,
    abbreviations: Rc<Abbreviations>,
    low_pc: u64,
    str_offsets: u64,
    addresses: u64,
    ranges: u64,
    folder: &'a [u8],
    files: Option<Rc<Files<'a>>>,
    line: Option<usize>,
    is_split: bool,
}

/// What names a function.
#[derive(Clone, Debug, Default)]
struct Parts<'a> {
    linkage: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    file: Option<String>,
}

/// Reads all units.
pub(super) struct Walker<'a> {
    sections: &'a Sections,
    info: DebugInfo<Slice<'a>>,
    abbrev: DebugAbbrev<Slice<'a>>,
    lists: RangeLists<Slice<'a>>,
    addr: DebugAddr<Slice<'a>>,
    /// Where units begin.
    starts: Vec<usize>,
    units: FxHashMap<usize, Rc<Unit<'a>>>,
    abbreviations: FxHashMap<usize, Rc<Abbreviations>>,
    abbreviations_bytes: usize,
    /// The function of an entry that others refer to.
    origins: FxHashMap<usize, Option<u32>>,
    /// Names of functions that symbols begin at, where they tell more than a plain name.
    mangled: FxHashMap<u64, &'a [u8]>,
    steps: u64,
    pub(super) extents: Vec<Extent>,
    /// Units whose contents are in another file.
    pub(super) split_units: usize,
    /// Units that could not be read to their end.
    pub(super) damaged_units: usize,
}

impl<'a> Walker<'a> {
    pub(super) fn new(sections: &'a Sections, mangled: FxHashMap<u64, &'a [u8]>) -> Self {
        let slice = |section: &'a [u8]| EndianSlice::new(section, LittleEndian);
        Self {
            sections,
            info: DebugInfo::from(slice(&sections.info)),
            abbrev: DebugAbbrev::from(slice(&sections.abbrev)),
            lists: RangeLists::new(
                DebugRanges::from(slice(&sections.ranges)),
                DebugRngLists::from(slice(&sections.rnglists)),
            ),
            addr: DebugAddr::from(slice(&sections.addr)),
            starts: Vec::new(),
            units: FxHashMap::default(),
            abbreviations: FxHashMap::default(),
            abbreviations_bytes: 0,
            origins: FxHashMap::default(),
            mangled,
            steps: limits::RANGE_STEPS_MAX,
            extents: Vec::new(),
            split_units: 0,
            damaged_units: 0,
        }
    }

    /// Reads everything; names go to `functions`.
    pub(super) fn run(
        &mut self,
        functions: &mut Functions,
        give_up: GiveUp<'_>,
    ) -> Result<(), Error> {
        let mut units = self.info.units();
        // What comes after a damaged header cannot be found.
        while let Ok(Some(header)) = units.next() {
            if self.starts.len() == limits::UNITS_MAX {
                return Err(Error::TooLarge("units"));
            }
            self.starts.push(header.offset().0);
        }
        for at in 0..self.starts.len() {
            if give_up() {
                return Err(Error::TooSlow);
            }
            let Some(unit) = self.unit(self.starts[at]) else {
                self.damaged_units += 1;
                continue;
            };
            self.split_units += usize::from(unit.is_split);
            self.damaged_units += usize::from(self.walk(&unit, functions).is_err());
            if self.extents.len() > limits::EXTENTS_MAX {
                return Err(Error::TooLarge("ranges of functions"));
            }
            if functions.bytes > limits::TABLE_TEXT_BYTES_MAX {
                return Err(Error::TooLarge("names"));
            }
            if self.steps == 0 {
                return Err(Error::TooLarge("lists of ranges"));
            }
        }
        Ok(())
    }

    fn unit(&mut self, start: usize) -> Option<Rc<Unit<'a>>> {
        if let Some(unit) = self.units.get(&start) {
            return Some(Rc::clone(unit));
        }
        let header = self.info.header_from_offset(DebugInfoOffset(start)).ok()?;
        let abbreviations = self.abbreviations(&header)?;
        let unit = Rc::new(self.open(header, abbreviations)?);
        if self.units.len() >= UNITS_KEPT {
            self.units.clear();
        }
        self.units.insert(start, Rc::clone(&unit));
        Some(unit)
    }

    fn abbreviations(&mut self, header: &UnitHeader<Slice<'a>>) -> Option<Rc<Abbreviations>> {
        let at = header.debug_abbrev_offset().0;
        if let Some(known) = self.abbreviations.get(&at) {
            return Some(Rc::clone(known));
        }
        let read = Rc::new(header.abbreviations(&self.abbrev).ok()?);
        let bytes = abbreviations_bytes(self.sections.abbrev.get(at..).unwrap_or_default());
        if self.abbreviations_bytes + bytes > ABBREVIATIONS_KEPT_BYTES {
            self.abbreviations.clear();
            self.units.clear();
            self.abbreviations_bytes = 0;
        }
        self.abbreviations_bytes += bytes;
        self.abbreviations.insert(at, Rc::clone(&read));
        Some(read)
    }

    fn open(
        &self,
        header: UnitHeader<Slice<'a>>,
        abbreviations: Rc<Abbreviations>,
    ) -> Option<Unit<'a>> {
        let mut root = Entry::null();
        header.entries_raw(&abbreviations, None).ok()?.read_entry(&mut root).ok()?;
        // Before version 5 nothing says where a unit's part of these sections begins.
        let mut unit = Unit {
            header,
            abbreviations,
            low_pc: 0,
            str_offsets: 0,
            addresses: 0,
            ranges: 0,
            folder: b"",
            files: None,
            line: None,
            is_split: false,
        };
        for attr in &root.attrs {
            match (attr.name(), attr.value()) {
                (_, AttributeValue::DebugStrOffsetsBase(base)) => unit.str_offsets = base.0 as u64,
                (_, AttributeValue::DebugAddrBase(base)) => unit.addresses = base.0 as u64,
                (_, AttributeValue::DebugRngListsBase(base)) => unit.ranges = base.0 as u64,
                (_, AttributeValue::DebugLineRef(offset)) => unit.line = Some(offset.0),
                (dw::DW_AT_dwo_name | dw::DW_AT_GNU_dwo_name, _) => unit.is_split = true,
                _ => {}
            }
        }
        for attr in &root.attrs {
            match attr.name() {
                dw::DW_AT_low_pc => unit.low_pc = self.address(&unit, attr.value()).unwrap_or(0),
                dw::DW_AT_comp_dir => {
                    unit.folder = self.text(&unit, attr.value()).unwrap_or_default();
                }
                _ => {}
            }
        }
        unit.files = unit.line.map(|line| Rc::new(Files::read(self.sections, line)));
        Some(unit)
    }

    fn walk(&mut self, unit: &Unit<'a>, functions: &mut Functions) -> gimli::Result<()> {
        let abbreviations = Rc::clone(&unit.abbreviations);
        let mut entries = unit.header.entries_raw(&abbreviations, None)?;
        let mut entry = Entry::null();
        // Depth in the tree of entries, and the depth of inlining there.
        let mut open: Vec<(isize, u32)> = Vec::new();
        while !entries.is_empty() {
            if !entries.read_entry(&mut entry)? {
                continue;
            }
            while open.last().is_some_and(|(depth, _)| *depth >= entry.depth) {
                open.pop();
            }
            let depth = match entry.tag {
                dw::DW_TAG_subprogram => 0,
                dw::DW_TAG_inlined_subroutine => match open.last() {
                    Some((_, depth)) => depth + 1,
                    None => continue,
                },
                _ => continue,
            };
            let before = self.extents.len();
            self.ranges(unit, &entry, depth);
            let Some(first) = self.extents[before..].iter().map(|it| it.start).min() else {
                continue;
            };
            if let Some(function) = self.function(unit, &entry, (first, depth), functions) {
                for extent in &mut self.extents[before..] {
                    extent.function = function;
                }
                open.push((entry.depth, depth));
            } else {
                self.extents.truncate(before);
            }
            if self.extents.len() > limits::EXTENTS_MAX || self.steps == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Adds the addresses of an entry.
    fn ranges(&mut self, unit: &Unit<'a>, entry: &Entry<'a>, depth: u32) {
        let (mut low, mut high, mut length, mut list) = (None, None, None, None);
        for attr in &entry.attrs {
            match (attr.name(), attr.value()) {
                (dw::DW_AT_low_pc, value) => low = self.address(unit, value),
                (dw::DW_AT_high_pc, AttributeValue::Udata(bytes)) => length = Some(bytes),
                (dw::DW_AT_high_pc, value) => high = self.address(unit, value),
                (dw::DW_AT_ranges, value) => list = self.list(unit, value),
                _ => {}
            }
        }
        let extent = |start, end| Extent { start, end, depth, function: 0 };
        if let Some(list) = list {
            self.listed(unit, list, depth);
        } else if let Some(start) = low.filter(|it| *it != LEFT_OUT) {
            let end = length.and_then(|it| start.checked_add(it)).or(high);
            self.extents.extend(end.filter(|end| start < *end).map(|end| extent(start, end)));
        }
    }

    fn list(&self, unit: &Unit<'a>, value: Value<'a>) -> Option<usize> {
        match value {
            AttributeValue::RangeListsRef(offset) => Some(offset.0),
            AttributeValue::SecOffset(offset) => Some(offset),
            AttributeValue::DebugRngListsIndex(index) => {
                let size = u64::from(unit.header.format().word_size());
                let at = unit.ranges.checked_add((index.0 as u64).checked_mul(size)?)?;
                let within = word(&self.sections.rnglists, at, size)?;
                usize::try_from(unit.ranges.checked_add(within)?).ok()
            }
            _ => None,
        }
    }

    fn listed(&mut self, unit: &Unit<'a>, at: usize, depth: u32) {
        let encoding = unit.header.encoding();
        let base = gimli::DebugAddrBase(usize::try_from(unit.addresses).unwrap_or(usize::MAX));
        let list = RangeListsOffset(at);
        let ranges = self.lists.ranges(list, encoding, unit.low_pc, &self.addr, base);
        let Ok(mut ranges) = ranges else { return };
        while let Ok(Some(raw)) = ranges.next_raw() {
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 || self.extents.len() > limits::EXTENTS_MAX || points_far(&raw) {
                return;
            }
            let Ok(range) = ranges.convert_raw(raw) else { return };
            let Some(range) = range.filter(|it| it.begin != LEFT_OUT) else { continue };
            self.extents.push(Extent { start: range.begin, end: range.end, depth, function: 0 });
        }
    }

    fn address(&self, unit: &Unit<'a>, value: Value<'a>) -> Option<u64> {
        match value {
            AttributeValue::Addr(address) => Some(address),
            AttributeValue::DebugAddrIndex(index) => {
                let size = u64::from(unit.header.address_size());
                let at = unit.addresses.checked_add((index.0 as u64).checked_mul(size)?)?;
                word(&self.sections.addr, at, size)
            }
            _ => None,
        }
    }

    fn text(&self, unit: &Unit<'a>, value: Value<'a>) -> Option<&'a [u8]> {
        let sections = self.sections;
        match value {
            AttributeValue::String(slice) => {
                let slice = slice.slice();
                Some(&slice[..slice.len().min(limits::NAME_BYTES_MAX)])
            }
            AttributeValue::DebugStrRef(at) => Some(text(&sections.str, at.0 as u64)),
            AttributeValue::DebugLineStrRef(at) => Some(text(&sections.line_str, at.0 as u64)),
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let size = u64::from(unit.header.format().word_size());
                let at = unit.str_offsets.checked_add((index.0 as u64).checked_mul(size)?)?;
                Some(text(&sections.str, word(&sections.str_offsets, at, size)?))
            }
            _ => None,
        }
    }

    /// The function of an entry with code; none when nothing names it.
    fn function(
        &mut self,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        (start, depth): (u64, u32),
        functions: &mut Functions,
    ) -> Option<u32> {
        let mut parts = Parts::default();
        let origin = self.parts(unit, entry, &mut parts);
        if depth == 0 && parts.linkage.is_none() {
            parts.linkage = self.mangled.get(&start).copied();
        }
        if parts.linkage.is_none()
            && parts.name.is_none()
            && let Some(at) = origin
        {
            if let Some(known) = self.origins.get(&at) {
                return *known;
            }
            self.follow(at, &mut parts);
            let found = intern(&parts, functions);
            self.origins.insert(at, found);
            return found;
        }
        if let Some(at) = origin {
            self.follow(at, &mut parts);
        }
        intern(&parts, functions)
    }

    /// Adds what an entry says of its name; gives the entry that says more.
    fn parts(&self, unit: &Unit<'a>, entry: &Entry<'a>, parts: &mut Parts<'a>) -> Option<usize> {
        let mut origin = None;
        let mut file = None;
        for attr in &entry.attrs {
            match attr.name() {
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => {
                    parts.linkage = parts.linkage.or_else(|| self.text(unit, attr.value()));
                }
                dw::DW_AT_name => parts.name = parts.name.or_else(|| self.text(unit, attr.value())),
                dw::DW_AT_decl_file => {
                    file = match attr.value() {
                        AttributeValue::FileIndex(number) => Some(number),
                        value => value.udata_value(),
                    };
                }
                dw::DW_AT_abstract_origin | dw::DW_AT_specification => {
                    origin = match attr.value() {
                        AttributeValue::UnitRef(at) => {
                            at.to_debug_info_offset(&unit.header).map(|it| it.0)
                        }
                        AttributeValue::DebugInfoRef(at) => Some(at.0),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        if let (None, Some(file), Some(files)) = (&parts.file, file, &unit.files) {
            parts.file = Some(files.path(file, unit.folder));
        }
        origin
    }

    /// Adds what entries say that others refer to.
    fn follow(&mut self, at: usize, parts: &mut Parts<'a>) {
        let mut next = Some(at);
        for _ in 0..limits::NAME_STEPS_MAX {
            let Some(at) = next else { return };
            let found = self.starts.partition_point(|start| *start <= at).checked_sub(1);
            let Some(start) = found.map(|found| self.starts[found]) else { return };
            let Some(unit) = self.unit(start) else { return };
            let abbreviations = Rc::clone(&unit.abbreviations);
            let within = Some(UnitOffset(at - start));
            let Ok(mut entries) = unit.header.entries_raw(&abbreviations, within) else { return };
            let mut entry = Entry::null();
            if !entries.read_entry(&mut entry).unwrap_or(false) {
                return;
            }
            next = self.parts(&unit, &entry, parts);
        }
    }
}

/// Whether an index of an entry overflows when it is looked up.
fn points_far(raw: &gimli::RawRngListEntry<usize>) -> bool {
    use gimli::RawRngListEntry as Raw;
    let far = |index: gimli::DebugAddrIndex<usize>| index.0 > u32::MAX as usize;
    match raw {
        Raw::BaseAddressx { addr } => far(*addr),
        Raw::StartxEndx { begin, end } => far(*begin) || far(*end),
        Raw::StartxLength { begin, .. } => far(*begin),
        _ => false,
    }
}

fn intern(parts: &Parts<'_>, functions: &mut Functions) -> Option<u32> {
    let name = match (parts.linkage, parts.name) {
        (Some(linkage), _) if !linkage.is_empty() => demangle(linkage),
        (_, Some(name)) if !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
        _ => return None,
    };
    Some(functions.intern(&name, parts.file.as_deref().unwrap_or_default()))
}
