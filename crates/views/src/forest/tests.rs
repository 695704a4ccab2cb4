//! Whether a forest answers as the merged tree of the same stacks does.

use super::*;
use crate::{CallTree, GroupBy, GroupQuery, GroupTable};
use profile::{Function, Line, Location};
use proptest::prelude::*;

/// Stacks of locations with up to three frames of a few functions, some without any.
fn tables(stacks: &[Vec<Vec<u8>>]) -> (Arc<Tables>, Vec<StackId>) {
    let mut tables = Tables::default();
    let ids = stacks.iter().map(|stack| {
        let locations: Vec<LocationId> = stack
            .iter()
            .map(|functions| {
                let lines: Vec<Line> = functions
                    .iter()
                    .map(|function| {
                        // Functions of one name are one frame, whatever their first line.
                        let name = tables.strings.intern(&format!("f{}", function / 2));
                        let file = tables.strings.intern(["a", "b"][usize::from(*function < 3)]);
                        let start_line = u32::from(function % 2);
                        let function = Function { name, file, start_line, ..Function::default() };
                        let function = tables.functions.intern(function);
                        Line { function, ..Line::default() }
                    })
                    .collect();
                let row = Location { lines: lines.into(), ..Location::default() };
                tables.locations.intern(row)
            })
            .collect();
        tables.stacks.intern_leaf_first(&locations)
    });
    let ids = ids.collect();
    (Arc::new(tables), ids)
}

type Part = Vec<(Vec<Vec<u8>>, i64)>;

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let location = prop::collection::vec(0_u8..8, 0..3);
    let stack = prop::collection::vec(location, 0..6);
    let value = prop_oneof![3 => 1_i64..4, 1 => Just(0), 1 => 1_i64..100];
    prop::collection::vec(prop::collection::vec((stack, value), 0..20), 0..4)
}

fn both(parts: &[Part]) -> (Forest, CallTree) {
    let (mut forest, mut tree) = (Forest::default(), CallTree::default());
    for part in parts {
        let stacks: Vec<_> = part.iter().map(|(stack, _)| stack.clone()).collect();
        let (tables, ids) = tables(&stacks);
        let values = || ids.iter().copied().zip(part.iter().map(|(_, value)| *value));
        forest.add(&tables, &LateNames::default(), values());
        tree.add_stacks(&tables, values());
    }
    (forest, tree)
}

proptest! {
    #[test]
    fn it_answers_as_the_merged_tree_does(parts in parts(), max_nodes in 0_usize..40) {
        let (mut forest, tree) = both(&parts);
        prop_assert_eq!(forest.total(), tree.total());
        let meta = AnswerMeta::default;
        let right = FlameGraph::of(&tree, max_nodes, meta());
        prop_assert_eq!(forest.flamegraph(max_nodes, meta()), right);
        for sort in [TopSort::Own, TopSort::Total] {
            prop_assert_eq!(forest.top(max_nodes, sort), tree.top(max_nodes, sort));
            let query = GroupQuery { by: GroupBy::File, limit: 3, sort };
            let right = GroupTable::of_tree(&tree, &query, meta());
            // Of one that nothing was asked before.
            let (mut forest, _) = both(&parts);
            prop_assert_eq!(GroupTable::of_forest(&mut forest, &query, meta()), right);
        }
    }

    #[test]
    fn all_is_shown_where_there_is_room(parts in parts()) {
        let (mut forest, tree) = both(&parts);
        let graph = forest.flamegraph(usize::MAX, AnswerMeta::default());
        prop_assert_eq!(&graph, &FlameGraph::of(&tree, usize::MAX, AnswerMeta::default()));
        prop_assert_eq!(graph.trimmed, 0);
    }
}

#[test]
fn locations_without_frames_are_what_called_them() {
    // A location beyond the table has no frames at all.
    let (tables, ids) = tables(&[vec![vec![0]], vec![vec![2], vec![0]]]);
    let mut tables = Arc::unwrap_or_clone(tables);
    let nowhere = LocationId(77);
    let above = tables.stacks.intern(ids[0], nowhere);
    let below = tables.stacks.node(ids[1]).map(|(_, location)| location).expect("a location");
    let callee = tables.stacks.intern(above, below);
    let tables = Arc::new(tables);
    let values = [(ids[0], 1), (above, 10), (callee, 100), (StackId(999), 1_000)];
    let (mut forest, mut tree) = (Forest::default(), CallTree::default());
    forest.add(&tables, &LateNames::default(), values);
    tree.add_stacks(&tables, values);
    let graph = forest.flamegraph(9, AnswerMeta::default());
    assert_eq!((graph.total, graph.own), (vec![1_111, 111, 100], vec![1_000, 11, 100]));
    assert_eq!(forest.top(9, TopSort::Own), tree.top(9, TopSort::Own));
    assert_eq!(
        forest.flamegraph(9, AnswerMeta::default()),
        FlameGraph::of(&tree, 9, AnswerMeta::default())
    );
}

#[test]
fn few_of_many_stacks_are_found_with_their_callers() {
    let stacks: Vec<Vec<Vec<u8>>> =
        (0..200).map(|at| vec![vec![at], vec![at / 9], vec![0]]).collect();
    let (tables, ids) = tables(&stacks);
    // The later one first, and one of them twice.
    let values = [(ids[180], 7), (ids[11], 1), (ids[180], 2)];
    let (mut forest, mut tree) = (Forest::default(), CallTree::default());
    forest.add(&tables, &LateNames::default(), values);
    tree.add_stacks(&tables, values);
    assert_eq!(forest.stacks(), 6, "the root, what they share, and two of each");
    let meta = AnswerMeta::default;
    assert_eq!(forest.flamegraph(9, meta()), FlameGraph::of(&tree, 9, meta()));
    assert_eq!(forest.top(9, TopSort::Total), tree.top(9, TopSort::Total));
}

#[test]
fn what_does_not_fit_is_known() {
    let (mut forest, _) = both(&[]);
    assert!(forest.fits([0, 5, i128::from(i64::MAX) - 5]));
    assert!(!forest.fits([i128::from(i64::MAX), 1]));
    assert!(!forest.fits([7, -1]));
    assert!(!forest.fits([i128::MAX]));
    // What it has already counts, too.
    let (tables, ids) = tables(&[vec![vec![0]]]);
    forest.add(&tables, &LateNames::default(), [(ids[0], i64::MAX - 5)]);
    assert!(forest.fits([5]) && !forest.fits([5, 1]));
}

#[test]
fn only_what_is_shown_and_what_it_calls_is_named() {
    let stacks: Vec<Vec<Vec<u8>>> =
        (0..40).map(|at| vec![vec![at * 4], vec![at * 4 + 2], vec![0]]).collect();
    let (tables, ids) = tables(&stacks);
    let values = || ids.iter().copied().zip(1..);
    let mut forest = Forest::default();
    forest.add(&tables, &LateNames::default(), values());
    let graph = forest.flamegraph(3, AnswerMeta::default());
    assert_eq!(graph.frames.len(), 2, "the first function and its largest callee");
    assert_eq!(forest.frames().len(), 1 + 40 + 1, "and all of the first's, and that callee's");
    // Of tables that are not kept, all are at once.
    let mut forest = Forest { tables_bytes: TABLES_BYTES_MAX, ..Forest::default() };
    forest.add(&tables, &LateNames::default(), values());
    assert_eq!(forest.frames().len(), 80);
    assert_eq!(forest.flamegraph(3, AnswerMeta::default()), graph);
}
