//! Hashes by which functions, locations and stacks are known as the same without being compared.
//!
//! What they are made of is a sequence of words, and those are the coefficients of a polynomial over
//! the field of 2^61 - 1, taken at two points that each process draws once. Whoever chose them, two
//! sequences of at most n words have the same hash with a chance of (n / 2^61)^2: the points are
//! drawn by no one's wish, and no hash is ever shown. Each level has points of its own, so that the
//! hash of a part is a word like any other in the whole.

use crate::places::Short;
use profile::handle::Handle;
use profile::{Function, Line, Location, Mapping, StringId, Tables};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The hash of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content([u64; 2]);

/// The field's size, a prime.
const PRIME: u64 = (1 << 61) - 1;

/// Where the polynomials of one level are taken.
#[derive(Clone, Copy, Debug)]
struct Points([u64; 2]);

/// The points of texts, of functions and mappings, of locations and of stacks.
fn points() -> [Points; 4] {
    static DRAWN: OnceLock<[Points; 4]> = OnceLock::new();
    *DRAWN.get_or_init(|| {
        let random = RandomState::new();
        let point = |at: u32| random.hash_one(at) % PRIME;
        [0, 2, 4, 6].map(|at| Points([point(at), point(at + 1)]))
    })
}

/// `hash * point + word` in the field. Words are below its size.
#[inline]
fn step(hash: u64, point: u64, word: u64) -> u64 {
    let product = u128::from(hash) * u128::from(point) + u128::from(word);
    let sum = (product as u64 & PRIME) + (product >> 61) as u64;
    if sum >= PRIME { sum - PRIME } else { sum }
}

impl Points {
    #[inline]
    fn word(self, have: Content, word: u64) -> Content {
        self.part(have, Content([word, word]))
    }

    #[inline]
    fn part(self, have: Content, part: Content) -> Content {
        let at = |lane: usize| step(have.0[lane], self.0[lane], part.0[lane]);
        Content([at(0), at(1)])
    }

    fn number(self, have: Content, number: u64) -> Content {
        self.word(self.word(have, number & 0xffff_ffff), number >> 32)
    }

    /// Seven bytes a word. The last one has fewer, and a mark where they end.
    fn text(self, text: &str) -> Content {
        let (words, rest) = text.as_bytes().as_chunks::<7>();
        let mut hash = Content::NOTHING;
        for word in words {
            let mut bytes = [0; 8];
            bytes[..7].copy_from_slice(word);
            hash = self.word(hash, u64::from_le_bytes(bytes));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 1;
        self.word(hash, u64::from_le_bytes(last))
    }
}

impl Content {
    /// Of no words. It is not 0, so that words of 0 count.
    const NOTHING: Self = Self([1, 1]);

    /// The bits that are kept.
    #[inline]
    pub(crate) fn short(self) -> Short {
        let bits = u128::from(self.0[0]) | u128::from(self.0[1]) << 61;
        [bits as u32, (bits >> 32) as u32, (bits >> 64) as u32]
    }
}

/// What functions, locations and stacks of tables are, by their handles.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) functions: Vec<Content>,
    pub(crate) locations: Vec<Content>,
    pub(crate) stacks: Vec<Content>,
}

impl Contents {
    /// As they are once they were taken over.
    pub(crate) fn of(tables: &Tables, keep_addresses: bool) -> Self {
        let [texts, parts, locations, paths] = points();
        let strings: Vec<Content> = tables.strings.iter().map(|text| texts.text(text)).collect();
        let text = |id: StringId| strings.get(id.index()).copied().unwrap_or(strings[0]);
        let function = |row: &Function| {
            let names = [row.name, row.system_name, row.file].map(text);
            let hash = names.iter().fold(Content::NOTHING, |hash, &name| parts.part(hash, name));
            parts.word(hash, u64::from(row.start_line))
        };
        let functions: Vec<Content> = tables.functions.rows().iter().map(function).collect();
        let mapping = |row: Mapping| {
            let hash = parts.part(parts.part(Content::NOTHING, text(row.file)), text(row.build_id));
            [row.start, row.limit, row.offset]
                .into_iter()
                .fold(hash, |hash, at| parts.number(hash, at))
        };
        let mappings = tables.mappings.rows().iter();
        let mappings: Vec<[Content; 2]> =
            mappings.map(|row| [mapping(*row), mapping(without_addresses(row))]).collect();
        let location = |row: &Location| {
            let drops = drops_addresses(tables, row, keep_addresses);
            let address = if drops { 0 } else { row.address };
            let mapping = row.mapping.and_then(|id| mappings.get(id.index()));
            let kinds = row.frame_type as u64 | u64::from(row.is_folded) << 8;
            let hash = locations.word(Content::NOTHING, kinds | u64::from(mapping.is_some()) << 9);
            let hash = locations.number(hash, address);
            let hash = mapping.map_or(hash, |kept| locations.part(hash, kept[usize::from(drops)]));
            row.lines.iter().fold(hash, |hash, line| {
                let Some(function) = functions.get(line.function.index()) else { return hash };
                let hash = locations.part(hash, *function);
                locations.word(locations.word(hash, u64::from(line.line)), u64::from(line.column))
            })
        };
        let locations: Vec<Content> = tables.locations.rows().iter().map(location).collect();
        let mut stacks = Vec::with_capacity(tables.stacks.len());
        stacks.push(Content::NOTHING);
        for (_, parent, location) in tables.stacks.iter() {
            let parent = stacks[parent.index()];
            let location = locations.get(location.index());
            // A node without a location adds nothing to its parent's stack.
            stacks.push(location.map_or(parent, |location| paths.part(parent, *location)));
        }
        Self { functions, locations, stacks }
    }
}

