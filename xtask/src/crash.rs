//! `cargo xtask crash`: real kills of the real server under concurrent uploads, with flushes,
//! compactions and deletions all the time. After each, every acknowledged profile is there exactly
//! once, what was deleted is not, and what clients send again is counted once.

use crate::command::{command, now};
use crate::http::{Client, encode};
use crate::workspace::Workspace;
use crate::{signals, stack};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a start may take.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long writers may take to get what a round waits for.
const ROUND_LIMIT: Duration = Duration::from_mins(1);
/// Value of each uploaded sample.
const VALUE: u64 = 7;
/// Short intervals, so that a kill often falls into a flush, a merge or a rewriting.
const SETTINGS: &str = "flush_interval_ms = 40\nmaintenance_interval_ms = 60\n";

#[derive(clap::Args, Debug)]
pub(crate) struct CrashArgs {
    /// How often the server is killed.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Connections that upload at the same time.
    #[arg(long, default_value_t = 4)]
    writers: u64,
    /// Most uploads that are acknowledged before a kill.
    #[arg(long, default_value_t = 60)]
    uploads: u64,
    /// Chooses the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A server that is killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL; an error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An upload as its client repeats it: the body and the window stay the same.
#[derive(Clone, Debug)]
struct Upload {
    path: String,
    body: String,
}

/// What clients know.
#[derive(Debug, Default)]
struct Known {
    /// By id: which service.
    acknowledged: BTreeMap<String, String>,
    unanswered: Vec<Upload>,
    /// Services that were deleted; of those whose deletion got no answer nothing is known.
    deleted: BTreeSet<String>,
    doubtful: BTreeSet<String>,
    sent: u64,
}

/// A few numbers that look random; the server's moments are random anyway.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

pub(crate) fn run(workspace: &Workspace, args: &CrashArgs) -> anyhow::Result<()> {
    // Without the page: nobody looks at it.
    stack::build_binaries(workspace)?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("vesta.toml"), SETTINGS)?;
    let (mut known, mut dice) = (Known::default(), Dice(args.seed));
    let started = now();
    let mut done = Figures::default();
    for round in 0..args.kills {
        ensure!(!signals::stop_asked(), "stopped after {round} kills");
        let server = start(workspace, folder.path())?;
        let result = check(&server, &mut known, &mut done)
            .and_then(|()| work(&server, args, round, &mut known, &mut dice, &mut done));
        result.with_context(|| kept(folder.path(), round))?;
        if (round + 1).is_multiple_of(20) {
            let seconds = started.elapsed().as_secs();
            println!("{} kills, {} profiles acknowledged, {seconds} s", round + 1, known.sent);
        }
    }
    let server = start(workspace, folder.path())?;
    check(&server, &mut known, &mut done)
        .and_then(|()| retry(&server, &mut known))
        .and_then(|()| check(&server, &mut known, &mut done))
        .with_context(|| kept(folder.path(), args.kills))?;
    println!(
        "{} kills in {} s: {} profiles acknowledged, {} of them deleted, {} uploads sent again, {} \
         flushes, {} compactions, {} rewritings; every acknowledged profile was there exactly once \
         after each kill",
        args.kills,
        started.elapsed().as_secs(),
        known.sent,
        done.deleted,
        done.again,
        done.flushes,
        done.compactions,
        done.rewrites,
    );
    ensure!(done.flushes > args.kills / 4 && done.compactions > 0, "too little happened: {done:?}");
    Ok(())
}

/// What happened, to show that the kills fell into something.
#[derive(Debug, Default)]
struct Figures {
    flushes: u64,
    compactions: u64,
    rewrites: u64,
    deleted: u64,
    again: u64,
}

fn kept(folder: &Path, round: u64) -> String {
    // Kept for whoever looks into it; the folder would be removed with its handle.
    let copy = std::env::temp_dir().join(format!("vesta-crash-{}", std::process::id()));
    let _ = std::fs::rename(folder, &copy);
    format!("after {round} kills; the data is in {}", copy.display())
}

