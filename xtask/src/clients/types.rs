//! The types that users know, language by language: what each is here, which clients it comes from,
//! and by which of their events. A row is an expectation of each of its clients: its types must be
//! above 0 when the client's program has run. `docs/guides/types.md` is held to the rows by a test.

use super::expect::Expect;
use super::{ClientEntry, dotnet, go, java, native, node, python};

pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
pub(crate) const CPU_SAMPLES: &str = "process_cpu:samples:count:cpu:nanoseconds";
/// What folded text counts.
pub(crate) const FOLDED: &str = ":samples:count::";
pub(crate) const WALL: &str = "wall:wall:nanoseconds:wall:nanoseconds";
pub(crate) const WALL_SAMPLES: &str = "wall:samples:count:wall:nanoseconds";
pub(crate) const NATIVE_SAMPLES: &str = "wall:native_samples:count::";
pub(crate) const ALLOC_SPACE: &str = "memory:alloc_space:bytes:space:bytes";
pub(crate) const ALLOC_OBJECTS: &str = "memory:alloc_objects:count:space:bytes";
pub(crate) const INUSE_SPACE: &str = "memory:inuse_space:bytes:space:bytes";
pub(crate) const INUSE_OBJECTS: &str = "memory:inuse_objects:count:space:bytes";
pub(crate) const MALLOC_SPACE: &str = "native_memory:malloc_space:bytes::";
pub(crate) const MALLOC_OBJECTS: &str = "native_memory:malloc_objects:count::";
pub(crate) const FREE_OBJECTS: &str = "native_memory:free_objects:count::";
pub(crate) const EXCEPTIONS: &str = "exceptions:exceptions:count::";
pub(crate) const LOCK_WAIT: &str = "lock:acquire_wait:nanoseconds::";
pub(crate) const LOCK_ACQUIRES: &str = "lock:acquires:count::";
pub(crate) const LOCK_HOLD: &str = "lock:release_hold:nanoseconds::";
pub(crate) const LOCK_RELEASES: &str = "lock:releases:count::";
pub(crate) const SYNCHRONIZATION: &str = "synchronization:wait:nanoseconds::";
pub(crate) const SYNCHRONIZATIONS: &str = "synchronization:waits:count::";
/// Time others waited for a mutex.
pub(crate) const MUTEX: &str = "mutex:delay:nanoseconds:contentions:count";
pub(crate) const MUTEX_COUNT: &str = "mutex:contentions:count:contentions:count";
/// Time goroutines were blocked.
pub(crate) const BLOCK: &str = "block:delay:nanoseconds:contentions:count";
pub(crate) const BLOCK_COUNT: &str = "block:contentions:count:contentions:count";
pub(crate) const GOROUTINES: &str = "goroutines:goroutine:count:goroutine:count";
pub(crate) const RUNTIME_EVENTS: &str = "runtime_events:timeline:nanoseconds:timeline:nanoseconds";
pub(crate) const FILE_READ_TIME: &str = "file_io:read_time:nanoseconds::";
pub(crate) const FILE_READ: &str = "file_io:read_size:bytes::";
pub(crate) const FILE_WRITE_TIME: &str = "file_io:write_time:nanoseconds::";
pub(crate) const FILE_WRITTEN: &str = "file_io:write_size:bytes::";
pub(crate) const SOCKET_READ_TIME: &str = "socket_io:read_time:nanoseconds::";
pub(crate) const SOCKET_READ: &str = "socket_io:read_size:bytes::";
pub(crate) const SOCKET_WRITE_TIME: &str = "socket_io:write_time:nanoseconds::";
pub(crate) const SOCKET_WRITTEN: &str = "socket_io:write_size:bytes::";

/// A type as users know it.
#[derive(Debug)]
pub(crate) struct TypeRow {
    /// What users of its language call it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the guide, which a test compares"))]
    name: &'static str,
    /// Profile types here, all of which must be above 0.
    types: &'static [&'static str],
    /// Clients that send it, and what it is with them.
    from: &'static [(&'static [&'static ClientEntry], &'static str)],
    /// Which clients cannot send it and why, or what is to be known; often nothing.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the guide, which a test compares"))]
    note: &'static str,
}

