//! What must be found of a client, and whether it is.

use super::asked::Asked;
use super::stage::ToldSpan;
use super::types::CPU;
use crate::http::encode;
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;

/// The fewest spans that a program must have made for its traces to be compared.
const SPANS_MIN: usize = 20;
/// How many traces are asked for by their ids.
const TRACES: usize = 20;
/// How many spans are asked for their samples at least; more where too few of them have any.
const LINKED: usize = 60;

/// Something that must be found. Names of functions, types and threads are parts of names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Profile type, function, and the part of the type's total, in percent, that the function and
    /// what it calls must have: at least, at most.
    Share(&'static str, &'static str, u8, u8),
    /// Profile type and function: no function has more of the type by itself.
    First(&'static str, &'static str),
    /// Profile type, and a function that is called exactly so, with the end of its file's path.
    Named(&'static str, &'static str, &'static str),
    /// Profile type, the end of a file's path, and the part of the type, in percent, that one function
    /// of the file must have by itself at least, whatever it is called.
    Hot(&'static str, &'static str, u8),
    /// A profile type whose total is above 0.
    NonZero(&'static str),
    /// The service is among all services; one of which there are only spans, too.
    Listed,
    /// A label's name and value; an empty value is any.
    Label(&'static str, &'static str),
    /// Profile type and thread.
    Thread(&'static str, &'static str),
    /// Profile type, and the fewest threads with samples of it.
    Threads(&'static str, usize),
    /// Profile type, name and value of an attribute of samples, and a function that those samples
    /// are in.
    Attribute(&'static str, &'static str, &'static str, &'static str),
    /// Profile type and function: samples in it carry the ids of at least so many of the spans that
    /// the program says it made.
    Linked(&'static str, &'static str, usize),
    /// Every span that the program says it made is counted at its endpoint, and found by its ids.
    Traces,
    /// The same of Datadog's libraries, where the server offers to take their traces.
    DatadogTraces,
    /// Requests that are counted, and the fewest of them.
    Endpoint(&'static str, u64),
}

/// What those of Pyroscope's clients see that push to it: of the shop for Python and of that for Rust.
pub(super) const PYROSCOPE_SHOP: &[Expect] = &[
    Expect::Share(CPU, "count_words", 50, 100),
    Expect::First(CPU, "count_words"),
    Expect::Label("region", "eu"),
    Expect::Attribute(CPU, "controller", "words", "count_words"),
    Expect::Attribute(CPU, "controller", "shelf", "sort_shelf"),
];

/// What is not as it must be; what was found is printed.
pub(crate) fn check(
    expects: impl Iterator<Item = Expect>,
    asked: &Asked,
    told: &[ToldSpan],
) -> Vec<String> {
    let mut problems = Vec::new();
    for expect in expects {
        match expect.check(asked, told) {
            Ok(found) => println!("   {found}"),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    problems
}

impl Expect {
    /// What was found, for people.
    fn check(self, asked: &Asked, told: &[ToldSpan]) -> anyhow::Result<String> {
        match self {
            Self::Share(of, function, least, most) => share(asked, of, function, least..=most),
            Self::First(of, function) => first(asked, of, function),
            Self::Label(name, value) => label(asked, name, value),
            Self::Named(of, name, file) => {
                let top = asked.top(of, "")?;
                let found = top.functions.iter().find(|one| one.name == name);
                let found = found.with_context(|| format!("no function of {of} is {name:?}"))?;
                ensure!(found.file.ends_with(file), "{name} is in {:?}, not {file}", found.file);
                Ok(format!("{name} is in {}", found.file))
            }
            Self::Hot(of, file, least) => {
                let top = asked.top(of, "")?;
                let of_file = top.functions.iter().filter(|one| one.file.ends_with(file));
                let hottest = of_file.max_by_key(|one| one.own);
                let hottest =
                    hottest.with_context(|| format!("no function of {of} is of {file}"))?;
                let percent = hottest.own.saturating_mul(100) / top.total.max(1);
                let name = &hottest.name;
                ensure!(percent >= i64::from(least), "{name} of {file} has {percent} % of {of}");
                Ok(format!("{of}: {name} of {file} {percent} % by itself"))
            }
            Self::NonZero(of) => non_zero(asked, of),
            Self::Listed => {
                let services = asked.services()?;
                ensure!(services.contains(&asked.service), "it is not among {services:?}");
                Ok("it is among the services".to_owned())
            }
            Self::Thread(of, name) => {
                let top = asked.top(of, &format!("&thread={}", encode(&format!("/{name}/"))))?;
                ensure!(top.samples > 0, "no sample of {of} is of a thread {name}");
                Ok(format!("{} samples of threads {name}", top.samples))
            }
            Self::Threads(of, least) => {
                let threads = asked.threads(of)?;
                ensure!(threads.len() >= least, "{of} has the threads {threads:?}, not {least}");
                Ok(format!("{} threads", threads.len()))
            }
            Self::Attribute(of, name, value, function) => {
                let wanted = encode(&format!("{{\"{name}\"=\"{value}\"}}"));
                let top = asked.top(of, &format!("&attributes={wanted}"))?;
                let own = top.total_of(function);
                ensure!(own > 0, "no sample of {of} in {function} has {name}={value:?}");
                Ok(format!("{} samples with {name}={value}", top.samples))
            }
            Self::Linked(of, function, least) => linked(asked, of, function, least, told),
            Self::Traces => traces(asked, told),
            Self::DatadogTraces if asked.offers("/v0.4/traces")? => traces(asked, told),
            Self::DatadogTraces => Ok("traces are not offered, and were not looked for".to_owned()),
            Self::Endpoint(resource, least) => {
                let endpoints = asked.endpoints()?;
                let found = endpoints.iter().find(|one| one.0 == resource);
                let count = found.map_or(0, |one| one.1);
                ensure!(count >= least, "{count} requests {resource}, not {least}: {endpoints:?}");
                Ok(format!("{count} requests {resource}"))
            }
        }
    }
}

fn non_zero(asked: &Asked, of: &str) -> anyhow::Result<String> {
    let top = asked.top(of, "")?;
    if top.total <= 0 {
        bail!("there is nothing of {of}; there are {:?}", asked.types()?);
    }
    Ok(format!("{of}: {} in {} samples", top.total, top.samples))
}

fn share(
    asked: &Asked,
    of: &str,
    function: &str,
    percent: std::ops::RangeInclusive<u8>,
) -> anyhow::Result<String> {
    let top = asked.top(of, "")?;
    if top.total <= 0 {
        bail!("there is nothing of {of}; there are {:?}", asked.types()?);
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let share = top.total_of(function) as f64 / top.total as f64 * 100.0;
    let (least, most) = (f64::from(*percent.start()), f64::from(*percent.end()));
    if share < least || share > most {
        let first: Vec<_> = top.functions.iter().take(5).map(|one| (&one.name, one.own)).collect();
        bail!("{function} has {share:.1} % of {of}, not {least} to {most}; first {first:?}");
    }
    Ok(format!("{of}: {function} {share:.1} % of {} in {} samples", top.total, top.samples))
}

fn first(asked: &Asked, of: &str, function: &str) -> anyhow::Result<String> {
    let top = asked.top(of, "")?;
    let found = top.functions.first().map_or("", |one| one.name.as_str());
    ensure!(found.contains(function), "{found:?} is the first of {of}, not {function}");
    Ok(format!("{of}: {found} is the first"))
}

fn label(asked: &Asked, name: &str, value: &str) -> anyhow::Result<String> {
    let values = asked.label(name)?;
    ensure!(!values.is_empty(), "there is no label {name}");
    ensure!(
        value.is_empty() || values.iter().any(|one| one == value),
        "the label {name} has not the value {value:?}, but {values:?}"
    );
    Ok(format!("label {name}={}", values.join(",")))
}

fn linked(
    asked: &Asked,
    of: &str,
    function: &str,
    least: usize,
    told: &[ToldSpan],
) -> anyhow::Result<String> {
    let (mut spans, mut samples, mut tried) = (0, 0, 0);
    // A profiler may begin long after the program, and see one of twenty short spans.
    for span in told {
        if tried >= LINKED && spans >= least {
            break;
        }
        tried += 1;
        let top = asked.top(of, &format!("&span={}", span.span_id))?;
        samples += top.samples;
        spans += usize::from(top.total_of(function) > 0);
    }
    ensure!(
        spans >= least,
        "{spans} of {tried} spans have samples of {of} in {function}, not {least}"
    );
    Ok(format!("{spans} of {tried} spans have samples in {function}; {samples} samples in all"))
}

fn traces(asked: &Asked, told: &[ToldSpan]) -> anyhow::Result<String> {
    ensure!(told.len() >= SPANS_MIN, "the program made {} spans, not {SPANS_MIN}", told.len());
    let mut made: BTreeMap<&str, u64> = BTreeMap::new();
    for span in told {
        *made.entry(&span.resource).or_default() += 1;
    }
    let endpoints: BTreeMap<String, u64> = asked.endpoints()?.into_iter().collect();
    for (resource, count) in &made {
        let found = endpoints.get(*resource).copied().unwrap_or_default();
        ensure!(found == *count, "{found} of {count} requests {resource:?}; {endpoints:?}");
    }
    for span in told.iter().step_by(told.len().div_ceil(TRACES)) {
        let spans = asked.trace(&span.trace_id)?;
        let of = |one: &&serde_json::Value| one["span_id"] == span.span_id.as_str();
        let Some(found) = spans.iter().find(of) else {
            bail!("the trace {} lacks its span {}", span.trace_id, span.span_id);
        };
        ensure!(found["resource"] == span.resource.as_str(), "the span is {found}");
    }
    Ok(format!("all {} spans at {} endpoints", told.len(), made.len()))
}
