//! Whether the same stacks, and only those, are taken for one.

use super::*;
use profile::{Mapping, Profile};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A location in words, as it is once it was taken over.
fn location(tables: &Tables, row: &Location, keep_addresses: bool) -> String {
    let text = |id| tables.text(id).to_owned();
    let mut lines = Vec::new();
    for line in &row.lines {
        if let Some(f) = tables.functions.get(line.function) {
            let names = (text(f.name), text(f.system_name), text(f.file));
            lines.push((names, f.start_line, line.line, line.column));
        }
    }
    let is_named = |names: &(String, String, String)| !names.0.is_empty() || !names.1.is_empty();
    let drops = !keep_addresses && !lines.is_empty() && lines.iter().all(|line| is_named(&line.0));
    let mapping = row.mapping.and_then(|id| tables.mappings.get(id)).map(|m: &Mapping| {
        let places = if drops { [0; 3] } else { [m.start, m.limit, m.offset] };
        (text(m.file), text(m.build_id), places)
    });
    let address = if drops { 0 } else { row.address };
    format!("{:?}", (mapping, address, lines, row.frame_type, row.is_folded))
}

fn frames(tables: &Tables, stack: StackId, keep_addresses: bool) -> Vec<String> {
    let rows = tables.stacks.leaf_first(stack).filter_map(|id| tables.locations.get(id));
    rows.map(|row| location(tables, row, keep_addresses)).collect()
}

/// Locations and stacks that the tables have more than once.
fn doubles(tables: &Tables) -> usize {
    let locations = tables.locations.rows().iter().map(|row| location(tables, row, true));
    let nodes = tables.stacks.iter().map(|(_, parent, location)| (parent, location));
    let (locations, nodes): (BTreeSet<_>, BTreeSet<_>) = (locations.collect(), nodes.collect());
    tables.locations.len() - locations.len() + tables.stacks.len() - 1 - nodes.len()
}

/// Tables in which some of what they refer to is not there.
fn with_gaps(mut profile: Profile, gaps: bool) -> Tables {
    let tables = &mut profile.tables;
    if gaps {
        let inner = tables.stacks.intern(StackId(0), LocationId(1_000));
        for (stack, _, at) in tables.stacks.clone().iter().take(3) {
            tables.stacks.intern(inner, at);
            let inside = tables.stacks.intern(stack, LocationId(1_001));
            tables.stacks.intern(inside, at);
        }
        let lines = [Line { function: FunctionId(1_000), ..Line::default() }];
        let mapping = Some(MappingId(1_000));
        let lost = Location { lines: lines.into(), mapping, address: 3, ..Location::default() };
        let lost = tables.locations.intern(lost);
        tables.stacks.intern(inner, lost);
    }
    profile.tables
}

proptest! {
    #[test]
    fn stacks_are_one_when_and_only_when_their_frames_are_alike(
        profiles in testkit::profiles::any_profiles(5),
        keep_addresses in any::<bool>(),
        gaps in any::<bool>(),
        anew in 0_usize..5,
        step in 1_usize..4,
        backwards in any::<bool>(),
    ) {
        let (mut target, mut known) = (Tables::default(), Known::default());
        let mut stacks: BTreeMap<Vec<String>, u32> = BTreeMap::new();
        let mut taken: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (at, profile) in profiles.into_iter().enumerate() {
            let source = with_gaps(profile, gaps);
            if at == anew {
                known = Known::of(&target);
            }
            let all = (0..source.stacks.len()).map(StackId::from_index);
            let mut asked: Vec<StackId> = all.step_by(step).collect();
            if backwards {
                asked.reverse();
            }
            let remap = absorb(&mut target, &mut known, &source, &asked, keep_addresses);
            for &stack in &asked {
                let (wanted, place) = (frames(&source, stack, keep_addresses), remap.stack(stack));
                prop_assert_eq!(&frames(&target, StackId(place), true), &wanted);
                prop_assert_eq!(*stacks.entry(wanted.clone()).or_insert(place), place);
                prop_assert_eq!(taken.entry(place).or_insert_with(|| wanted.clone()), &wanted);
            }
            let size = (target.stacks.len(), target.locations.len(), target.strings.len());
            let again = absorb(&mut target, &mut known, &source, &asked, keep_addresses);
            let same = |&at: &StackId| again.stack(at) == remap.stack(at);
            prop_assert!(asked.iter().all(same));
            let now = (target.stacks.len(), target.locations.len(), target.strings.len());
            prop_assert_eq!(now, size, "what came before adds nothing");
        }
        prop_assert_eq!(doubles(&target), 0);
    }
}

#[test]
fn what_no_wanted_stack_has_is_not_taken() {
    let mut source = Tables::default();
    let [a, b, c] = ["a", "b", "c"].map(|name| source.named_location(name));
    let caller = source.stacks.intern(StackId(0), a);
    let leaf = source.stacks.intern(caller, b);
    source.stacks.intern(leaf, c);
    let (mut target, mut known) = (Tables::default(), Known::default());
    let place = absorb(&mut target, &mut known, &source, &[leaf, leaf], false).stack(leaf);
    assert_eq!(frames(&target, StackId(place), false), frames(&source, leaf, false));
    assert_eq!((target.stacks.len(), target.functions.len()), (3, 2));
}

#[test]
fn stacks_that_differ_in_one_place_are_two() {
    let stack = |names: &[&str]| {
        let mut tables = Tables::default();
        let mut at = StackId(0);
        for name in names {
            let location = tables.named_location(name);
            at = tables.stacks.intern(at, location);
        }
        tables
    };
    let all: [&[&str]; 8] = [
        &["a"],
        &["b"],
        &["a", "b"],
        &["b", "a"],
        &["ab"],
        &["a", "a"],
        &["a", "", "b"],
        &["", "a"],
    ];
    let (mut target, mut known) = (Tables::default(), Known::default());
    let mut places = BTreeSet::new();
    for names in all {
        let source = stack(names);
        let leaf = StackId::from_index(source.stacks.len() - 1);
        let place = absorb(&mut target, &mut known, &source, &[leaf], false).stack(leaf);
        assert!(places.insert(place), "{names:?}");
    }
}
