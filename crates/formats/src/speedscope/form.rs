//! The parts of a file that are read. Numbers that stand in lists of lists are kept in one list:
//! a file of empty samples takes no more memory than its text.

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::borrow::Cow;
use std::fmt;

#[derive(Debug, Default, Deserialize)]
pub(super) struct File<'a> {
    #[serde(borrow, default)]
    pub(super) shared: Shared<'a>,
    #[serde(borrow, default)]
    pub(super) profiles: Vec<Recording<'a>>,
    #[serde(borrow, default)]
    pub(super) exporter: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Shared<'a> {
    #[serde(borrow, default)]
    pub(super) frames: Vec<Frame<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) file: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) line: Option<f64>,
    #[serde(default)]
    pub(super) col: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Recording<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) unit: Cow<'a, str>,
    #[serde(rename = "startValue", default)]
    pub(super) start_value: f64,
    #[serde(default)]
    pub(super) samples: Lists,
    #[serde(default)]
    pub(super) weights: Vec<f64>,
    #[serde(borrow, default)]
    pub(super) events: Vec<Event<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) frame: u32,
    #[serde(default)]
    pub(super) at: f64,
}

/// Lists of frames, the outermost first.
#[derive(Debug, Default)]
pub(super) struct Lists {
    numbers: Vec<u32>,
    ends: Vec<u32>,
}

impl Lists {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> &[u32] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.numbers[start..self.ends[at] as usize]
    }
}

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ListsVisitor)
    }
}

struct ListsVisitor;

impl<'de> Visitor<'de> for ListsVisitor {
    type Value = Lists;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of positions of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Lists, A::Error> {
        let mut lists = Lists::default();
        while from.next_element_seed(OneList(&mut lists.numbers))?.is_some() {
            lists.ends.push(lists.numbers.len() as u32);
        }
        Ok(lists)
    }
}

struct OneList<'a>(&'a mut Vec<u32>);

impl<'de> de::DeserializeSeed<'de> for OneList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for OneList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("positions of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        while let Some(number) = from.next_element()? {
            self.0.push(number);
        }
        Ok(())
    }
}
