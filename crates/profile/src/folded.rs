//! Folded text (`root;caller;leaf 12`): for tests, exports and people. The format's tolerant reader
//! for uploads is in `formats`; here it serves tests of the model.

use crate::handle::Handle;
use crate::{KindIndex, Location, Profile, Sample, SampleKind, StackId, Tables};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The names of a location's frames, innermost inline first. A frame without a name is shown as its
/// address in hex.
pub fn frame_names(tables: &Tables, location: &Location) -> Vec<String> {
    if location.lines.is_empty() {
        return vec![format!("0x{:x}", location.address)];
    }
    let names = location.lines.iter().map(|line| {
        let function = tables.functions.get(line.function);
        let name = function.map_or("", |function| {
            let name = tables.text(function.name);
            if name.is_empty() { tables.text(function.system_name) } else { name }
        });
        if name.is_empty() { format!("0x{:x}", location.address) } else { name.to_owned() }
    });
    names.collect()
}

/// Frame names of a stack, root first.
pub fn stack_names(tables: &Tables, stack: StackId) -> Vec<String> {
    let mut names = Vec::new();
    for id in tables.stacks.leaf_first(stack) {
        let location = tables.locations.get(id);
        names.extend(location.map(|location| frame_names(tables, location)).unwrap_or_default());
    }
    names.reverse();
    names
}

/// A name that ends neither its frame nor its line: names come from anywhere.
fn safe(name: &str) -> String {
    let safe = |c: char| match c {
        ';' => ':',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    name.chars().map(safe).collect()
}

/// One measure of one kind, summed by stack and sorted by stack text.
pub fn folded(profile: &Profile, kind: KindIndex, measure: usize) -> String {
    let mut lines: BTreeMap<String, i64> = BTreeMap::new();
    for (stack, value) in profile.by_stack(kind, measure) {
        let names: Vec<String> =
            stack_names(&profile.tables, stack).iter().map(|name| safe(name)).collect();
        let sum = lines.entry(names.join(";")).or_default();
        *sum = sum.saturating_add(value);
    }
    let mut text = String::new();
    for (stack, value) in lines.iter().filter(|(_, value)| **value != 0) {
        let _ = writeln!(text, "{stack} {value}");
    }
    text
}

/// A profile of well-formed folded text; malformed lines are skipped.
pub fn from_folded(text: &str) -> Profile {
    let mut profile = Profile::default();
    let kind =
        profile.intern_kind(&SampleKind::custom("folded", &[("samples", "count")], ("", "")));
    for (stack, value) in text.lines().filter_map(|line| line.rsplit_once(' ')) {
        let Ok(value) = value.parse() else { continue };
        let mut at = StackId::from_index(0);
        for name in stack.split(';') {
            let location = profile.tables.named_location(name);
            at = profile.tables.stacks.intern(at, location);
        }
        profile.samples.push(Sample {
            kind,
            stack: at,
            values: [value, 0, 0, 0],
            ..Sample::default()
        });
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_frame_or_line() {
        let mut profile = from_folded("main;leaf 3\n");
        let odd = profile.tables.named_location("a;b\nevil 1000\r\t");
        let main = profile.samples[0].stack;
        let stack = profile.tables.stacks.intern(main, odd);
        let kind = profile.samples[0].kind;
        profile.samples.push(Sample { stack, kind, values: [4, 0, 0, 0], ..Sample::default() });
        let text = folded(&profile, kind, 0);
        assert_eq!(text, "main;leaf 3\nmain;leaf;a:b\u{fffd}evil 1000\u{fffd}\u{fffd} 4\n");
        assert_eq!(folded(&from_folded(&text), kind, 0), text);
    }
}
