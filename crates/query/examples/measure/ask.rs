//! Questions to the engine over generated sets, beside the loops by hand.

use crate::Failure;
use crate::cost::{Usage, forget_peak, peak_mib};
use crate::direct;
use crate::hand::{self, Question};
use crate::input::Arguments;
use crate::set::{Set, TENANT, Wanted};
use profile::SampleKind;
use query::{Engine, Settings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use stdx::TimeRange;
use views::{Matcher, Selection, SeriesQuery, Views};

/// Nodes shown of a flame graph: what the page asks for.
const NODES: usize = 8_192;
/// A question is asked until it has cost this many CPU-seconds, [`RUNS_MAX`] times at most.
const ENOUGH: f64 = 0.5;
const RUNS_MAX: u32 = 20;

/// CPU seconds of each question by size of the set.
type Growth = BTreeMap<String, Vec<f64>>;

/// Asks everything over each size.
pub(crate) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let sizes = arguments.value("--events").unwrap_or_else(|| "1000000,10000000".to_owned());
    let default_dir = std::env::temp_dir().join("vesta-sets").display().to_string();
    let dir = PathBuf::from(arguments.value("--dir").unwrap_or(default_dir));
    let keeps = !arguments.flag("--remove");
    let wanted = Wanted::of(&mut arguments, 0)?;
    arguments.rest()?;
    let mut growth = Growth::new();
    let mut events = Vec::new();
    for size in sizes.split(',') {
        let size: u64 = size.replace('_', "").parse().map_err(|_| format!("{size}: a number?"))?;
        let set = Wanted { events: size, ..wanted }.open(&dir).await?;
        println!("\n{size} events, {} stacks a service", wanted.stacks);
        flames(&set, &mut growth).await?;
        metadata(&set, &mut growth).await?;
        events.push(size);
        let folder = set.folder.clone();
        drop(set);
        if !keeps {
            std::fs::remove_dir_all(folder)?;
        }
    }
    print_growth(&events, &growth);
    Ok(())
}

fn engine(set: &Set) -> Engine {
    let settings = Settings { scans_max: 2, ..Settings::default() };
    Engine::new(Arc::clone(&set.store), settings)
}

fn selection(set: &Set, question: &Question) -> Result<Selection, Failure> {
    let kind = SampleKind::from_id("stack").ok_or("no kind for wall time")?;
    let measure: usize = question.value.trim_start_matches('v').parse()?;
    let named = question.service.iter().map(|name| Matcher::equal("service_name", name));
    let labelled = question.label.iter().map(|(name, value)| Matcher::equal(*name, value));
    Ok(Selection {
        profile_type: Some(kind.measures[measure].type_id()),
        matchers: named.chain(labelled).collect(),
        ..Selection::everything(TENANT, question.range.unwrap_or(set.range))
    })
}

fn questions(set: &Set) -> Vec<(&'static str, Question)> {
    let whole = Question { service: None, label: None, range: None, value: "v2" };
    let of = |service: &str| Question { service: Some(service.to_owned()), ..whole.clone() };
    let nanos = set.range.nanos();
    let start = set.range.start.plus_nanos(nanos / 2);
    let tenth = TimeRange::new(start, start.plus_nanos(nanos / 10)).whole_millis();
    vec![
        ("largest service", of("service-0")),
        ("service of 2 %", of("service-10")),
        ("largest, a tenth of the time", Question { range: Some(tenth), ..of("service-0") }),
        (
            "largest, zone=a (not hot)",
            Question { label: Some(("zone", "a".to_owned())), ..of("service-0") },
        ),
        ("all services, every stack", whole),
    ]
}

async fn flames(set: &Set, growth: &mut Growth) -> Result<(), Failure> {
    let heads = ["rows", "whole", "step 1", "hand", "ratio", "rest", "hand", "ratio", "Mrow/s"];
    let heads: String = heads.iter().map(|head| format!("{head:>9}")).collect();
    println!("  {:<30}{heads}{:>10}", "flame graph (CPU-s)", "peak MiB");
    for (name, question) in questions(set) {
        match flame(set, name, &question).await {
            Ok(whole) => growth.entry(format!("flame graph, {name}")).or_default().push(whole),
            Err(refused) => println!("  {name}: {refused}; peak {} MiB", peak_mib()?),
        }
    }
    Ok(())
}

