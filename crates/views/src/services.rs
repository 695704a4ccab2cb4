//! The overview of services: one line each, from metadata alone.

use crate::infos::ProfileInfo;
use crate::limits::NOTES_MAX;
use crate::spans::SpanSeries;
use crate::{Quality, infos, sources};
use profile::ProfileTypeId;
use profile::labels::names;
use std::collections::{BTreeMap, BTreeSet};
use stdx::{TimeRange, Timestamp, saturate};

/// Id of the kind whose first value is CPU time in nanoseconds.
const CPU_KIND: &str = "stack";

/// All services of a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Services {
    /// By CPU use, largest first, then by name.
    pub services: Vec<ServiceSummary>,
    /// CPUs of all hosts that were seen, where collectors said so.
    pub cpu_count: Option<u64>,
    /// Mean number of cores in use on these hosts: for each host over the time for which there are
    /// profiles of it, then summed. Where no host's CPUs are known, of all hosts. `None` without
    /// CPU samples.
    pub cpu_cores: Option<f64>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceSummary {
    /// Its name.
    pub service: String,
    /// Language runtimes.
    pub runtimes: BTreeSet<String>,
    /// Sources.
    pub sources: BTreeSet<String>,
    /// Where the agent took the name from, e.g. `OTEL_SERVICE_NAME`.
    pub name_source: Option<String>,
    /// Hosts it ran on.
    pub hosts: u64,
    /// Instances of it.
    pub instances: u64,
    /// CPU nanoseconds within the range.
    pub cpu_nanos: i64,
    /// Nanoseconds of the range for which there are profiles of it.
    pub covered_nanos: i64,
    /// When it was last seen.
    pub last: Timestamp,
    /// Profile types it has.
    pub types: Vec<ProfileTypeId>,
    /// CPU nanoseconds per bucket of the range.
    pub spark: Vec<i64>,
    /// Sums of collectors' counters.
    pub quality: Quality,
    /// What collectors remarked, e.g. that a language's frames are not read; each text once.
    pub notes: BTreeSet<String>,
    /// How often its CPU time was sampled, where collectors said so.
    pub sampling: Option<Sampling>,
}

/// Sampling rates of CPU time, in samples per second of CPU time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The highest rate that a collector was asked for; `None` where none says so.
    pub requested_hz: Option<f64>,
    /// The lowest rate that was really used.
    pub lowest_hz: f64,
    /// The highest rate that was really used.
    pub highest_hz: f64,
}

impl ServiceSummary {
    /// Mean number of cores in use while it was seen; `None` without CPU samples.
    pub fn cpu_cores(&self) -> Option<f64> {
        (self.covered_nanos > 0 && self.cpu_nanos > 0)
            .then(|| self.cpu_nanos as f64 / self.covered_nanos as f64)
    }
}

/// Attribute of a profile that says where its service's name came from.
pub const NAME_SOURCE_INFO: &str = "vesta.service.name.source";
/// Attribute of a profile with a remark of its collector.
pub const NOTE_INFO: &str = "vesta.note";
/// Attribute of a profile with the rate in Hz that its collector was asked for.
pub const REQUESTED_HZ_INFO: &str = "vesta.sampling.requested_hz";

/// Rates above this are no rates of sampling but nonsense.
const RATE_HZ_MAX: f64 = 1e6;

