//! Pyroscope's application names: `app{key=value,key2=value2}`.

use crate::problem::Problem;

/// A parsed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) app: String,
    pub(super) labels: Vec<(String, String)>,
}

/// Reads a name with its labels.
pub(super) fn parse(text: &str) -> Result<Named, Problem> {
    let malformed = |what: &str| {
        let detail = format!("name={text:?}: {what}");
        Problem::bad_request(detail, "write app{key=value,key2=value2}")
    };
    let (app, inside) = match text.split_once('{') {
        None => (text, ""),
        Some((app, rest)) => {
            let inside = rest.trim_end().strip_suffix('}');
            (app, inside.ok_or_else(|| malformed("the closing brace is missing"))?)
        }
    };
    let app = app.trim();
    if app.is_empty() {
        return Err(malformed("the application's name is missing"));
    }
    let mut labels = Vec::new();
    for pair in inside.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(malformed(&format!("label {pair:?} has no value")));
        };
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        labels.push((key.trim().to_owned(), quoted.unwrap_or(value).to_owned()));
    }
    Ok(Named { app: app.to_owned(), labels })
}

/// Sample types that clients of folded text append to the application's name.
const SUFFIXES: &[&str] = &[
    "cpu",
    "wall",
    "itimer",
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "goroutines",
    "mutex_count",
    "mutex_duration",
    "block_count",
    "block_duration",
    "lock_count",
    "lock_duration",
    "exceptions",
];

/// The application and the sample type that its name ends in, if it does.
pub(super) fn split_type(app: &str) -> (&str, Option<&str>) {
    match app.rsplit_once('.') {
        Some((service, suffix)) if SUFFIXES.contains(&suffix) && !service.is_empty() => {
            (service, Some(suffix))
        }
        _ => (app, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_with_and_without_labels() {
        let named = parse("my.app{ env = prod , x=\"y=z\",}").unwrap();
        assert_eq!(named.app, "my.app");
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(named.labels, [label("env", "prod"), label("x", "y=z")]);
        assert_eq!(parse("app{}").unwrap().labels, []);
        for text in ["{a=b}", "app{a=b", "app{a}", " "] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_known_suffixes_name_a_type() {
        assert_eq!(split_type("shop.cpu"), ("shop", Some("cpu")));
        assert_eq!(split_type("shop.example.org"), ("shop.example.org", None));
        assert_eq!(split_type(".cpu"), (".cpu", None));
    }
}
