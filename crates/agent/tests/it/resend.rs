//! A server that fails first gets the same batch again, and the last one at the end.

use crate::decode::Decoded;
use crate::support::{Running, agent, alone};
use flate2::read::GzDecoder;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Answers 503 to the first `failures` requests and 200 to the rest; hands out all bodies.
fn server(failures: usize) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut head = String::new();
            while stream.read_line(&mut head).expect("a line") > 2 {}
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let mut body = vec![0; length.expect("a length")];
            stream.read_exact(&mut body).expect("a body");
            let status = if number < failures { "503 No" } else { "200 OK" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).expect("written");
            if sender.send((head, body)).is_err() {
                break;
            }
        }
    });
    (address, bodies)
}

#[test]
fn a_failed_batch_is_sent_again_and_the_last_is_flushed() {
    let _alone = alone();
    let busy = Running::start(Command::new("sh").args(["-c", "while true; do :; done"]));
    let (address, bodies) = server(2);
    let endpoint = format!("http://{address}");
    let mut command = agent();
    command.args(["--pid", &busy.pid(), "--endpoint", &endpoint, "--token", "secret"]);
    let mut running = Running(command.stderr(Stdio::null()).spawn().expect("the agent starts"));
    let next = || bodies.recv_timeout(Duration::from_secs(10)).expect("a request in time");
    let (head, first) = next();
    assert!(head.starts_with("POST /v1development/profiles "), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer secret"), "{head}");
    assert_eq!(next().1, first, "the second attempt sends the same batch");
    assert_eq!(next().1, first, "the third attempt sends the same batch");
    let status = Command::new("kill").arg(running.0.id().to_string()).status().expect("kill runs");
    assert!(status.success());
    let (_, last) = next();
    assert_ne!(last, first, "what was left is sent at the end");
    assert!(running.0.wait().expect("it ends").success());
    let mut bytes = Vec::new();
    GzDecoder::new(&first[..]).read_to_end(&mut bytes).expect("gzip");
    let decoded = Decoded::read(&bytes);
    let samples: u64 = decoded.0.iter().map(crate::decode::Process::total).sum();
    assert!(samples > 0);
}

#[test]
fn an_unreachable_server_is_reported_at_the_end() {
    let _alone = alone();
    let busy = Running::start(Command::new("sh").args(["-c", "while true; do :; done"]));
    let mut command = agent();
    command.args(["--pid", &busy.pid(), "--endpoint", "http://127.0.0.1:9", "--duration", "0.5"]);
    let run = command.output().expect("the agent runs");
    assert!(!run.status.success());
    let log = String::from_utf8_lossy(&run.stderr);
    assert!(log.contains("could not be delivered"), "{log}");
}