/// Summarises the profiles of a selection by service; of services without any, its spans.
pub fn summarize(
    selected: &[&ProfileInfo],
    spans: &[SpanSeries],
    range: &TimeRange,
    buckets: usize,
) -> Services {
    let mut by_service: BTreeMap<&str, Vec<&ProfileInfo>> = BTreeMap::new();
    for info in selected {
        by_service.entry(label(info, names::SERVICE)).or_default().push(info);
    }
    let mut services: Vec<ServiceSummary> = by_service
        .into_iter()
        .map(|(service, infos)| summarize_one(service, &infos, range, buckets))
        .collect();
    services.extend(only_traced(&services, spans, buckets));
    services.sort_by(|a, b| b.cpu_nanos.cmp(&a.cpu_nanos).then_with(|| a.service.cmp(&b.service)));
    let cpus = cpus_by_host(selected);
    let cpu_count = (!cpus.is_empty()).then(|| cpus.values().map(|count| u64::from(*count)).sum());
    let with_cpu: Vec<&ProfileInfo> =
        selected.iter().copied().filter(|info| cpu_of(info).is_some()).collect();
    let mut by_host: BTreeMap<&str, Vec<&ProfileInfo>> = BTreeMap::new();
    for info in with_cpu {
        by_host.entry(label(info, names::HOST)).or_default().push(info);
    }
    let counted = |host: &str| cpus.is_empty() || cpus.contains_key(host);
    let cores = by_host.iter().filter(|(host, _)| counted(host));
    let cores = cores.filter_map(|(_, infos)| host_cores(infos));
    let cpu_cores = cores.fold(None, |sum: Option<f64>, one| Some(sum.unwrap_or(0.0) + one));
    Services { services, cpu_count, cpu_cores }
}

fn label<'a>(info: &'a ProfileInfo, name: &str) -> &'a str {
    info.labels.get(name).unwrap_or("")
}

/// CPU nanoseconds of a profile, if it has CPU samples.
fn cpu_of(info: &ProfileInfo) -> Option<i64> {
    info.kinds.iter().find(|kind| *kind.kind == *CPU_KIND).map(|kind| kind.totals[0])
}

fn cpus_by_host<'a>(selected: &[&'a ProfileInfo]) -> BTreeMap<&'a str, u32> {
    let mut hosts: BTreeMap<&str, u32> = BTreeMap::new();
    for info in selected {
        let Some(count) = info.metadata.cpu_count else { continue };
        let host = hosts.entry(label(info, names::HOST)).or_default();
        *host = count.max(*host);
    }
    hosts
}

/// Mean number of cores in use on one host while it was seen. A host-wide collector sees every
/// process once, so where there is one it alone answers.
fn host_cores(profiles: &[&ProfileInfo]) -> Option<f64> {
    let host_wide: Vec<&ProfileInfo> =
        profiles.iter().copied().filter(|info| sources::is_host_wide(info)).collect();
    let counted = if host_wide.is_empty() {
        let chosen = sources::choose(profiles, CPU_KIND, None);
        profiles
            .iter()
            .copied()
            .zip(chosen)
            .filter(|(_, used)| *used)
            .map(|(info, _)| info)
            .collect()
    } else {
        host_wide
    };
    let nanos: i128 = counted.iter().filter_map(|info| cpu_of(info)).map(i128::from).sum();
    let covered =
        covered(counted.iter().map(|info| (info.window.start, info.window.end)).collect());
    (nanos > 0 && covered > 0).then(|| nanos as f64 / covered as f64)
}

fn summarize_one(
    service: &str,
    profiles: &[&ProfileInfo],
    range: &TimeRange,
    buckets: usize,
) -> ServiceSummary {
    let values = |name: &str| -> BTreeSet<String> {
        let found = profiles.iter().filter_map(|info| info.labels.get(name));
        found.map(str::to_owned).collect()
    };
    let chosen = sources::choose(profiles, CPU_KIND, None);
    let cpu = profiles.iter().zip(chosen).filter(|(_, used)| *used).map(|(info, _)| *info);
    let cpu: Vec<&ProfileInfo> = cpu.collect();
    let mut spark = vec![0_i128; buckets];
    let (mut cpu_nanos, mut windows) = (0_i128, Vec::new());
    for info in &cpu {
        let value = i128::from(cpu_of(info).unwrap_or(0));
        cpu_nanos += value;
        windows.push((info.window.start, info.window.end));
        spread(&mut spark, value, &info.window, range);
    }
    ServiceSummary {
        service: service.to_owned(),
        runtimes: values(names::RUNTIME),
        sources: profiles.iter().map(|info| sources::source_of(info).to_owned()).collect(),
        name_source: name_source(profiles),
        hosts: values(names::HOST).len() as u64,
        instances: values(names::INSTANCE).len().max(1) as u64,
        cpu_nanos: saturate(cpu_nanos),
        covered_nanos: covered(windows),
        last: profiles.iter().map(|info| info.window.end).max().unwrap_or_default(),
        types: infos::profile_types(profiles.iter().copied()).into_iter().map(|t| t.id).collect(),
        spark: spark.into_iter().map(saturate).collect(),
        quality: infos::quality(profiles.iter().copied()),
        notes: notes(profiles),
        sampling: sampling(&cpu),
    }
}

