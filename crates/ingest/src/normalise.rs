//! Labels of all clients become the product's own; what would make series without bound, or is
//! noise, moves to the profile's information.

use crate::limits::{
    FUTURE_NANOS_MAX, INFO_ENTRIES_MAX, LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX,
    WINDOW_NANOS_DEFAULT, WINDOW_NANOS_MAX,
};
use crate::notes::Notes;
use profile::labels::names;
use profile::{Labels, Profile};
use stdx::{TimeRange, Timestamp};

/// What a receiver knows beside the payload.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Value of the `source` label where the payload names none.
    pub source: &'static str,
    /// Labels of the request; they win over the payload's.
    pub labels: Vec<(String, String)>,
    /// Window of the request, when it names one.
    pub window: Option<TimeRange>,
    /// Name and version of the client.
    pub client: String,
    /// What the receiver itself could not use.
    pub notes: Notes,
}

/// Label that is set, and the attributes it is taken from, the first present one winning.
const RENAMED: &[(&str, &[&str])] = &[
    (names::SERVICE, &["service_name", "service.name", "service"]),
    (names::ENV, &["env", "deployment.environment.name", "deployment.environment"]),
    (names::VERSION, &["version", "service.version"]),
    (names::HOST, &["host", "host.name", "hostname"]),
    (
        names::ROLE,
        &[
            "role",
            "service.namespace",
            "k8s.deployment.name",
            "k8s.statefulset.name",
            "k8s.daemonset.name",
            "k8s.cronjob.name",
            "k8s.job.name",
        ],
    ),
    (names::INSTANCE, &["instance", "service.instance.id", "k8s.pod.name"]),
    (names::RUNTIME, &["runtime", "process.runtime.name", "telemetry.sdk.language"]),
    (names::SOURCE, &["source", "vesta.source"]),
];

/// Attributes that change with every process or say nothing of a series: kept as information.
const INFORMATION: &[&str] = &[
    "process.",
    "telemetry.",
    "os.",
    "otel.",
    "vesta.",
    "host.",
    "container.id",
    "service.name.source",
    "k8s.pod.uid",
    "k8s.pod.start_time",
    "__",
];

/// Normalises labels and window; notes what had to be changed.
pub fn normalise(profile: &mut Profile, context: &Context, now: Timestamp, notes: &mut Notes) {
    let mut given: Vec<(String, String)> =
        profile.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    given.retain(|(name, _)| !context.labels.iter().any(|(have, _)| have == name));
    // The request's labels come first, so that they win.
    given.splice(0..0, context.labels.iter().cloned());
    let mut labels = Labels::new();
    let mut used: Vec<&str> = Vec::new();
    for (label, from) in RENAMED {
        let found = from.iter().find_map(|name| {
            given.iter().find(|(have, value)| have == name && !value.trim().is_empty())
        });
        if let Some((name, value)) = found {
            used.push(name);
            labels.set(*label, bounded(value.trim(), LABEL_VALUE_BYTES_MAX));
        }
    }
    complete(&mut labels, &given, context);
    for (name, value) in &given {
        if used.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        if INFORMATION.iter().any(|prefix| name.starts_with(prefix)) {
            inform(profile, name, value);
        } else if labels.len() >= LABELS_MAX {
            let name = bounded(name, LABEL_NAME_BYTES_MAX);
            notes.add(|| format!("label {name:?} left out: a series has at most {LABELS_MAX}"));
        } else {
            let name = clean_name(name);
            if labels.get(&name).is_none() {
                labels.set(name, bounded(value, LABEL_VALUE_BYTES_MAX));
            }
        }
    }
    profile.labels = labels;
    if profile.metadata.client.is_empty() {
        profile.metadata.client = bounded(&context.client, LABEL_VALUE_BYTES_MAX);
    }
    profile.metadata.info.truncate(INFO_ENTRIES_MAX);
    profile.window = window(profile.window, context.window, now, notes);
    sample_times(profile, now, notes);
    event_times(profile, now);
}

/// Times of events and readings that cannot be become the end of the window.
fn event_times(profile: &mut Profile, now: Timestamp) {
    let latest = now.plus_nanos(FUTURE_NANOS_MAX);
    let end = profile.window.end.min(latest).plus_nanos(-1).max(profile.window.start);
    for event in &mut profile.events {
        if event.start > latest || event.start.nanos() <= 0 {
            event.start = end;
        }
    }
}

