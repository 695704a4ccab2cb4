//! Constants: where in a chunk each stands. They are read when something refers to them.

use super::header::{HEADER_BYTES, Header};
use super::input::Input;
use super::layout::{Step, skip, steps};
use super::metadata::Types;
use crate::decoded::{IssueKind, Issues};
use crate::intern::Budget;
use crate::limits::{JFR_CHECKPOINTS_MAX, JFR_CONSTANTS_MAX};
use profile::KeyedMap;

const TYPE_OF_CONSTANTS: u64 = 1;

/// Places of constants, by the position of their type and their key.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_class: Vec<KeyedMap<u64, u32>>,
    count: usize,
}

impl Pools {
    pub(super) fn get(&self, class: usize, key: u64) -> Option<usize> {
        let at = self.by_class.get(class)?.get(&key)?;
        Some(*at as usize)
    }

    /// Takes in the constants of the events at `places`, in the file's order.
    pub(super) fn read(
        &mut self,
        types: &Types,
        input: Input<'_>,
        places: &[usize],
        budget: &mut Budget,
        issues: &mut Issues,
    ) {
        self.by_class.resize_with(types.len(), KeyedMap::default);
        let mut known = KeyedMap::default();
        for &at in places {
            let mut event = input;
            event.at = at;
            let end = event.int().and_then(|size| at.checked_add(usize::try_from(size).ok()?));
            let mut event = input.range(event.at, end.unwrap_or(usize::MAX));
            if let Err(why) = self.read_event(types, &mut event, &mut known, (budget, issues)) {
                let kind = if why == FULL { IssueKind::Limit } else { IssueKind::Damage };
                issues.add(kind, || format!("constants at {at}, {why} at {}", event.at));
            }
        }
    }

    /// Reads what comes after the size of an event of constants.
    fn read_event(
        &mut self,
        types: &Types,
        event: &mut Input<'_>,
        known: &mut KeyedMap<usize, Option<Vec<Step>>>,
        (budget, issues): (&mut Budget, &mut Issues),
    ) -> Result<(), &'static str> {
        const CUT: &str = "cut off or damaged";
        let (_type, _start, _duration) = (event.long(), event.long(), event.long());
        let (_delta, _mask) = (event.long(), event.byte());
        let pools = event.count().ok_or(CUT)?;
        for _ in 0..pools {
            let class = event.long().ok_or(CUT)?;
            let count = event.count().ok_or(CUT)?;
            let class = types.find(class).ok_or("of a type that is not described")?;
            let steps = known.entry(class).or_insert_with(|| {
                let (steps, looked_at) = steps(types, class);
                let is_paid = budget.work(looked_at * size_of::<Step>(), issues);
                steps.filter(|_| is_paid)
            });
            let steps = steps.as_ref().ok_or("of a type that cannot be read")?;
            for _ in 0..count {
                let key = event.long().ok_or(CUT)?;
                if self.count >= JFR_CONSTANTS_MAX {
                    return Err(FULL);
                }
                self.count += 1;
                let at = u32::try_from(event.at).map_err(|_| CUT)?;
                skip(event, steps).ok_or(CUT)?;
                self.by_class[class].insert(key, at);
            }
        }
        Ok(())
    }
}

const FULL: &str = "more of them than are kept";

/// Places of events of constants that the header leads to, newest first, as far as they lie at or
/// beyond `from`: where walking the events could not get.
pub(super) fn chain(header: &Header, input: Input<'_>, from: usize) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), header.constants_at);
    // Events do not overlap, so that no byte is read twice.
    let mut end = input.range(0, usize::MAX).left();
    while found.len() < JFR_CHECKPOINTS_MAX {
        let Ok(place) = usize::try_from(at) else { break };
        let mut event = input;
        event.at = place;
        let size = event.int().and_then(|size| usize::try_from(size).ok());
        let is_inside = size.is_some_and(|size| size <= end.saturating_sub(place));
        if place < from.max(HEADER_BYTES) || !is_inside {
            break;
        }
        if event.long() != Some(TYPE_OF_CONSTANTS) {
            break;
        }
        found.push(place);
        end = place;
        let (_start, _duration) = (event.long(), event.long());
        // Backwards only, so that it ends.
        match event.long().map(u64::cast_signed) {
            Some(delta) if delta < 0 => at = at.saturating_add_signed(delta),
            _ => break,
        }
    }
    found.reverse();
    found
}
