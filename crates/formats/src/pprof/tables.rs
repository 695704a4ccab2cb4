//! The first pass: everything of a pprof message but its samples.

use super::ids::Ids;
use crate::decoded::{IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use profile::{
    Function, FunctionId, Line, Location, LocationId, Mapping, MappingId, StringId, Tables,
};
use std::borrow::Cow;
use wire::scan::{Damage, Field, fields};

/// Fields of a pprof message, tables and scalars; samples are read later.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    pub(super) sample_types: Vec<&'a [u8]>,
    pub(super) period_type: Option<&'a [u8]>,
    mappings: Vec<&'a [u8]>,
    locations: Vec<&'a [u8]>,
    functions: Vec<&'a [u8]>,
    strings: Vec<&'a [u8]>,
    pub(super) comments: Vec<u64>,
    /// Scalar fields by number: times, period, string indices.
    pub(super) scalars: [u64; 16],
    pub(super) has_period: bool,
}

impl<'a> Raw<'a> {
    pub(super) fn scan(body: &'a [u8], options: &Options, issues: &mut Issues) -> Self {
        let limits = &options.limits;
        let mut raw = Self::default();
        let mut all = fields(body);
        for field in all.by_ref() {
            let (list, max) = match field.number {
                1 => (&mut raw.sample_types, limits.sample_types_max),
                3 => (&mut raw.mappings, limits.locations_max),
                4 => (&mut raw.locations, limits.locations_max),
                5 => (&mut raw.functions, limits.locations_max),
                6 => (&mut raw.strings, limits.strings_max),
                _ => {
                    raw.scalar(field);
                    continue;
                }
            };
            match field.value.bytes() {
                Some(_) if list.len() >= max => issues.add(IssueKind::Limit, || {
                    format!("only the first {max} entries of field {} are read", field.number)
                }),
                Some(bytes) => list.push(bytes),
                None => issues.add(IssueKind::Damage, || {
                    format!("field {} of the profile is a number", field.number)
                }),
            }
        }
        damage("the profile", all.damage(), issues);
        raw
    }

    fn scalar(&mut self, field: Field<'a>) {
        match (field.number, field.value.bytes()) {
            (11, bytes @ Some(_)) => self.period_type = bytes,
            (13, _) if self.comments.len() < crate::limits::INFO_ENTRIES_MAX => {
                self.comments.extend(field.value.varints().take(crate::limits::INFO_ENTRIES_MAX));
            }
            (number, None) => {
                if let Some(slot) = self.scalars.get_mut(number as usize) {
                    *slot = field.value.number().unwrap_or(0);
                }
                self.has_period |= number == 12;
            }
            _ => {}
        }
    }

    /// How many strings there are.
    pub(super) fn string_count(&self) -> usize {
        self.strings.len()
    }

    /// The string at an index; an index that leads nowhere is an issue and gives the empty string.
    pub(super) fn string(
        &self,
        index: u64,
        options: &Options,
        issues: &mut Issues,
    ) -> Cow<'a, str> {
        text(self.string_bytes(index, issues), &options.limits, issues)
    }

    /// As [`Self::string`], not yet looked at.
    pub(super) fn string_bytes(&self, index: u64, issues: &mut Issues) -> &'a [u8] {
        let found = usize::try_from(index).ok().and_then(|index| self.strings.get(index));
        if found.is_none() && index != 0 {
            issues.add(IssueKind::Reference, || format!("there is no string {index}"));
        }
        found.copied().unwrap_or_default()
    }
}

#[inline]
pub(super) fn damage(of: &str, damage: Option<Damage>, issues: &mut Issues) {
    if let Some(damage) = damage {
        add_damage(of, damage, issues);
    }
}

#[cold]
fn add_damage(of: &str, damage: Damage, issues: &mut Issues) {
    issues.add(IssueKind::Damage, || format!("{of} is damaged: {damage}"));
}

/// Numbers of a message by field number, the last of each; the reader of all flat messages.
pub(super) fn numbers<const N: usize>(
    message: &[u8],
    of: &str,
    issues: &mut Issues,
) -> [Option<u64>; N] {
    let mut found = [None; N];
    let mut all = fields(message);
    for field in all.by_ref() {
        if let (Some(slot), Some(number)) =
            (found.get_mut(field.number as usize), field.value.number())
        {
            *slot = Some(number);
        }
    }
    damage(of, all.damage(), issues);
    found
}

/// Ids of the message as handles of the profile's tables.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// By index.
    strings: Vec<Option<StringId>>,
    mappings: Ids<MappingId>,
    functions: Ids<FunctionId>,
    pub(super) locations: Ids<LocationId>,
}

