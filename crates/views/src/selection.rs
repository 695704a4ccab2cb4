//! Selections: which samples a question is about.

use crate::limits::{REGEX_BYTES_MAX, SELECTOR_BYTES_MAX};
use crate::{Filter, Pattern, Shape, ViewError};
use profile::{Labels, ProfileTypeId};
use regex::Regex;
use std::fmt;
use stdx::{TimeRange, Ulid};

/// Tenant, profile type, label matchers, time range and further filters.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Whose data.
    pub tenant: String,
    /// Which values; questions about metadata do not need it.
    pub profile_type: Option<ProfileTypeId>,
    /// All of these must hold.
    pub matchers: Vec<Matcher>,
    /// When.
    pub range: TimeRange,
    /// Only this source; otherwise the preferred one of each instance answers.
    pub source: Option<String>,
    /// Only this profile.
    pub profile: Option<Ulid>,
    /// Which of their samples.
    pub filter: Filter,
    /// How stacks are read where the answer is a tree or made of one.
    pub shape: Shape,
}

impl Selection {
    /// Everything a tenant has in a range.
    pub fn everything(tenant: impl Into<String>, range: TimeRange) -> Self {
        Self {
            tenant: tenant.into(),
            profile_type: None,
            matchers: Vec::new(),
            range,
            source: None,
            profile: None,
            filter: Filter::default(),
            shape: Shape::default(),
        }
    }

    /// What every engine answers: stored rows know their time to the millisecond, so both ends of
    /// the range are rounded down. Stacks without the function in focus are left out from the
    /// beginning.
    #[must_use]
    pub fn whole_millis(&self) -> Self {
        let mut whole = Self { range: self.range.whole_millis(), ..self.clone() };
        whole.filter.functions.extend(whole.shape.focus.clone());
        whole
    }

    /// The same with trees the usual way round.
    #[must_use]
    pub fn upright(&self) -> Self {
        Self { shape: self.shape.upright(), ..self.clone() }
    }

    /// The same with a further function that stacks must hold.
    #[must_use]
    pub fn with_function(&self, function: &Pattern) -> Self {
        let mut narrowed = self.clone();
        narrowed.filter.functions.push(function.clone());
        narrowed
    }

