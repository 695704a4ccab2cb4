//! Turns the values of one foreign sample into rows: one row a kind, not one a value.

use crate::decoded::{DecodedProfile, Issues, MappedType, Options};
use crate::intern::Budget;
use profile::kind_table::{TypeMap, map_types};
use profile::{KindIndex, Profile, Sample, VALUES_MAX};

/// Where the values of a sample go.
#[derive(Debug)]
pub(crate) struct Rows {
    types: Vec<(String, String)>,
    map: TypeMap,
    kinds: Vec<KindIndex>,
    /// By kind: which values it has, as bits, and as which measure.
    values: Vec<(u64, Vec<(usize, usize)>)>,
}

impl Rows {
    /// Maps sample types into kinds and adds the kinds to the profile.
    pub(crate) fn new(
        types: Vec<(String, String)>,
        period: (&str, &str),
        options: &Options,
        profile: &mut Profile,
    ) -> Self {
        let listed: Vec<(&str, &str)> =
            types.iter().map(|(name, unit)| (name.as_str(), unit_name(unit))).collect();
        let period = (period.0, unit_name(period.1));
        let map = map_types(&listed, period, &options.family);
        let kinds = map.kinds.iter().map(|kind| profile.intern_kind(kind)).collect();
        let mut values = vec![(0, Vec::new()); map.kinds.len()];
        for (at, target) in map.targets.iter().enumerate() {
            let (bits, measures) = &mut values[target.kind];
            *bits |= bit(at);
            measures.push((at, target.measure));
        }
        Self { types, map, kinds, values }
    }

    pub(crate) fn len(&self) -> usize {
        self.types.len()
    }

    /// Adds the rows of a sample that measured `values`; nothing when it measured nothing.
    #[inline]
    pub(crate) fn push(
        &self,
        profile: &mut Profile,
        base: &Sample,
        values: &[i64],
        budget: &mut Budget,
        issues: &mut Issues,
    ) {
        let measured = values.iter().enumerate().filter(|(_, value)| **value != 0);
        let measured = measured.fold(0, |bits, (at, _)| bits | bit(at));
        for (&kind, (bits, own)) in self.kinds.iter().zip(&self.values) {
            if bits & measured == 0 {
                continue;
            }
            let mut row = [0; VALUES_MAX];
            let mut any = 0;
            for &(at, measure) in own {
                if let (Some(slot), Some(&value)) = (row.get_mut(measure), values.get(at)) {
                    *slot = value;
                    any |= value;
                }
            }
            if any != 0 && budget.sample(issues) {
                profile.samples.push(Sample { kind, values: row, ..*base });
            }
        }
    }

    /// The profile with its report of what became of each type.
    pub(crate) fn finish(self, profile: Profile) -> DecodedProfile {
        let types = self.types.into_iter().zip(&self.map.targets);
        let type_map = types
            .map(|((sample_type, unit), target)| MappedType {
                sample_type,
                unit,
                profile_type: self.map.kinds[target.kind].measures[target.measure].type_id(),
                kind: self.kinds[target.kind],
                measure: target.measure,
            })
            .collect();
        DecodedProfile { profile, type_map }
    }
}

/// The bit of a value, by its place; those from 63 on share the last.
fn bit(at: usize) -> u64 {
    1 << at.min(63)
}

/// Units as the registry spells them.
pub(crate) fn unit_name(unit: &str) -> &str {
    match unit {
        "ns" => "nanoseconds",
        "By" => "bytes",
        "1" => "count",
        other => other,
    }
}
