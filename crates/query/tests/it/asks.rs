//! Strategies for what is asked: filters of samples and shapes of trees that fit some of what the
//! generated profiles hold.

use proptest::prelude::*;
use views::{CallPath, Filter, Pattern, Shape, parse_matchers};

const FUNCTIONS: [&str; 9] = [
    "function3",
    "function6",
    "function7",
    "function20",
    "0x1000",
    "/function[45]/",
    "/^function1?[0-9]$/",
    "/./",
    "missing",
];

const THREADS: [&str; 4] = ["worker-1", "102", "/worker-[03]/", "missing"];

const ATTRIBUTES: [&str; 8] = [
    r#"endpoint="/api/1""#,
    r#"endpoint=~"/api/.""#,
    r#"endpoint!="/api/0""#,
    r#"endpoint!~".*[12]", size!="7""#,
    r#"size="2""#,
    r#"size="", endpoint="""#,
    r#"missing!="x""#,
    r#"missing="x""#,
];

pub(crate) fn any_function() -> impl Strategy<Value = Pattern> {
    prop::sample::select(&FUNCTIONS[..]).prop_map(|text| Pattern::parse(text).expect("a pattern"))
}

fn any_path() -> impl Strategy<Value = CallPath> {
    (prop::collection::vec(any_function(), 0..4), any::<bool>())
        .prop_map(|(frames, from_root)| CallPath { frames, from_root })
}

/// Half of the filters keep everything, most others have one condition.
pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    let some = |weight| prop::bool::weighted(weight);
    let thread = prop::sample::select(&THREADS[..]);
    let attributes = prop::sample::select(&ATTRIBUTES[..]);
    let conditions = (
        (some(0.2), some(0.2), some(0.2), some(0.3), some(0.4), some(0.2), some(0.3)),
        (0_u128..4, 0_u64..6, thread, attributes),
        (prop::collection::vec(any_function(), 1..3), any_function(), any_path()),
    );
    let filter = conditions.prop_map(|(has, (trace, span, thread, attributes), stacks)| Filter {
        trace: has.0.then_some((trace << 64) | 7),
        span: has.1.then_some(span),
        thread: has.2.then(|| Pattern::parse(thread).expect("a pattern")),
        attributes: parse_matchers(if has.3 { attributes } else { "" }).expect("well-formed"),
        functions: if has.4 { stacks.0 } else { Vec::new() },
        leaf: has.5.then_some(stacks.1),
        path: has.6.then_some(stacks.2),
    });
    prop_oneof![Just(Filter::default()), filter]
}

/// Half of the shapes leave trees as they are.
pub(crate) fn any_shape() -> impl Strategy<Value = Shape> {
    let maybe = || prop::option::weighted(0.3, any_function());
    let shape = (maybe(), maybe(), any::<bool>(), maybe(), any::<bool>()).prop_map(
        |(drop, keep, collapse_recursion, focus, invert)| Shape {
            drop,
            keep,
            collapse_recursion,
            focus,
            invert,
        },
    );
    prop_oneof![Just(Shape::default()), shape]
}
