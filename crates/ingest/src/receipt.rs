//! What an upload is answered with.

use profile::{KindIndex, Profile};
use serde::Serialize;
use std::collections::BTreeMap;
use stdx::Ulid;

/// The answer to an upload: what was stored, and what could not be read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Receipt {
    /// Profiles that are durable now.
    pub profiles: Vec<Stored>,
    /// What could not be read or had to be changed.
    pub issues: Vec<String>,
}

/// A stored profile.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its series.
    pub labels: BTreeMap<String, String>,
    /// Number of samples.
    pub samples: u64,
    /// Sample types found, with the profile type each is shown as.
    pub types: Vec<StoredType>,
}

/// A sample type of a stored profile.
#[derive(Clone, Debug, Serialize)]
pub struct StoredType {
    /// Name of the sample type.
    pub sample_type: String,
    /// Its unit.
    pub unit: String,
    /// Id of the profile type.
    #[serde(rename = "type")]
    pub profile_type: String,
}

impl Stored {
    /// Describes a profile that is about to be stored; its id comes later.
    pub(crate) fn of(profile: &Profile) -> Self {
        let mut types = Vec::new();
        for (at, kind) in profile.kinds.iter().enumerate() {
            let totals = profile.totals(KindIndex(at as u32));
            let any = totals.iter().any(|total| *total != 0);
            for (measure, total) in kind.measures.iter().zip(totals) {
                if total == 0 && any {
                    continue;
                }
                types.push(StoredType {
                    sample_type: measure.sample_type.to_string(),
                    unit: measure.unit.to_string(),
                    profile_type: measure.type_id().0,
                });
            }
        }
        let labels = profile.labels.iter();
        Self {
            id: String::new(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            samples: profile.samples.len() as u64,
            types,
        }
    }

    pub(crate) fn set_id(&mut self, id: Ulid) {
        self.id = id.to_string();
    }
}
