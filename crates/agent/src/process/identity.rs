//! Who a process is: its service, container, limits and runtime.

use crate::limits::NAME_BYTES_MAX;
use crate::process::env::{List, read_text};
use crate::process::maps::Maps;
use std::sync::Arc;

/// What is sent about a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) service: String,
    /// What the service name was taken from.
    pub(crate) service_source: &'static str,
    pub(crate) environment: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) executable: String,
    pub(crate) path: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) runtime: Option<&'static str>,
    /// CPUs that its cgroup may use.
    pub(crate) cpu_quota: Option<f64>,
    /// Its id in its own pid namespace, by which runtimes name their perf maps.
    pub(crate) inner_pid: u32,
}

/// What is the same for all processes.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) cpu_count: u32,
}

impl Host {
    /// Of this machine.
    pub(crate) fn read(cpu_count: u32) -> Self {
        let name = read_text("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { name: if name.is_empty() { "localhost".to_owned() } else { name }, cpu_count }
    }
}

/// What records told of a process that may be gone by now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    pub(crate) comm: Option<Arc<str>>,
    pub(crate) path: Option<Arc<str>>,
    pub(crate) parent: Option<Arc<Identity>>,
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Identity {
    /// All kernel threads are one process.
    pub(crate) fn kernel() -> Self {
        Self {
            pid: 2,
            service: "kernel".to_owned(),
            service_source: "kernel",
            executable: "kernel".to_owned(),
            inner_pid: 2,
            ..Self::default()
        }
    }

    /// Of a user process, from /proc while it lives and from the records of it after.
    pub(crate) fn of(pid: u32, maps: &Maps, traces: &Traces) -> Self {
        let env = List::of(pid, "environ");
        let command = List::of(pid, "cmdline");
        let path = std::fs::read_link(format!("/proc/{pid}/exe"))
            .ok()
            .map(|it| it.to_string_lossy().trim_end_matches(" (deleted)").to_owned())
            .or_else(|| traces.path.as_deref().map(str::to_owned));
        let comm = traces
            .comm
            .as_deref()
            .map(str::to_owned)
            .or_else(|| read_text(&format!("/proc/{pid}/comm")));
        let parent = traces.parent.as_deref();
        let executable = path
            .as_deref()
            .map(|it| base(it).to_owned())
            .filter(|it| !it.is_empty())
            .or(comm)
            .or_else(|| parent.map(|it| it.executable.clone()))
            .unwrap_or_else(|| "unknown".to_owned());
        let cgroup = read_text(&format!("/proc/{pid}/cgroup"));
        let mut this = Self {
            pid,
            path: path.as_deref().map(cut),
            container: cgroup.as_deref().and_then(container_id),
            runtime: runtime(&executable, maps),
            cpu_quota: cgroup.as_deref().and_then(cpu_quota),
            inner_pid: inner_pid(pid),
            environment: environment(&env),
            version: version(&env),
            ..Self::default()
        };
        if cgroup.is_none()
            && let Some(parent) = parent
        {
            this.container.clone_from(&parent.container);
            this.cpu_quota = parent.cpu_quota;
        }
        let inherited = parent.filter(|it| cgroup.is_none() && it.service_source != "executable");
        let named = service(&env, cgroup.as_deref(), this.container.as_deref())
            .or_else(|| inherited.map(|it| (it.service.clone(), it.service_source)))
            .or_else(|| program(&executable, command.items()).map(|it| (it, "jar or script")));
        let (service, source) = named.unwrap_or_else(|| (executable.clone(), "executable"));
        this.service = cut(&service);
        this.service_source = source;
        this.executable = cut(&executable);
        this
    }
}

/// The first of the sources, in the documented order, that gives a name.
fn service(
    env: &List,
    cgroup: Option<&str>,
    container: Option<&str>,
) -> Option<(String, &'static str)> {
    if let Some(name) = env.var("OTEL_SERVICE_NAME") {
        return Some((name.to_owned(), "OTEL_SERVICE_NAME"));
    }
    if let Some(name) = resource_attribute(env, "service.name") {
        return Some((name, "OTEL_RESOURCE_ATTRIBUTES"));
    }
    if let Some(name) = env.var("DD_SERVICE") {
        return Some((name.to_owned(), "DD_SERVICE"));
    }
    let in_pod = cgroup.is_some_and(|it| it.contains("kubepods"))
        || env.var("KUBERNETES_SERVICE_HOST").is_some();
    if in_pod && let Some(pod) = env.var("POD_NAME").or_else(|| env.var("HOSTNAME")) {
        return Some((workload(pod), "Kubernetes workload"));
    }
    if let Some(name) = container.and_then(container_name) {
        return Some((name, "container name"));
    }
    let unit = cgroup.and_then(systemd_unit)?;
    Some((unit, "systemd unit"))
}

fn resource_attribute(env: &List, key: &str) -> Option<String> {
    let value = env
        .var("OTEL_RESOURCE_ATTRIBUTES")?
        .split(',')
        .find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix('='))?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn environment(env: &List) -> Option<String> {
    resource_attribute(env, "deployment.environment.name")
        .or_else(|| resource_attribute(env, "deployment.environment"))
        .or_else(|| env.var("DD_ENV").map(str::to_owned))
        .map(|it| cut(&it))
}

fn version(env: &List) -> Option<String> {
    resource_attribute(env, "service.version")
        .or_else(|| env.var("DD_VERSION").map(str::to_owned))
        .map(|it| cut(&it))
}

/// The workload of a pod by its name: a Deployment's pods end in a ReplicaSet's hash and five
/// characters, a DaemonSet's in five characters, a StatefulSet's in a number.
fn workload(pod: &str) -> String {
    // Kubernetes takes these characters only, to form no words.
    let is_random =
        |it: &str| it.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod.to_owned() };
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) && last.len() < 5 {
        return rest.to_owned();
    }
    if last.len() != 5 || !is_random(last) {
        return pod.to_owned();
    }
    match rest.rsplit_once('-') {
        Some((name, hash)) if (8..=10).contains(&hash.len()) && is_random(hash) => name.to_owned(),
        _ => rest.to_owned(),
    }
}

