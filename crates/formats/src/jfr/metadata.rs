//! Type descriptions: the metadata event of a chunk.

use super::input::{Basic, Input, Text};
use crate::decoded::{IssueKind, Issues};
use crate::intern::Budget;
use crate::limits::{JFR_ELEMENT_DEPTH_MAX, JFR_ELEMENTS_MAX, JFR_TYPE_TEXT_BYTES_MAX};
use profile::KeyedMap;
use std::borrow::Cow;

/// What a number of a field counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    #[default]
    None,
    Ticks,
    /// A multiple of a nanosecond.
    Nanos(i64),
}

/// A field of a type.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    pub(super) name: String,
    /// Id of its type.
    pub(super) class: u64,
    /// Its value is a key of the type's constants.
    pub(super) is_pooled: bool,
    pub(super) is_array: bool,
    pub(super) unit: Unit,
    /// Types of its annotations, and their value.
    annotations: Vec<(u64, String)>,
}

/// A type: of events, of constants, of parts of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    /// In the words of today's JDK.
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

impl Class {
    pub(super) fn basic(&self) -> Option<Basic> {
        Basic::from_name(&self.name)
    }
}

/// The types of one chunk.
#[derive(Debug, Default)]
pub(super) struct Types {
    classes: Vec<Class>,
    by_id: KeyedMap<u64, usize>,
    /// What the chunk's descriptions, all together, have used of their limits.
    elements: usize,
    text_bytes: usize,
}

impl Types {
    /// Whether descriptions have reached a limit: further ones are not worth reading.
    pub(super) fn is_full(&self) -> bool {
        self.elements > JFR_ELEMENTS_MAX || self.text_bytes > JFR_TYPE_TEXT_BYTES_MAX
    }

