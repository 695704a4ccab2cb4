//! Names of functions as @pyroscope/nodejs writes them: `./app.js:countWords:18`, made of the file with
//! the working directory as `.`, the name, and the line of the first sample in it.
//!
//! Source: grafana/pyroscope-nodejs, `src/utils/process-profile.ts`. The file and the lines stand in
//! their own places, too, so the name alone is left of it; what does not begin with the function's own
//! file is not touched.

use profile::{Function, StringId, Tables};

/// Colons of a name that are looked at for the end of its file.
const COLONS_MAX: usize = 16;

/// Takes file and line out of the names of functions.
pub fn split_names(tables: &mut Tables) {
    let functions = std::mem::take(&mut tables.functions);
    for row in functions.rows() {
        let name = own_name(tables.text(row.name), tables.text(row.file)).map(str::to_owned);
        let name = name.map_or(row.name, |name| tables.strings.intern(&name));
        // V8's name without file and line is the system name, too.
        let is_same = row.system_name == name;
        let system_name = if is_same { StringId::default() } else { row.system_name };
        tables.functions.push(Function { name, system_name, ..*row });
    }
}

/// The name alone; `None` where it was not made so.
fn own_name<'a>(whole: &'a str, file: &str) -> Option<&'a str> {
    let (rest, line) = whole.rsplit_once(':')?;
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    let same = rest.strip_prefix(file).and_then(|rest| rest.strip_prefix(':'));
    let name = same.or_else(|| after_shortened(rest, file))?;
    (is_line && !name.is_empty()).then_some(name)
}

/// What follows the file and a colon, where the file's working directory is a dot.
fn after_shortened<'a>(rest: &'a str, file: &str) -> Option<&'a str> {
    let (before, after) = rest.split_once('.')?;
    let within = file.strip_prefix(before)?;
    let mut ends = after.match_indices(':').take(COLONS_MAX).map(|(at, _)| after.split_at(at));
    let (_, name) = ends.find(|(inside, _)| !inside.is_empty() && within.ends_with(inside))?;
    name.strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_file_and_line_that_were_put_around_them() {
        for (whole, file, name) in [
            ("./app.js:countWords:18", "/srv/shop/app.js", Some("countWords")),
            ("file://./app.mjs:fill:7", "file:///srv/shop/app.mjs", Some("fill")),
            (
                "node:internal/timers:listOnTimeout:569",
                "node:internal/timers",
                Some("listOnTimeout"),
            ),
            ("./a:b.js:(anonymous:L#3:C4):3", "/srv/a:b.js", Some("(anonymous:L#3:C4)")),
            (":(garbage collector):0", "", Some("(garbage collector)")),
            // Not made so.
            ("get words:18", "/srv/shop/app.js", None),
            ("./app.js:countWords:18", "/srv/shop/other.js", None),
            ("./app.js:countWords", "/srv/shop/app.js", None),
            ("./app.js::18", "/srv/shop/app.js", None),
            ("std::vector:3", "", None),
            ("", "", None),
            (":", "", None),
            (".", "/a", None),
        ] {
            assert_eq!(own_name(whole, file), name, "{whole} in {file}");
        }
    }

    #[test]
    fn functions_keep_their_handles() {
        let mut tables = Tables::default();
        let mut function = |name: &str, file: &str| {
            let (name, file) = (tables.strings.intern(name), tables.strings.intern(file));
            let row = Function { name, file, start_line: 18, ..Function::default() };
            tables.functions.push(row)
        };
        let handles = [function("./app.js:words:18", "/s/app.js"), function("(idle)", "")];
        split_names(&mut tables);
        let names = handles.map(|id| tables.text(tables.functions.get(id).unwrap().name));
        assert_eq!(names, ["words", "(idle)"]);
        let row = tables.functions.get(handles[0]).unwrap();
        assert_eq!((tables.text(row.file), row.start_line), ("/s/app.js", 18));
    }
}
