//! Names that V8 writes into perf maps: `JS:*leaf /srv/work.js:1:58`.
//!
//! Source: `CodeEventLogger` in V8's `src/logging/log.cc`, `ComputeMarker` in `src/logging/log.cc`
//! and `CodeKindToMarker` in `src/objects/code-kind.cc`. A mark says how the code was made:
//! `~` interpreted, `^` baseline, `+` Maglev, `*` TurboFan, each with `\'` for a special context. The
//! same function has several entries, one for each; they are one function here.

use crate::frame::{Frame, cut};

const KINDS: [&str; 5] = ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"];
/// What the place of a script begins with.
const PLACES: [&str; 4] = [" /", " file://", " node:", " evalmachine."];

/// The function, file and first line in a name of V8's; none if it is no JavaScript function's.
pub fn v8_function(name: &str) -> Option<Frame> {
    let kind = KINDS.iter().find(|kind| name.starts_with(**kind))?;
    let rest = name[kind.len()..].trim_start_matches(['~', '^', '+', '*', '\'']);
    let (rest, column) = rest.rsplit_once(':')?;
    let (rest, line) = rest.rsplit_once(':')?;
    column.parse::<u32>().ok()?;
    let line = line.parse().ok()?;
    let at = PLACES.iter().filter_map(|place| rest.find(place)).min();
    let (function, file) = rest.split_at(at.or_else(|| rest.rfind(' '))?);
    let function = match function.trim() {
        "" if *kind == "Script:" => "(script)",
        "" => "(anonymous)",
        function => function,
    };
    let (function, file) = (cut(function), cut(file.trim_start()));
    Some(Frame { function, file, start_line: line, ..Frame::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Option<(String, String, u32)> {
        v8_function(name).map(|it| (it.function, it.file, it.start_line))
    }

    #[test]
    fn each_way_of_compiling_is_the_same_function() {
        let leaf = Some(("leaf".to_owned(), "/srv/work.js".to_owned(), 1));
        for mark in ["", "~", "^", "+", "*", "*'", "+'"] {
            assert_eq!(parts(&format!("JS:{mark}leaf /srv/work.js:1:58")), leaf);
            assert_eq!(parts(&format!("LazyCompile:{mark}leaf /srv/work.js:1:58")), leaf);
        }
    }

    #[test]
    fn names_and_paths_may_hold_spaces() {
        let of = |name| parts(name).map(|it| (it.0, it.1));
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(of("JS:*get size /my app/a.js:7:1"), pair("get size", "/my app/a.js"));
        assert_eq!(of("JS:~ file:///a b/c.mjs:3:10"), pair("(anonymous)", "file:///a b/c.mjs"));
        assert_eq!(of("JS:~next node:internal/x:3:10"), pair("next", "node:internal/x"));
        assert_eq!(of("Script:~ app.js:1:1"), pair("(script)", "app.js"));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in
            ["Builtin:ArrayMap", "int Work.cpu()", "JS:*leaf", "JS:* a:b:c", "JS:", "JS::1:2"]
        {
            assert_eq!(parts(name), None, "{name}");
        }
    }
}
