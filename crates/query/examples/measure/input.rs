//! Command lines, and captures to amplify: files of any format, or the folder of a store.

use crate::Failure;
use profile::Profile;
use query::{Engine, Settings};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng, SystemClock, TimeRange};
use store::{Options, Store};
use views::Views;

/// Words of a command line.
#[derive(Debug)]
pub(crate) struct Arguments(VecDeque<String>);

impl Arguments {
    pub(crate) fn of(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// The next word.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Takes `name VALUE` out, wherever it stands.
    pub(crate) fn value(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.remove(at);
        self.0.remove(at)
    }

    /// Takes the number after `name` out; `otherwise` when it is not there.
    pub(crate) fn number<T: std::str::FromStr>(
        &mut self,
        name: &str,
        otherwise: T,
    ) -> Result<T, Failure> {
        let Some(text) = self.value(name) else { return Ok(otherwise) };
        text.replace('_', "").parse().map_err(|_| format!("{name} {text}: not a number").into())
    }

    /// Takes `name` out; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.and_then(|at| self.0.remove(at)).is_some()
    }

    /// What is left; an option among it is one that nobody knows.
    pub(crate) fn rest(self) -> Result<Vec<String>, Failure> {
        match self.0.iter().find(|word| word.starts_with("--")) {
            Some(unknown) => Err(format!("{unknown}: no such option").into()),
            None => Ok(self.0.into()),
        }
    }
}

/// Settings under which nothing is dropped and superseded files go at once; the cache is what a server
/// with 8 GiB of memory has.
pub(crate) fn lasting() -> Options {
    Options {
        retention: Duration::MAX,
        retired_grace: Duration::ZERO,
        cache_bytes_max: 512 << 20,
        ..Options::default()
    }
}

/// All profiles of a capture.
pub(crate) async fn profiles(path: &str) -> Result<Vec<Profile>, Failure> {
    let found = if Path::new(path).is_dir() { of_store(path).await? } else { of_file(path)? };
    if found.iter().all(|profile| profile.samples.is_empty()) {
        return Err(format!("{path}: no samples in it").into());
    }
    Ok(found)
}

/// All profiles of a file of any format.
pub(crate) fn of_file(path: &str) -> Result<Vec<Profile>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| format!("reading {path}: {error}"))?;
    let decoded = formats::decode(&bytes, &formats::Options::default());
    Ok(decoded.profiles.into_iter().map(|decoded| decoded.profile).collect())
}

async fn of_store(folder: &str) -> Result<Vec<Profile>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(Path::new(folder), lasting(), clock, Rng::from_entropy()).await?;
    let engine = Engine::new(Arc::clone(&store), Settings::default());
    let mut profiles = Vec::new();
    for tenant in store.tenants() {
        for part in store.snapshot(&tenant, TimeRange::ALL).parts {
            for row in part.profiles().await?.iter() {
                let found = engine.profile(&tenant, row.id).await?;
                profiles.extend(found.map(|(_, profile)| profile));
            }
        }
    }
    profiles.sort_by_key(|profile| profile.window.start);
    Ok(profiles)
}