    /// Whether a label set fits all matchers.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

/// How a matcher compares.
#[derive(Clone, Debug)]
pub enum MatcherOp {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`, anchored at both ends as in Prometheus.
    Regex(Regex),
    /// `!~`, anchored.
    NotRegex(Regex),
}

/// A condition on one label; a missing label reads as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatcherOp,
}

impl Matcher {
    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatcherOp::Equal(value.into()) }
    }

    /// Whether a label set fits.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.holds(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether a value fits.
    pub fn holds(&self, value: &str) -> bool {
        match &self.op {
            MatcherOp::Equal(wanted) => value == wanted,
            MatcherOp::NotEqual(wanted) => value != wanted,
            MatcherOp::Regex(regex) => regex.is_match(value),
            MatcherOp::NotRegex(regex) => !regex.is_match(value),
        }
    }
}

impl fmt::Display for Matcher {
    /// As [`parse_matchers`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = !self.name.is_empty() && self.name.chars().all(is_name);
        let name = if is_bare { self.name.clone() } else { quote(&self.name) };
        let (op, value) = match &self.op {
            MatcherOp::Equal(value) => ("=", value.as_str()),
            MatcherOp::NotEqual(value) => ("!=", value.as_str()),
            MatcherOp::Regex(regex) => ("=~", unanchored(regex)),
            MatcherOp::NotRegex(regex) => ("!~", unanchored(regex)),
        };
        write!(f, "{name}{op}{}", quote(value))
    }
}

/// What an anchored expression was made of.
fn unanchored(regex: &Regex) -> &str {
    let inner = regex.as_str().strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
    inner.unwrap_or(regex.as_str())
}

/// A text in double quotes.
fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// Whether names of it need no quotes.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/')
}

/// Parses a Prometheus-like selector: `{service_name="a", env=~"x|y", "exception type"="z"}`; the
/// braces may be missing and an empty text selects everything. A name is in quotes, as in
/// Prometheus 3, where it has other characters than letters, digits and `_.-/`. Errors say where.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, ViewError> {
    if text.len() > SELECTOR_BYTES_MAX {
        let problem = format!("the selector is longer than {SELECTOR_BYTES_MAX} bytes: shorten it");
        return Err(ViewError::Invalid(problem));
    }
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix('{').map_or(Some(trimmed), |rest| rest.strip_suffix('}'));
    let Some(inner) = inner else {
        return Err(ViewError::Invalid(format!("the selector {text:?} lacks its closing brace")));
    };
    let mut rest = inner.trim();
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = parse_one(rest, text)?;
        matchers.push(matcher);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return Err(at(text, after, "expected a comma")),
        };
    }
    Ok(matchers)
}

/// An error at `rest`, which is a piece of `text`.
fn at(text: &str, rest: &str, problem: &str) -> ViewError {
    let offset = rest.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    ViewError::Invalid(format!("selector {text:?}, byte {offset}: {problem}"))
}

fn parse_one<'a>(rest: &'a str, text: &str) -> Result<(Matcher, &'a str), ViewError> {
    let (name, after) = parse_name(rest, text)?;
    let after = after.trim_start();
    let ops = ["=~", "!~", "!=", "="];
    let Some(op) = ops.into_iter().find(|op| after.starts_with(op)) else {
        let problem = "expected one of = != =~ !~ (a name with other characters is in quotes)";
        return Err(at(text, after, problem));
    };
    let quoted = after.strip_prefix(op).unwrap_or(after).trim_start();
    if !quoted.starts_with('"') {
        return Err(at(text, quoted, "expected a value in double quotes"));
    }
    let (value, remaining) = parse_quoted(quoted, text, "value")?;
    let regex = |pattern: &str| {
        let anchored = format!("^(?:{pattern})$");
        let built = regex::RegexBuilder::new(&anchored).size_limit(REGEX_BYTES_MAX).build();
        built.map_err(|error| at(text, quoted, &format!("not a regular expression: {error}")))
    };
    let op = match op {
        "=" => MatcherOp::Equal(value),
        "!=" => MatcherOp::NotEqual(value),
        "=~" => MatcherOp::Regex(regex(&value)?),
        _ => MatcherOp::NotRegex(regex(&value)?),
    };
    Ok((Matcher { name, op }, remaining))
}

fn parse_name<'a>(rest: &'a str, text: &str) -> Result<(String, &'a str), ViewError> {
    let (name, after) = if rest.starts_with('"') {
        parse_quoted(rest, text, "name")?
    } else {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        (name.to_owned(), after)
    };
    if name.is_empty() {
        let problem = "expected a label name, in double quotes where it has other characters than \
                       letters, digits and _.-/";
        return Err(at(text, rest, problem));
    }
    Ok((name, after))
}

/// Reads a text up to its closing quote; `quoted` begins with the opening one.
fn parse_quoted<'a>(
    quoted: &'a str,
    text: &str,
    what: &str,
) -> Result<(String, &'a str), ViewError> {
    let mut value = String::new();
    let mut chars = quoted.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((value, quoted.split_at(offset + 1).1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) if other == '"' || other == '\\' => value.push(other),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err(at(text, quoted, &format!("the {what} lacks its closing quote")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Labels = labels.iter().copied().collect();
        parse_matchers(selector).expect("well-formed").iter().all(|m| m.matches(&labels))
    }

    #[test]
    fn all_operators_hold_and_regexes_are_anchored() {
        let labels = [("service_name", "a\"b"), ("env", "prod")];
        assert!(selects(r#"{service_name="a\"b", env=~"p.*|x"}"#, &labels));
        assert!(selects("", &labels));
        assert!(selects(r#"missing="",env!="dev""#, &labels));
        assert!(!selects(r#"{env=~"pro"}"#, &labels));
        assert!(!selects(r#"{env!~"p.+",}"#, &labels));
    }

    #[test]
    fn names_with_other_characters_are_quoted() {
        let labels = [("allocated class", "byte[]"), ("a\"b\\", "x"), ("ключ", "y")];
        assert!(selects(r#"{"allocated class"="byte[]"}"#, &labels));
        assert!(!selects(r#"{"allocated class"!="byte[]"}"#, &labels));
        assert!(selects(r#""a\"b\\" =~ "x|z", "ключ"="y", ключ="y""#, &labels));
        let written: Vec<String> = [("env", "a\nb"), ("a b", "\"")]
            .iter()
            .map(|(name, value)| Matcher::equal(*name, *value).to_string())
            .collect();
        assert_eq!(written, [r#"env="a\nb""#, r#""a b"="\"""#]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(
            pairs in proptest::collection::vec(
                (r#"[a-z_./" \\{}=,\n\[\]ü-]{1,8}"#, 0..4_usize, r#"[a-z" \\{}=,\nü.]{0,8}"#),
                0..5,
            ),
            braces: bool,
        ) {
            let matchers = pairs.into_iter().map(|(name, op, value)| {
                let regex = Regex::new(&format!("^(?:{})$", regex::escape(&value))).expect("is one");
                let op = match op {
                    0 => MatcherOp::Equal(value),
                    1 => MatcherOp::NotEqual(value),
                    2 => MatcherOp::Regex(regex),
                    _ => MatcherOp::NotRegex(regex),
                };
                Matcher { name, op }
            });
            let matchers: Vec<Matcher> = matchers.collect();
            let all: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
            let all = all.join(", ");
            let text = if braces { format!("{{{all}}}") } else { all };
            let read = parse_matchers(&text).expect(&text);
            assert_eq!(format!("{read:?}"), format!("{matchers:?}"), "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (selector, place) in [
            ("{a=}", "byte 3: expected a value"),
            ("{a=\"x\" b=\"y\"}", "byte 7: expected a comma"),
            ("{a=~\"(\"}", "not a regular expression"),
            ("{a=\"x}", "closing quote"),
            ("{a", "closing brace"),
            ("{=\"x\"}", "byte 1: expected a label name"),
            ("{a b=\"x\"}", "byte 3: expected one of ="),
            (" {\"a b=x}}", "byte 2: the name lacks its closing quote"),
            ("{\"\"=\"x\"}", "byte 1: expected a label name"),
            ("{\"a b\"}", "byte 6: expected one of ="),
        ] {
            let error = parse_matchers(selector).expect_err(selector).to_string();
            assert!(error.contains(place), "{selector}: {error}");
        }
    }
}
