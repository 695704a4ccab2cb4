//! Tables by what a function belongs to, or by what a sample says beside its stack.

use crate::filter::attribute_text;
use crate::{AnswerMeta, TopSort, gauge};
use crate::{CallTree, Forest, Frame};
use profile::{AttributesId, KeyedMap, Tables, ThreadId};
use rustc_hash::FxHashMap;
use stdx::saturate;

/// What rows of a table are. Samples without it are in the row of the empty key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The function's name, whatever its binary and file.
    Function,
    /// The source file.
    File,
    /// The binary's file name; `[kernel]` for the kernel.
    Library,
    /// The package, module or class that the function's name says.
    Package,
    /// The thread's name, or `thread 123` where it has none.
    Thread,
    /// The value of a sample attribute.
    Attribute(String),
}

/// Which table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupQuery {
    /// What rows are.
    pub by: GroupBy,
    /// At most so many rows.
    pub limit: usize,
    /// Order.
    pub sort: TopSort,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// What it is of.
    pub key: String,
    /// Values of its functions alone.
    pub own: i64,
    /// Values of its functions with their callees, counted once a stack. Rows of threads and
    /// attributes have one value, in both.
    pub total: i64,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupTable {
    /// What it was made of.
    pub meta: AnswerMeta,
    /// In the order asked for.
    pub rows: Vec<GroupRow>,
    /// Rows beyond the limit.
    pub left_out: u64,
}

/// The group of a frame; empty where it is not known, and for groups that frames do not have.
pub fn group_key(frame: &Frame, by: &GroupBy) -> String {
    match by {
        GroupBy::Function => frame.name.to_string(),
        GroupBy::File => frame.file.to_string(),
        GroupBy::Library if frame.kernel => "[kernel]".to_owned(),
        GroupBy::Library => frame.library.to_string(),
        GroupBy::Package if frame.unsymbolized => String::new(),
        GroupBy::Package => package_of(&frame.name).to_owned(),
        GroupBy::Thread | GroupBy::Attribute(_) => String::new(),
    }
}

/// What stands before the last part of a qualified name. Go's packages have dots and slashes before
/// the last slash; a receiver in parentheses is no package. `<a::B as c::D>::f` is of `a`.
fn package_of(name: &str) -> &str {
    let name = name.strip_prefix('<').map_or(name, |of| of.split([' ', '>']).next().unwrap_or(of));
    let name = name.split(['(', '<']).next().unwrap_or(name);
    let name = name.trim_end_matches(['.', ':']);
    if let Some((package, _)) = name.rsplit_once("::") {
        return package;
    }
    let folder = name.rfind('/').map_or(0, |at| at + 1);
    if folder > 0 {
        let end = name[folder..].find('.').map_or(name.len(), |at| folder + at);
        return &name[..end];
    }
    name.rsplit_once('.').map_or("", |(package, _)| package)
}

/// The key of a thread.
pub fn thread_key(tables: &Tables, id: Option<ThreadId>) -> String {
    let Some(row) = id.and_then(|id| tables.threads.get(id)) else { return String::new() };
    let name = tables.text(row.name);
    if name.is_empty() { format!("thread {}", row.id) } else { name.to_owned() }
}

/// The value of an attribute; the first in order where there are several.
pub fn attribute_key(tables: &Tables, id: Option<AttributesId>, name: &str) -> String {
    let set = id.and_then(|id| tables.attributes.get(id)).map_or(&[][..], Vec::as_slice);
    let of_name = set.iter().filter(|one| tables.text(one.key) == name);
    of_name.map(|one| attribute_text(tables, one.value)).min().unwrap_or_default()
}

impl GroupTable {
    /// The table of a tree by what its frames belong to.
    pub fn of_tree(tree: &CallTree, query: &GroupQuery, meta: AnswerMeta) -> Self {
        Self::of_frames(&tree.frames, query, meta, |keys, count| tree.sums_by(keys, count))
    }

    /// The same of trees that are not merged.
    pub fn of_forest(forest: &mut Forest, query: &GroupQuery, meta: AnswerMeta) -> Self {
        forest.name_all();
        Self::of_frames(forest.frames(), query, meta, |keys, count| {
            let sums = forest.sums_by(keys, count).into_iter();
            sums.map(|(own, total)| (own.into(), total.into())).collect()
        })
    }