/// Whether a location is known by its names, so that its addresses are not kept.
pub(crate) fn drops_addresses(tables: &Tables, row: &Location, keep_addresses: bool) -> bool {
    let is_named = |function: &Function| {
        !tables.text(function.name).is_empty() || !tables.text(function.system_name).is_empty()
    };
    let function = |line: &Line| tables.functions.get(line.function);
    let mut functions = row.lines.iter().filter_map(function).peekable();
    // A line without a name is shown by the address, so one such line keeps it.
    !keep_addresses && functions.peek().is_some() && functions.all(is_named)
}

/// A mapping without what differs from one process to the next.
pub(crate) fn without_addresses(row: &Mapping) -> Mapping {
    Mapping { file: row.file, build_id: row.build_id, ..Mapping::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn steps_are_those_of_the_field() {
        let slow = |hash: u64, point: u64, word: u64| {
            let product = u128::from(hash) * u128::from(point) + u128::from(word);
            (product % u128::from(PRIME)) as u64
        };
        let ends = [0, 1, 2, 0x1234_5678_9abc, PRIME / 2, PRIME - 2, PRIME - 1];
        for (hash, point) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for word in ends {
                assert_eq!(step(hash, point, word), slow(hash, point, word));
            }
        }
    }

    #[test]
    fn texts_that_look_alike_differ() {
        let [points, ..] = points();
        let long = (0..40).map(|length| "a".repeat(length));
        let padded = (0..20).map(|length| format!("b{}", "\0".repeat(length)));
        let marked = (0..20).map(|length| format!("c{}\u{1}", "\0".repeat(length)));
        let texts: Vec<String> = long.chain(padded).chain(marked).collect();
        let hashes: BTreeMap<_, _> = texts.iter().map(|t| (points.text(t).short(), t)).collect();
        assert_eq!(hashes.len(), texts.len());
    }

    proptest! {
        #[test]
        fn texts_have_one_hash_and_different_texts_two(a in ".{0,30}", b in ".{0,30}") {
            let [points, ..] = points();
            prop_assert_eq!(points.text(&a).short() == points.text(&b).short(), a == b);
            prop_assert_eq!(points.text(&a), points.text(&a.clone()));
        }
    }

    /// The content of a single location of one function, changed in one way.
    fn changed(
        change: impl Fn(&mut Function, &mut Mapping, &mut Location, &mut [StringId; 3]),
    ) -> Short {
        let mut tables = Tables::default();
        let mut texts = ["a", "b", "c"].map(|text| tables.strings.intern(text));
        let [a, b, c] = texts;
        let mut function = Function { name: a, system_name: b, file: c, start_line: 1 };
        let mut mapping = Mapping { start: 1, limit: 2, offset: 3, file: a, build_id: b };
        let mut location = Location { address: 7, ..Location::default() };
        location.lines.push(Line { line: 5, column: 6, ..Line::default() });
        change(&mut function, &mut mapping, &mut location, &mut texts);
        tables.functions.intern(function);
        location.mapping = location.mapping.or(Some(tables.mappings.intern(mapping)));
        tables.locations.intern(location);
        Contents::of(&tables, true).locations[0].short()
    }

    #[test]
    fn everything_of_a_location_counts() {
        use profile::{FrameType, MappingId};
        type Change = fn(&mut Function, &mut Mapping, &mut Location, &mut [StringId; 3]);
        let changes: [Change; 19] = [
            |_, _, _, _| {},
            |f, _, _, t| f.name = t[1],
            |f, _, _, t| (f.name, f.system_name) = (t[1], t[0]),
            |f, _, _, t| f.system_name = t[2],
            |f, _, _, t| f.file = t[0],
            |f, _, _, _| f.start_line = 2,
            |_, m, _, _| m.start = 2,
            |_, m, _, _| m.limit = 1 << 32,
            |_, m, _, _| m.offset = 2,
            |_, m, _, t| m.file = t[2],
            |_, m, _, t| m.build_id = t[2],
            |_, _, l, _| l.mapping = Some(MappingId(9)),
            |_, _, l, _| l.address = 7 << 32,
            |_, _, l, _| l.lines[0].line = 6,
            |_, _, l, _| l.lines[0].column = 5,
            |_, _, l, _| l.lines.clear(),
            |_, _, l, _| l.lines.push(l.lines[0]),
            |_, _, l, _| l.frame_type = FrameType::Native,
            |_, _, l, _| l.is_folded = true,
        ];
        let all: BTreeSet<Short> = changes.iter().map(|change| changed(change)).collect();
        assert_eq!(all.len(), changes.len());
    }
}
