//! What was typed (flags, environment, file) becomes what runs: a checked [`Config`].

mod classify;
mod debuginfod;
mod memory;
mod payloads;
mod resolution;
mod tee;

use crate::serve::debuginfod::Debuginfod;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use ingest::Role;
use ingest::auth::{DEFAULT_TENANT, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Options, PayloadRule, Resolution, ResolutionRule, RetentionRule};
use views::classify::Overrides;

const LISTEN: &str = "127.0.0.1:4040";
const OTLP_GRPC_LISTEN: &str = "127.0.0.1:4317";
const OTLP_HTTP_LISTEN: &str = "127.0.0.1:4318";
const DATADOG_LISTEN: &str = "127.0.0.1:8126";
const RETENTION_DAYS: f64 = 7.0;
const ROLLUP_DAYS: f64 = 90.0;
/// Word that turns a port off.
const OFF: &str = "off";

/// Settings as flags and variables; each is also a key of the file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// Settings file (see `vesta config print`).
    #[arg(long, env = "VESTA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where profiles are kept; ~/.local/share/vesta when absent.
    #[arg(long, env = "VESTA_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address of the page, the API, Pyroscope's clients and uploads [127.0.0.1:4040].
    #[arg(long, env = "VESTA_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Address of OTLP over gRPC, or `off` [127.0.0.1:4317].
    #[arg(long, env = "VESTA_OTLP_GRPC_LISTEN", value_name = "ADDRESS:PORT|off")]
    otlp_grpc_listen: Option<String>,
    /// Address of OTLP over HTTP, or `off` [127.0.0.1:4318].
    #[arg(long, env = "VESTA_OTLP_HTTP_LISTEN", value_name = "ADDRESS:PORT|off")]
    otlp_http_listen: Option<String>,
    /// Address of Datadog's libraries, as their agent's, or `off` [127.0.0.1:8126].
    #[arg(long, env = "VESTA_DATADOG_LISTEN", value_name = "ADDRESS:PORT|off")]
    datadog_listen: Option<String>,
    /// Unix socket of Datadog's libraries, e.g. /var/run/datadog/apm.socket; none when absent.
    #[arg(long, env = "VESTA_DATADOG_SOCKET", value_name = "FILE")]
    datadog_socket: Option<PathBuf>,
    /// Days that profiles are kept [7].
    #[arg(long, env = "VESTA_RETENTION_DAYS", value_name = "DAYS")]
    retention_days: Option<f64>,
    /// Days that hourly rollups are kept, which answer for profiles that are gone; 0 makes none [90].
    #[arg(long, env = "VESTA_ROLLUP_DAYS", value_name = "DAYS")]
    rollup_days: Option<f64>,
    /// Bytes of disk that profiles may take, e.g. `20GiB`; the oldest go first.
    #[arg(long, env = "VESTA_DISK_BUDGET", value_name = "SIZE")]
    disk_budget: Option<String>,
    #[command(flatten)]
    tee: tee::TeeFlags,
}

/// The file's form.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_grpc_listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_http_listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datadog_listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datadog_socket: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollup_days: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_budget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flush_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_budget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memtable: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retention: Vec<FileRetention>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    payloads: Vec<payloads::FileRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_resolution: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resolution: Vec<resolution::FileRule>,
    classify: Vec<classify::FileRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    debuginfod: Option<debuginfod::FileDebuginfod>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tee: Vec<tee::FileTee>,
    #[serde(skip_serializing_if = "FileAuth::is_empty")]
    auth: FileAuth,
}

/// What is kept for another time; what is not named is any.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileRetention {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    days: f64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct FileAuth {
    tokens: Vec<FileToken>,
}