/// Times of samples: late ones stay as they are, whatever their age. One in the future is taken for
/// the mistake of a clock and counts at the end of the window; one before 1970 is none.
fn sample_times(profile: &mut Profile, now: Timestamp, notes: &mut Notes) {
    let latest = now.plus_nanos(FUTURE_NANOS_MAX);
    let end = profile.window.end.min(latest).plus_nanos(-1).max(profile.window.start);
    let (mut future, mut past) = (0_u64, 0_u64);
    for sample in &mut profile.samples {
        match sample.time {
            Some(time) if time > latest => {
                future += 1;
                sample.time = Some(end);
            }
            Some(time) if time.nanos() <= 0 => {
                past += 1;
                sample.time = None;
            }
            _ => {}
        }
    }
    if future > 0 {
        notes.add(|| {
            format!(
                "{future} samples are from the future (check the clock of the host): they are \
                 counted at the end of their profile's window"
            )
        });
    }
    if past > 0 {
        notes.add(|| {
            format!("{past} samples have an impossible time: they are counted without one")
        });
    }
}

/// Fills in what follows from other attributes.
fn complete(labels: &mut Labels, given: &[(String, String)], context: &Context) {
    let get = |name: &str| given.iter().find(|(have, _)| have == name).map(|(_, v)| v.as_str());
    if labels.get(names::SERVICE).is_none() {
        let path = get("process.executable.path").and_then(|path| path.rsplit('/').next());
        let exe = get("process.executable.name").or(path).filter(|name| !name.is_empty());
        let name = exe.map_or("unknown_service".to_owned(), |e| format!("unknown_service:{e}"));
        labels.set(names::SERVICE, bounded(&name, LABEL_VALUE_BYTES_MAX));
    }
    if labels.get(names::INSTANCE).is_none()
        && let Some(pid) = get("process.pid")
    {
        let host = labels.get(names::HOST).unwrap_or("");
        let instance = if host.is_empty() { pid.to_owned() } else { format!("{host}:{pid}") };
        labels.set(names::INSTANCE, bounded(&instance, LABEL_VALUE_BYTES_MAX));
    }
    if let Some(name) = labels.get(names::RUNTIME) {
        let runtime = runtime(name);
        labels.set(names::RUNTIME, runtime);
    }
    if labels.get(names::SOURCE).is_none() {
        labels.set(names::SOURCE, context.source);
    }
}

/// One name for each language runtime, whatever it calls itself.
pub fn runtime(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let known = [
        ("jdk", "jvm"),
        ("java", "jvm"),
        ("jvm", "jvm"),
        ("jre", "jvm"),
        ("hotspot", "jvm"),
        ("cpython", "cpython"),
        ("python", "cpython"),
        ("pyspy", "cpython"),
        ("node", "nodejs"),
        ("gospy", "go"),
        ("dotnet", "dotnet"),
        (".net", "dotnet"),
        ("ruby", "ruby"),
        ("rbspy", "ruby"),
        ("php", "php"),
    ];
    // `javascript` names no JVM.
    let is_javascript = lower.contains("javascript") || lower.contains("nodejs");
    let found = known.iter().find(|(part, _)| lower.contains(part)).map(|(_, name)| *name);
    let found = if is_javascript { Some("nodejs") } else { found };
    bounded(found.unwrap_or(&lower), LABEL_VALUE_BYTES_MAX)
}

fn inform(profile: &mut Profile, name: &str, value: &str) {
    let info = &mut profile.metadata.info;
    if info.len() < INFO_ENTRIES_MAX && !info.iter().any(|(have, _)| have == name) {
        let value = bounded(value, LABEL_VALUE_BYTES_MAX);
        info.push((bounded(name, LABEL_NAME_BYTES_MAX), value));
    }
}

/// The window: the request's, else the payload's, else the last seconds before now.
fn window(
    own: TimeRange,
    asked: Option<TimeRange>,
    now: Timestamp,
    notes: &mut Notes,
) -> TimeRange {
    let mut window = asked.unwrap_or(own);
    if window.start.nanos() <= 0 || window.start > now.plus_nanos(FUTURE_NANOS_MAX) {
        if window.start.nanos() != 0 {
            notes
                .add(|| "the profile's time is impossible: the time of arrival is used".to_owned());
        }
        let length = window.nanos().clamp(1, WINDOW_NANOS_MAX);
        let length = if window.nanos() == 0 { WINDOW_NANOS_DEFAULT } else { length };
        window = TimeRange::new(now.plus_nanos(-length), now);
    }
    if window.nanos() == 0 {
        window.end = window.start.plus_nanos(WINDOW_NANOS_DEFAULT);
    }
    if window.nanos() > WINDOW_NANOS_MAX {
        notes.add(|| "the profile's window is longer than 31 days: cut".to_owned());
        window.end = window.start.plus_nanos(WINDOW_NANOS_MAX);
    }
    let latest = now.plus_nanos(FUTURE_NANOS_MAX);
    if window.end > latest {
        notes.add(|| "the profile's window ends in the future: cut".to_owned());
        window.end = latest.max(window.start.plus_nanos(1));
    }
    window
}

fn clean_name(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let clean: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    bounded(&clean, LABEL_NAME_BYTES_MAX)
}

