//! Small fixed pieces of work that are run under valgrind, which counts their instructions:
//! `measure gate NAME ROUNDS`. What a round costs is the difference between runs of several rounds.

use crate::Failure;
use crate::input::{self, Arguments};
use crate::set::TENANT;
use profile::{Profile, SampleKind};
use query::{Engine, Settings};
use std::sync::Arc;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp};
use store::Store;
use testkit::load::Load;
use testkit::profiles::BASE_MS;
use views::{Selection, Views};

/// Profiles of the work that takes many.
const PROFILES: usize = 6;
/// Questions of a round: one costs little beside making the set, whose cost varies a little.
const QUESTIONS: usize = 10;

/// Runs one of them.
pub(crate) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let name = arguments.next().ok_or("which gate?")?;
    let rounds: usize = arguments.next().ok_or("how many rounds?")?.parse()?;
    match name.as_str() {
        "pprof-decode" => decode(rounds),
        "absorb-tables" => absorb(rounds),
        "append" => append(rounds, false).await,
        "append-and-flush" => append(rounds, true).await,
        "stack-sums" | "flame-graph" => ask(rounds, &name).await,
        _ => Err(format!("{name}: no such gate").into()),
    }
}

fn profiles() -> Vec<Profile> {
    let load = Load { services: 2, samples: (400, 600), ..Load::of_fifty(300, false) };
    load.profiles().take(PROFILES).collect()
}

fn decode(rounds: usize) -> Result<(), Failure> {
    let bodies: Vec<Vec<u8>> = profiles().iter().map(formats::pprof::encode_gzip).collect();
    for body in bodies.iter().cycle().take(rounds * PROFILES) {
        let decoded = formats::decode(body, &formats::Options::default());
        if decoded.profiles.iter().all(|decoded| decoded.profile.samples.is_empty()) {
            return Err("nothing decoded".into());
        }
    }
    Ok(())
}

fn absorb(rounds: usize) -> Result<(), Failure> {
    let profiles = profiles();
    for _ in 0..rounds {
        let mut tables = profile::Tables::default();
        for profile in &profiles {
            tables.absorb(&profile.tables);
        }
        if tables.stacks.len() < 2 {
            return Err("nothing absorbed".into());
        }
    }
    Ok(())
}

async fn open(folder: &std::path::Path) -> Result<Arc<Store>, Failure> {
    let clock: Arc<dyn Clock> =
        Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS + 3_600_000)));
    Ok(Store::open(folder, input::lasting(), clock, Rng::seeded(1)).await?)
}

async fn append(rounds: usize, flushes: bool) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let profiles = profiles();
    for _ in 0..rounds {
        store.append(TENANT, profiles.clone()).await?;
        if flushes {
            store.flush().await?;
        }
    }
    Ok(())
}

async fn ask(rounds: usize, name: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    store.append(TENANT, profiles()).await?;
    store.flush().await?;
    let engine = Engine::new(store, Settings::default());
    let kind = SampleKind::from_id("stack").ok_or("no kind for wall time")?;
    let start = Timestamp::from_millis(BASE_MS);
    let range = TimeRange::new(start, start.plus_nanos(3_600_000_000_000));
    let selection = Selection {
        profile_type: Some(kind.measures[2].type_id()),
        ..Selection::everything(TENANT, range)
    };
    for _ in 0..rounds * QUESTIONS {
        let total = if name == "stack-sums" {
            engine.stack_sums(&selection).await?.total()
        } else {
            engine.flamegraph(&selection, 8_192).await?.meta.total.into()
        };
        if total == 0 {
            return Err("no samples found".into());
        }
    }
    Ok(())
}