/// One flame graph: the engine's steps beside those by hand. Returns what the whole costs.
async fn flame(set: &Set, name: &str, question: &Question) -> Result<f64, Failure> {
    let engine = engine(set);
    let selection = selection(set, question)?;
    forget_peak();
    let graph = engine.flamegraph(&selection, NODES).await?;
    let peak = peak_mib()?;
    let whole = mean(async || engine.flamegraph(&selection, NODES).await.map(drop)).await?;
    let step = mean(async || engine.stack_sums(&selection).await.map(drop)).await?;
    let ours = engine.stack_sums(&selection).await?;
    let inputs = hand::inputs(set, question).await?;
    let sums = hand::sums(&inputs, question)?;
    let theirs = hand::totals(&sums);
    let ours = (ours.groups(), ours.total());
    if ours != theirs {
        return Err(format!("{name}: {ours:?} by the engine, {theirs:?} by hand").into());
    }
    let by_hand = mean(async || hand::sums(&inputs, question).map(drop)).await?;
    let tree = mean(async || direct::tree(&sums).map(drop)).await?;
    let rest = (whole - step).max(0.0);
    let (rows, ratio) = (graph.meta.samples, |a: f64, b: f64| a / b.max(1e-9));
    println!(
        "  {name:<30}{rows:>9}{whole:>9.3}{step:>9.3}{by_hand:>9.3}{:>9.2}{rest:>9.3}{tree:>9.3}\
         {:>9.2}{:>9.1}{peak:>10}",
        ratio(step, by_hand),
        ratio(rest, tree),
        ratio(rows as f64 / 1e6, whole),
    );
    Ok(whole)
}

async fn metadata(set: &Set, growth: &mut Growth) -> Result<(), Failure> {
    let engine = engine(set);
    let kind = SampleKind::from_id("stack").ok_or("no kind for wall time")?;
    let all = Selection {
        profile_type: Some(kind.measures[2].type_id()),
        ..Selection::everything(TENANT, set.range)
    };
    let matchers = vec![Matcher::equal("service_name", "service-10")];
    let one = Selection { matchers, ..all.clone() };
    // A hundred points over the range, but never finer than a minute, and a multiple of ten seconds as
    // charts have.
    let step_ms = (set.range.nanos() / 1_000_000_000_000).max(6) * 10_000;
    let plain = SeriesQuery { step_ms, group_by: Vec::new() };
    let grouped = SeriesQuery { step_ms, group_by: vec!["service_name".to_owned()] };
    let mut report = |name: &str, cpu: f64| {
        println!("  {name:<40}{cpu:>9.4} CPU-s");
        growth.entry(name.to_owned()).or_default().push(cpu);
    };
    report("list of 100", mean(async || engine.profiles(&all, 100, None).await.map(drop)).await?);
    let values = mean(async || engine.label_values(&all, "zone").await.map(drop)).await?;
    report("label values", values);
    report("label names", mean(async || engine.label_names(&all).await.map(drop)).await?);
    report("services", mean(async || engine.services(&all, 60).await.map(drop)).await?);
    report(
        "series, one service",
        mean(async || engine.series(&one, &plain).await.map(drop)).await?,
    );
    let by_service = mean(async || engine.series(&all, &grouped).await.map(drop)).await?;
    report("series, all by service", by_service);
    Ok(())
}

/// Mean CPU seconds of a question that has been asked before.
async fn mean<E: Into<Failure>>(
    mut ask: impl AsyncFnMut() -> Result<(), E>,
) -> Result<f64, Failure> {
    let usage = Usage::begin()?;
    for run in 1..=RUNS_MAX {
        ask().await.map_err(Into::into)?;
        let used = usage.cpu()?;
        if used >= ENOUGH || run == RUNS_MAX {
            return Ok(used / f64::from(run));
        }
    }
    Ok(0.0)
}

fn print_growth(events: &[u64], growth: &Growth) {
    if events.len() < 2 {
        return;
    }
    let heads: String = events.iter().map(|events| format!("{events:>14}")).collect();
    println!("\n{:<44}{heads}   times", "CPU-s by size of the set");
    for (name, costs) in growth {
        let cells: String = costs.iter().map(|cost| format!("{cost:>14.4}")).collect();
        let first = costs.first().copied().unwrap_or(0.0).max(1e-9);
        println!("{name:<44}{cells}{:>8.1}", costs.last().copied().unwrap_or(0.0) / first);
    }
}
