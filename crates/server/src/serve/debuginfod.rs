//! Asks debuginfod servers for the debug information of binaries whose addresses have no name. Off
//! unless the settings file names servers.
//!
//! Protocol: `GET /buildid/BUILD-ID/debuginfo` (elfutils, debuginfod(8)).

use crate::egress::Egress;
use crate::limits::{DEBUGINFOD_BINARIES_MAX, DEBUGINFOD_BYTES_MAX, DEBUGINFOD_RETRY};
use crate::outward::Trust;
use anyhow::{Context, Result};
use api::SymbolsState;
use api::routes::symbols::keep;
use http::Uri;
use std::collections::HashMap;
use std::time::Duration;
use stdx::TimeRange;
use views::Selection;

/// How far back profiles are looked at.
const LOOK_BACK_NANOS: i64 = 3_600_000_000_000;
/// Binaries that are remembered because nobody had them.
const TRIED_MAX: usize = 10_000;

/// Which servers, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Debuginfod {
    /// Servers, asked in this order.
    pub(crate) urls: Vec<Uri>,
    /// Time between two looks at what is missing.
    pub(crate) interval: Duration,
}

/// Looks for missing names until it is dropped.
pub(super) async fn run(settings: Debuginfod, trust: Trust, symbols: SymbolsState) {
    let egress = match Egress::to(&settings.urls, &trust) {
        Ok(egress) => egress,
        Err(error) => {
            tracing::error!("debuginfod servers are not asked: {error:#}");
            return;
        }
    };
    let mut asker = Asker { settings, symbols, egress, tried: HashMap::new() };
    loop {
        tokio::time::sleep(asker.settings.interval).await;
        for tenant in asker.symbols.admin.store.tenants() {
            if let Err(error) = asker.ask(&tenant).await {
                tracing::warn!(tenant, "debuginfod servers were not asked: {error:#}");
            }
        }
    }
}

struct Asker {
    settings: Debuginfod,
    symbols: SymbolsState,
    egress: Egress,
    /// Tenant and build id, and when they were asked for.
    tried: HashMap<(String, String), Duration>,
}

impl Asker {
    async fn ask(&mut self, tenant: &str) -> Result<()> {
        let mut left = DEBUGINFOD_BINARIES_MAX;
        for build_id in self.missing(tenant).await? {
            let now = self.symbols.admin.clock.monotonic();
            self.tried.retain(|_, at| now.saturating_sub(*at) < DEBUGINFOD_RETRY);
            let key = (tenant.to_owned(), build_id.clone());
            if left == 0 || self.tried.len() >= TRIED_MAX {
                return Ok(());
            }
            if self.tried.insert(key, now).is_none() {
                left -= 1;
                self.fetch(tenant, &build_id).await;
            }
        }
        Ok(())
    }

    /// Build ids of binaries with unnamed addresses, the heaviest first.
    async fn missing(&self, tenant: &str) -> Result<Vec<String>> {
        let (store, views) = (&self.symbols.admin.store, &self.symbols.views);
        let now = self.symbols.admin.clock.now();
        let range = TimeRange::new(now.plus_nanos(-LOOK_BACK_NANOS), now);
        let mut selection = Selection::everything(tenant, range);
        let types = views.profile_types(&selection).await?;
        let cpu = types.iter().find(|one| one.id.0.starts_with("process_cpu:cpu:"));
        let Some(best) = cpu.or(types.first()) else { return Ok(Vec::new()) };
        selection.profile_type = Some(best.id.clone());
        let (tree, _) = views.tree(&selection).await?;
        let ids = tree.unnamed().into_iter().map(|row| row.build_id.to_ascii_lowercase());
        // Servers know GNU's build ids alone; nothing else may get into the path.
        let is_gnu = |id: &String| {
            (16..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(ids.filter(is_gnu).filter(|id| store.names_of(tenant, id).is_empty()).collect())
    }

    async fn fetch(&self, tenant: &str, build_id: &str) {
        for url in &self.settings.urls {
            match self.fetch_from(url, tenant, build_id).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(build_id, %url, "no debug information: {error:#}"),
            }
        }
    }

    async fn fetch_from(&self, url: &Uri, tenant: &str, build_id: &str) -> Result<bool> {
        let base = url.to_string();
        let address = format!("{}/buildid/{build_id}/debuginfo", base.trim_end_matches('/'));
        let address: Uri = address.parse().context("a malformed address")?;
        let mut file = symbols::names::spool(&self.symbols.folder).context("keep the answer")?;
        if !self.egress.fetch(&address, &mut file, DEBUGINFOD_BYTES_MAX).await? {
            return Ok(false);
        }
        let name = format!("{build_id}.debug");
        let kept = keep(&self.symbols, tenant, &name, file, Some(build_id)).await;
        kept.map_err(|problem| anyhow::anyhow!("{}", problem.detail))?;
        Ok(true)
    }
}
