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
    /// By kind: which values it has, and as which measure.
    values: Vec<Vec<(usize, usize)>>,
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
        let mut values = vec![Vec::new(); map.kinds.len()];
        for (at, target) in map.targets.iter().enumerate() {
            values[target.kind].push((at, target.measure));
        }
        Self { types, map, kinds, values }
    }

    pub(crate) fn len(&self) -> usize {
        self.types.len()
    }

    /// Adds the rows of a sample that measured `values`; nothing when it measured nothing.
    pub(crate) fn push(
        &self,
        profile: &mut Profile,
        base: &Sample,
        values: &[i64],
        budget: &mut Budget,
        issues: &mut Issues,
    ) {
        for (&kind, own) in self.kinds.iter().zip(&self.values) {
            let mut row = [0; VALUES_MAX];
            for &(at, measure) in own {
                if let (Some(slot), Some(value)) = (row.get_mut(measure), values.get(at)) {
                    *slot = *value;
                }
            }
            if row != [0; VALUES_MAX] && budget.sample(issues) {
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

/// Units as the registry spells them.
pub(crate) fn unit_name(unit: &str) -> &str {
    match unit {
        "ns" => "nanoseconds",
        "By" => "bytes",
        "1" => "count",
        other => other,
    }
}
