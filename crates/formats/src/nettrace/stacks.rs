//! Stacks: addresses as they lie in the file, valid up to the next sequence point.

use super::container::Block;
use super::input::Input;
use crate::decoded::{IssueKind, Issues};
use crate::limits::NETTRACE_STACKS_MAX;
use profile::KeyedMap;

/// The stacks of one block, each with its key.
pub(super) fn stacks_of<'a>(
    block: &Block<'a>,
    issues: &mut Issues,
) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
    let mut input = Input::new(block.bytes);
    let head = input.u32().and_then(|first| Some((first, input.u32()?)));
    let (first, count) = head.unwrap_or_default();
    // Known before they are walked, so that it can be said.
    let mut walk = input;
    let whole = (0..count)
        .take_while(|_| {
            let size = walk.u32().map(|size| size as usize);
            size.and_then(|size| walk.take(size)).is_some()
        })
        .count();
    if head.is_none() || whole < count as usize {
        let at = block.at;
        issues.add(IssueKind::Damage, || {
            format!("of {count} stacks in the block at {at} {whole} can be read")
        });
    }
    (0..whole as u32).map_while(move |at| {
        let size = input.u32()? as usize;
        Some((first.wrapping_add(at), input.take(size)?))
    })
}

/// The addresses of a stack, the leaf's first. All but that one say where a call returns to, which
/// may be behind the caller's last instruction: one less lies within the call.
pub(super) fn addresses(stack: &[u8], pointer_bytes: usize) -> impl Iterator<Item = u64> {
    let numbers = stack.chunks_exact(pointer_bytes).filter_map(move |bytes| {
        Input::new(bytes).pointer(pointer_bytes).filter(|address| *address > 0)
    });
    numbers.enumerate().map(|(at, address)| if at == 0 { address } else { address - 1 })
}

/// The stacks that are known at a place in the file.
#[derive(Debug, Default)]
pub(super) struct Stacks<'a>(KeyedMap<u32, &'a [u8]>);

impl<'a> Stacks<'a> {
    pub(super) fn read(&mut self, block: &Block<'a>, issues: &mut Issues) {
        let mut problems = Issues::default();
        for (key, stack) in stacks_of(block, &mut problems) {
            if self.0.len() >= NETTRACE_STACKS_MAX {
                issues.add(IssueKind::Limit, || {
                    format!("only {NETTRACE_STACKS_MAX} stacks between two sequence points")
                });
                return;
            }
            self.0.insert(key, stack);
        }
    }

    pub(super) fn get(&self, key: u32) -> Option<&'a [u8]> {
        self.0.get(&key).copied()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_looked_up_where_they_call() {
        let bytes: Vec<u8> = [10_u64, 20, 30].iter().flat_map(|ip| ip.to_le_bytes()).collect();
        assert_eq!(addresses(&bytes, 8).collect::<Vec<_>>(), [10, 19, 29]);
        let bytes: Vec<u8> = [10_u32, 20].iter().flat_map(|ip| ip.to_le_bytes()).collect();
        assert_eq!(addresses(&bytes, 4).collect::<Vec<_>>(), [10, 19]);
    }
}