/// The 64 hexadecimal digits by which container runtimes name cgroups.
fn container_id(cgroup: &str) -> Option<String> {
    cgroup.split(['/', '-', '.', ':', '\n']).find_map(|part| {
        let is_id = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| part.to_owned())
    })
}

/// A container's name as Docker keeps it.
fn container_name(id: &str) -> Option<String> {
    let text = read_text(&format!("/var/lib/docker/containers/{id}/config.v2.json"))?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    let name = json.get("Name")?.as_str()?.trim_start_matches('/');
    (!name.is_empty()).then(|| name.to_owned())
}

/// The innermost service of the path, or a scope that is no login session.
fn systemd_unit(cgroup: &str) -> Option<String> {
    let is_plain = |it: &&str| {
        !it.starts_with("user@") && !it.starts_with("session-") && !it.starts_with("init.scope")
    };
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(|path| {
        let parts = path.rsplit('/').filter(is_plain);
        parts.into_iter().find_map(|it| it.strip_suffix(".service")).map(str::to_owned)
    })
}

/// CPUs that the cgroup or one above it may use, the least of them.
fn cpu_quota(cgroup: &str) -> Option<f64> {
    let mut least: Option<f64> = None;
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_v1 = controllers.split(',').any(|it| it == "cpu");
        if !(controllers.is_empty() || is_v1) || path.contains("..") {
            continue;
        }
        let mut path = path.trim_end_matches('/');
        while !path.is_empty() {
            let cpus = if is_v1 { quota_v1(path) } else { quota_v2(path) };
            least = match (least, cpus) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            path = path.rsplit_once('/').map_or("", |it| it.0);
        }
    }
    least
}

fn quota_v2(path: &str) -> Option<f64> {
    let text = read_text(&format!("/sys/fs/cgroup{path}/cpu.max"))
        .or_else(|| read_text(&format!("/sys/fs/cgroup/unified{path}/cpu.max")))?;
    let (quota, period) = text.split_once(' ')?;
    ratio(quota, period)
}

fn quota_v1(path: &str) -> Option<f64> {
    let read = |file: &str| {
        read_text(&format!("/sys/fs/cgroup/cpu{path}/{file}"))
            .or_else(|| read_text(&format!("/sys/fs/cgroup/cpu,cpuacct{path}/{file}")))
    };
    ratio(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

fn inner_pid(pid: u32) -> u32 {
    read_text(&format!("/proc/{pid}/status"))
        .and_then(|text| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("NSpid:").map(str::to_owned))?;
            line.split_ascii_whitespace().last()?.parse().ok()
        })
        .unwrap_or(pid)
}

/// Interpreters that are named by their script.
const INTERPRETERS: [&str; 12] =
    ["python", "pypy", "node", "ruby", "php", "perl", "bash", "dash", "sh", "zsh", "bun", "deno"];

