//! The selection of a question about samples: what, when, which samples, and how stacks are read.

use crate::question::{Scope, Values, problem_of};
use crate::state::ApiState;
use axum::extract::FromRequestParts;
use http::request::Parts;
use ingest::{Principal, Problem, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use views::{CallPath, Filter, Matcher, Pattern, Selection, Shape, ViewError, parse_matchers};

/// Label that a profiling session puts on the profiles of its window.
pub const SESSION: &str = "session";

/// Parameters that keep only some samples of the selected profiles. Profiles, series and quality in
/// the answer are of what was searched; its total and number of samples of what was kept.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Narrowing {
    /// Only samples of this trace: 32 hexadecimal digits, or decimal.
    pub trace: Option<String>,
    /// Only samples of this span, or of a local root span and all below it: 16 hexadecimal digits,
    /// or decimal.
    pub span: Option<String>,
    /// Only threads of this name or id; `/…/` is a regular expression on names.
    pub thread: Option<String>,
    /// Only samples with these attributes, written like `match`: `{"allocated class"="byte[]"}`.
    pub attributes: Option<String>,
    /// Only profiles of this session.
    pub session: Option<String>,
    /// Only stacks that hold this function: its whole name, or a regular expression between slashes;
    /// several as a JSON array, all of which must be there.
    pub function: Option<String>,
    /// Only stacks with these calls: functions separated by semicolons or in a JSON array, the
    /// caller first, each calling the next directly.
    pub path: Option<String>,
    /// Whether `path` begins with the outermost frame; anywhere in the stack when absent.
    pub path_from_root: Option<bool>,
}

/// Parameters of how stacks are read, applied in this order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Reading {
    /// Takes frames out whose name is this, or fits `/…/`; their values go to their callers.
    pub drop: Option<String>,
    /// Takes all other frames out.
    pub keep: Option<String>,
    /// A function that calls itself directly becomes one frame.
    pub collapse_recursion: Option<bool>,
    /// Only what this function did, wherever it was called.
    pub focus: Option<String>,
    /// Callers below their callees. Tables of functions do not change.
    pub invert: Option<bool>,
}

