//! Damaged payloads, half of them damaged inside the compressed body: no panic, bounded output.

use crate::compress::{decompress, gzip};
use crate::decoded::Issues;
use crate::{Limits, Options, fuzz};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use stdx::{Clock, Rng, SystemClock};

const ROUNDS: u64 = 1200;
/// Payloads to start from; further ones replace the latest.
const POOL_MAX: usize = 200;
/// No small payload takes longer, even without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 12] = [
    ("pprof", fuzz::pprof),
    ("otlp", fuzz::otlp),
    ("jfr", fuzz::jfr),
    ("nettrace", fuzz::nettrace),
    ("folded", fuzz::folded),
    ("traces", fuzz::traces),
    ("datadog_traces", fuzz::datadog_traces),
    ("logs", fuzz::logs),
    ("push", fuzz::push),
    ("tree", fuzz::tree),
    ("trie", fuzz::trie),
    ("speedscope", fuzz::speedscope),
];

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

/// Payloads of every format: what fixtures hold and what the fuzzers' corpus keeps.
fn starts() -> Vec<Vec<u8>> {
    let decoded = crate::decode(&seeds()[0], &Options::default());
    let folded = crate::folded::encode(&decoded.profiles[0].profile, profile::KindIndex(0), 0);
    let corpus = TARGETS.iter().flat_map(|(name, _)| corpus(name));
    let jfr = [
        super::jfr::writer::small(true),
        super::jfr::writer::small(false),
        super::jfr::old::chunk(),
    ];
    let written = [folded.into_bytes(), super::bombs::export(), super::traces::request()]
        .into_iter()
        .chain(jfr);
    let written = written.chain(super::nettrace::writer::FORMS.map(super::nettrace::writer::small));
    seeds().into_iter().chain(written).chain(corpus).collect()
}

/// Decodes in every way. What fails, or takes longer than anything may, is kept as a file.
fn survive(clock: &impl Clock, body: &[u8]) {
    let started = clock.monotonic();
    let survived = catch_unwind(AssertUnwindSafe(|| {
        for (_, target) in TARGETS {
            target(body);
        }
    }));
    let took = clock.monotonic().saturating_sub(started);
    if survived.is_err() || took > LONGEST {
        let file = std::env::temp_dir().join("vesta-fuzz-finding");
        fs::write(&file, body).expect("a file for the finding");
        panic!("a payload of {} bytes fails or takes {took:?}: {}", body.len(), file.display());
    }
}

/// By default some hundreds of rounds; `VESTA_FUZZ_SECONDS=600` searches for as long as it says.
#[test]
fn hundreds_of_damaged_payloads_are_survived() {
    let seconds = std::env::var("VESTA_FUZZ_SECONDS").ok().map(|text| text.parse::<u64>());
    let seconds = seconds.map(|seconds| seconds.expect("VESTA_FUZZ_SECONDS is a number"));
    let clock = SystemClock::new();
    let mut rng = if seconds.is_some() { Rng::from_entropy() } else { Rng::seeded(7) };
    let (mut pool, mut round) = (starts(), 0_u64);
    let is_over = |round: u64| match seconds {
        Some(seconds) => clock.monotonic() > Duration::from_secs(seconds),
        None => round >= ROUNDS,
    };
    while !is_over(round) {
        let at = rng.below(pool.len() as u64) as usize;
        let mut body = pool[at].clone();
        mutate(&mut body, &mut rng);
        if rng.below(8) == 0 {
            // Damage upon damage goes deeper.
            pool.truncate(POOL_MAX);
            pool.push(body.clone());
        }
        if round.is_multiple_of(2) {
            body = gzip(&body);
            if round.is_multiple_of(4) {
                mutate(&mut body, &mut rng);
            }
        }
        survive(&clock, &body);
        round += 1;
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = fs::read_dir(folder).expect("a corpus folder for each target");
    entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect()
}

#[test]
fn the_fuzzers_corpus_is_replayed() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            target(&input);
        }
    }
}

/// Each fuzz target of this crate is a file that calls the entry point of its name, and has a corpus
/// here. Other crates replay theirs.
#[test]
fn the_fuzz_targets_are_the_ones_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut found = 0;
    for entry in fs::read_dir(folder).expect("the targets") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let code = fs::read_to_string(&path).expect("a file");
        if !code.contains("formats::fuzz::") {
            continue;
        }
        assert!(code.contains(&format!("formats::fuzz::{name}(bytes)")), "{name}");
        assert!(TARGETS.iter().any(|(have, _)| *have == name), "{name}");
        found += 1;
    }
    assert_eq!(found, TARGETS.len());
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