/// The jar, class or script that an interpreter runs.
fn program(executable: &str, command: &[String]) -> Option<String> {
    let arguments = command.get(1..)?;
    if executable == "java" {
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "-jar" => return rest.next().map(|it| base(it).to_owned()),
                "-cp" | "-classpath" | "--class-path" | "-p" | "--module-path" | "--add-opens"
                | "--add-modules" | "--add-exports" => {
                    rest.next();
                }
                "-m" | "--module" => return rest.next().cloned(),
                it if it.starts_with('-') || it.starts_with('@') => {}
                it => return Some(it.rsplit('.').next().unwrap_or(it).to_owned()),
            }
        }
        return None;
    }
    INTERPRETERS.iter().find(|it| {
        executable
            .strip_prefix(**it)
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    })?;
    if executable.starts_with("py") && arguments.first().is_some_and(|it| it == "-m") {
        return arguments.get(1).cloned();
    }
    let script = arguments.iter().take_while(|it| !matches!(it.as_str(), "-c" | "-e" | "-m"));
    let script = script.into_iter().find(|it| !it.starts_with('-'))?;
    Some(base(script).to_owned()).filter(|it| !it.is_empty())
}

fn runtime(executable: &str, maps: &Maps) -> Option<&'static str> {
    let maps_file = |start: &str| maps.iter().any(|it| base(&it.path).starts_with(start));
    if executable == "java" || maps_file("libjvm.so") {
        Some("jvm")
    } else if executable.starts_with("python") || maps_file("libpython") {
        Some("cpython")
    } else if executable == "node" || executable == "nodejs" || maps_file("libnode.so") {
        Some("nodejs")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(text: &str) -> List {
        List::parse(text.replace('|', "\0").as_bytes())
    }

    #[test]
    fn service_names_are_taken_in_order() {
        let unit = "0::/system.slice/nginx.service";
        let all = "DD_SERVICE=c|OTEL_RESOURCE_ATTRIBUTES=a=1,service.name=b|OTEL_SERVICE_NAME=a";
        let take = |text: &str| service(&env(text), Some(unit), None);
        assert_eq!(take(all), Some(("a".to_owned(), "OTEL_SERVICE_NAME")));
        let rest = all.replace("OTEL_SERVICE_NAME=a", "OTEL_SERVICE_NAME=");
        assert_eq!(take(&rest), Some(("b".to_owned(), "OTEL_RESOURCE_ATTRIBUTES")));
        assert_eq!(take("DD_SERVICE=c"), Some(("c".to_owned(), "DD_SERVICE")));
        assert_eq!(take("A=b"), Some(("nginx".to_owned(), "systemd unit")));
        let pod = service(&env("HOSTNAME=web-7d9c5b8f4d-x2x4z"), Some("0::/kubepods/x"), None);
        assert_eq!(pod, Some(("web".to_owned(), "Kubernetes workload")));
        assert_eq!(service(&env(""), Some("0::/user.slice/session-3.scope"), None), None);
    }

    #[test]
    fn workloads_of_pods() {
        assert_eq!(workload("web-7d9c5b8f4d-x2x4z"), "web");
        assert_eq!(workload("log-agent-x2x4z"), "log-agent");
        assert_eq!(workload("db-0"), "db");
        assert_eq!(workload("plain-hosts"), "plain-hosts");
    }

    #[test]
    fn programs_of_interpreters() {
        let of = |executable, command: &str| {
            let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
            program(executable, &command)
        };
        assert_eq!(
            of("java", "java -Xmx1g -cp a:b -jar /x/app.jar -jar"),
            Some("app.jar".to_owned())
        );
        assert_eq!(of("java", "java -cp /x com.example.Work 5"), Some("Work".to_owned()));
        assert_eq!(of("python3.11", "python3 -u /srv/app.py -v"), Some("app.py".to_owned()));
        assert_eq!(of("python3", "python3 -m http.server"), Some("http.server".to_owned()));
        assert_eq!(of("node", "node --perf-basic-prof work.js"), Some("work.js".to_owned()));
        assert_eq!(of("bash", "bash -c ls x"), None);
        assert_eq!(of("pythonic", "pythonic x.py"), None);
    }

    #[test]
    fn containers_by_cgroup() {
        let id = "ab".repeat(32);
        assert_eq!(container_id(&format!("0::/system.slice/docker-{id}.scope")), Some(id.clone()));
        assert_eq!(container_id(&format!("3:cpu:/docker/{id}\n0::/")), Some(id));
        assert_eq!(container_id("0::/user.slice"), None);
    }
}
