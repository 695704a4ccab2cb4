//! `[[payloads]]`: which uploads are kept as they came.

use super::{check_days, size};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::PayloadRule;

const DAYS: f64 = 7.0;

/// A rule as the file has it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size: Option<String>,
}

/// The rules; one that names no size may have all that there is for payloads.
pub(super) fn rules(file: &[FileRule], bytes_max: u64) -> Result<Vec<PayloadRule>> {
    let rule = |rule: &FileRule| {
        let FileRule { tenant, service, days, max_size } = rule.clone();
        ensure!(!service.is_empty(), "a service in [[payloads]] is empty: write '*' for all");
        let days = days.unwrap_or(DAYS);
        check_days("days of a [[payloads]] rule", days)?;
        let max = max_size.as_deref().map(size).transpose().context("max_size of [[payloads]]")?;
        let keep = Duration::from_secs_f64(days * 86_400.0);
        Ok(PayloadRule { tenant, service, keep, bytes_max: max.unwrap_or(bytes_max) })
    };
    file.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_with_what_they_do_not_say() {
        let text = "[[payloads]]\nservice = 'shop*'\n\
             [[payloads]]\nservice = '*'\ntenant = 'a'\ndays = 0.5\nmax_size = '2MiB'\n";
        let file = super::super::parse(text).unwrap();
        let found = rules(&file.payloads, 99).unwrap();
        assert_eq!(found[0].service, "shop*");
        assert_eq!((found[0].keep, found[0].bytes_max), (Duration::from_hours(7 * 24), 99));
        assert_eq!((found[1].keep, found[1].bytes_max), (Duration::from_hours(12), 2 << 20));
        assert_eq!(found[1].tenant.as_deref(), Some("a"));
    }
}
