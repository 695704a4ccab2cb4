//! Where the fields of a type are: worked out once, then followed for each event.

use super::input::{Basic, Input, Text};
use super::metadata::{Field, Types, Unit};
use crate::limits::{JFR_NESTING_MAX, JFR_STEPS_MAX};

/// A step over something that is not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Bytes(usize),
    Numbers(usize, Width),
    Text,
    Array(Vec<Step>),
}

/// Bytes of a number where numbers are not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
    Eight,
}

/// Steps over one value of a type, and how many were looked at; no steps when they cannot be known,
/// or are too many.
pub(super) fn steps(types: &Types, class: usize) -> (Option<Vec<Step>>, usize) {
    let (mut out, mut left) = (Vec::new(), JFR_STEPS_MAX);
    let known = class_steps(types, class, 0, &mut left, &mut out);
    (known.map(|()| out), JFR_STEPS_MAX - left)
}

/// Steps over some fields of a type; `None` when they cannot be known, or are too many.
pub(super) fn steps_over(types: &Types, fields: &[Field]) -> Option<Vec<Step>> {
    let (mut out, mut left) = (Vec::new(), JFR_STEPS_MAX);
    for field in fields {
        field_steps(types, field, 0, &mut left, &mut out)?;
    }
    Some(out)
}

fn class_steps(
    types: &Types,
    class: usize,
    depth: usize,
    budget: &mut usize,
    out: &mut Vec<Step>,
) -> Option<()> {
    let class = types.get(class).filter(|_| depth <= JFR_NESTING_MAX)?;
    if let Some(basic) = class.basic() {
        *budget = budget.checked_sub(1)?;
        push(out, basic_step(basic));
        return Some(());
    }
    for field in &class.fields {
        field_steps(types, field, depth, budget, out)?;
    }
    Some(())
}

fn field_steps(
    types: &Types,
    field: &Field,
    depth: usize,
    budget: &mut usize,
    out: &mut Vec<Step>,
) -> Option<()> {
    *budget = budget.checked_sub(1)?;
    let mut one = Vec::new();
    if field.is_pooled {
        one.push(Step::Numbers(1, Width::Eight));
    } else {
        class_steps(types, types.find(field.class)?, depth + 1, budget, &mut one)?;
    }
    if field.is_array {
        out.push(Step::Array(one));
    } else {
        for step in one {
            push(out, step);
        }
    }
    Some(())
}

fn basic_step(basic: Basic) -> Step {
    match basic {
        Basic::Boolean | Basic::Byte => Step::Bytes(1),
        Basic::Char | Basic::Short => Step::Numbers(1, Width::Two),
        Basic::Int => Step::Numbers(1, Width::Four),
        Basic::Long => Step::Numbers(1, Width::Eight),
        Basic::Float => Step::Bytes(4),
        Basic::Double => Step::Bytes(8),
        Basic::Text => Step::Text,
    }
}

/// Adds a step, joined with the one before where they are alike.
fn push(out: &mut Vec<Step>, step: Step) {
    match (out.last_mut(), step) {
        (Some(Step::Bytes(have)), Step::Bytes(more)) => *have += more,
        (Some(Step::Numbers(have, width)), Step::Numbers(more, same)) if *width == same => {
            *have += more;
        }
        (_, step) => out.push(step),
    }
}

/// Follows steps.
pub(super) fn skip(input: &mut Input<'_>, steps: &[Step]) -> Option<()> {
    for step in steps {
        match step {
            Step::Bytes(count) => drop(input.take(*count)?),
            Step::Numbers(count, width) => {
                for _ in 0..*count {
                    match width {
                        Width::Two => drop(input.number(Basic::Short)?),
                        Width::Four => drop(input.int()?),
                        Width::Eight => drop(input.long()?),
                    }
                }
            }
            Step::Text => drop(input.text()?),
            // Elements without bytes are not walked: they may be as many as a number can say.
            Step::Array(inner) if inner.is_empty() => drop(input.int()?),
            Step::Array(inner) => {
                for _ in 0..input.count()? {
                    skip(input, inner)?;
                }
            }
        }
    }
    Some(())
}

/// A value that was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Value<'a> {
    #[default]
    None,
    Number(i64),
    Fraction(f64),
    Text(Text<'a>),
    /// A key of the constants of the type at that position.
    Pooled(usize, u64),
}

/// The most fields that are asked for of one type.
pub(super) const SLOTS: usize = 20;
/// The values that were asked for, in that order.
pub(super) type Slots<'a> = [Value<'a>; SLOTS];

#[derive(Clone, Debug)]
enum Op {
    Skip(Vec<Step>),
    Take(usize, Take),
}

#[derive(Clone, Copy, Debug)]
enum Take {
    Number(Basic),
    Fraction(Basic),
    Text,
    Pooled(usize),
}

/// Reads the wanted fields of one type.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    ops: Vec<Op>,
    units: [Unit; SLOTS],
    has: [bool; SLOTS],
}

impl Reader {
    /// The reader of the fields named `wanted`, of which the type may lack some. `None` when the
    /// type cannot be read.
    pub(super) fn new(types: &Types, class: usize, wanted: &[&str]) -> Option<Self> {
        let mut reader = Self { ops: Vec::new(), units: [Unit::None; SLOTS], has: [false; SLOTS] };
        let (mut between, mut budget) = (Vec::new(), JFR_STEPS_MAX);
        for field in &types.get(class)?.fields {
            let slot = wanted.iter().take(SLOTS).position(|name| *name == field.name);
            let take = take(types, field);
            if let (Some(slot), Some(take)) = (slot, take) {
                if !between.is_empty() {
                    reader.ops.push(Op::Skip(std::mem::take(&mut between)));
                }
                reader.ops.push(Op::Take(slot, take));
                (reader.units[slot], reader.has[slot]) = (field.unit, true);
            } else if field_steps(types, field, 0, &mut budget, &mut between).is_none() {
                // What comes before can be read.
                break;
            }
        }
        Some(reader)
    }

    pub(super) fn unit(&self, slot: usize) -> Unit {
        self.units[slot]
    }

    pub(super) fn has(&self, slot: usize) -> bool {
        self.has[slot]
    }

    /// The values; those that come after the damage of a damaged one are missing.
    pub(super) fn read<'a>(&self, input: &mut Input<'a>) -> (Slots<'a>, bool) {
        let mut slots = [Value::None; SLOTS];
        for op in &self.ops {
            let done = match op {
                Op::Skip(steps) => skip(input, steps),
                Op::Take(slot, take) => take.read(input).map(|value| slots[*slot] = value),
            };
            if done.is_none() {
                return (slots, false);
            }
        }
        (slots, true)
    }
}

fn take(types: &Types, field: &Field) -> Option<Take> {
    if field.is_array {
        return None;
    }
    let at = types.find(field.class)?;
    if field.is_pooled {
        return Some(Take::Pooled(at));
    }
    Some(match types.get(at)?.basic()? {
        Basic::Text => Take::Text,
        basic @ (Basic::Float | Basic::Double) => Take::Fraction(basic),
        basic => Take::Number(basic),
    })
}

impl Take {
    fn read<'a>(self, input: &mut Input<'a>) -> Option<Value<'a>> {
        Some(match self {
            Take::Number(basic) => Value::Number(input.number(basic)?),
            Take::Fraction(basic) => Value::Fraction(input.fraction(basic)?),
            Take::Text => Value::Text(input.text()?),
            Take::Pooled(class) => Value::Pooled(class, input.long()?),
        })
    }
}