/// Functions of a parameter: a JSON array, or texts between `separator`.
fn patterns(text: &str, separator: Option<char>) -> Result<Vec<Pattern>, ViewError> {
    let texts: Vec<String> = match (text.trim_start().starts_with("[\""), separator) {
        (true, _) => serde_json::from_str(text).map_err(|error| {
            ViewError::Invalid(format!("{text:?} is no JSON array of texts: {error}"))
        })?,
        (false, Some(separator)) => text.split(separator).map(str::to_owned).collect(),
        (false, None) => vec![text.to_owned()],
    };
    texts.iter().map(|text| Pattern::parse(text)).collect()
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn pattern(text: Option<&String>) -> Result<Option<Pattern>, ViewError> {
    given(text).map(Pattern::parse).transpose()
}

/// An id of `digits` hexadecimal digits, or a decimal one.
fn id(name: &str, text: Option<&String>, digits: usize) -> Result<Option<u128>, ViewError> {
    given(text).map(|text| id_of(name, text, digits)).transpose()
}

/// As [`id`], of a text that is there.
pub(crate) fn id_of(name: &str, text: &str, digits: usize) -> Result<u128, ViewError> {
    let hex = text.strip_prefix("0x").or((text.len() == digits).then_some(text));
    let number = match hex {
        Some(hex) => u128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let number = number.filter(|number| digits >= 32 || number >> (digits * 4) == 0);
    number.ok_or_else(|| {
        ViewError::Invalid(format!("{name}={text:?}: write {digits} hexadecimal digits"))
    })
}

impl Narrowing {
    /// Adds the conditions to a selection.
    pub fn narrow(&self, selection: &mut Selection) -> Result<(), ViewError> {
        if let Some(session) = given(self.session.as_ref()) {
            selection.matchers.push(Matcher::equal(SESSION, session));
        }
        let functions =
            given(self.function.as_ref()).map(|text| patterns(text, None)).transpose()?;
        let frames = given(self.path.as_ref()).map(|text| patterns(text, Some(';'))).transpose()?;
        let from_root = self.path_from_root.unwrap_or(false);
        let filter = Filter {
            trace: id("trace", self.trace.as_ref(), 32)?,
            span: id("span", self.span.as_ref(), 16)?.and_then(|span| u64::try_from(span).ok()),
            thread: pattern(self.thread.as_ref())?,
            attributes: parse_matchers(self.attributes.as_deref().unwrap_or_default())?,
            functions: functions.unwrap_or_default(),
            leaf: None,
            path: frames.map(|frames| CallPath { frames, from_root }),
        };
        filter.check()?;
        selection.filter = filter;
        Ok(())
    }
}

impl Reading {
    /// The shape.
    pub fn shape(&self) -> Result<Shape, ViewError> {
        Ok(Shape {
            drop: pattern(self.drop.as_ref())?,
            keep: pattern(self.keep.as_ref())?,
            collapse_recursion: self.collapse_recursion.unwrap_or(false),
            focus: pattern(self.focus.as_ref())?,
            invert: self.invert.unwrap_or(false),
        })
    }
}

/// A function that a question is about.
pub fn function(text: &str) -> Result<Pattern, Problem> {
    if text.is_empty() {
        let hint = "add function=…: a whole name, or a regular expression between slashes";
        return Err(Problem::bad_request("the parameter `function` is empty", hint));
    }
    Pattern::parse(text).map_err(|error| problem_of(&error))
}

/// The selection of [`Scope`], [`Values`], [`Narrowing`] and [`Reading`] for the principal's tenant.
#[derive(Clone, Debug)]
pub struct Asked(pub Selection);

impl FromRequestParts<ApiState> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        let Query(scope) = Query::<Scope>::from_request_parts(parts, state).await?;
        let Query(values) = Query::<Values>::from_request_parts(parts, state).await?;
        let Query(narrowing) = Query::<Narrowing>::from_request_parts(parts, state).await?;
        let Query(reading) = Query::<Reading>::from_request_parts(parts, state).await?;
        let selection = scope.selection(&principal, state.clock.now())?;
        let mut selection = values.narrow(selection, &scope)?;
        narrowing.narrow(&mut selection).map_err(|error| problem_of(&error))?;
        selection.shape = reading.shape().map_err(|error| problem_of(&error))?;
        Ok(Self(selection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::TimeRange;

    fn filter(narrowing: &Narrowing) -> Result<Filter, String> {
        let mut selection = Selection::everything("default", TimeRange::ALL);
        narrowing.narrow(&mut selection).map_err(|error| error.to_string())?;
        Ok(selection.filter)
    }

    #[test]
    fn ids_are_hexadecimal_of_full_length_or_decimal() {
        let some = |text: &str| Some(text.to_owned());
        let ids = |trace: &str, span: &str| {
            let narrowing =
                Narrowing { trace: some(trace), span: some(span), ..Narrowing::default() };
            filter(&narrowing).map(|filter| (filter.trace, filter.span))
        };
        let hex = ids("000000000000000000000000000000ff", "00000000000000ff");
        assert_eq!(hex, Ok((Some(255), Some(255))));
        assert_eq!(ids("255", "18446744073709551615"), Ok((Some(255), Some(u64::MAX))));
        assert_eq!(ids("0xff", "0xff"), Ok((Some(255), Some(255))));
        assert_eq!(ids("", ""), Ok((None, None)));
        for (trace, span) in
            [("xyz", ""), ("", "18446744073709551616"), ("", "0x1ffffffffffffffff")]
        {
            assert!(ids(trace, span).expect_err("no id").contains("hexadecimal"), "{trace} {span}");
        }
    }

    #[test]
    fn functions_are_one_name_or_an_array_and_paths_are_cut_at_semicolons() {
        let some = |text: &str| Some(text.to_owned());
        let of = |function: &str, path: &str| {
            let narrowing =
                Narrowing { function: some(function), path: some(path), ..Narrowing::default() };
            let filter = filter(&narrowing)?;
            let frames = filter.path.map_or(0, |path| path.frames.len());
            Ok::<_, String>((filter.functions.len(), frames))
        };
        assert_eq!(of("a;b", "a;/b.*/;c"), Ok((1, 3)));
        assert_eq!(of(r#"["a","/b/"]"#, r#"["La;b;"]"#), Ok((2, 1)));
        assert_eq!(of("[]byte", ""), Ok((1, 0)));
        assert!(of(r#"["a""#, "").expect_err("cut").contains("JSON"));
        assert!(of("/(/", "").expect_err("broken").contains("regular"));
        assert!(of("a", &"a;".repeat(100)).expect_err("long").contains("too many"));
    }
}
