//! Which samples of the selected profiles a question is about: by span, thread, attributes and by
//! what their stacks hold.
//!
//! [`Filter::keeps`] is the specification, sample by sample; an engine resolves a filter to the
//! ordinals of a part's tables and is held equal by property tests.

use crate::limits::{PATTERN_BYTES_MAX, PATTERNS_MAX, REGEX_BYTES_MAX};
use crate::{Matcher, MatcherOp, NamedTables, ViewError};
use profile::{Attribute, AttributeValue, AttributesId, Link, Sample, StackId, Tables, Thread};
use regex::Regex;

/// Conditions on single samples; all must hold. The default keeps everything.
///
/// What an answer says of profiles, series, sources and quality is of what was searched; its
/// number of samples counts those that were kept. So the mean of a gauge is over all profiles of a
/// series: one without a fitting sample had a level of 0.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only samples of this trace.
    pub trace: Option<u128>,
    /// Only samples of this span, or of spans below it where it is the local root.
    pub span: Option<u64>,
    /// Only threads whose name fits, or whose id is the literal.
    pub thread: Option<Pattern>,
    /// Conditions on the samples' attributes; a missing one reads as the empty text. Of several
    /// values of one attribute, one must be equal or fit; for the negations, none may.
    pub attributes: Vec<Matcher>,
    /// Only stacks that hold each of these functions.
    pub functions: Vec<Pattern>,
    /// Only stacks whose own function, the innermost frame, is this one.
    pub leaf: Option<Pattern>,
    /// Only stacks with these calls.
    pub path: Option<CallPath>,
}

/// A function by its name.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The whole name.
    Literal(String),
    /// Fits anywhere in the name unless it is anchored.
    Regex(Regex),
}

/// Functions that call each other directly, the caller first.
#[derive(Clone, Debug)]
pub struct CallPath {
    /// The functions; none keeps everything.
    pub frames: Vec<Pattern>,
    /// Whether the first must be the outermost frame of its stack.
    pub from_root: bool,
}

impl Pattern {
    /// A whole name, or a regular expression between slashes: `/^http\./`.
    pub fn parse(text: &str) -> Result<Self, ViewError> {
        if text.len() > PATTERN_BYTES_MAX {
            let problem = format!("a pattern is longer than {PATTERN_BYTES_MAX} bytes: shorten it");
            return Err(ViewError::Invalid(problem));
        }
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match inner.filter(|inner| !inner.is_empty()) {
            None => Ok(Self::Literal(text.to_owned())),
            Some(regex) => Self::regex(regex),
        }
    }

    /// A regular expression, without slashes.
    pub fn regex(text: &str) -> Result<Self, ViewError> {
        let built = regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
        built.map(Self::Regex).map_err(|error| {
            ViewError::Invalid(format!("{text:?} is not a regular expression: {error}"))
        })
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(wanted) => name == wanted,
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    /// Whether a thread fits by its name or id.
    pub fn matches_thread(&self, id: i64, name: &str) -> bool {
        let by_id = matches!(self, Self::Literal(wanted) if wanted.parse() == Ok(id));
        by_id || self.matches(name)
    }
}

/// A value of a sample attribute as text; numbers in decimal, without their unit.
pub fn attribute_text(tables: &Tables, value: AttributeValue) -> String {
    match value {
        AttributeValue::Text(id) => tables.text(id).to_owned(),
        AttributeValue::Number(number, _) => number.to_string(),
    }
}

impl Filter {
    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.trace.is_none()
            && self.span.is_none()
            && self.thread.is_none()
            && self.attributes.is_empty()
            && !self.asks_for_stacks()
    }

    /// Whether stacks decide.
    pub fn asks_for_stacks(&self) -> bool {
        self.leaf.is_some()
            || !self.functions.is_empty()
            || self.path.as_ref().is_some_and(|path| !path.frames.is_empty())
    }

    /// Checks the number of patterns.
    pub fn check(&self) -> Result<(), ViewError> {
        let frames = self.path.as_ref().map_or(0, |path| path.frames.len());
        let most = self.functions.len().max(frames);
        if most > PATTERNS_MAX {
            let problem = format!("{most} functions or frames are too many: give {PATTERNS_MAX}");
            return Err(ViewError::Invalid(problem));
        }
        Ok(())
    }

