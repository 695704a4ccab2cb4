//! Damaged payloads, half of them damaged inside the compressed body: no panic, bounded output.

use crate::compress::{decompress, gzip};
use crate::decoded::Issues;
use crate::{Limits, Options, fuzz};
use std::fs;
use std::path::Path;
use stdx::Rng;

const ROUNDS: usize = 400;

type Target = fn(&[u8]);

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/go-pprof");
    ["cpu.pb.gz", "heap.pb.gz"]
        .iter()
        .map(|name| {
            let bytes = fs::read(folder.join(name)).expect("a fixture");
            decompress(&bytes, &Limits::default(), &mut Issues::default()).into_owned()
        })
        .collect()
}

/// One to eight changes: flipped bits, cuts, lengths that lie, huge numbers, repeated parts.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(8) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 => bytes.truncate(at.max(bytes.len() / 2)),
            3 => drop(bytes.splice(at..at, [0xff; 9].into_iter().chain([1]))),
            4 => bytes[at] = 0x7f,
            _ => {
                let end = (at + 200).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

#[test]
fn hundreds_of_damaged_payloads_are_survived() {
    let mut rng = Rng::seeded(7);
    for seed in seeds() {
        for round in 0..ROUNDS {
            let mut body = seed.clone();
            mutate(&mut body, &mut rng);
            if round % 2 == 0 {
                body = gzip(&body);
                if round % 4 == 0 {
                    mutate(&mut body, &mut rng);
                }
            }
            fuzz::pprof(&body);
            fuzz::otlp(&body);
            fuzz::folded(&body);
        }
    }
}

#[test]
fn the_fuzzers_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut count = 0;
    let targets: [(&str, Target); 3] =
        [("pprof", fuzz::pprof), ("otlp", fuzz::otlp), ("folded", fuzz::folded)];
    for (name, target) in targets {
        for entry in fs::read_dir(folder.join(name)).expect("a corpus folder for each target") {
            target(&fs::read(entry.expect("readable").path()).expect("readable"));
            count += 1;
        }
    }
    assert!(count >= targets.len());
}

#[test]
fn tiny_messages_in_great_number_stay_within_limits() {
    let options = Options::default();
    // Empty strings, locations, functions and samples of two bytes each.
    for tag in [0x12, 0x1a, 0x22, 0x2a, 0x32] {
        let body = [tag, 0].repeat(3_000_000);
        let decoded = crate::pprof::decode(&body, &options);
        assert!(
            decoded
                .profiles
                .iter()
                .all(|one| { one.profile.samples.len() <= options.limits.samples_max })
        );
    }
    let body = [0x12, 2, 0x10, 1].repeat(2_000_000);
    let decoded = crate::pprof::decode(&body, &options);
    assert_eq!(decoded.profiles[0].profile.samples.len(), options.limits.samples_max);
}