impl FileAuth {
    fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileToken {
    name: String,
    role: String,
    token_sha256: String,
    #[serde(default = "default_tenant")]
    tenant: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tenants: Vec<String>,
}

fn default_tenant() -> String {
    DEFAULT_TENANT.to_owned()
}

/// What runs.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where profiles are kept.
    pub(crate) data_dir: PathBuf,
    /// The main address.
    pub(crate) listen: SocketAddr,
    /// OTLP over gRPC.
    pub(crate) otlp_grpc_listen: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub(crate) otlp_http_listen: Option<SocketAddr>,
    /// Datadog's libraries.
    pub(crate) datadog_listen: Option<SocketAddr>,
    /// The same over a Unix socket.
    pub(crate) datadog_socket: Option<PathBuf>,
    /// Days that profiles are kept.
    pub(crate) retention_days: f64,
    /// Days that hourly rollups are kept.
    pub(crate) rollup_days: f64,
    /// What is kept for other times.
    pub(crate) retention_rules: Vec<RetentionRule>,
    /// Which uploads are kept as they came.
    pub(crate) payload_rules: Vec<PayloadRule>,
    /// Bytes that they may take.
    pub(crate) payload_bytes_max: u64,
    /// How exactly sample times are kept.
    pub(crate) resolution: Resolution,
    /// What is kept more or less exactly.
    pub(crate) resolution_rules: Vec<ResolutionRule>,
    /// Memory for what questions read of stored profiles, which later ones find there.
    pub(crate) cache_bytes_max: u64,
    /// Memory for profiles that wait to be written to segments; as much again while they are.
    pub(crate) memtable_bytes_max: u64,
    /// Bytes that profiles may take.
    pub(crate) disk_budget_bytes: Option<u64>,
    /// How long profiles wait in memory (and the log) until they are written to a segment.
    pub(crate) flush_interval: Option<Duration>,
    /// How often segments are merged, and what is too old or deleted is dropped.
    pub(crate) maintenance_interval: Option<Duration>,
    /// Whose code frames are, where the user says so.
    pub(crate) classify: Overrides,
    /// Servers that are asked for debug information; none by default.
    pub(crate) debuginfod: Option<Debuginfod>,
    /// Where requests of clients also go to.
    pub(crate) tees: Vec<crate::tee::Settings>,
    /// Known tokens.
    pub(crate) tokens: Vec<Token>,
    file: File,
}

impl Config {
    /// Reads the file, if one is named, puts flags and variables over it, and checks the whole.
    pub(crate) fn load(flags: &Flags) -> Result<Self> {
        let file = match &flags.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("read the settings file {}", path.display()))?;
                parse(&text).with_context(|| format!("settings file {}", path.display()))?
            }
        };
        Self::check(overlay(flags, file))
    }

    fn check(file: File) -> Result<Self> {
        let text = |value: &Option<String>, default: &str| {
            value.clone().unwrap_or_else(|| default.to_owned())
        };
        let listen = text(&file.listen, LISTEN);
        let payload_budget = file.payload_budget.as_deref().map(size).transpose()?;
        let payload_bytes_max = payload_budget.unwrap_or(Options::default().payload_bytes_max);
        let cache = file.cache.as_deref().map(size).transpose()?;
        let memtable = file.memtable.as_deref().map(size).transpose()?;
        let config = Self {
            data_dir: file.data_dir.clone().map_or_else(default_data_dir, Ok)?,
            listen: address("listen", &listen)?,
            otlp_grpc_listen: optional(
                "otlp_grpc_listen",
                &text(&file.otlp_grpc_listen, OTLP_GRPC_LISTEN),
            )?,
            otlp_http_listen: optional(
                "otlp_http_listen",
                &text(&file.otlp_http_listen, OTLP_HTTP_LISTEN),
            )?,
            datadog_listen: optional(
                "datadog_listen",
                &text(&file.datadog_listen, DATADOG_LISTEN),
            )?,
            datadog_socket: file.datadog_socket.clone(),
            retention_days: file.retention_days.unwrap_or(RETENTION_DAYS),
            rollup_days: file.rollup_days.unwrap_or(ROLLUP_DAYS),
            retention_rules: file.retention.iter().map(rule).collect::<Result<_>>()?,
            payload_rules: payloads::rules(&file.payloads, payload_bytes_max)?,
            payload_bytes_max,
            resolution: resolution::named("time_resolution", &text(&file.time_resolution, "ms"))?,
            resolution_rules: resolution::rules(&file.resolution)?,
            cache_bytes_max: cache.unwrap_or_else(|| memory::CACHE.bytes()),
            memtable_bytes_max: memtable.unwrap_or_else(|| memory::MEMTABLE.bytes()),
            disk_budget_bytes: file.disk_budget.as_deref().map(size).transpose()?,
            flush_interval: interval("flush_interval_ms", file.flush_interval_ms)?,
            maintenance_interval: interval(
                "maintenance_interval_ms",
                file.maintenance_interval_ms,
            )?,
            classify: classify::overrides(&file.classify)?,
            debuginfod: file.debuginfod.as_ref().map(debuginfod::checked).transpose()?,
            tees: tee::checked(&file.tee)?,
            tokens: file.auth.tokens.iter().map(token).collect::<Result<_>>()?,
            file,
        };
        check_days("retention_days", config.retention_days)?;
        if config.rollup_days != 0.0 {
            check_days("rollup_days", config.rollup_days)?;
        }
        config.refuse_open_doors()?;
        Ok(config)
    }

    /// Without tokens nothing listens where others could reach it.
    fn refuse_open_doors(&self) -> Result<()> {
        let others = [self.otlp_grpc_listen, self.otlp_http_listen, self.datadog_listen];
        let mut addresses = others.into_iter().flatten().chain([self.listen]);
        let open = addresses.find(|address| !address.ip().is_loopback());
        if let (Some(address), true) = (open, self.tokens.is_empty()) {
            bail!(
                "{address} can be reached from other machines, and no token is configured: \
                 anyone could read and write profiles.\n\
                 Either listen on 127.0.0.1, or put a token into the settings file:\n\n\
                 [[auth.tokens]]\nname = \"me\"\nrole = \"admin\"   # or viewer, operator, ingest\n\
                 token_sha256 = \"…\"   # printf %s 'the token' | sha256sum\n"
            );
        }
        Ok(())
    }

    /// The settings in force as a file; hashes of tokens are left out.
    pub(crate) fn print(&self) -> Result<String> {
        let address = |value: Option<SocketAddr>| value.map_or(OFF.to_owned(), |a| a.to_string());
        let mut file = File {
            data_dir: Some(self.data_dir.clone()),
            listen: Some(self.listen.to_string()),
            otlp_grpc_listen: Some(address(self.otlp_grpc_listen)),
            otlp_http_listen: Some(address(self.otlp_http_listen)),
            datadog_listen: Some(address(self.datadog_listen)),
            retention_days: Some(self.retention_days),
            rollup_days: Some(self.rollup_days),
            ..self.file.clone()
        };
        for token in &mut file.auth.tokens {
            "(hidden)".clone_into(&mut token.token_sha256);
        }
        file.tee.iter_mut().for_each(tee::FileTee::hide);
        toml::to_string(&file).context("write the settings")
    }
}

