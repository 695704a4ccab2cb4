//! How exactly sample times are kept: `time_resolution` and `[[resolution]]` in the settings file.

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use store::{Resolution, ResolutionRule};

/// One rule of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// A selector, e.g. `{service_name="shop"}`.
    #[serde(rename = "match", default)]
    selector: String,
    /// `ms`, `us` or `ns`.
    times: String,
}

/// What a resolution's name means.
pub(super) fn named(key: &str, name: &str) -> Result<Resolution> {
    Ok(match name {
        "ms" => Resolution::Millis,
        "us" => Resolution::Micros,
        "ns" => Resolution::Nanos,
        other => bail!("{key} = {other:?} is none of \"ms\", \"us\", \"ns\""),
    })
}

/// Checks the rules; an error names the rule by its position.
pub(super) fn rules(rules: &[FileRule]) -> Result<Vec<ResolutionRule>> {
    let rules = rules.iter().enumerate().map(|(at, rule)| {
        read(rule).map_err(|error| anyhow!("[[resolution]] rule {}: {error:#}", at + 1))
    });
    rules.collect()
}

fn read(rule: &FileRule) -> Result<ResolutionRule> {
    let FileRule { tenant, selector, times } = rule.clone();
    let matchers = views::parse_matchers(&selector).context("match")?;
    if tenant.is_none() && matchers.is_empty() {
        bail!("it names nothing: give match or tenant, or set time_resolution");
    }
    Ok(ResolutionRule { tenant, matchers, resolution: named("times", &times)? })
}
