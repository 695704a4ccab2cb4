//! A fast hasher that senders of profiles cannot aim at.
//!
//! Ids, addresses and names come from outside. With a hash that everyone can compute, a payload may
//! bring half a million of them that all fall into one bucket; each look-up then walks them all, and
//! one small upload costs hours. Here each word is multiplied with an odd number drawn once for each
//! process, so nobody outside knows what collides. The upper half of the product comes to the lower
//! (as in wyhash and the fallback of `ahash`): without it, texts that differ only in each eighth byte
//! would differ only in the upper eight bits, whatever the number.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// A map whose keys come from outside.
pub type KeyedMap<K, V> = HashMap<K, V, BuildKeyed>;

/// Makes [`Keyed`] hashers, all of one process alike.
#[derive(Clone, Copy, Debug)]
pub struct BuildKeyed {
    base: u64,
}

impl Default for BuildKeyed {
    #[inline]
    fn default() -> Self {
        // Which bucket a row falls into shows nowhere: equal input still gives equal output.
        static BASE: OnceLock<u64> = OnceLock::new();
        Self { base: *BASE.get_or_init(|| RandomState::new().hash_one(0) | 1) }
    }
}

impl BuildHasher for BuildKeyed {
    type Hasher = Keyed;

    #[inline]
    fn build_hasher(&self) -> Keyed {
        Keyed { base: self.base, hash: self.base }
    }
}

/// The hasher.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    base: u64,
    hash: u64,
}

impl Keyed {
    #[inline]
    fn word(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * u128::from(self.base);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Keyed {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        self.word(last_word(bytes, rest));
        self.word(bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.word(number.into());
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.word(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.word(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.word(number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.word(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

/// A word that, with the whole words and the length, tells what `rest`, the end of `bytes`, holds:
/// the last eight bytes where there are as many, since copying fewer is a call.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::hash::Hash;

    /// Buckets of a map of a million rows that `keys` fall into, with the bits that tell the rows of
    /// a bucket apart. Of 2,000 bases the unluckiest put 65,536 numbers into 43,804 places, all but
    /// three into more than 58,000: what is asked for is far below, and what a weak hash gives, too.
    fn places<T: Hash>(build: BuildKeyed, keys: impl Iterator<Item = T>) -> usize {
        let place = |key: T| {
            let hash = build.hash_one(key);
            (hash & 0xf_ffff, hash >> 57)
        };
        keys.map(place).collect::<BTreeSet<_>>().len()
    }

    /// Bases drawn once, so that the same is asked each time, and what to expect of the process's own.
    fn bases() -> [(BuildKeyed, f64); 4] {
        let drawn = |base: u64| (BuildKeyed { base }, 0.9);
        [
            drawn(0x9c1f_5e02_d7b8_4a6d),
            drawn(0x3e8a_91c4_6f07_b2d3),
            drawn(0xd25b_07e9_184f_c36b),
            (BuildKeyed::default(), 0.25),
        ]
    }

    #[test]
    fn numbers_spread_whichever_bits_they_differ_in() {
        const KEYS: u64 = 1 << 16;
        for (build, share) in bases() {
            for shift in (0..=48).step_by(4) {
                let places = places(build, (0..KEYS).map(|key| key << shift));
                assert!(places as f64 > KEYS as f64 * share, "{places} places, {shift} bits up");
            }
        }
    }

    #[test]
    fn texts_spread_that_differ_in_the_last_bytes_of_words_only() {
        let text = |key: u32| {
            let mut text = [b'a'; 24];
            for (at, bits) in [7, 15, 23].into_iter().zip([key, key >> 6, key >> 12]) {
                text[at] += (bits & 0x3f) as u8;
            }
            text
        };
        for (build, share) in bases() {
            let places = places(build, (0..1 << 18).map(text));
            assert!(places as f64 > f64::from(1 << 18) * share, "{places} places");
        }
    }

    #[test]
    fn texts_of_all_lengths_differ() {
        let texts = (0..200).map(|length| "a".repeat(length));
        assert_eq!(places(BuildKeyed::default(), texts), 200);
        let padded = ["a", "a\0", "a\0\0", "\0a", "", "\0"];
        assert_eq!(places(BuildKeyed::default(), padded.iter()), padded.len());
        // One byte makes the difference, wherever it is.
        let other = |length: usize, at: usize| {
            let mut bytes = vec![b'a'; length];
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = b'b');
            bytes
        };
        for length in 1..40 {
            let texts = (0..=length).map(|at| other(length, at));
            assert_eq!(places(BuildKeyed::default(), texts), length + 1, "{length} bytes");
        }
    }

    #[test]
    fn one_process_has_one_base_that_is_not_the_well_known_one() {
        assert_eq!(BuildKeyed::default().base, BuildKeyed::default().base);
        assert_ne!(BuildKeyed::default().base, 0xf135_7aea_2e62_a9c5);
    }
}
