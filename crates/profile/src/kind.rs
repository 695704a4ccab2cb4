//! Sample kinds: what an event was and what it measured. The registry is [`crate::kind_table`].

use std::borrow::Cow;

/// The most values one event can carry.
pub const VALUES_MAX: usize = 4;

/// How values of a measure combine over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Values add up.
    Sum,
    /// A level: over a range, the mean over each series' profiles, then the sum over series.
    Gauge,
}

impl Aggregation {
    /// `sum` or `gauge`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Gauge => "gauge",
        }
    }
}

/// One value of a kind. With its kind it makes a profile type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// First part of the profile type id, e.g. `process_cpu`.
    pub family: Cow<'static, str>,
    /// Name for people, e.g. `CPU time`.
    pub name: Cow<'static, str>,
    /// Sample type, e.g. `cpu`.
    pub sample_type: Cow<'static, str>,
    /// Unit, e.g. `nanoseconds`.
    pub unit: Cow<'static, str>,
    /// Period type, e.g. `cpu`; may be empty.
    pub period_type: Cow<'static, str>,
    /// Period unit; may be empty.
    pub period_unit: Cow<'static, str>,
    /// How values combine.
    pub aggregation: Aggregation,
    /// What is measured and how.
    pub description: Cow<'static, str>,
}

/// The id of a profile type in Pyroscope's form
/// `name:sample_type:sample_unit:period_type:period_unit`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileTypeId(pub String);

impl std::fmt::Display for ProfileTypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Measure {
    /// The profile type this measure is shown as.
    pub fn type_id(&self) -> ProfileTypeId {
        ProfileTypeId(format!(
            "{}:{}:{}:{}:{}",
            self.family, self.sample_type, self.unit, self.period_type, self.period_unit
        ))
    }
}

/// What an event was: an id and at most [`VALUES_MAX`] measures, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SampleKind {
    /// `stack`, `heap`, … for registered kinds; `custom|…` for a client's own (see
    /// [`SampleKind::custom`]).
    pub id: Cow<'static, str>,
    /// The values an event carries.
    pub measures: Vec<Measure>,
}

impl SampleKind {
    /// A kind of a client's own sample types, which says all there is in its id:
    /// `custom|family|type:unit,…|period type:period unit`, with `% | , :` percent-escaped.
    /// Types beyond [`VALUES_MAX`] are ignored: split them first.
    pub fn custom(family: &str, types: &[(&str, &str)], period: (&str, &str)) -> Self {
        let types = &types[..types.len().min(VALUES_MAX)];
        let listed: Vec<String> =
            types.iter().map(|(name, unit)| format!("{}:{}", escape(name), escape(unit))).collect();
        let id = format!(
            "custom|{}|{}|{}:{}",
            escape(family),
            listed.join(","),
            escape(period.0),
            escape(period.1)
        );
        let measure = |&(name, unit): &(&str, &str)| custom_measure(family, name, unit, period);
        Self { id: Cow::Owned(id), measures: types.iter().map(measure).collect() }
    }

    /// The kind of an id, registered or custom; `None` when it is neither.
    pub fn from_id(id: &str) -> Option<Self> {
        if let Some(kind) = crate::kind_table::registered(id) {
            return Some(kind);
        }
        let mut parts = id.strip_prefix("custom|")?.split('|');
        let (family, types, period) = (parts.next()?, parts.next()?, parts.next()?);
        let pair = |text: &str| {
            let (name, unit) = text.split_once(':')?;
            Some((unescape(name), unescape(unit)))
        };
        let types: Option<Vec<_>> = types.split(',').map(pair).collect();
        let (types, period) = (types?, pair(period)?);
        let types: Vec<_> = types.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
        Some(Self::custom(&unescape(family), &types, (&period.0, &period.1)))
    }

    /// The position of the measure that is shown as `id`.
    pub fn measure_of(&self, id: &ProfileTypeId) -> Option<usize> {
        self.measures.iter().position(|measure| measure.type_id() == *id)
    }
}

fn custom_measure(family: &str, name: &str, unit: &str, period: (&str, &str)) -> Measure {
    const LEVELS: [&str; 5] = ["inuse", "goroutine", "threadcreate", "heap_live", "live"];
    let is_level = LEVELS.iter().any(|prefix| name.starts_with(prefix));
    Measure {
        family: Cow::Owned(family.to_owned()),
        name: Cow::Owned(name.to_owned()),
        sample_type: Cow::Owned(name.to_owned()),
        unit: Cow::Owned(unit.to_owned()),
        period_type: Cow::Owned(period.0.to_owned()),
        period_unit: Cow::Owned(period.1.to_owned()),
        aggregation: if is_level { Aggregation::Gauge } else { Aggregation::Sum },
        description: Cow::Borrowed("A sample type of the client's own"),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '|' => out.push_str("%7C"),
            ',' => out.push_str("%2C"),
            ':' => out.push_str("%3A"),
            other => out.push(other),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    text.replace("%3A", ":").replace("%2C", ",").replace("%7C", "|").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_custom_kind_comes_back_from_its_id(
            family in ".{0,12}",
            types in prop::collection::vec((".{1,10}", ".{0,8}"), 1..5),
            period in (".{0,8}", ".{0,8}"),
        ) {
            let types: Vec<_> = types.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
            let kind = SampleKind::custom(&family, &types, (&period.0, &period.1));
            prop_assert_eq!(SampleKind::from_id(&kind.id), Some(kind));
        }
    }

    #[test]
    fn ids_are_in_pyroscope_s_form() {
        let kind = SampleKind::from_id("stack").expect("registered");
        let id = kind.measures[0].type_id();
        assert_eq!(id.0, "process_cpu:cpu:nanoseconds:cpu:nanoseconds");
        assert_eq!(kind.measure_of(&id), Some(0));
        assert_eq!(SampleKind::from_id("nonsense"), None);
        assert_eq!(SampleKind::from_id("custom|a"), None);
    }
}
