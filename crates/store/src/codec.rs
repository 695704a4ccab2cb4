//! The compact binary form of a profile in the write-ahead log: columns of varints over a string
//! table. Format page: `docs/formats/wal.md`.

pub mod read;
pub mod write;

use profile::Profile;
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

/// A profile as the log keeps it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The id it was acknowledged with.
    pub id: Ulid,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// When it was appended.
    pub received_at: Timestamp,
    /// The profile.
    pub profile: Arc<Profile>,
}

/// Encodes an entry.
pub fn encode(entry: &Entry) -> Vec<u8> {
    write::entry(entry)
}

/// What of an entry is the client's: all of it but the head.
pub fn sent(profile: &Profile) -> Vec<u8> {
    let mut out = write::Writer::default();
    write::sent(&mut out, profile);
    out.bytes
}

/// Decodes an entry; says what is wrong when the bytes are damaged.
pub fn decode(bytes: &[u8]) -> Result<Entry, &'static str> {
    read::entry(bytes)
}

/// CRC-32 (ISO-HDLC, as in gzip and PNG).
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal;
    use proptest::prelude::*;

    fn entry(profile: Profile) -> Entry {
        Entry {
            id: Ulid::from(77_u128 << 70),
            tenant: "tenant".into(),
            received_at: Timestamp::from_millis(12),
            profile: Arc::new(profile),
        }
    }

    /// Every field of an entry as text. Tables are compared row by row.
    fn shown(entry: &Entry) -> String {
        let Profile { labels, window, metadata, kinds, tables, samples, events } = &*entry.profile;
        let nodes: Vec<_> = tables.stacks.iter().collect();
        format!(
            "{:?}",
            (
                (entry.id, &entry.tenant, entry.received_at, labels, window, metadata, kinds),
                (
                    tables.strings.iter().collect::<Vec<_>>(),
                    tables.functions.rows(),
                    tables.mappings.rows()
                ),
                (tables.locations.rows(), nodes, tables.threads.rows(), tables.links.rows()),
                (tables.attributes.rows(), samples, events),
            )
        )
    }

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_went_in(
            profile in testkit::profiles::any_profile(),
            events in testkit::events::any_events(),
        ) {
            let entry = entry(Profile { events, ..profile });
            let back = decode(&encode(&entry)).expect("own encoding");
            prop_assert_eq!(shown(&back), shown(&entry));
        }

        #[test]
        fn damaged_bytes_are_an_error_or_a_profile_but_never_a_panic(
            profile in testkit::profiles::any_profile(),
            events in testkit::events::any_events(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encode(&entry(Profile { events, ..profile }));
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut.index(bytes.len())]);
            let _ = wal::replay(&bytes);
        }

        #[test]
        fn numbers_of_any_size_come_back(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut out = write::Writer::default();
            for &value in &values {
                out.signed(value);
            }
            let mut reader = read::Reader::new(&out.bytes);
            for value in values {
                prop_assert_eq!(reader.signed(), Ok(value));
            }
        }
    }
}
