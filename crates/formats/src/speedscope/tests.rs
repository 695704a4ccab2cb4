//! What files of speedscope decode to.

use super::*;
use crate::{Limits, sniff};

const SAMPLED: &str = r#"{"$schema":"https://www.speedscope.app/file-format-schema.json",
    "shared":{"frames":[{"name":"main","file":"a.py","line":3},{"name":"work"},{"name":"<x\u0020y>"}]},
    "profiles":[
      {"type":"sampled","name":"Thread 7 \"pool\"","unit":"seconds","startValue":0,"endValue":1,
       "samples":[[0,1],[0],[0,2],[]],"weights":[0.005,0.01,0.005,0.001]},
      {"type":"evented","name":"heap","unit":"bytes","startValue":10,"endValue":60,
       "events":[{"type":"O","frame":0,"at":10},{"type":"O","frame":1,"at":20},
                 {"type":"C","frame":1,"at":50},{"type":"C","frame":0,"at":60}]}],
    "exporter":"py-spy@0.4.3"}"#;

fn folded(decoded: &Decoded, kind: u32) -> String {
    crate::folded::encode(&decoded.profiles[0].profile, profile::KindIndex(kind), 0)
}

/// The kind and measure of a sample type.
fn measure(decoded: &Decoded, sample_type: &str) -> (u32, usize) {
    let mapped = &decoded.profiles[0].type_map;
    let found = mapped.iter().find(|one| one.sample_type == sample_type).expect("a sample type");
    (found.kind.0, found.measure)
}

#[test]
fn samples_and_events_read_with_threads_lines_and_units() {
    assert_eq!(sniff(SAMPLED.as_bytes()).map(|format| format.name), Some("speedscope"));
    let decoded = decode(&crate::compress::gzip(SAMPLED.as_bytes()), &Options::default());
    assert_eq!(decoded.issues, []);
    let profile = &decoded.profiles[0].profile;
    let (kind, at) = measure(&decoded, "wall");
    assert_eq!(profile.totals(profile::KindIndex(kind))[at], 21_000_000);
    let (kind, at) = measure(&decoded, "space");
    assert_eq!(profile.totals(profile::KindIndex(kind))[at], 50);
    assert_eq!(folded(&decoded, kind), "main 20\nmain;work 30\n");
    let threads: Vec<_> = profile
        .tables
        .threads
        .iter()
        .map(|(_, thread)| (thread.id, profile.tables.text(thread.name).to_owned()))
        .collect();
    assert_eq!(threads, [(7, "pool".to_owned()), (0, "heap".to_owned())]);
    let names: Vec<_> = profile
        .tables
        .functions
        .iter()
        .map(|(_, row)| (profile.tables.text(row.name), profile.tables.text(row.file)))
        .collect();
    assert_eq!(names, [("work", ""), ("main", "a.py"), ("<x y>", "")]);
    assert_eq!(profile.metadata.client, "py-spy@0.4.3");
}

#[test]
fn what_is_wrong_in_a_file_costs_what_is_wrong() {
    let broken = SAMPLED.replace("[0,1]", "[0,9]").replace("\"at\":50", "\"at\":5");
    let decoded = decode(broken.as_bytes(), &Options::default());
    let kinds: Vec<_> = decoded.issues.iter().map(|issue| issue.kind).collect();
    assert_eq!(kinds, [IssueKind::Reference, IssueKind::Malformed]);
    let (kind, _) = measure(&decoded, "space");
    assert_eq!(folded(&decoded, kind), "main 50\n");
    for cut in ["{", "", "[]", &SAMPLED[..SAMPLED.len() - 9]] {
        let decoded = decode(cut.as_bytes(), &Options::default());
        assert!(decoded.profiles.is_empty() && !decoded.issues.is_empty(), "{cut}");
    }
    let unknown = SAMPLED.replace("\"seconds\"", "\"parsecs\"");
    let decoded = decode(unknown.as_bytes(), &Options::default());
    assert!(decoded.issues[0].example.contains("parsecs"), "{:?}", decoded.issues);
}

