//! Uploads through the real port: generated profiles of fifty services, amplified captures, or as
//! many large ones as the server takes. Speaks just enough HTTP/1.1 to see every answer.

use crate::Failure;
use crate::input::{self, Arguments};
use profile::Profile;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use stdx::{Clock, SystemClock};
use testkit::amplify::{Amplifier, Spread};
use testkit::load::Load;

/// Uploads encoded ahead of the writers.
const AHEAD: usize = 64;
/// The longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);

/// How often each status was answered; 0 stands for a connection closed without one.
#[derive(Debug, Default)]
struct Tally {
    statuses: BTreeMap<u16, u64>,
    /// Refusals that do not say when to come again.
    hintless: u64,
    samples: u64,
    bytes: u64,
}

struct Upload {
    path: String,
    body: Vec<u8>,
    samples: u64,
}

/// Sends what was asked for; the last line printed is for programs to read.
pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.value("--to").ok_or("--to HOST:PORT is missing")?;
    let writers: usize = arguments.number("--writers", 8)?;
    let profiles: usize = arguments.number("--profiles", 2_000)?;
    let stacks: usize = arguments.number("--stacks", 20_000)?;
    let overload: u64 = arguments.number("--overload", 0)?;
    let clock = SystemClock::new();
    let start = clock.now().plus_nanos(-2 * 3_600 * 1_000_000_000);
    let load = Load { start, ..Load::as_compared(stacks) };
    let files = arguments.rest()?;
    let tally = if overload > 0 {
        let body = large(load)?;
        println!("{writers} writers of a profile of {} bytes for {overload} s", body.body.len());
        let end = clock.monotonic() + Duration::from_secs(overload);
        let body = Arc::new(body);
        write_all(&address, writers, |_| {
            let (body, clock) = (Arc::clone(&body), &clock);
            Box::new(move || (clock.monotonic() < end).then(|| Arc::clone(&body)))
        })
    } else {
        let (sender, receiver) = mpsc::sync_channel::<Arc<Upload>>(AHEAD);
        let receiver = Arc::new(Mutex::new(receiver));
        std::thread::scope(|scope| {
            let producer = scope.spawn(move || produce(load, &files, profiles, &sender));
            let tally = write_all(&address, writers, |_| {
                let receiver = Arc::clone(&receiver);
                Box::new(move || {
                    let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                    receiver.recv().ok()
                })
            });
            producer.join().map_err(|_| "making profiles panicked")??;
            Ok::<_, Failure>(tally)
        })?
    };
    let statuses: Vec<String> =
        tally.statuses.iter().map(|(status, count)| format!("{status}:{count}")).collect();
    let Tally { hintless, samples, bytes, .. } = tally;
    println!("samples={samples} bytes={bytes} hintless={hintless} {}", statuses.join(" "));
    Ok(())
}

type Source<'a> = Box<dyn FnMut() -> Option<Arc<Upload>> + Send + 'a>;

/// Each writer sends what its source gives until that ends.
fn write_all<'a>(address: &str, writers: usize, source: impl Fn(usize) -> Source<'a>) -> Tally {
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for writer in 0..writers.max(1) {
            let (mut source, tally) = (source(writer), &tally);
            scope.spawn(move || {
                let mut connection = None;
                while let Some(upload) = source() {
                    let answer = send(&mut connection, address, &upload);
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.count(answer.ok(), &upload);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn count(&mut self, answer: Option<(u16, bool)>, upload: &Upload) {
        let (status, has_hint) = answer.unwrap_or_default();
        *self.statuses.entry(status).or_default() += 1;
        if (200..300).contains(&status) {
            self.samples += upload.samples;
            self.bytes += upload.body.len() as u64;
        } else if !has_hint {
            self.hintless += 1;
        }
    }
}

fn produce(
    load: Load,
    files: &[String],
    count: usize,
    sender: &mpsc::SyncSender<Arc<Upload>>,
) -> Result<(), String> {
    let made: Box<dyn Iterator<Item = Profile>> = if files.is_empty() {
        Box::new(load.profiles())
    } else {
        let mut captured = Vec::new();
        for file in files {
            captured.extend(input::of_file(file).map_err(|error| error.to_string())?);
        }
        let (start, seed) = (load.start, load.seed);
        let spread = Spread { services: 50, instances: 4, growth: 0.7, start, seed };
        Box::new(Amplifier::new(captured, spread))
    };
    for profile in made.take(count) {
        if sender.send(Arc::new(upload(&profile))).is_err() {
            break;
        }
    }
    Ok(())
}

fn upload(profile: &Profile) -> Upload {
    let pairs = profile.labels.iter().map(|(name, value)| match name {
        "service_name" => format!("service_name={value}"),
        // Where an upload comes from is the server's to say.
        "source" => String::new(),
        _ => format!("label={name}={value}"),
    });
    let pairs: Vec<String> = pairs.filter(|pair| !pair.is_empty()).collect();
    let encode = |text: String| text.replace('%', "%25").replace(' ', "%20").replace('+', "%2B");
    Upload {
        path: format!("/api/v1/profiles?{}", encode(pairs.join("&"))),
        body: formats::pprof::encode_gzip(profile),
        samples: profile.samples.len() as u64,
    }
}

/// A profile whose compressed body has about a megabyte.
fn large(load: Load) -> Result<Upload, Failure> {
    let mut samples = 15_000;
    loop {
        let load = Load { samples: (samples, samples), ..load };
        let profile = load.profiles().next().ok_or("no services")?;
        let upload = upload(&profile);
        if upload.body.len() >= 1_000_000 || samples > 200_000 {
            return Ok(upload);
        }
        samples += samples / 4;
    }
}

/// Status of the answer, and whether it says when to come again.
fn send(
    connection: &mut Option<BufReader<TcpStream>>,
    address: &str,
    upload: &Upload,
) -> Result<(u16, bool), Failure> {
    let result = exchange(connection, address, upload);
    if !matches!(result, Ok((_, _, true))) {
        *connection = None;
    }
    result.map(|(status, has_hint, _)| (status, has_hint))
}

fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: &str,
    upload: &Upload,
) -> Result<(u16, bool, bool), Failure> {
    if connection.is_none() {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        *connection = Some(BufReader::new(stream));
    }
    let reader = connection.as_mut().ok_or("no connection")?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/octet-stream\r\n\
         content-length: {}\r\n\r\n",
        upload.path,
        upload.body.len()
    );
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    // A server that refuses early may stop reading; its answer is there all the same.
    let written = stream.write_all(&upload.body);
    let (status, has_hint, length) = head_of(reader)?;
    let Some(length) = length.filter(|_| written.is_ok()) else {
        return Ok((status, has_hint, false));
    };
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    Ok((status, has_hint, true))
}

fn head_of(reader: &mut BufReader<TcpStream>) -> Result<(u16, bool, Option<u64>), Failure> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or("closed without a status")?.trim().parse()?;
    let (mut has_hint, mut length) = (false, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "retry-after" => has_hint = true,
            "content-length" => length = value.trim().parse().ok(),
            _ => {}
        }
    }
    Ok((status, has_hint, length))
}
