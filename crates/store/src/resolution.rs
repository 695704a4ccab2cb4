//! How exactly sample times are kept: to the millisecond, unless a rule asks for more.

use crate::limits::Options;
use profile::labels::Labels;
use stdx::Timestamp;
use views::Matcher;

/// How exactly the time of a sample is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// To the millisecond.
    #[default]
    Millis,
    /// To the microsecond: about a byte and a half an event more.
    Micros,
    /// As it came: about three bytes an event more.
    Nanos,
}

impl Resolution {
    /// The nanoseconds below the millisecond that are kept; -1 for none.
    pub(crate) fn rest(self, time: Timestamp) -> i32 {
        let rest = time.nanos().rem_euclid(1_000_000) as i32;
        match self {
            Self::Millis => -1,
            Self::Micros => rest - rest % 1_000,
            Self::Nanos => rest,
        }
    }
}

/// Keeps times of what it names in a resolution of its own.
#[derive(Clone, Debug, Default)]
pub struct ResolutionRule {
    /// Whose profiles; anybody's when it is not said.
    pub tenant: Option<String>,
    /// What labels they have.
    pub matchers: Vec<Matcher>,
    /// How exactly their times are kept.
    pub resolution: Resolution,
}

impl ResolutionRule {
    fn names(&self, tenant: &str, labels: &Labels) -> bool {
        self.tenant.as_deref().is_none_or(|named| named == tenant)
            && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

/// What holds for a profile: the last rule that names it.
pub(crate) fn of(options: &Options, tenant: &str, labels: &Labels) -> Resolution {
    let mut rules = options.resolution_rules.iter().rev();
    let rule = rules.find(|rule| rule.names(tenant, labels));
    rule.map_or(options.resolution, |rule| rule.resolution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_names_a_profile_holds() {
        let rule = |tenant: Option<&str>, selector: &str, resolution| ResolutionRule {
            tenant: tenant.map(str::to_owned),
            matchers: views::parse_matchers(selector).expect("a selector"),
            resolution,
        };
        let options = Options {
            resolution_rules: vec![
                rule(Some("a"), "{}", Resolution::Micros),
                rule(None, "{service_name=\"shop\"}", Resolution::Nanos),
                rule(Some("b"), "{session=~\"load.*\"}", Resolution::Micros),
            ],
            ..Options::default()
        };
        let of = |tenant, session: &str| {
            let mut labels = Labels::new();
            labels.set("service_name", "shop");
            labels.set("session", session);
            of(&options, tenant, &labels)
        };
        assert_eq!(of("a", ""), Resolution::Nanos);
        assert_eq!(of("b", "load-1"), Resolution::Micros);
        assert_eq!(of("b", "other"), Resolution::Nanos);
        assert_eq!(super::of(&options, "a", &Labels::default()), Resolution::Micros);
        assert_eq!(super::of(&options, "b", &Labels::default()), Resolution::Millis);
    }

    #[test]
    fn what_is_below_is_cut_off() {
        let time = Timestamp::from_nanos(5_001_234_567);
        let rests = [Resolution::Millis, Resolution::Micros, Resolution::Nanos];
        assert_eq!(rests.map(|one| one.rest(time)), [-1, 234_000, 234_567]);
    }
}