#[test]
fn what_a_frame_called_ends_with_it_even_if_nobody_closed_it() {
    let event = |kind, frame, at| format!(r#"{{"type":"{kind}","frame":{frame},"at":{at}}}"#);
    let events = [
        event("O", 0, 0),
        event("O", 1, 1),
        event("O", 2, 3),
        // Closes 1 while 2 is open: both end.
        event("C", 1, 7),
        event("O", 3, 15),
        // Never opened: changes nothing.
        event("C", 2, 31),
        event("C", 3, 63),
        event("C", 0, 127),
    ];
    let text = format!(
        r#"{{"shared":{{"frames":[{{"name":"a"}},{{"name":"b"}},{{"name":"c"}},{{"name":"d"}}]}},
        "profiles":[{{"type":"evented","unit":"none","events":[{}]}}]}}"#,
        events.join(",")
    );
    let decoded = decode(text.as_bytes(), &Options::default());
    assert_eq!(decoded.issues.len(), 1, "{:?}", decoded.issues);
    assert_eq!((decoded.issues[0].kind, decoded.issues[0].count), (IssueKind::Malformed, 2));
    // 0 to 1, 7 to 15 and 63 to 127; 1 to 3; 3 to 7; 15 to 63.
    assert_eq!(folded(&decoded, 0), "a 73\na;b 2\na;b;c 4\na;d 48\n");
}

#[test]
fn deep_stacks_of_many_events_are_paid_for() {
    let event = |kind, at| format!("{{\"type\":\"{kind}\",\"frame\":0,\"at\":{at}}}");
    let events: Vec<String> = (0..50_000).map(|at| event("O", at)).collect();
    let text = format!(
        "{{\"shared\":{{\"frames\":[{{\"name\":\"f\"}}]}},\"profiles\":[{{\"type\":\"evented\",\
         \"unit\":\"none\",\"events\":[{}]}}]}}",
        events.join(",")
    );
    let limits = Limits { work_bytes_max: 1 << 20, ..Limits::default() };
    let decoded = decode(text.as_bytes(), &Options { limits, ..Options::default() });
    assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit));
    assert!(decoded.profiles[0].profile.samples.len() < 2000);
}

#[test]
fn what_is_written_reads_back_with_lines_files_and_equal_sums() {
    let mut profile = profile::folded::from_folded("main;a 3\nmain;a;b 4\nmain;\"q\\ 5\nidle 6\n");
    let kind = profile.intern_kind(&profile::SampleKind::from_id("stack").expect("registered"));
    let tables = &mut profile.tables;
    let [name, file] = ["inlined", "a.go"].map(|text| tables.strings.intern(text));
    let function = Function { name, file, start_line: 7, ..Function::default() };
    let inlined = Line { function: tables.functions.intern(function), line: 9, column: 2 };
    let caller = tables.strings.intern("caller");
    let function = Function { name: caller, ..Function::default() };
    let outer = Line { function: tables.functions.intern(function), line: 0, column: 0 };
    let lines = [inlined, outer].into_iter().collect();
    let location = tables.locations.intern(Location { lines, ..Location::default() });
    let stack = tables.stacks.intern_leaf_first(&[location, location]);
    profile.samples = profile
        .samples
        .iter()
        .map(|one| Sample { kind, ..*one })
        .chain([Sample { kind, stack, values: [1_000, 0, 0, 0], ..Sample::default() }])
        .collect();
    let text = encode(&profile, kind, 0, "a name");
    let decoded = decode(&text, &Options::default());
    assert_eq!(decoded.issues, []);
    let mapped = &decoded.profiles[0].type_map;
    assert_eq!((mapped.len(), mapped[0].unit.as_str()), (1, "nanoseconds"));
    let read = &decoded.profiles[0].profile;
    let written = crate::folded::encode(&profile, kind, 0);
    assert!(written.contains("caller;inlined;caller;inlined 1000\n"), "{written}");
    assert_eq!(crate::folded::encode(read, mapped[0].kind, mapped[0].measure), written);
    let lines = read.tables.locations.iter().flat_map(|(_, row)| row.lines.iter());
    assert_eq!(lines.filter(|line| (line.line, line.column) == (9, 2)).count(), 1);
    assert!(sniff(&text).is_some_and(|format| format.name == "speedscope"));
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(json["profiles"][0]["endValue"], 1_018);
    assert_eq!(json["shared"]["frames"].as_array().map(Vec::len), Some(7));
}
