//! Tells in which layout a request is written. Page: `docs/formats/otlp.md`.

use super::dictionary::{ATTRIBUTES, Dictionary, LINKS, LOCATIONS, MAPPINGS};
use super::layout::Layout;
use wire::scan::{Field, Value, fields};

/// Samples that are looked at to tell v1.9 from v1.10; more of them say the same.
const VOTES_MAX: usize = 64;

/// What a request is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// This one.
    Surely(Layout),
    /// The most likely one.
    Likely(Layout),
    /// One whose names and stacks are not in the message: v1.6.
    Unreadable,
}

/// Looks at profiles until they tell. `body` is the request, whose dictionary is read.
pub(super) fn tell(body: &[u8], dictionary: &Dictionary<'_>) -> Told {
    let head = profiles(body).map(head).find(|head| *head != Head::Silent);
    match head {
        Some(Head::Old) if dictionary.is_empty() => {
            let has_tables = profiles(body).any(has_tables);
            if has_tables { Told::Surely(Layout::V1_5) } else { Told::Unreadable }
        }
        Some(Head::Old) => Told::Surely(Layout::V1_7),
        Some(Head::New) | None => tell_new(body, dictionary),
        Some(Head::Silent) => Told::Surely(Layout::V1_10),
    }
}

fn profiles(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = |message, number| {
        fields(message)
            .filter(move |field: &Field<'_>| field.number == number)
            .filter_map(|field| field.value.bytes())
    };
    parts(body, 1)
        .flat_map(move |resource| parts(resource, 2))
        .flat_map(move |scope| parts(scope, 2))
}

fn samples(profile: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(profile).filter(|field| field.number == 2).filter_map(|field| field.value.bytes())
}

/// What a profile says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// v1.7 or older.
    Old,
    /// v1.8 or newer.
    New,
    /// Nothing: there is hardly more than a type in it.
    Silent,
}

fn head(profile: &[u8]) -> Head {
    let (mut types, mut texts) = (0, 0);
    for field in fields(profile) {
        match (field.number, field.value) {
            // The time, a fixed number since v1.8, stands where locations did; the period where a
            // type of it did, and the other way round.
            (3, Value::I64(_)) | (6, Value::Varint(_)) => return Head::New,
            (3 | 4 | 6, Value::Len(_)) | (5, Value::Varint(_)) => return Head::Old,
            (1, Value::Len(_)) => types += 1,
            (10, Value::Len(_)) => texts += 1,
            _ => {}
        }
        if types > 1 || texts > 1 {
            return Head::Old;
        }
    }
    // Only old samples have a sixth field, a packed list of values as their third and their depth
    // as their second.
    let is_old = |sample: &[u8]| {
        let has = |number, is_number: bool| {
            let mut all = fields(sample).filter(|field| field.number == number);
            all.any(|field| field.value.number().is_some() == is_number)
        };
        has(6, true) || has(6, false) || (has(2, true) && has(3, false))
    };
    if samples(profile).any(is_old) { Head::Old } else { Head::Silent }
}

/// Whether an old profile holds tables: v1.6 and v1.7 have a number as field 4 and one id as
/// field 10, where v1.5 has locations and texts.
fn has_tables(profile: &[u8]) -> bool {
    let count = |number| {
        fields(profile)
            .filter(|field| field.number == number && field.value.bytes().is_some())
            .count()
    };
    count(4) > 0 || count(10) > 1
}

/// v1.8 and newer. Fields behind the samples tell v1.8 from the others, samples tell v1.10 from
/// both.
fn tell_new(body: &[u8], dictionary: &Dictionary<'_>) -> Told {
    let is_1_8 = |profile: &[u8]| {
        fields(profile).any(|field| match (field.number, field.value) {
            (8, Value::Len(_)) | (12, _) => true,
            // Types had a temporality until then.
            (1 | 5, Value::Len(kind)) => fields(kind).any(|field| field.number == 3),
            _ => false,
        })
    };
    if profiles(body).take(VOTES_MAX).any(is_1_8) {
        return Told::Surely(Layout::V1_8);
    }
    let (mut newer, mut older, mut both) = (0, 0, 0);
    for sample in profiles(body).flat_map(samples) {
        let sample = Shape::of(sample);
        if sample.is_alike() {
            continue;
        }
        match (sample.fits_1_10(dictionary), sample.fits_1_9(dictionary)) {
            (true, false) => newer += 1,
            (false, true) => older += 1,
            (true, true) => both += 1,
            (false, false) => {}
        }
        if newer + older >= VOTES_MAX {
            break;
        }
    }
    match (newer, older) {
        (0, 0) if both > 0 => tell_by_use(body, dictionary),
        (_, 0) => Told::Surely(Layout::V1_10),
        (0, _) => Told::Surely(Layout::V1_9),
        _ if newer >= older => Told::Likely(Layout::V1_10),
        _ => Told::Likely(Layout::V1_9),
    }
}