fn parse(text: &str) -> Result<File> {
    toml::from_str(text).context("it is not as `vesta config print` writes it")
}

fn overlay(flags: &Flags, file: File) -> File {
    File {
        data_dir: flags.data_dir.clone().or(file.data_dir),
        listen: flags.listen.clone().or(file.listen),
        otlp_grpc_listen: flags.otlp_grpc_listen.clone().or(file.otlp_grpc_listen),
        otlp_http_listen: flags.otlp_http_listen.clone().or(file.otlp_http_listen),
        datadog_listen: flags.datadog_listen.clone().or(file.datadog_listen),
        datadog_socket: flags.datadog_socket.clone().or(file.datadog_socket),
        retention_days: flags.retention_days.or(file.retention_days),
        rollup_days: flags.rollup_days.or(file.rollup_days),
        disk_budget: flags.disk_budget.clone().or(file.disk_budget),
        flush_interval_ms: file.flush_interval_ms,
        maintenance_interval_ms: file.maintenance_interval_ms,
        payload_budget: file.payload_budget,
        cache: file.cache,
        memtable: file.memtable,
        retention: file.retention,
        payloads: file.payloads,
        time_resolution: file.time_resolution,
        resolution: file.resolution,
        classify: file.classify,
        debuginfod: file.debuginfod,
        tee: tee::with(&flags.tee, file.tee),
        auth: file.auth,
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr> {
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .with_context(|| format!("{key}={text:?}: write an address and port, e.g. {LISTEN}"))
}

fn optional(key: &str, text: &str) -> Result<Option<SocketAddr>> {
    if text == OFF { Ok(None) } else { address(key, text).map(Some) }
}

fn default_data_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(Path::new(&set("HOME")?).join(".local/share")));
    let hint = "no home folder is known: say where to keep profiles with --data-dir";
    Ok(data.context(hint)?.join("vesta"))
}

fn size(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => bail!("size {text:?}: write a number with B, KiB, MiB, GiB or TiB"),
    };
    let number: u64 = number.parse().with_context(|| format!("size {text:?} has no number"))?;
    number.checked_mul(1 << shift).with_context(|| format!("size {text:?} is too large"))
}

fn token(file: &FileToken) -> Result<Token> {
    let name = &file.name;
    let roles = Role::ALL.map(Role::name).join(", ");
    let role = Role::from_name(&file.role)
        .with_context(|| format!("token {name:?}: role {:?} is none of {roles}", file.role))?;
    let sha256 = unhex(&file.token_sha256).with_context(|| {
        format!(
            "token {name:?}: token_sha256 is not 64 hex digits; \
             make it with: printf %s 'the token' | sha256sum"
        )
    })?;
    ensure!(!file.tenant.is_empty(), "token {name:?}: the tenant is empty");
    let (tenant, tenants) = (file.tenant.clone(), file.tenants.clone());
    Ok(Token { sha256, name: name.clone(), role, tenant, tenants })
}

fn check_days(key: &str, days: f64) -> Result<()> {
    let is_fine = days.is_finite() && (0.01..=36_500.0).contains(&days);
    ensure!(is_fine, "{key} is {days}: give 0.01 to 36500");
    Ok(())
}

