//! Entry points for fuzzers and for the replay of their corpus: decode, and use what came out.

use crate::decoded::{Decoded, Options};
use crate::folded::Shape;
use crate::traces::{DecodedSpans, Form};

/// Decodes as pprof and writes the result again, with names as they came and with plain ones.
pub fn pprof(bytes: &[u8]) {
    let mut decoded = crate::pprof::decode(bytes, &Options::default());
    use_up(&decoded);
    for decoded in &mut decoded.profiles {
        crate::node::split_names(&mut decoded.profile.tables);
    }
    use_up(&decoded);
}

/// Decodes as an OTLP export request.
pub fn otlp(bytes: &[u8]) {
    use_up(&crate::otlp::decode(bytes, &Options::default()));
    use_up(&crate::otlp::decode_json(bytes, &Options::default()));
}

/// Decodes as a JFR file, and as the labels beside one.
pub fn jfr(bytes: &[u8]) {
    use_up(&crate::jfr::decode_labelled(bytes, bytes, &Options::default()));
}

/// Decodes as a nettrace file.
pub fn nettrace(bytes: &[u8]) {
    use_up(&crate::nettrace::decode(bytes, &Options::default()));
}

/// Decodes as a push of Pyroscope's clients.
pub fn push(bytes: &[u8]) {
    use_up(&crate::push::decode(bytes, &Options::default()));
}

/// Decodes as Pyroscope's binary tree.
pub fn tree(bytes: &[u8]) {
    use_up(&crate::tree::decode(bytes, &Shape::default(), &Options::default()));
}

/// Decodes as Pyroscope's binary trie.
pub fn trie(bytes: &[u8]) {
    use_up(&crate::trie::decode(bytes, &Shape::default(), &Options::default()));
}

/// Decodes as a file of speedscope.
pub fn speedscope(bytes: &[u8]) {
    use_up(&crate::speedscope::decode(bytes, &Options::default()));
}

/// Decodes as folded text, and by content.
pub fn folded(bytes: &[u8]) {
    use_up(&crate::folded::decode_default(bytes, &Options::default()));
    use_up(&crate::decode(bytes, &Options::default()));
}

/// Decodes as OTLP traces, in both forms.
pub fn traces(bytes: &[u8]) {
    for form in [Form::Protobuf, Form::Json] {
        check_spans(&crate::traces::decode(bytes, form, &Options::default()));
    }
}

/// Decodes as OTLP logs that carry profiles, in both forms.
pub fn logs(bytes: &[u8]) {
    for form in [Form::Protobuf, Form::Json] {
        use_up(&crate::logs::decode(bytes, form, &Options::default()));
    }
}

/// Decodes as traces of Datadog's libraries, in all forms.
pub fn datadog_traces(bytes: &[u8]) {
    use crate::traces::datadog::{Entries, Form, decode};
    for form in [Form::Maps, Form::Table, Form::Payload] {
        for entries in [Entries::Marked, Entries::Unmarked] {
            check_spans(&decode(bytes, form, entries, &Options::default()));
        }
    }
}

fn check_spans(decoded: &DecodedSpans) {
    for span in decoded.batches.iter().flat_map(|batch| &batch.spans) {
        assert!(span.trace_id != 0 && span.span_id != 0 && span.duration_nanos >= 0);
        assert!(span.attributes.is_sorted_by(|a, b| a.0 < b.0));
    }
}

fn use_up(decoded: &Decoded) {
    for decoded in &decoded.profiles {
        let profile = &decoded.profile;
        for (at, kind) in profile.kinds.iter().enumerate() {
            let totals = profile.totals(profile::KindIndex(at as u32));
            assert!(kind.measures.len() <= totals.len());
        }
        std::hint::black_box(crate::pprof::encode(profile));
    }
}