/// The services that have spans and no profiles.
fn only_traced(
    profiled: &[ServiceSummary],
    spans: &[SpanSeries],
    buckets: usize,
) -> Vec<ServiceSummary> {
    let profiled: BTreeSet<&str> = profiled.iter().map(|one| one.service.as_str()).collect();
    let mut by_service: BTreeMap<&str, Vec<&SpanSeries>> = BTreeMap::new();
    for series in spans {
        let service = series.labels.get(names::SERVICE).unwrap_or("");
        if !profiled.contains(service) {
            by_service.entry(service).or_default().push(series);
        }
    }
    let one = |(service, series): (&str, Vec<&SpanSeries>)| {
        let values = |name: &str| -> BTreeSet<String> {
            let found = series.iter().filter_map(|one| one.labels.get(name));
            found.map(str::to_owned).collect()
        };
        ServiceSummary {
            service: service.to_owned(),
            runtimes: values(names::RUNTIME),
            sources: values(names::SOURCE),
            hosts: values(names::HOST).len() as u64,
            instances: values(names::INSTANCE).len().max(1) as u64,
            last: series.iter().map(|one| one.last).max().unwrap_or_default(),
            spark: vec![0; buckets],
            ..ServiceSummary::default()
        }
    };
    by_service.into_iter().map(one).collect()
}

/// What the client said under a key.
fn said<'a>(info: &'a ProfileInfo, key: &str) -> Option<&'a str> {
    let found = info.metadata.info.iter().find(|(have, _)| have == key);
    found.map(|(_, value)| value.as_str())
}

fn name_source(profiles: &[&ProfileInfo]) -> Option<String> {
    profiles.iter().find_map(|info| said(info, NAME_SOURCE_INFO)).map(str::to_owned)
}

fn notes(profiles: &[&ProfileInfo]) -> BTreeSet<String> {
    let mut notes = BTreeSet::new();
    for note in profiles.iter().filter_map(|info| said(info, NOTE_INFO)) {
        if notes.len() < NOTES_MAX && !notes.contains(note) {
            notes.insert(note.to_owned());
        }
    }
    notes
}

/// The rates of profiles of CPU time, from the period that each sample stands for.
fn sampling(profiles: &[&ProfileInfo]) -> Option<Sampling> {
    let is_rate = |hz: &f64| *hz > 0.0 && *hz <= RATE_HZ_MAX;
    let used = profiles.iter().filter_map(|info| {
        let metadata = &info.metadata;
        let is_time = metadata.period_type == "cpu" && metadata.period_unit == "nanoseconds";
        (is_time && metadata.period > 0).then(|| 1e9 / metadata.period as f64).filter(is_rate)
    });
    let (lowest_hz, highest_hz) =
        used.fold((f64::INFINITY, 0.0_f64), |(low, high), hz| (low.min(hz), high.max(hz)));
    let asked = profiles.iter().filter_map(|info| said(info, REQUESTED_HZ_INFO));
    let asked = asked.filter_map(|text| text.parse::<f64>().ok()).filter(is_rate);
    let requested_hz = asked.fold(None, |most: Option<f64>, hz| Some(most.unwrap_or(hz).max(hz)));
    (highest_hz > 0.0).then_some(Sampling { requested_hz, lowest_hz, highest_hz })
}