fn interval(key: &str, millis: Option<u64>) -> Result<Option<Duration>> {
    let Some(millis) = millis else { return Ok(None) };
    ensure!((10..=3_600_000).contains(&millis), "{key} is {millis}: give 10 to 3600000");
    Ok(Some(Duration::from_millis(millis)))
}

fn rule(file: &FileRetention) -> Result<RetentionRule> {
    check_days("days of a [[retention]] rule", file.days)?;
    let FileRetention { tenant, service, kind, days } = file.clone();
    let is_named = tenant.is_some() || service.is_some() || kind.is_some();
    ensure!(
        is_named,
        "a [[retention]] rule names nothing: give tenant, service or kind, or set retention_days"
    );
    Ok(RetentionRule { tenant, service, kind, keep: Duration::from_secs_f64(days * 86_400.0) })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config> {
        Config::check(parse(text)?)
    }

    const TOKEN: &str = "[[auth.tokens]]\nname = 'a'\nrole = 'viewer'\n";

    #[test]
    fn a_file_reads_and_prints_back_without_secrets() {
        let hash = "ab".repeat(32);
        let text = format!(
            "data_dir = '/d'\nlisten = '0.0.0.0:1'\notlp_grpc_listen = 'off'\n\
             disk_budget = '2GiB'\nretention_days = 3\nrollup_days = 30\n\
             cache = '96MiB'\nmemtable = '3MiB'\n\
             time_resolution = 'us'\n[[resolution]]\nmatch = '{{service_name=\"shop\"}}'\ntimes = 'ns'\n\
             [[retention]]\nservice = 'shop'\nkind = 'heap'\ndays = 0.5\n\
             {TOKEN}token_sha256 = '{hash}'\n"
        );
        let config = check(&text).unwrap();
        assert_eq!(config.disk_budget_bytes, Some(2 << 30));
        assert_eq!((config.cache_bytes_max, config.memtable_bytes_max), (96 << 20, 3 << 20));
        assert_eq!((config.otlp_grpc_listen, config.rollup_days), (None, 30.0));
        assert_eq!(config.retention_rules[0].keep, Duration::from_hours(12));
        assert_eq!(config.retention_rules[0].kind.as_deref(), Some("heap"));
        assert_eq!(config.tokens[0].sha256, [0xab; 32]);
        assert_eq!(config.resolution, Resolution::Micros);
        assert_eq!(config.resolution_rules[0].resolution, Resolution::Nanos);
        let printed = config.print().unwrap();
        assert!(!printed.contains(&hash) && printed.contains("otlp_grpc_listen = \"off\""));
    }

    #[test]
    fn open_doors_and_mistakes_are_refused_with_advice() {
        for (text, advice) in [
            ("data_dir='/d'\nlisten = '0.0.0.0:4040'", "[[auth.tokens]]"),
            ("data_dir='/d'\notlp_http_listen = '10.0.0.1:4318'", "can be reached"),
            ("listn = 'x'", "unknown field"),
            ("data_dir='/d'\nlisten = 'here'", "address and port"),
            ("data_dir='/d'\nretention_days = 0", "0.01 to 36500"),
            ("data_dir='/d'\ndisk_budget = '2 apples'", "GiB"),
            ("data_dir='/d'\ncache = 'much'", "GiB"),
            ("data_dir='/d'\nmemtable = '1 GB'", "GiB"),
            ("data_dir='/d'\n[[retention]]\ndays = 3", "names nothing"),
            ("data_dir='/d'\n[[payloads]]\ndays = 3", "missing field `service`"),
            ("data_dir='/d'\n[[payloads]]\nservice = ''", "'*'"),
            ("data_dir='/d'\n[[payloads]]\nservice = '*'\ndays = 0", "0.01 to 36500"),
            ("data_dir='/d'\n[[payloads]]\nservice = '*'\nmax_size = '1 GB'", "GiB"),
            ("data_dir='/d'\ntime_resolution = 's'", "none of"),
            ("data_dir='/d'\n[[resolution]]\ntimes = 'ns'", "names nothing"),
            ("data_dir='/d'\n[[resolution]]\nmatch='{a'\ntimes = 'ns'", "rule 1: match"),
            ("data_dir='/d'\n[debuginfod]\nurls = []", "names no server"),
            ("data_dir='/d'\n[debuginfod]\nurls = ['ftp://d.org']", "only https:// and http://"),
            ("data_dir='/d'\n[[retention]]\nkind = 'heap'\ndays = -3", "0.01 to 36500"),
            (&format!("data_dir='/d'\n{TOKEN}token_sha256 = 'secret'"), "sha256sum"),
        ] {
            let error = format!("{:#}", check(text).unwrap_err());
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