fn start(workspace: &Workspace, folder: &Path) -> anyhow::Result<Server> {
    let listen = format!("127.0.0.1:{}", stack::free_port()?);
    let program = workspace.binary("vesta").to_string_lossy().into_owned();
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut serve = command(folder, &program, &["serve", "--config", "vesta.toml"]);
    serve.args(["--data-dir", "data", "--listen", &listen]);
    serve.args(["--otlp-grpc-listen", "off", "--otlp-http-listen", "off"]);
    serve.args(["--datadog-listen", "off"]);
    serve.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut server = Server {
        child: serve.spawn().context("cannot start the server")?,
        url: format!("http://{listen}"),
    };
    let (client, asked) = (Client::new(), now());
    let ready = format!("{}/readyz", server.url);
    while client.get(&ready).map_or(true, |(status, _)| status != 200) {
        if let Some(status) = server.child.try_wait()? {
            bail!("the server ended by itself ({status}); see {}", folder.join("log").display());
        }
        ensure!(asked.elapsed() < READY_LIMIT, "the server is not ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

/// Ids that the server lists, how often each, with their services.
fn listed(server: &Server) -> anyhow::Result<BTreeMap<String, (u64, String)>> {
    let (client, mut ids, mut cursor) = (Client::new(), BTreeMap::new(), String::new());
    loop {
        let path = format!("/api/v1/profiles?from=0&to=now%2B1d&limit=1000&cursor={cursor}");
        let page = client.get_json(&format!("{}{path}", server.url))?;
        for profile in page["profiles"].as_array().context("no list of profiles")? {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let entry: &mut (u64, String) = ids.entry(text(&profile["id"])).or_default();
            entry.0 += 1;
            entry.1 = text(&profile["labels"]["service_name"]);
        }
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(ids),
        }
    }
}

/// Everything acknowledged is there once, nothing deleted is; and the samples' sum says the same.
fn check(server: &Server, known: &mut Known, done: &mut Figures) -> anyhow::Result<()> {
    let client = Client::new();
    for service in std::mem::take(&mut known.doubtful) {
        // Whoever got no answer asks again.
        delete(&client, server, &service)?;
        done.deleted += known.forget(&service);
    }
    let found = listed(server)?;
    for (id, service) in &known.acknowledged {
        let count = found.get(id).map_or(0, |(count, _)| *count);
        ensure!(count == 1, "the acknowledged profile {id} of {service} is there {count} times");
    }
    for (id, (count, service)) in &found {
        ensure!(*count == 1, "{id} is there {count} times");
        let is_gone = known.deleted.contains(service);
        ensure!(!is_gone, "{id} of the deleted service {service} is back");
    }
    if found.is_empty() {
        return Ok(());
    }
    let all = "from=0&to=now%2B1d";
    let types = client.get_json(&format!("{}/api/v1/profile-types?{all}", server.url))?;
    let id = types["types"][0]["id"].as_str().context("no profile type")?;
    let top = format!("{}/api/v1/top?{all}&type={}", server.url, encode(id));
    let total = client.get_json(&top)?["meta"]["total"].as_u64().unwrap_or(0);
    let wanted = VALUE * found.len() as u64;
    ensure!(total == wanted, "the samples sum up to {total}, not {wanted}");
    Ok(())
}

impl Known {
    /// Counts a service as deleted; returns how many acknowledged profiles it had.
    fn forget(&mut self, service: &str) -> u64 {
        let before = self.acknowledged.len();
        self.acknowledged.retain(|_, of| of != service);
        self.deleted.insert(service.to_owned());
        (before - self.acknowledged.len()) as u64
    }
}

/// Asks for the deletion of a service.
fn delete(client: &Client, server: &Server, service: &str) -> anyhow::Result<()> {
    let selector = encode(&format!("{{service_name=\"{service}\"}}"));
    let path = format!("/api/v1/admin/deletions?match={selector}&from=0&to=now%2B1d");
    client.post(&format!("{}{path}", server.url), "text/plain", b"").map(drop)
}

fn send(client: &Client, server: &Server, upload: &Upload) -> anyhow::Result<Vec<String>> {
    let url = format!("{}{}", server.url, upload.path);
    let answer = client.post(&url, "text/plain", upload.body.as_bytes())?;
    let profiles = answer["profiles"].as_array().context("no receipt")?;
    Ok(profiles.iter().filter_map(|row| row["id"].as_str()).map(str::to_owned).collect())
}

fn service_of(upload: &Upload) -> String {
    let name = upload.path.split_once("service_name=").map_or("", |(_, rest)| rest);
    name.split('&').next().unwrap_or_default().to_owned()
}

/// Sends again what got no answer.
fn retry(server: &Server, known: &mut Known) -> anyhow::Result<()> {
    let client = Client::new();
    for upload in std::mem::take(&mut known.unanswered) {
        let ids = send(&client, server, &upload)?;
        known.take(&upload, ids)?;
    }
    Ok(())
}

impl Known {
    fn take(&mut self, upload: &Upload, ids: Vec<String>) -> anyhow::Result<()> {
        let service = service_of(upload);
        for id in ids {
            self.sent += 1;
            if self.deleted.contains(&service) {
                continue;
            }
            let before = self.acknowledged.insert(id.clone(), service.clone());
            ensure!(before.is_none(), "two uploads have the id {id}");
        }
        Ok(())
    }
}

/// What a writer did until the server was gone.
type Written = (Vec<(Upload, Vec<String>)>, Option<Upload>);

/// The time, for the windows of uploads.
#[expect(
    clippy::disallowed_methods,
    reason = "a client outside the product has a clock of its own"
)]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Uploads until the server is gone.
fn write(server: &Server, round: u64, writer: u64, acknowledged: &AtomicU64) -> Written {
    let (client, mut sent) = (Client::new(), Vec::new());
    let clock = since_epoch();
    for at in 0_u64.. {
        // A service of each round is deleted during it.
        let service = if at % 5 == 4 { format!("round-{round}") } else { format!("s{}", at % 3) };
        let end = clock.as_millis() + u128::from(at);
        let path =
            format!("/api/v1/profiles?service_name={service}&from={}&until={end}", end - 900);
        let upload = Upload { path, body: format!("main;r{round};w{writer};n{at} {VALUE}\n") };
        match send(&client, server, &upload) {
            Ok(ids) => sent.push((upload, ids)),
            Err(_) => return (sent, Some(upload)),
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    (sent, None)
}

/// Uploads and deletes until the kill.
fn work(
    server: &Server,
    args: &CrashArgs,
    round: u64,
    known: &mut Known,
    dice: &mut Dice,
    done: &mut Figures,
) -> anyhow::Result<()> {
    done.again += known.unanswered.len() as u64;
    retry(server, known)?;
    let acknowledged = AtomicU64::new(0);
    let (enough, wait) = (1 + dice.below(args.uploads), Duration::from_micros(dice.below(60_000)));
    let (written, is_deleted) = std::thread::scope(|scope| {
        let count = &acknowledged;
        let writers: Vec<_> = (0..args.writers)
            .map(|writer| scope.spawn(move || write(server, round, writer, count)))
            .collect();
        let started = now();
        let wait_for = |wanted: u64| {
            while count.load(Ordering::SeqCst) < wanted && started.elapsed() < ROUND_LIMIT {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        wait_for(enough);
        // Of what is being uploaded meanwhile nobody can say on which side it was.
        let deletes = round % 3 == 1;
        let is_deleted =
            deletes.then(|| delete(&Client::new(), server, &format!("round-{}", round - 1)));
        std::thread::sleep(wait);
        figures(server, done);
        let id = nix::unistd::Pid::from_raw(server.child.id().cast_signed());
        let killed = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
        let written: Vec<Written> = writers.into_iter().filter_map(|one| one.join().ok()).collect();
        (killed.map(|()| written), is_deleted)
    });
    if let Some(result) = is_deleted {
        let service = format!("round-{}", round - 1);
        if result.is_ok() {
            done.deleted += known.forget(&service);
        } else {
            known.doubtful.insert(service);
        }
    }
    let written = written.context("cannot kill the server")?;
    ensure!(acknowledged.load(Ordering::SeqCst) >= enough, "uploads are not acknowledged");
    for (sent, unanswered) in written {
        for (upload, ids) in sent {
            known.take(&upload, ids)?;
        }
        known.unanswered.extend(unanswered);
    }
    Ok(())
}

/// Adds up what this server did, just before its end.
fn figures(server: &Server, done: &mut Figures) {
    let Ok((_, text)) = Client::new().get(&format!("{}/metrics", server.url)) else { return };
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0) as u64
    };
    done.flushes += of("vesta_store_flushes_total");
    done.compactions += of("vesta_store_compactions_total");
    done.rewrites += of("vesta_store_rewrites_total");
}