/// The text cut to a number of bytes, without control characters.
pub fn bounded(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn labels_of(given: &[(&str, &str)], context: &Context) -> Labels {
        let labels = given.iter().copied().collect();
        let mut profile = Profile { labels, ..Profile::default() };
        normalise(&mut profile, context, NOW, &mut Notes::default());
        profile.labels
    }

    #[test]
    fn otlp_attributes_become_our_labels() {
        let context = Context { source: "otel", ..Context::default() };
        let given = [
            ("service.name", "shop"),
            ("deployment.environment.name", "prod"),
            ("host.name", "h1"),
            ("process.pid", "77"),
            ("process.runtime.name", "OpenJDK Runtime Environment"),
            ("k8s.namespace.name", "web"),
            ("process.command_line", "a b c"),
        ];
        let labels = labels_of(&given, &context);
        let wanted = [
            ("env", "prod"),
            ("host", "h1"),
            ("instance", "h1:77"),
            ("k8s.namespace.name", "web"),
            ("runtime", "jvm"),
            ("service_name", "shop"),
            ("source", "otel"),
        ];
        assert_eq!(labels.iter().collect::<Vec<_>>(), wanted);
    }

    fn times_of(window: TimeRange, times: &[Timestamp]) -> (Profile, Vec<String>) {
        let samples = times.iter();
        let samples =
            samples.map(|&time| profile::Sample { time: Some(time), ..Default::default() });
        let mut profile = Profile { window, samples: samples.collect(), ..Profile::default() };
        let mut notes = Notes::default();
        normalise(&mut profile, &Context::default(), NOW, &mut notes);
        (profile, notes.into_list())
    }

    #[test]
    fn late_samples_stay_and_those_of_the_future_are_counted_in_their_window() {
        let second = 1_000_000_000;
        let start = NOW.plus_nanos(-30 * 24 * 3600 * second);
        let window = TimeRange::new(start, start.plus_nanos(10 * second));
        let late = start.plus_nanos(second);
        let soon = NOW.plus_nanos(FUTURE_NANOS_MAX);
        let (profile, notes) = times_of(window, &[late, soon]);
        let times = |profile: &Profile| profile.samples.iter().map(|s| s.time).collect::<Vec<_>>();
        assert_eq!(times(&profile), [Some(late), Some(soon)]);
        assert!(notes.is_empty(), "{notes:?}");
        let wrong = [late, soon.plus_nanos(1), Timestamp::MAX, Timestamp::MIN];
        let (profile, notes) = times_of(window, &wrong);
        let end = Some(window.end.plus_nanos(-1));
        assert_eq!(times(&profile), [Some(late), end, end, None]);
        assert!(notes.iter().any(|note| note.starts_with("2 samples are from the future")));
        assert!(notes.iter().any(|note| note.starts_with("1 samples have an impossible time")));
    }

    #[test]
    fn windows_do_not_reach_into_the_future() {
        let window = TimeRange::new(NOW.plus_nanos(-5), NOW.plus_nanos(4 * FUTURE_NANOS_MAX));
        let (profile, notes) = times_of(window, &[]);
        assert_eq!(profile.window.end, NOW.plus_nanos(FUTURE_NANOS_MAX));
        assert!(notes[0].contains("ends in the future"), "{notes:?}");
    }

    #[test]
    fn a_service_without_a_name_is_named_after_its_executable() {
        let context = Context { source: "agent", ..Context::default() };
        let labels = labels_of(&[("process.executable.path", "/usr/bin/nginx")], &context);
        assert_eq!(labels.get("service_name"), Some("unknown_service:nginx"));
        assert_eq!(labels_of(&[], &context).get("service_name"), Some("unknown_service"));
    }

    #[test]
    fn the_requests_labels_win() {
        let label = ("service_name".to_owned(), "mine".to_owned());
        let context = Context { source: "upload", labels: vec![label], ..Context::default() };
        let labels = labels_of(&[("service.name", "theirs"), ("a b", "c\nd")], &context);
        assert_eq!(labels.get("service_name"), Some("mine"));
        assert_eq!(labels.get("a_b"), Some("cd"));
    }

    proptest! {
        #[test]
        fn labels_and_windows_stay_bounded(
            given in prop::collection::vec((".{0,300}", ".{0,3000}"), 0..80),
            start in any::<i64>(), end in any::<i64>(),
        ) {
            let mut profile = Profile { labels: given.into_iter().collect(), ..Profile::default() };
            profile.window = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
            normalise(&mut profile, &Context::default(), NOW, &mut Notes::default());
            prop_assert!(profile.labels.len() <= LABELS_MAX);
            prop_assert!(profile.metadata.info.len() <= INFO_ENTRIES_MAX);
            for (name, value) in profile.labels.iter() {
                prop_assert!(name.len() <= LABEL_NAME_BYTES_MAX);
                prop_assert!(value.len() <= LABEL_VALUE_BYTES_MAX);
            }
            prop_assert!(profile.window.nanos() > 0 && profile.window.nanos() <= WINDOW_NANOS_MAX);
            prop_assert!(profile.window.start.nanos() > 0);
        }
    }
}