/// Adds a profile's total to the buckets of the range that its window covers, to each in proportion
/// to the time it has in common with the window. What is added is whole and adds up to the total of
/// a window inside the range; what lies outside the range is left out.
fn spread(buckets: &mut [i128], total: i128, window: &TimeRange, range: &TimeRange) {
    let (count, length) = (buckets.len() as i128, i128::from(range.nanos()));
    if count == 0 || length == 0 {
        return;
    }
    let origin = i128::from(range.start.nanos());
    let offset = |at: Timestamp| i128::from(at.nanos()) - origin;
    let (start, end) = (offset(window.start), offset(window.end));
    let bucket_of = |offset: i128| (offset * count).div_euclid(length);
    if end <= start {
        let bucket = usize::try_from(bucket_of(start)).ok();
        if let Some(bucket) = bucket.and_then(|bucket| buckets.get_mut(bucket)) {
            *bucket += total;
        }
        return;
    }
    // Differences of running sums: rounding takes nothing away and adds nothing.
    let until = |at: i128| total * (at.clamp(start, end) - start) / (end - start);
    let first = bucket_of(start).clamp(0, count) as usize;
    for (at, bucket) in buckets.iter_mut().enumerate().skip(first) {
        let from = length * at as i128 / count;
        if from >= end {
            break;
        }
        *bucket += until(length * (at as i128 + 1) / count) - until(from);
    }
}

