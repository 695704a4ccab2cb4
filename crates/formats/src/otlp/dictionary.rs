//! The dictionary of a request, and the parts of it that one profile uses.

use super::layout::Layout;
use super::value::{any_value, into_text};
use crate::decoded::{IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::labels::LabelValue;
use profile::{
    FrameType, Function, FunctionId, KeyedMap, Line, Location, LocationId, Mapping, MappingId,
    StackId, StackTable, StringId, Tables,
};
use wire::scan::{Damage, fields};

/// Positions of the tables in [`Dictionary`], by field number since v1.7.
pub(super) const MAPPINGS: usize = 1;
pub(super) const LOCATIONS: usize = 2;
pub(super) const FUNCTIONS: usize = 3;
pub(super) const LINKS: usize = 4;
pub(super) const STRINGS: usize = 5;
pub(super) const ATTRIBUTES: usize = 6;
pub(super) const STACKS: usize = 7;
/// Up to v1.7: pairs of an attribute's key and the unit of its values.
const UNITS: usize = 7;

/// Positions of the tables that a profile of v1.5 holds, by field number.
const TABLES_1_5: [(u32, usize); 7] = [
    (3, MAPPINGS),
    (4, LOCATIONS),
    (6, FUNCTIONS),
    (7, ATTRIBUTES),
    (8, UNITS),
    (9, LINKS),
    (10, STRINGS),
];

/// Attributes looked at on one mapping or location.
const TABLE_ATTRIBUTES_MAX: usize = 32;
const FRAME_TYPE: &str = "profile.frame.type";
const BUILD_IDS: [&str; 3] = [
    "process.executable.build_id.gnu",
    "process.executable.build_id.go",
    "process.executable.build_id.htlhash",
];

/// The undecoded entries of every table; since v1.8 entry 0 of each means "not set".
#[derive(Debug, Default)]
pub(super) struct Dictionary<'a> {
    tables: [Vec<&'a [u8]>; 8],
    /// Up to v1.7: units of attributes by the bytes of their keys, when one was asked for.
    units: Option<KeyedMap<&'a [u8], u64>>,
}

impl<'a> Dictionary<'a> {
    pub(super) fn scan(&mut self, message: &'a [u8], options: &Options, issues: &mut Issues) {
        self.scan_tables(message, |number| Some(number as usize), options, issues);
    }

    /// The tables that stand in a profile of v1.5.
    pub(super) fn of_profile(profile: &'a [u8], options: &Options, issues: &mut Issues) -> Self {
        let table_of = |number| {
            let found = TABLES_1_5.iter().find(|(have, _)| *have == number);
            found.map(|(_, table)| *table)
        };
        let mut dictionary = Self::default();
        dictionary.scan_tables(profile, table_of, options, issues);
        dictionary
    }

    fn scan_tables(
        &mut self,
        message: &'a [u8],
        table_of: impl Fn(u32) -> Option<usize>,
        options: &Options,
        issues: &mut Issues,
    ) {
        let mut all = fields(message);
        for field in all.by_ref() {
            let table = table_of(field.number).and_then(|at| self.tables.get_mut(at));
            let (Some(table), Some(bytes)) = (table, field.value.bytes()) else { continue };
            let max = options.limits.strings_max;
            if table.len() >= max {
                issues.add(IssueKind::Limit, || format!("only {max} entries of a table are read"));
            } else {
                table.push(bytes);
            }
        }
        damage("the dictionary", all.damage(), issues);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(Vec::is_empty)
    }

    /// A table's entries, not looked at.
    pub(super) fn entries(&self, table: usize) -> &[&'a [u8]] {
        &self.tables[table]
    }

    /// An entry, which is paid for every time: a small payload may refer to a large entry often.
    pub(super) fn get(
        &self,
        table: usize,
        index: u64,
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> Option<&'a [u8]> {
        let found = usize::try_from(index).ok().and_then(|at| self.tables[table].get(at));
        if found.is_none() && index != 0 {
            issues.add(IssueKind::Reference, || {
                format!("dictionary table {table} has no entry {index}")
            });
        }
        found.copied().filter(|entry| budget.work(entry.len(), issues))
    }

    pub(super) fn string(&self, index: u64, budget: &mut Budget, issues: &mut Issues) -> String {
        let bytes = self.get(STRINGS, index, budget, issues).unwrap_or_default();
        text(bytes, &budget.limits, issues).into_owned()
    }

    /// Key and value of an entry of the attribute table.
    pub(super) fn attribute(
        &self,
        index: u64,
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> Option<(String, LabelValue<String>)> {
        if index == 0 {
            return None;
        }
        let message = self.get(ATTRIBUTES, index, budget, issues)?;
        let [_, key, _, unit] = numbers::<4>(message);
        let value = last_bytes(message, 2);
        let key = self.string(key.unwrap_or(0), budget, issues);
        let mut value = any_value(value, self, budget, issues);
        if let LabelValue::Number(_, have) = &mut value {
            *have = self.string(unit.unwrap_or(0), budget, issues);
        }
        Some((key, value))
    }

    /// The same up to v1.7: an entry is a `KeyValue`, units stand in a table of their own.
    pub(super) fn old_attribute(
        &mut self,
        index: u64,
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> Option<(String, LabelValue<String>)> {
        let message = self.get(ATTRIBUTES, index, budget, issues)?;
        let key = last_bytes(message, 1);
        let mut value = any_value(last_bytes(message, 2), self, budget, issues);
        if let LabelValue::Number(_, have) = &mut value {
            let unit = self.unit(key);
            *have = self.string(unit, budget, issues);
        }
        Some((text(key, &budget.limits, issues).into_owned(), value))
    }

    /// The text at which an attribute's unit stands; 0 where it has none.
    fn unit(&mut self, key: &[u8]) -> u64 {
        let tables = &self.tables;
        let units = self.units.get_or_insert_with(|| {
            let pairs = tables[UNITS].iter().map(|entry| numbers::<3>(entry));
            let pairs = pairs.filter_map(|[_, key, unit]| {
                let key = tables[STRINGS].get(usize::try_from(key?).ok()?)?;
                Some((*key, unit?))
            });
            pairs.collect()
        });
        units.get(key).copied().unwrap_or(0)
    }
}

/// The last field of a number, which counts.
fn last_bytes(message: &[u8], number: u32) -> &[u8] {
    let found = fields(message).filter(|field| field.number == number).last();
    found.and_then(|field| field.value.bytes()).unwrap_or_default()
}

pub(super) fn damage(of: &str, damage: Option<Damage>, issues: &mut Issues) {
    if let Some(damage) = damage {
        issues.add(IssueKind::Damage, || format!("{of} is damaged: {damage}"));
    }
}

/// What one profile has taken over from the dictionary.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// By index, or by place and depth.
    stacks: KeyedMap<(u64, u64), StackId>,
    /// Up to v1.7: the locations that stacks are ranges of.
    pub(super) location_indices: Vec<u32>,
    locations: KeyedMap<u64, LocationId>,
    functions: KeyedMap<u64, FunctionId>,
    mappings: KeyedMap<u64, MappingId>,
}

/// What reading needs at every step.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) layout: Layout,
    pub(super) dictionary: Dictionary<'a>,
    pub(super) options: &'a Options,
    pub(super) budget: Budget,
    pub(super) issues: Issues,
}

impl<'a> Context<'a> {
    fn intern(&mut self, tables: &mut Tables, index: Option<u64>) -> StringId {
        let text = self.string(index.unwrap_or(0));
        self.budget.intern(tables, &text, &mut self.issues)
    }

    pub(super) fn string(&mut self, index: u64) -> String {
        self.dictionary.string(index, &mut self.budget, &mut self.issues)
    }

    pub(super) fn attribute(&mut self, index: u64) -> Option<(String, LabelValue<String>)> {
        let (budget, issues) = (&mut self.budget, &mut self.issues);
        if self.layout.is_old() {
            return self.dictionary.old_attribute(index, budget, issues);
        }
        self.dictionary.attribute(index, budget, issues)
    }

    pub(super) fn entry(&mut self, table: usize, index: u64) -> Option<&'a [u8]> {
        self.dictionary.get(table, index, &mut self.budget, &mut self.issues)
    }

    /// The stack at an index of the stack table.
    pub(super) fn stack(&mut self, index: u64, used: &mut Used, tables: &mut Tables) -> StackId {
        if let Some(&known) = used.stacks.get(&(index, 0)) {
            return known;
        }
        let Some(message) = self.entry(STACKS, index) else { return StackTable::ROOT };
        let max = self.budget.frames_to_read();
        let mut leaf_first = Vec::new();
        let mut all = fields(message);
        for field in all.by_ref().filter(|field| field.number == 1) {
            let mut indices = field.value.varints();
            for index in indices.by_ref().take(max.saturating_sub(leaf_first.len())) {
                leaf_first.extend(self.location(index, used, tables));
            }
            damage("a stack", indices.damage(), &mut self.issues);
        }
        damage("a stack", all.damage(), &mut self.issues);
        let stack = self.budget.stack(tables, &leaf_first, &mut self.issues);
        used.stacks.insert((index, 0), stack);
        stack
    }

    /// The stack at a range of a profile's locations, the leaf's first (up to v1.7).
    pub(super) fn stack_at(
        &mut self,
        (first, depth): (u64, u64),
        used: &mut Used,
        tables: &mut Tables,
    ) -> StackId {
        if depth == 0 {
            return StackTable::ROOT;
        }
        if let Some(&known) = used.stacks.get(&(first, depth)) {
            return known;
        }
        let max = self.budget.frames_to_read();
        let at = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let rest = used.location_indices.get(at(first)..).unwrap_or_default();
        if at(depth) > rest.len() {
            self.issues.add(IssueKind::Reference, || {
                format!("a stack of {depth} locations at {first} is not there")
            });
        }
        let range = rest[..at(depth).min(rest.len()).min(max)].to_vec();
        // A small payload may name many ranges.
        if !self.budget.work(size_of_val(range.as_slice()), &mut self.issues) {
            return StackTable::ROOT;
        }
        let mut leaf_first = Vec::with_capacity(range.len());
        for index in range {
            leaf_first.extend(self.location(index.into(), used, tables));
        }
        let stack = self.budget.stack(tables, &leaf_first, &mut self.issues);
        used.stacks.insert((first, depth), stack);
        stack
    }

    fn location(&mut self, index: u64, used: &mut Used, tables: &mut Tables) -> Option<LocationId> {
        if let Some(&known) = used.locations.get(&index) {
            return Some(known);
        }
        let message = self.entry(LOCATIONS, index)?;
        if !self.budget.location(&mut self.issues) {
            return None;
        }
        let mut location = Location::default();
        let attributes = self.layout.location_attributes();
        let mut all = fields(message);
        for field in all.by_ref() {
            match (field.number, field.value.number(), field.value.bytes()) {
                (number, _, _) if number == attributes => {
                    for attribute in field.value.varints().take(TABLE_ATTRIBUTES_MAX) {
                        if let Some((key, LabelValue::Text(name))) = self.attribute(attribute)
                            && key == FRAME_TYPE
                        {
                            location.frame_type = FrameType::from_name(&name);
                        }
                    }
                }
                (4, Some(flag), _) => location.is_folded = flag != 0,
                (1, Some(mapping), _) => location.mapping = self.mapping(mapping, used, tables),
                (2, Some(address), _) => location.address = address,
                (3, _, Some(line)) if self.budget.line(&mut self.issues) => {
                    location.lines.extend(self.line(line, used, tables));
                }
                _ => {}
            }
        }
        damage("a location", all.damage(), &mut self.issues);
        let handle = tables.locations.intern(location);
        used.locations.insert(index, handle);
        Some(handle)
    }

    fn line(&mut self, message: &[u8], used: &mut Used, tables: &mut Tables) -> Option<Line> {
        let [_, function, line, column] = numbers::<4>(message);
        let index = function.unwrap_or(0);
        let function = match used.functions.get(&index) {
            Some(&known) => known,
            None => {
                let message = self.entry(FUNCTIONS, index)?;
                let [_, name, system_name, file, start_line] = numbers::<5>(message);
                let (name, system_name) =
                    (self.intern(tables, name), self.intern(tables, system_name));
                let file = self.intern(tables, file);
                let system_name =
                    if system_name == name { StringId::default() } else { system_name };
                let start_line = line_number(start_line);
                let function =
                    tables.functions.intern(Function { name, system_name, file, start_line });
                used.functions.insert(index, function);
                function
            }
        };
        Some(Line { function, line: line_number(line), column: line_number(column) })
    }

    fn mapping(&mut self, index: u64, used: &mut Used, tables: &mut Tables) -> Option<MappingId> {
        if index == 0 && !self.layout.is_old() {
            return None;
        }
        if let Some(&known) = used.mappings.get(&index) {
            return Some(known);
        }
        // Old writers, too, keep an empty one for locations without.
        let message = self.entry(MAPPINGS, index).filter(|message| !message.is_empty())?;
        let [_, start, limit, offset, file] = numbers::<5>(message);
        let mapping = Mapping {
            start: start.unwrap_or(0),
            limit: limit.unwrap_or(0),
            offset: offset.unwrap_or(0),
            file: self.intern(tables, file),
            build_id: self.build_id(message, tables),
        };
        let handle = tables.mappings.intern(mapping);
        used.mappings.insert(index, handle);
        Some(handle)
    }

    /// The build id of a mapping, by preference of [`BUILD_IDS`].
    fn build_id(&mut self, mapping: &[u8], tables: &mut Tables) -> StringId {
        let mut best: Option<(usize, String)> = None;
        for field in fields(mapping).filter(|field| field.number == 5) {
            for attribute in field.value.varints().take(TABLE_ATTRIBUTES_MAX) {
                let Some((key, value)) = self.attribute(attribute) else { continue };
                let Some(rank) = BUILD_IDS.iter().position(|id| *id == key) else { continue };
                if best.as_ref().is_none_or(|(have, _)| rank < *have) {
                    best = Some((rank, into_text(value)));
                }
            }
        }
        let id = best.map(|(_, id)| id).unwrap_or_default();
        self.budget.intern(tables, &id, &mut self.issues)
    }
}

/// Numbers of a message by field number, the last of each.
pub(super) fn numbers<const N: usize>(message: &[u8]) -> [Option<u64>; N] {
    let mut found = [None; N];
    for field in fields(message) {
        if let (Some(slot), Some(number)) =
            (found.get_mut(field.number as usize), field.value.number())
        {
            *slot = Some(number);
        }
    }
    found
}

fn line_number(number: Option<u64>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}