    /// The position of a type.
    pub(super) fn find(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Class> {
        self.classes.get(at)
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The id of a type.
    pub(super) fn id_of(&self, name: &str) -> Option<u64> {
        let at = self.position(name)?;
        self.by_id.iter().find(|(_, have)| **have == at).map(|(id, _)| *id)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class.name == name)
    }

    /// Takes in the metadata event at `input`; types that are known already stay.
    pub(super) fn read(&mut self, input: Input<'_>, budget: &mut Budget, issues: &mut Issues) {
        let at = input.at;
        let mut head = input;
        let end = head.int().and_then(|size| at.checked_add(usize::try_from(size).ok()?));
        let mut input = input.range(at, end.unwrap_or(usize::MAX));
        let known = self.classes.len();
        if parse(self, &mut input, budget, issues).is_none() {
            issues.add(IssueKind::Damage, || {
                format!("the type descriptions at {at} are damaged at {}", input.at)
            });
        }
        self.resolve_units(known);
    }

    /// Annotations may come before the types they are of.
    fn resolve_units(&mut self, from: usize) {
        for at in from..self.classes.len() {
            for field in 0..self.classes[at].fields.len() {
                let annotations = std::mem::take(&mut self.classes[at].fields[field].annotations);
                let names = annotations.iter().filter_map(|(id, value)| {
                    let class = self.classes.get(self.find(*id)?)?;
                    Some((class.name.rsplit('.').next().unwrap_or_default(), value.as_str()))
                });
                let unit = names.filter_map(|(name, value)| unit(name, value)).next_back();
                self.classes[at].fields[field].unit = unit.unwrap_or_default();
            }
        }
    }
}

fn unit(annotation: &str, value: &str) -> Option<Unit> {
    if annotation != "Timespan" && annotation != "Timestamp" {
        return None;
    }
    Some(match value {
        "TICKS" => Unit::Ticks,
        "NANOSECONDS" => Unit::Nanos(1),
        "MICROSECONDS" => Unit::Nanos(1_000),
        "MILLISECONDS" | "MILLISECONDS_SINCE_EPOCH" => Unit::Nanos(1_000_000),
        "SECONDS" => Unit::Nanos(1_000_000_000),
        _ => return None,
    })
}

/// The first JDKs wrote other package names.
fn todays_name(name: &str) -> String {
    let parts = [("com.oracle.jdk.", "jdk."), ("com.oracle.jfr.", "jdk."), ("oracle.jdk.", "jdk.")];
    let renamed =
        parts.iter().find_map(|(old, new)| Some(format!("{new}{}", name.strip_prefix(old)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}

struct Parser<'a, 'i, 't> {
    types: &'t mut Types,
    texts: Vec<Text<'a>>,
    budget: &'i mut Budget,
    issues: &'i mut Issues,
}

fn parse(
    types: &mut Types,
    input: &mut Input<'_>,
    budget: &mut Budget,
    issues: &mut Issues,
) -> Option<()> {
    let (_size, kind) = (input.int()?, input.long()?);
    if kind != 0 {
        return None;
    }
    let (_start, _duration, _id) = (input.long()?, input.long()?, input.long()?);
    let count = input.count()?;
    let mut texts = Vec::new();
    for _ in 0..count.min(budget.limits.strings_max) {
        texts.push(input.text()?);
    }
    let mut parser = Parser { types, texts, budget, issues };
    parser.element(input, Place::default(), 0)
}

/// The type, and its field, that an element stands in.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    class: Option<usize>,
    field: Option<usize>,
}

impl<'a> Parser<'a, '_, '_> {
    /// A text by its number. All elements may have the same long one: each time counts.
    fn text(&mut self, index: Option<i32>) -> Option<Cow<'a, str>> {
        let text = *self.texts.get(usize::try_from(index?).ok()?)?;
        self.types.text_bytes += text.len().min(self.budget.limits.string_bytes_max);
        if self.types.text_bytes > JFR_TYPE_TEXT_BYTES_MAX {
            self.issues.add(IssueKind::Limit, || {
                format!("type descriptions with more than {JFR_TYPE_TEXT_BYTES_MAX} bytes of names")
            });
            return None;
        }
        if !self.budget.work(text.len(), self.issues) {
            return None;
        }
        Some(text.read(&self.budget.limits, self.issues))
    }

    fn element(&mut self, input: &mut Input<'a>, place: Place, depth: usize) -> Option<()> {
        self.types.elements += 1;
        if depth > JFR_ELEMENT_DEPTH_MAX || self.types.elements > JFR_ELEMENTS_MAX {
            self.issues.add(IssueKind::Limit, || {
                format!("type descriptions of more than {JFR_ELEMENTS_MAX} elements, or too deep")
            });
            return None;
        }
        let kind = self.text(input.int())?;
        let mut found = Attributes::default();
        for _ in 0..input.count()? {
            let key = self.text(input.int())?;
            let value = self.text(input.int())?;
            found.take(&key, value);
        }
        let inner = match (kind.as_ref(), place) {
            ("class", _) => Place { class: self.class(found), field: None },
            ("field", Place { class: Some(class), .. }) => self.field(class, found),
            ("annotation", Place { class: Some(class), field: Some(field) }) => {
                let annotation = (found.class, found.value.into_owned());
                self.types.classes[class].fields[field].annotations.push(annotation);
                Place::default()
            }
            ("annotation" | "setting", _) => Place::default(),
            _ => place,
        };
        for _ in 0..input.count()? {
            self.element(input, inner, depth + 1)?;
        }
        Some(())
    }

    fn class(&mut self, found: Attributes<'_>) -> Option<usize> {
        if self.types.by_id.contains_key(&found.id) {
            return None;
        }
        let at = self.types.classes.len();
        self.types.by_id.insert(found.id, at);
        self.types.classes.push(Class { name: todays_name(&found.name), fields: Vec::new() });
        Some(at)
    }

    fn field(&mut self, class: usize, found: Attributes<'_>) -> Place {
        let fields = &mut self.types.classes[class].fields;
        fields.push(Field {
            name: found.name.into_owned(),
            class: found.class,
            is_pooled: found.is_pooled,
            is_array: found.is_array,
            ..Field::default()
        });
        Place { class: Some(class), field: Some(fields.len() - 1) }
    }
}

/// The attributes of an element that matter.
#[derive(Default)]
struct Attributes<'a> {
    name: Cow<'a, str>,
    id: u64,
    class: u64,
    value: Cow<'a, str>,
    is_pooled: bool,
    is_array: bool,
}

impl<'a> Attributes<'a> {
    fn take(&mut self, key: &str, value: Cow<'a, str>) {
        // Ids are signed in text.
        let id = |text: &str| text.parse::<i64>().map_or(0, i64::cast_unsigned);
        match key {
            "name" => self.name = value,
            "id" => self.id = id(&value),
            "class" => self.class = id(&value),
            "value" | "value-0" => self.value = value,
            "constantPool" => self.is_pooled = value == "true",
            "dimension" => self.is_array = value != "0",
            _ => {}
        }
    }
}