impl Resolved {
    pub(super) fn new(
        raw: &Raw<'_>,
        tables: &mut Tables,
        options: &Options,
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> Self {
        let mut resolved = Self::default();
        resolved.strings.resize(raw.strings.len(), None);
        tables.strings.reserve(raw.strings.len());
        tables.functions.reserve(raw.functions.len());
        tables.locations.reserve(raw.locations.len());
        resolved.read_mappings(raw, tables, options, issues);
        resolved.read_functions(raw, tables, options, issues);
        for message in &raw.locations {
            if !budget.location(issues) {
                break;
            }
            let (id, location) = resolved.location(message, budget, issues);
            let handle = tables.locations.push(location);
            unique(&mut resolved.locations, id, handle, "location", issues);
        }
        resolved
    }

    fn string(
        &mut self,
        index: u64,
        raw: &Raw<'_>,
        tables: &mut Tables,
        options: &Options,
        issues: &mut Issues,
    ) -> StringId {
        let slot = self.strings.get_mut(usize::try_from(index).unwrap_or(usize::MAX));
        if let Some(Some(known)) = slot {
            return *known;
        }
        let handle = tables.strings.intern(&raw.string(index, options, issues));
        if let Some(slot) = slot {
            *slot = Some(handle);
        }
        handle
    }

    fn read_mappings(
        &mut self,
        raw: &Raw<'_>,
        tables: &mut Tables,
        options: &Options,
        issues: &mut Issues,
    ) {
        for message in &raw.mappings {
            let [_, id, start, limit, offset, file, build_id] =
                numbers::<7>(message, "a mapping", issues);
            let mut string =
                |index: Option<u64>| self.string(index.unwrap_or(0), raw, tables, options, issues);
            let mapping = Mapping {
                file: string(file),
                build_id: string(build_id),
                start: start.unwrap_or(0),
                limit: limit.unwrap_or(0),
                offset: offset.unwrap_or(0),
            };
            let handle = tables.mappings.intern(mapping);
            unique(&mut self.mappings, id.unwrap_or(0), handle, "mapping", issues);
        }
    }

    fn read_functions(
        &mut self,
        raw: &Raw<'_>,
        tables: &mut Tables,
        options: &Options,
        issues: &mut Issues,
    ) {
        for message in &raw.functions {
            let [_, id, name, system_name, file, start_line] =
                numbers::<6>(message, "a function", issues);
            let mut string =
                |index: Option<u64>| self.string(index.unwrap_or(0), raw, tables, options, issues);
            let (name, system_name) = (string(name), string(system_name));
            let function = Function {
                name,
                system_name: if system_name == name { StringId::default() } else { system_name },
                file: string(file),
                start_line: line_number(start_line),
            };
            let handle = tables.functions.push(function);
            unique(&mut self.functions, id.unwrap_or(0), handle, "function", issues);
        }
    }

    fn location(
        &self,
        message: &[u8],
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> (u64, Location) {
        let mut id = 0;
        let mut location = Location::default();
        let mut all = fields(message);
        for field in all.by_ref() {
            match (field.number, field.value.number(), field.value.bytes()) {
                (1, Some(number), _) => id = number,
                (2, Some(0), _) => {}
                (2, Some(number), _) => {
                    location.mapping = self.mappings.get(number);
                    if location.mapping.is_none() {
                        issues
                            .add(IssueKind::Reference, || format!("there is no mapping {number}"));
                    }
                }
                (3, Some(number), _) => location.address = number,
                (4, _, Some(bytes)) if budget.line(issues) => {
                    location.lines.extend(self.line(bytes, issues));
                }
                (5, Some(number), _) => location.is_folded = number != 0,
                _ => {}
            }
        }
        damage("a location", all.damage(), issues);
        (id, location)
    }

    fn line(&self, message: &[u8], issues: &mut Issues) -> Option<Line> {
        let [_, function, line, column] = numbers::<4>(message, "a line", issues);
        let id = function.unwrap_or(0);
        let Some(function) = self.functions.get(id) else {
            issues.add(IssueKind::Reference, || format!("there is no function {id}"));
            return None;
        };
        Some(Line { function, line: line_number(line), column: line_number(column) })
    }
}

fn unique<T: Copy + PartialEq>(
    ids: &mut Ids<T>,
    id: u64,
    handle: T,
    what: &str,
    issues: &mut Issues,
) {
    if ids.get(id).is_some_and(|have| have != handle) {
        issues
            .add(IssueKind::DuplicateId, || format!("{what} {id} occurs twice: the last is used"));
    }
    ids.insert(id, handle);
}

/// Lines are signed on the wire; what is no line number is unknown.
fn line_number(number: Option<u64>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}