impl TypeRow {
    pub(super) const fn new(
        name: &'static str,
        types: &'static [&'static str],
        from: &'static [(&'static [&'static ClientEntry], &'static str)],
    ) -> Self {
        Self { name, types, from, note: "" }
    }

    pub(super) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    fn clients(&self) -> impl Iterator<Item = &'static ClientEntry> {
        self.from.iter().flat_map(|(clients, _)| *clients).copied()
    }
}

/// All rows by their languages.
const LANGUAGES: &[(&str, &[TypeRow])] = &[
    ("Python", python::TYPES),
    ("Java", java::TYPES),
    ("Go", go::TYPES),
    ("Node.js", node::TYPES),
    (".NET", dotnet::TYPES),
    ("C, C++, Rust", native::TYPES),
];

/// What the rows expect of a client.
pub(super) fn expected(entry: &ClientEntry) -> Vec<Expect> {
    let rows = LANGUAGES.iter().flat_map(|(_, rows)| *rows);
    let own = rows.filter(|row| row.clients().any(|client| client.name == entry.name));
    let mut types: Vec<&str> = own.flat_map(|row| row.types).copied().collect();
    types.sort_unstable();
    types.dedup();
    types.into_iter().map(Expect::NonZero).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{CLIENTS, IN_TEST};
    use super::*;
    use profile::kind_table::KINDS;

    /// What a type is called here, and its kind.
    fn named(id: &str) -> String {
        for kind in KINDS {
            if let Some(measure) = kind.measures.iter().find(|measure| measure.type_id == id) {
                return format!("{} (`{}`)", measure.name, kind.id);
            }
        }
        let name: Vec<&str> = id.split(':').collect();
        format!("{} (its own)", name[1])
    }

    fn line(language: &str, row: &TypeRow) -> String {
        let named: Vec<String> = row.types.iter().map(|id| named(id)).collect();
        let mut units: Vec<&str> = row.types.iter().filter_map(|id| id.split(':').nth(2)).collect();
        units.dedup();
        let from = row.from.iter().map(|(clients, event)| {
            let names: Vec<String> = clients.iter().map(|one| format!("`{}`", one.name)).collect();
            format!("{}: {event}", names.join(", "))
        });
        let from: Vec<String> = from.collect();
        let mut in_test = CLIENTS.iter().take(IN_TEST);
        let by = match row.from {
            [] => "",
            _ if in_test.any(|entry| row.clients().any(|one| one.name == entry.name)) => "test",
            _ => "clients",
        };
        let (named, units, from) = (named.join(", "), units.join(", "), from.join("; "));
        format!(
            "| {language} | {} | {named} | {units} | {from} | {by} | {} |\n",
            row.name, row.note
        )
    }

    /// The page's table, without its head.
    fn table() -> String {
        let lines = LANGUAGES
            .iter()
            .flat_map(|(language, rows)| rows.iter().map(|row| line(language, row)));
        lines.collect()
    }

    #[test]
    fn the_guide_has_every_row() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/types.md");
        let guide = std::fs::read_to_string(path).unwrap();
        let rows = guide.split_once("|---|\n").map_or("", |(_, rows)| rows);
        let table = table();
        assert!(rows == table, "the table of {path} must be:\n{table}");
    }

    #[test]
    fn a_row_comes_from_a_client_that_is_run_or_says_why_not() {
        for (language, rows) in LANGUAGES {
            for row in *rows {
                assert!(!row.types.is_empty(), "{language}: {}", row.name);
                assert!(!row.from.is_empty() || !row.note.is_empty(), "{language}: {}", row.name);
                for client in row.clients() {
                    assert!(CLIENTS.iter().any(|entry| entry.name == client.name));
                    let wanted = expected(client);
                    for id in row.types {
                        let is_asked =
                            |one: &Expect| matches!(one, Expect::NonZero(of) if of == id);
                        assert!(wanted.iter().any(is_asked), "{}: {id}", client.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_type_of_a_registered_family_is_registered() {
        for id in LANGUAGES.iter().flat_map(|(_, rows)| *rows).flat_map(|row| row.types) {
            let family = id.split(':').next();
            let mut known = KINDS.iter().flat_map(|kind| kind.measures);
            let is_registered = known.any(|measure| measure.type_id == *id);
            let mut known = KINDS.iter().flat_map(|kind| kind.measures);
            let is_known = known.any(|measure| measure.type_id.split(':').next() == family);
            assert!(is_registered || !is_known, "{id}");
        }
    }
}
