//! What an upload is answered with.

use crate::sink::Kept;
use formats::DecodedProfile;
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer to an upload: what was stored, and what could not be read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Receipt {
    /// Profiles that are durable now.
    pub profiles: Vec<Stored>,
    /// What could not be read or had to be changed.
    pub issues: Vec<String>,
    /// Records that hold no profile.
    #[serde(skip)]
    pub ignored: u64,
}

/// A stored profile.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its series.
    pub labels: BTreeMap<String, String>,
    /// Start of its window, in milliseconds.
    pub start_ms: i64,
    /// End of its window, in milliseconds.
    pub end_ms: i64,
    /// Number of samples.
    pub samples: u64,
    /// Whether the same came within the last hour already: it is counted once, under this id.
    pub duplicate: bool,
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
    pub(crate) fn of(decoded: &DecodedProfile) -> Self {
        let types = decoded.type_map.iter().map(|mapped| StoredType {
            sample_type: mapped.sample_type.clone(),
            unit: mapped.unit.clone(),
            profile_type: mapped.profile_type.0.clone(),
        });
        let labels = decoded.profile.labels.iter();
        Self {
            id: String::new(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            start_ms: decoded.profile.window.start.millis(),
            end_ms: decoded.profile.window.end.millis(),
            samples: decoded.profile.samples.len() as u64,
            duplicate: false,
            types: types.collect(),
        }
    }

    pub(crate) fn set(&mut self, kept: Kept) {
        self.id = kept.id.to_string();
        self.duplicate = kept.is_repeat;
    }
}
