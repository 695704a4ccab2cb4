//! Selections: which samples a question is about.

use crate::{Filter, Pattern, Shape, ViewError};
use profile::{Labels, ProfileTypeId};
use regex::Regex;
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

/// Longest selector text in bytes.
const SELECTOR_BYTES_MAX: usize = 16 * 1024;
/// Largest compiled regular expression in bytes.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// Parses a Prometheus-like selector: `{service_name="a", env=~"x|y"}`; the braces may be missing
/// and an empty text selects everything. Errors say where.
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

fn at(text: &str, rest: &str, problem: &str) -> ViewError {
    let offset = text.trim_end().trim_end_matches('}').len().saturating_sub(rest.len());
    ViewError::Invalid(format!("selector {text:?}, byte {offset}: {problem}"))
}

fn parse_one<'a>(rest: &'a str, text: &str) -> Result<(Matcher, &'a str), ViewError> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return Err(at(text, rest, "expected a label name"));
    }
    let after = after.trim_start();
    let ops = ["=~", "!~", "!=", "="];
    let Some(op) = ops.into_iter().find(|op| after.starts_with(op)) else {
        return Err(at(text, after, "expected one of = != =~ !~"));
    };
    let quoted = after.strip_prefix(op).unwrap_or(after).trim_start();
    let (value, remaining) = parse_quoted(quoted, text)?;
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
    Ok((Matcher { name: name.to_owned(), op }, remaining))
}

fn parse_quoted<'a>(quoted: &'a str, text: &str) -> Result<(String, &'a str), ViewError> {
    let Some(body) = quoted.strip_prefix('"') else {
        return Err(at(text, quoted, "expected a value in double quotes"));
    };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((value, body.split_at(offset + 1).1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) if other == '"' || other == '\\' => value.push(other),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err(at(text, quoted, "the value lacks its closing quote"))
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
    fn errors_say_where() {
        for (selector, place) in [
            ("{a=}", "byte 3: expected a value"),
            ("{a=\"x\" b=\"y\"}", "byte 7: expected a comma"),
            ("{a=~\"(\"}", "not a regular expression"),
            ("{a=\"x}", "closing quote"),
            ("{a", "closing brace"),
            ("{=\"x\"}", "byte 1: expected a label name"),
        ] {
            let error = parse_matchers(selector).expect_err(selector).to_string();
            assert!(error.contains(place), "{selector}: {error}");
        }
    }
}