/// Nanoseconds that at least one of the windows covers.
fn covered(mut windows: Vec<(Timestamp, Timestamp)>) -> i64 {
    windows.sort_unstable();
    let (mut sum, mut reached) = (0_i64, Timestamp::MIN);
    for (start, end) in windows {
        let from = start.max(reached);
        if end > from {
            sum = sum.saturating_add(end.nanos().saturating_sub(from.nanos()));
            reached = end;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infos::tests::info;
    use std::sync::Arc;

    #[test]
    fn overlapping_windows_count_once() {
        let at = Timestamp::from_nanos;
        assert_eq!(
            covered(vec![(at(5), at(9)), (at(0), at(6)), (at(1), at(2)), (at(20), at(21))]),
            10
        );
    }

    #[test]
    fn cores_come_from_the_preferred_source_only() {
        let labels = |source| vec![("service_name", "a"), ("instance", "1"), ("source", source)];
        let mut agent = info(&labels("agent"), CPU_KIND);
        let mut inside = info(&labels("ddtrace"), CPU_KIND);
        let second = 1_000_000_000;
        for one in [&mut agent, &mut inside] {
            one.window.end = one.window.start.plus_nanos(second);
            set_total(one, second / 2);
        }
        let range = TimeRange::new(agent.window.start, agent.window.end);
        let services = summarize(&[&agent, &inside], &[], &range, 4);
        assert_eq!(services.services[0].cpu_cores(), Some(0.5));
        assert_eq!(services.services[0].spark, [second / 8; 4]);
    }

    #[test]
    fn a_profile_counts_in_every_bucket_that_its_window_covers() {
        let range = TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_nanos(100));
        let spread_of = |total: i128, start: i64, end: i64| {
            let window = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
            let mut buckets = [0; 4];
            spread(&mut buckets, total, &window, &range);
            buckets
        };
        assert_eq!(spread_of(100, 0, 100), [25; 4]);
        assert_eq!(spread_of(10, 20, 30), [5, 5, 0, 0]);
        assert_eq!(spread_of(7, 20, 80).iter().sum::<i128>(), 7, "nothing is lost by rounding");
        assert_eq!(spread_of(10, 95, 105), [0, 0, 0, 5], "half of it is after the range");
        assert_eq!(spread_of(10, -5, 5), [5, 0, 0, 0], "half of it is before the range");
        assert_eq!(spread_of(10, 30, 30), [0, 10, 0, 0], "a moment");
        assert_eq!(spread_of(10, 100, 100), [0; 4], "a moment after the range");
        assert_eq!(spread_of(10, -9, -9), [0; 4], "a moment before it");
        let whole = TimeRange::ALL;
        spread(&mut [0; 3], i128::from(i64::MAX), &whole, &whole);
        spread(&mut [], 1, &whole, &range);
    }

    #[test]
    fn notes_and_rates_are_said_by_service() {
        let (mut one, mut two) = (info(&[], CPU_KIND), info(&[], CPU_KIND));
        for (at, hz) in [(&mut one, 99), (&mut two, 50)] {
            let metadata = Arc::make_mut(&mut at.metadata);
            metadata.period = 1_000_000_000 / hz;
            metadata.period_type = "cpu".to_owned();
            metadata.period_unit = "nanoseconds".to_owned();
            let said = [(NOTE_INFO, "not read"), (REQUESTED_HZ_INFO, "100")];
            metadata.info = said.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        }
        let range = TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_millis(60_000));
        let of = |infos: &[&ProfileInfo]| summarize(infos, &[], &range, 1).services.remove(0);
        let service = of(&[&one, &two]);
        assert_eq!(service.notes.into_iter().collect::<Vec<_>>(), ["not read"]);
        let sampling = service.sampling.unwrap();
        assert_eq!(sampling.requested_hz, Some(100.0));
        assert!(
            (sampling.lowest_hz - 50.0).abs() < 0.1 && (sampling.highest_hz - 99.0).abs() < 0.1
        );
        for (key, text) in [(REQUESTED_HZ_INFO, "NaN"), (REQUESTED_HZ_INFO, "-3")] {
            Arc::make_mut(&mut one.metadata).info = vec![(key.to_owned(), text.to_owned())];
            assert_eq!(of(&[&one]).sampling.unwrap().requested_hz, None, "{text}");
        }
        Arc::make_mut(&mut one.metadata).period = 0;
        assert_eq!(of(&[&one]).sampling, None);
    }

    fn set_total(info: &mut ProfileInfo, total: i64) {
        Arc::get_mut(&mut info.kinds).expect("nobody shares them")[0].totals[0] = total;
    }

    fn cpu(labels: &[(&str, &str)], from_s: i64, seconds: i64, cores: f64) -> ProfileInfo {
        let mut one = info(labels, CPU_KIND);
        let second = 1_000_000_000;
        one.window.start = Timestamp::from_nanos(from_s * second);
        one.window.end = one.window.start.plus_nanos(seconds * second);
        set_total(&mut one, (cores * (seconds * second) as f64) as i64);
        Arc::make_mut(&mut one.metadata).cpu_count = Some(2);
        one
    }

    fn cores(infos: &[ProfileInfo]) -> Option<f64> {
        let range = TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_millis(60_000));
        summarize(&infos.iter().collect::<Vec<_>>(), &[], &range, 4).cpu_cores
    }

    #[test]
    fn services_that_ran_one_after_the_other_do_not_add_up() {
        let service = |name| [("service_name", name), ("host", "a"), ("source", "agent")];
        let (first, second) =
            (cpu(&service("build"), 0, 10, 1.75), cpu(&service("test"), 10, 10, 1.25));
        let both = cores(&[first.clone(), second.clone()]);
        assert_eq!(both, Some(1.5), "of 2 CPUs, though the means add up to 3");
        let mut other = second.clone();
        other.labels = Arc::new([("host", "b"), ("source", "agent")].into_iter().collect());
        assert_eq!(cores(&[first, other]), Some(3.0), "two hosts have 4 CPUs");
        assert_eq!(cores(&[info(&[], "heap")]), None);
    }

    #[test]
    fn a_host_is_counted_once_when_its_processes_are_seen_twice() {
        let agent = [("service_name", "a"), ("host", "a"), ("source", "agent"), ("instance", "1")];
        let inside =
            [("service_name", "b"), ("host", "a"), ("source", "ddtrace"), ("instance", "2")];
        let infos = [cpu(&agent, 0, 10, 1.9), cpu(&inside, 0, 10, 1.5)];
        assert_eq!(cores(&infos), Some(1.9));
        assert_eq!(cores(&infos[1..]), Some(1.5), "without a host-wide collector");
        let mut elsewhere = cpu(&[("service_name", "c")], 0, 10, 1.0);
        Arc::make_mut(&mut elsewhere.metadata).cpu_count = None;
        let infos = [infos[0].clone(), elsewhere.clone()];
        assert_eq!(cores(&infos), Some(1.9), "a host whose CPUs nobody knows is not of them");
        assert_eq!(cores(&[elsewhere]), Some(1.0));
    }
}
