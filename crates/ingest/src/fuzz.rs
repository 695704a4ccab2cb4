//! Entry points for fuzzers and for the replay of their corpus.

use crate::limits::Limits;
use crate::normalise::Context;
use crate::pipeline::prepare;
use crate::receivers::{datadog, pyroscope};
use bytes::Bytes;
use formats::{Decoded, Options};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, header};
use stdx::Timestamp;

/// When all of it comes.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Takes the body of an upload apart as what Datadog's libraries and as what Pyroscope's clients
/// send. The first line is the header `Content-Type`, which names the boundary.
pub fn multipart(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let Ok(content_type) = HeaderValue::from_bytes(line.trim_ascii()) else { return };
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
    let body = Bytes::copy_from_slice(body);
    // All of the body is there: nothing is waited for.
    let opened = datadog::open(body.clone(), &headers, &[]).now_or_never();
    if let Ok((context, upload)) = opened.expect("it does not wait") {
        store(upload.decode(&Options::default()), &context);
    }
    for format in ["pprof", "jfr", ""] {
        let parameters = [("name", "shop.cpu{a=b}"), ("format", format), ("spyName", "nodespy")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let read = pyroscope::read_form(&parameters, &headers, NOW);
        let Ok((mut context, mut shape)) = read else { continue };
        let found = pyroscope::body_of(body.clone(), &mut shape, &mut context).now_or_never();
        if let Ok(found) = found.expect("it does not wait") {
            store(shape.decode(&found, &Options::default()), &context);
        }
    }
}

/// Up to the point where it would be stored.
fn store(decoded: Decoded, context: &Context) {
    let limits = Limits::default();
    let Ok(prepared) = prepare(decoded, context, NOW, &limits) else { return };
    for profile in &prepared.content.profiles {
        assert!(profile.labels.len() <= crate::limits::LABELS_MAX);
        assert!(profile.window.start <= profile.window.end);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn corpus() -> Vec<Vec<u8>> {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let target = std::fs::read_to_string(fuzz.join("fuzz_targets/multipart.rs")).unwrap();
        assert!(target.contains("ingest::fuzz::multipart(bytes)"), "{target}");
        let files = std::fs::read_dir(fuzz.join("corpus/multipart")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn the_fuzzers_corpus_is_replayed() {
        let inputs = corpus();
        assert!(inputs.len() >= 5);
        for input in &inputs {
            super::multipart(input);
        }
    }

    #[test]
    fn hundreds_of_damaged_bodies_are_survived() {
        let (inputs, mut rng) = (corpus(), stdx::Rng::seeded(11));
        for _ in 0..400 {
            let mut body = inputs[rng.below(inputs.len() as u64) as usize].clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(body.len() as u64) as usize;
                match rng.below(4) {
                    0 => body[at] ^= 1 << rng.below(8),
                    1 => drop(body.splice(at..at, *b"\r\n--x")),
                    2 => drop(body.splice(at..at, *b"\r\n\r\n")),
                    _ => body.truncate(at.max(40)),
                }
            }
            super::multipart(&body);
        }
    }
}
