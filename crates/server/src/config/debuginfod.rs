//! `[debuginfod]`: servers that are asked for debug information.

use crate::egress::target;
use crate::serve::debuginfod::Debuginfod;
use anyhow::{Context, Result, ensure};
use http::Uri;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const INTERVAL_SECONDS: u32 = 300;

/// The table as the file has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDebuginfod {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<u32>,
}

/// What runs.
pub(super) fn checked(file: &FileDebuginfod) -> Result<Debuginfod> {
    let url = |text: &String| {
        let url: Uri = text.parse().with_context(|| format!("[debuginfod]: address {text:?}"))?;
        target(&url).context("[debuginfod]")?;
        ensure!(url.query().is_none(), "[debuginfod]: {text:?} has a query: give https://HOST");
        Ok(url)
    };
    let urls = file.urls.iter().map(url).collect::<Result<Vec<_>>>()?;
    ensure!(!urls.is_empty(), "[debuginfod] names no server: give urls = [\"https://HOST\"]");
    let seconds = file.interval_seconds.unwrap_or(INTERVAL_SECONDS);
    ensure!(seconds > 0, "[debuginfod]: interval_seconds is 0: give a number of seconds");
    Ok(Debuginfod { urls, interval: Duration::from_secs(seconds.into()) })
}
