//! The frames of the locations of one set of tables, each looked for when it is asked for first: most
//! of a large answer is added up and never shown.

use crate::LateNames;
use crate::frames::{FrameNames, Frames};
use profile::{LocationId, Tables};
use std::sync::Arc;

/// The location of a root, which has no frames.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Frames of locations.
#[derive(Debug)]
pub(super) struct Names {
    /// What names them; none once all are named.
    source: Option<Source>,
    /// By location of the tables: where its frames end in `ends`, and one; 0 for those that were not
    /// looked for. Memory is only taken where some were.
    places: Vec<u32>,
    /// Where each ends in `frames`; it begins where the one before ends.
    ends: Vec<u32>,
    /// Outermost first.
    frames: Vec<u32>,
}

#[derive(Debug)]
struct Source {
    tables: Arc<Tables>,
    late: LateNames,
    names: FrameNames,
}

impl Names {
    /// Those of the locations of tables.
    pub(super) fn of(tables: &Arc<Tables>, late: &LateNames) -> Self {
        let places = vec![0; tables.locations.len()];
        let (tables, late, names) = (Arc::clone(tables), late.clone(), FrameNames::default());
        let source = Some(Source { tables, late, names });
        Self { source, places, ends: Vec::new(), frames: Vec::new() }
    }

    /// The frames of a location, looked for if they were not.
    pub(super) fn of_location(&mut self, location: u32, frames: &mut Frames) -> &[u32] {
        let Self { source, places, ends, frames: list } = self;
        if let (Some(place @ 0), Some(source)) = (places.get_mut(location as usize), source) {
            let named = source.late.over(&source.tables);
            source.names.extend(list, frames, named, LocationId(location));
            ends.push(list.len() as u32);
            *place = ends.len() as u32;
        }
        self.known(location)
    }

    /// The frames of a location that were looked for.
    pub(super) fn known(&self, location: u32) -> &[u32] {
        let place = self.places.get(location as usize).copied();
        let Some(at) = place.and_then(|place| place.checked_sub(1)) else { return &[] };
        let at = at as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.frames[start as usize..self.ends[at] as usize]
    }

    /// Looks for the frames of locations, which are all that are ever asked for.
    pub(super) fn find_all(&mut self, locations: &[u32], frames: &mut Frames) {
        for &location in locations {
            self.of_location(location, frames);
        }
        self.source = None;
    }
}
