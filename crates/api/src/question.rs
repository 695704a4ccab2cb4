//! From query parameters to a [`Selection`].

use crate::limits::RANGE_MS_DEFAULT;
use ingest::attime::{self, Epoch};
use ingest::{Principal, Problem};
use profile::ProfileTypeId;
use serde::Deserialize;
use stdx::{TimeRange, Timestamp, Ulid};
use utoipa::IntoParams;
use views::{Selection, ViewError, parse_matchers};

/// Parameters that select profiles, shared by all questions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Scope {
    /// Start (inclusive): epoch milliseconds, `now`, or `now-1h`. An hour before the end when
    /// absent.
    pub from: Option<String>,
    /// End (exclusive), written like `from`; now when absent.
    pub to: Option<String>,
    /// Label selector such as `{service_name="shop", env=~"prod|staging"}`; a name with other
    /// characters than letters, digits and `_.-/` is in quotes, too: `{"a b"="c"}`.
    #[serde(rename = "match")]
    #[param(rename = "match")]
    pub matchers: Option<String>,
}

/// Parameters of questions about values.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Values {
    /// Profile type id, e.g. `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub profile_type: Option<String>,
    /// Only this source instead of the preferred one of each instance.
    pub source: Option<String>,
    /// Only this profile.
    pub profile: Option<String>,
}

impl Scope {
    /// The range asked for.
    pub fn range(&self, now: Timestamp) -> Result<TimeRange, Problem> {
        let time = |name: &str, text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => attime::parse(text, now, Epoch::Millis).map(Some).ok_or_else(|| {
                let detail = format!("{name}={text:?} is no time");
                Problem::bad_request(detail, "write epoch milliseconds, now, or now-1h")
            }),
        };
        let end = time("to", &self.to)?.unwrap_or(now);
        let start = time("from", &self.from)?;
        let start = start.unwrap_or_else(|| end.plus_nanos(-RANGE_MS_DEFAULT * 1_000_000));
        if start > end {
            let detail = format!("from ({}) is after to ({})", start.millis(), end.millis());
            return Err(Problem::bad_request(detail, "swap from and to"));
        }
        Ok(TimeRange::new(start, end))
    }

    /// The selection of these parameters for the principal's tenant.
    pub fn selection(&self, principal: &Principal, now: Timestamp) -> Result<Selection, Problem> {
        let matchers = parse_matchers(self.matchers.as_deref().unwrap_or_default());
        let mut selection = Selection::everything(principal.tenant.clone(), self.range(now)?);
        selection.matchers = matchers.map_err(|error| problem_of(&error))?;
        Ok(selection)
    }
}

impl Values {
    /// Adds type, source and profile to a selection; a question about one profile that names no
    /// time means all of it.
    pub fn narrow(&self, mut selection: Selection, scope: &Scope) -> Result<Selection, Problem> {
        let Some(wanted) = self.profile_type.as_deref().filter(|id| !id.is_empty()) else {
            let hint = "add type=…; GET /api/v1/profile-types lists those of a selection";
            return Err(Problem::bad_request("the parameter `type` is missing", hint));
        };
        selection.profile_type = Some(ProfileTypeId(wanted.to_owned()));
        selection.source = self.source.clone().filter(|source| !source.is_empty());
        if let Some(id) = self.profile.as_deref().filter(|id| !id.is_empty()) {
            selection.profile = Some(parse_id(id)?);
            if scope.from.is_none() && scope.to.is_none() {
                selection.range = TimeRange::ALL;
            }
        }
        Ok(selection)
    }
}

/// A profile's id.
pub fn parse_id(text: &str) -> Result<Ulid, Problem> {
    Ulid::from_string(text).map_err(|_| {
        let hint = "take it from the list of profiles or from the receipt of an upload";
        Problem::bad_request(format!("{text:?} is no profile id"), hint)
    })
}

/// A view's error as a problem.
pub fn problem_of(error: &ViewError) -> Problem {
    match error {
        ViewError::Invalid(detail) => {
            Problem::bad_request(detail.clone(), "correct the question; see /api/v1/openapi.json")
        }
        ViewError::UnknownType(_) => Problem::not_found(
            error.to_string(),
            "GET /api/v1/profile-types lists the types of a selection",
        ),
        ViewError::TooLarge(detail) => {
            let title = "The answer would be too large";
            let status = http::StatusCode::UNPROCESSABLE_ENTITY;
            let hint = "ask for a shorter range, a longer step or fewer rows";
            Problem::new(status, "/problems/answer-too-large", title, detail.clone(), hint)
        }
        ViewError::Store(_) => {
            tracing::error!(%error, "a question was not answered");
            Problem::unavailable(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(from: &str, to: &str) -> Scope {
        Scope { from: Some(from.to_owned()), to: Some(to.to_owned()), matchers: None }
    }

    #[test]
    fn ranges_read_and_default_to_the_last_hour() {
        let now = Timestamp::from_millis(10_000_000);
        let range = Scope::default().range(now).unwrap();
        assert_eq!((range.start.millis(), range.end), (6_400_000, now));
        let range = scope("1000", "now-1s").range(now).unwrap();
        assert_eq!((range.start.millis(), range.end.millis()), (1000, 9_999_000));
        assert!(scope("now", "now-1h").range(now).unwrap_err().detail.contains("after"));
        assert!(scope("soon", "now").range(now).unwrap_err().detail.contains("from=\"soon\""));
    }
}