    /// `sums_by` gives own values and totals by key, of which each frame has one.
    fn of_frames(
        frames: &[Frame],
        query: &GroupQuery,
        meta: AnswerMeta,
        sums_by: impl FnOnce(&[u32], usize) -> Vec<(i128, i128)>,
    ) -> Self {
        let mut index: KeyedMap<String, u32> = KeyedMap::default();
        let mut names: Vec<String> = Vec::new();
        let mut keys = Vec::with_capacity(frames.len());
        for frame in frames {
            let name = group_key(frame, &query.by);
            let key = *index.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                (names.len() - 1) as u32
            });
            keys.push(key);
        }
        let sums = sums_by(&keys, names.len());
        let row = |(key, (own, total)): (String, (i128, i128))| GroupRow {
            key,
            own: saturate(own),
            total: saturate(total),
        };
        Self::of(names.into_iter().zip(sums).map(row).collect(), query, meta)
    }

    fn of(mut rows: Vec<GroupRow>, query: &GroupQuery, meta: AnswerMeta) -> Self {
        rows.retain(|row| row.own != 0 || row.total != 0);
        rows.sort_unstable_by(|a, b| {
            let key = |row: &GroupRow| match query.sort {
                TopSort::Own => (row.own, row.total),
                TopSort::Total => (row.total, row.own),
            };
            key(b).cmp(&key(a)).then_with(|| a.key.cmp(&b.key))
        });
        let left_out = rows.len().saturating_sub(query.limit) as u64;
        rows.truncate(query.limit);
        Self { meta, rows, left_out }
    }
}

/// Sums values by key; levels are means over each series' profiles, then summed.
#[derive(Debug, Default)]
pub struct KeySums {
    sums: KeyedMap<String, FxHashMap<Option<u64>, i128>>,
}

impl KeySums {
    /// Adds a value; `profiles` is the number of profiles of its series where it is a level.
    pub fn add(&mut self, key: &str, profiles: Option<u64>, value: i128) {
        if !self.sums.contains_key(key) {
            self.sums.insert(key.to_owned(), FxHashMap::default());
        }
        let sum = self.sums.get_mut(key).map(|sums| sums.entry(profiles).or_default());
        if let Some(sum) = sum {
            *sum = sum.saturating_add(value);
        }
    }

    /// The table.
    pub fn finish(self, query: &GroupQuery, mut meta: AnswerMeta) -> GroupTable {
        let mut whole = 0_i128;
        let rows = self.sums.into_iter().map(|(key, sums)| {
            let fixed = gauge::fixed_sum(sums);
            whole = whole.saturating_add(fixed);
            let value = saturate(gauge::round(fixed));
            GroupRow { key, own: value, total: value }
        });
        let rows = rows.collect();
        meta.total = saturate(gauge::round(whole));
        GroupTable::of(rows, query, meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;

    #[test]
    fn packages_are_what_stands_before_the_last_part() {
        for (name, package) in [
            ("github.com/a/b.v2/json.(*Decoder).Decode", "github.com/a/b.v2/json"),
            ("net/http.serverHandler.ServeHTTP", "net/http"),
            ("runtime.mallocgc", "runtime"),
            ("java.util.HashMap.put", "java.util.HashMap"),
            ("tokio::runtime::Runtime::block_on", "tokio::runtime::Runtime"),
            ("std::vector<int, std::allocator<int>>::push_back", "std"),
            ("<a::b::C<d::E> as f::G>::h", "a::b"),
            ("main", ""),
            ("(anonymous)", ""),
        ] {
            assert_eq!(package_of(name), package, "{name}");
        }
    }

    #[test]
    fn a_package_that_calls_itself_through_another_counts_once() {
        let profile = from_folded("a.x;b.y;a.z 3\na.x 2\nb.y;b.q 1\n");
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        let query = GroupQuery { by: GroupBy::Package, limit: 9, sort: TopSort::Total };
        let table = GroupTable::of_tree(&tree, &query, AnswerMeta::default());
        let row = |key: &str, own, total| GroupRow { key: key.to_owned(), own, total };
        assert_eq!(table.rows, [row("a", 5, 5), row("b", 1, 4)]);
        let one = GroupQuery { limit: 1, ..query };
        let table = GroupTable::of_tree(&tree, &one, AnswerMeta::default());
        assert_eq!((table.rows.len(), table.left_out), (1, 1));
    }
}