    /// Whether a sample is kept.
    pub fn keeps<'a>(&self, tables: impl Into<NamedTables<'a>>, sample: &Sample) -> bool {
        let named = tables.into();
        let tables = named.tables;
        let link = sample.link.and_then(|id| tables.links.get(id));
        let thread = sample.thread.and_then(|id| tables.threads.get(id));
        self.keeps_link(link)
            && self.keeps_thread(tables, thread)
            && self.keeps_attributes(tables, sample.attributes)
            && self.keeps_stack(named, sample.stack)
    }

    /// Whether samples of a span are kept.
    pub fn keeps_link(&self, link: Option<&Link>) -> bool {
        let trace = |wanted| link.is_some_and(|link| link.trace_id == wanted);
        let span =
            |wanted| link.is_some_and(|link| link.span_id == wanted || link.root_span_id == wanted);
        self.trace.is_none_or(trace) && self.span.is_none_or(span)
    }

    /// Whether samples of a thread are kept.
    pub fn keeps_thread(&self, tables: &Tables, thread: Option<&Thread>) -> bool {
        let fits = |wanted: &Pattern| {
            thread.is_some_and(|row| wanted.matches_thread(row.id, tables.text(row.name)))
        };
        self.thread.as_ref().is_none_or(fits)
    }

    /// Whether samples with these attributes are kept.
    pub fn keeps_attributes(&self, tables: &Tables, id: Option<AttributesId>) -> bool {
        let set = id.and_then(|id| tables.attributes.get(id)).map_or(&[][..], Vec::as_slice);
        self.attributes.iter().all(|matcher| holds(matcher, tables, set))
    }

    fn keeps_stack(&self, named: NamedTables<'_>, stack: StackId) -> bool {
        if !self.asks_for_stacks() {
            return true;
        }
        let mut names: Vec<String> = Vec::new();
        let locations: Vec<_> = named.tables.stacks.leaf_first(stack).collect();
        for location in locations.into_iter().rev() {
            names.extend(named.frames(location).iter().map(|frame| frame.name.to_string()));
        }
        let has = |function: &Pattern| names.iter().any(|name| function.matches(name));
        let is_leaf = |leaf: &Pattern| names.last().is_some_and(|name| leaf.matches(name));
        self.functions.iter().all(has)
            && self.leaf.as_ref().is_none_or(is_leaf)
            && self.path.as_ref().is_none_or(|path| path.is_in(&names))
    }
}

fn holds(matcher: &Matcher, tables: &Tables, set: &[Attribute]) -> bool {
    let of_name = set.iter().filter(|one| tables.text(one.key) == matcher.name);
    let mut texts: Vec<String> = of_name.map(|one| attribute_text(tables, one.value)).collect();
    if texts.is_empty() {
        texts.push(String::new());
    }
    match matcher.op {
        MatcherOp::Equal(_) | MatcherOp::Regex(_) => texts.iter().any(|text| matcher.holds(text)),
        MatcherOp::NotEqual(_) | MatcherOp::NotRegex(_) => {
            texts.iter().all(|text| matcher.holds(text))
        }
    }
}

impl CallPath {
    /// Whether a stack of these frames, outermost first, holds the calls.
    fn is_in(&self, names: &[String]) -> bool {
        let fits = |window: &[String]| {
            window.iter().zip(&self.frames).all(|(name, frame)| frame.matches(name))
        };
        let length = self.frames.len();
        if length == 0 {
            return true;
        }
        let mut windows = names.windows(length);
        if self.from_root { windows.next().is_some_and(fits) } else { windows.any(fits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::folded::from_folded;

    fn kept(filter: &Filter, stacks: &str) -> Vec<usize> {
        let profile = from_folded(stacks);
        let samples = profile.samples.iter().enumerate();
        let kept = samples.filter(|(_, sample)| filter.keeps(&profile.tables, sample));
        kept.map(|(at, _)| at).collect()
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn functions_leaves_and_paths_pick_stacks() {
        let stacks = "main;a;b 1\nmain;b;a 1\na;b;c 1\nmain;ab 1\n";
        let functions = vec![pattern("a"), pattern("b")];
        assert_eq!(kept(&Filter { functions, ..Filter::default() }, stacks), [0, 1, 2]);
        let functions = vec![pattern("/^a/")];
        assert_eq!(kept(&Filter { functions, ..Filter::default() }, stacks), [0, 1, 2, 3]);
        let leaf = Some(pattern("b"));
        assert_eq!(kept(&Filter { leaf, ..Filter::default() }, stacks), [0]);
        let path = |text: &[&str], from_root| Filter {
            path: Some(CallPath {
                frames: text.iter().map(|text| pattern(text)).collect(),
                from_root,
            }),
            ..Filter::default()
        };
        assert_eq!(kept(&path(&["a", "b"], false), stacks), [0, 2]);
        assert_eq!(kept(&path(&["a", "b"], true), stacks), [2]);
        assert_eq!(kept(&path(&["main", "/b/"], true), stacks), [1, 3]);
        assert_eq!(kept(&path(&[], true), stacks).len(), 4);
    }

    #[test]
    fn patterns_are_names_unless_between_slashes() {
        assert!(pattern("a.b").matches("a.b") && !pattern("a.b").matches("axb"));
        assert!(pattern("/a.b/").matches("--axb--"));
        assert!(pattern("12").matches_thread(12, "x") && !pattern("/1/").matches_thread(12, "x"));
        assert!(Pattern::parse("/(/").expect_err("broken").to_string().contains("regular"));
        assert!(Pattern::parse(&"x".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }
}
