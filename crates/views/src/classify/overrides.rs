//! Rules of the user's own, which come before the table.

use super::Class;
use crate::limits::{REGEX_BYTES_MAX, RULE_PATTERN_BYTES_MAX, RULES_MAX};
use regex::{Regex, RegexBuilder};

/// The text of a frame that a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The function's name.
    Function,
    /// The source file.
    File,
    /// The file name of the binary.
    Library,
}

/// One rule: frames whose text fits are of a class.
#[derive(Clone, Debug)]
pub struct Override {
    part: Part,
    pattern: Pattern,
    class: Class,
}

#[derive(Clone, Debug)]
enum Pattern {
    Prefix(String),
    Regex(Regex),
}

impl Override {
    /// Frames whose text begins with `prefix`. Says what is wrong with it.
    pub fn prefix(part: Part, prefix: &str, class: Class) -> Result<Self, String> {
        checked(prefix)?;
        Ok(Self { part, pattern: Pattern::Prefix(prefix.to_owned()), class })
    }

    /// Frames in whose text the expression `regex` is found. Says what is wrong with it.
    pub fn regex(part: Part, regex: &str, class: Class) -> Result<Self, String> {
        checked(regex)?;
        let built = RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build();
        let built = built.map_err(|error| format!("{regex:?} is no expression: {error}"))?;
        Ok(Self { part, pattern: Pattern::Regex(built), class })
    }

    fn fits(&self, function: &str, file: &str, library: &str) -> bool {
        let text = match self.part {
            Part::Function => function,
            Part::File => file,
            Part::Library => library,
        };
        match &self.pattern {
            Pattern::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Pattern::Regex(regex) => regex.is_match(super::bounded(text)),
        }
    }
}

fn checked(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("the pattern is empty: it would fit every frame".to_owned());
    }
    if pattern.len() > RULE_PATTERN_BYTES_MAX {
        return Err(format!("the pattern is longer than {RULE_PATTERN_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Rules in order; the first that fits decides.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    rules: Vec<Override>,
}

impl Overrides {
    /// In this order.
    pub fn new(rules: Vec<Override>) -> Result<Self, String> {
        let most = RULES_MAX;
        if rules.len() > most {
            return Err(format!("{} rules are too many: at most {most}", rules.len()));
        }
        Ok(Self { rules })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The class of a frame: what a rule says, else `found`.
    pub fn class_of(&self, function: &str, file: &str, library: &str, found: Class) -> Class {
        let rule = self.rules.iter().find(|rule| rule.fits(function, file, library));
        rule.map_or(found, |rule| rule.class)
    }
}
