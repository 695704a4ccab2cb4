//! Which method lies at an address.

use super::input::Text;
use crate::decoded::{IssueKind, Issues};
use crate::limits::{NETTRACE_ADDRESSES_MAX, NETTRACE_METHODS_MAX};

/// How many more addresses come together before those that occur twice are dropped.
const ADDRESSES_STEP: usize = 64 << 10;
/// How many methods that begin before an address are looked at: they do not lie in one another.
const OVERLAPS_MAX: usize = 8;

/// The addresses of all stacks, so that only methods that are needed are kept: the runtime lists all
/// it ever compiled.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    all: Vec<u64>,
    sorted: usize,
}

impl Addresses {
    pub(super) fn add(&mut self, address: u64, issues: &mut Issues) {
        if self.all.len() >= self.sorted + ADDRESSES_STEP.max(self.sorted) {
            self.sort();
        }
        if self.sorted >= NETTRACE_ADDRESSES_MAX {
            issues.add(IssueKind::Limit, || {
                format!("only {NETTRACE_ADDRESSES_MAX} addresses of stacks are named")
            });
            return;
        }
        self.all.push(address);
    }

    pub(super) fn sort(&mut self) {
        self.all.sort_unstable();
        self.all.dedup();
        self.sorted = self.all.len();
    }

    /// Whether one lies there. Only after [`Addresses::sort`].
    fn any_in(&self, start: u64, end: u64) -> bool {
        let at = self.all.partition_point(|address| *address < start);
        self.all.get(at).is_some_and(|address| *address < end)
    }
}

/// Code with a name: a method, or a symbol of a binary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method<'a> {
    pub(super) process: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    /// A key of modules.
    pub(super) module: u64,
    /// The class with its namespace; none for symbols.
    pub(super) class: Option<Text<'a>>,
    pub(super) name: Text<'a>,
}

/// The methods that lie at addresses of stacks.
#[derive(Debug, Default)]
pub(super) struct Methods<'a>(Vec<Method<'a>>);

impl<'a> Methods<'a> {
    pub(super) fn add(&mut self, method: Method<'a>, used: &Addresses, issues: &mut Issues) {
        if !used.any_in(method.start, method.end) {
            return;
        }
        // What was told while it ran is told again at the end.
        let is_same = |last: &Method<'_>| (last.start, last.end) == (method.start, method.end);
        if self.0.len() >= NETTRACE_METHODS_MAX && !self.0.last().is_some_and(is_same) {
            issues.add(IssueKind::Limit, || {
                format!("only {NETTRACE_METHODS_MAX} methods of stacks are named")
            });
            return;
        }
        self.0.push(method);
    }

    /// Makes them ready to be found.
    pub(super) fn sort(&mut self) {
        // Stable: of those that begin together the one that was told of last is found first.
        self.0.sort_by_key(|method| (method.process, method.start));
    }

    /// The method at an address. Where code was freed and its place used again, the later one.
    pub(super) fn find(&self, process: u64, address: u64) -> Option<&Method<'a>> {
        let past =
            self.0.partition_point(|method| (method.process, method.start) <= (process, address));
        let before = self.0[..past].iter().rev().take(OVERLAPS_MAX);
        before.take_while(|method| method.process == process).find(|method| address < method.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(process: u64, start: u64, end: u64, name: &[u8]) -> Method<'_> {
        let (class, name) = (None, Text::Plain(name));
        Method { process, start, end, module: 0, class, name }
    }

    #[test]
    fn methods_are_found_by_address_and_process() {
        let mut issues = Issues::default();
        let mut used = Addresses::default();
        for address in [10, 19, 20, 35, 10] {
            used.add(address, &mut issues);
        }
        used.sort();
        let mut methods = Methods::default();
        for one in [
            method(1, 30, 40, b"c"),
            method(1, 10, 20, b"a"),
            method(1, 11, 19, b"unused"),
            method(1, 10, 20, b"later"),
            method(2, 15, 21, b"other"),
        ] {
            methods.add(one, &used, &mut issues);
        }
        methods.sort();
        let name = |process, address| {
            let found = methods.find(process, address)?;
            let text = found.name.read(&crate::Limits::default(), &mut Issues::default());
            Some(text.into_owned())
        };
        assert_eq!(methods.0.len(), 4, "one is at no address");
        assert_eq!(name(1, 10).as_deref(), Some("later"));
        assert_eq!(name(1, 20), None);
        assert_eq!(name(1, 35).as_deref(), Some("c"));
        assert_eq!(name(2, 19).as_deref(), Some("other"));
        assert_eq!(name(3, 19), None);
    }
}