/// Every sample may be of either: their second fields are as many numbers as there are times, and
/// each is an index of an attribute. Attributes that nothing else refers to are there for samples.
fn tell_by_use(body: &[u8], dictionary: &Dictionary<'_>) -> Told {
    let mut is_used = vec![false; dictionary.entries(ATTRIBUTES).len()];
    let mut take = |message: &[u8], number| {
        let found = fields(message).filter(|field| field.number == number);
        for index in found.flat_map(|field| field.value.varints()) {
            if let Some(flag) = is_used.get_mut(index as usize) {
                *flag = true;
            }
        }
    };
    dictionary.entries(MAPPINGS).iter().for_each(|mapping| take(mapping, 5));
    dictionary.entries(LOCATIONS).iter().for_each(|location| take(location, 4));
    profiles(body).for_each(|profile| take(profile, 11));
    let mut second = profiles(body)
        .flat_map(samples)
        .flat_map(|sample| fields(sample).filter(|field| field.number == 2))
        .flat_map(|field| field.value.varints());
    if second.any(|index| index != 0 && is_used.get(index as usize) == Some(&false)) {
        Told::Surely(Layout::V1_10)
    } else {
        Told::Likely(Layout::V1_9)
    }
}

/// A field that may be a list or a number.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    count: usize,
    max: u64,
    is_packed: bool,
}

impl List {
    fn add(&mut self, value: Value<'_>) {
        self.is_packed |= value.bytes().is_some();
        for number in value.varints() {
            self.count += 1;
            self.max = self.max.max(number);
        }
    }

    /// Whether all are indices of a table.
    fn is_within(&self, table: &[&[u8]]) -> bool {
        self.max == 0 || self.max < table.len() as u64
    }

    /// Whether it may be one index of a table.
    fn is_one_of(&self, table: &[&[u8]]) -> bool {
        !self.is_packed && self.count <= 1 && self.is_within(table)
    }

    /// Whether it may be the values of that many times.
    fn are_values(&self, times: usize) -> bool {
        (self.count > 0 && times == 0) || (times > 0 && (self.count == 0 || self.count == times))
    }
}

/// The fields 2, 3 and 4 of a sample and its number of times.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    second: List,
    third: List,
    fourth: List,
    times: usize,
}

impl Shape {
    fn of(sample: &[u8]) -> Self {
        let mut shape = Self::default();
        for field in fields(sample) {
            match field.number {
                2 => shape.second.add(field.value),
                3 => shape.third.add(field.value),
                4 => shape.fourth.add(field.value),
                5 => shape.times += field.value.bytes().map_or(1, |bytes| bytes.len() / 8),
                _ => {}
            }
        }
        shape
    }

    /// Whether both layouts read it as the same.
    fn is_alike(&self) -> bool {
        self.second.count + self.third.count + self.fourth.count == 0
    }

    /// Attributes, link, values.
    fn fits_1_10(&self, dictionary: &Dictionary<'_>) -> bool {
        self.second.is_within(dictionary.entries(ATTRIBUTES))
            && self.third.is_one_of(dictionary.entries(LINKS))
            && self.fourth.are_values(self.times)
    }

    /// Values, attributes, link.
    fn fits_1_9(&self, dictionary: &Dictionary<'_>) -> bool {
        self.third.is_within(dictionary.entries(ATTRIBUTES))
            && self.fourth.is_one_of(dictionary.entries(LINKS))
            && self.second.are_values(self.times)
    }
}
