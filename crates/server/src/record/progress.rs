//! How far a recording is: on a terminal one line that changes, otherwise a line now and then. A
//! command writes to the same terminal, so that its recording has lines of its own, too.

use crate::terminal::say;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Between two changes of the line on a terminal.
const STEP: Duration = Duration::from_secs(1);
/// Between two lines.
const LINE_STEP: Duration = Duration::from_secs(10);
/// Linux counts the CPU time of processes in hundredths of a second for everyone.
const TICKS_A_SECOND: u64 = 100;

/// Says how far it is whenever [`Progress::tick`] is waited for.
#[derive(Debug)]
pub(super) struct Progress {
    pid: u32,
    what: String,
    seconds: Option<f64>,
    in_place: bool,
    started: Instant,
    cpu_before: u64,
    interval: Interval,
}

impl Progress {
    /// Of `pid`, called `what`; `is_alone` when nothing else writes to the terminal.
    pub(super) fn new(pid: u32, what: String, seconds: Option<f64>, is_alone: bool) -> Self {
        let in_place = is_alone && std::io::stderr().is_terminal();
        let step = if in_place { STEP } else { LINE_STEP };
        let started = Instant::now();
        let mut interval = tokio::time::interval_at(started + step, step);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let cpu_before = cpu_ticks(pid).unwrap_or(0);
        Self { pid, what, seconds, in_place, started, cpu_before, interval }
    }

    /// Waits for the next moment to say something, and says it. Never ends by itself.
    pub(super) async fn run(&mut self) {
        loop {
            self.interval.tick().await;
            let text = self.text(self.started.elapsed(), cpu_ticks(self.pid));
            if self.in_place {
                // Nobody reads standard error: nothing to do about it.
                let _ = write!(std::io::stderr(), "\r\u{1b}[K{text}");
            } else {
                say(&text);
            }
        }
    }

    fn text(&self, elapsed: Duration, cpu_ticks: Option<u64>) -> String {
        let of = self.seconds.map_or(String::new(), |seconds| format!(" of {seconds}"));
        let cpu = cpu_ticks.map_or(String::new(), |ticks| {
            let used = ticks.saturating_sub(self.cpu_before) as f64 / TICKS_A_SECOND as f64;
            format!(", it used {used:.1} s of CPU")
        });
        format!("profiling {}: {}{of} s{cpu}", self.what, elapsed.as_secs())
    }

    /// Ends the line.
    pub(super) fn finish(&self) {
        if self.in_place {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
        say("writing what was recorded");
    }
}

/// CPU time of a process and those of its children that have ended.
fn cpu_ticks(pid: u32) -> Option<u64> {
    parse_cpu(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time, own and of ended children: fields 14 to 17 of `proc(5)`.
fn parse_cpu(stat: &str) -> Option<u64> {
    // The name, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields = rest.split_ascii_whitespace().skip(11).take(4);
    fields.map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_says_how_long_of_how_long_and_how_much_cpu() {
        let mut progress = Progress::new(std::process::id(), "sh".to_owned(), Some(30.0), true);
        progress.cpu_before = 100;
        let text = progress.text(Duration::from_millis(2300), Some(250));
        assert_eq!(text, "profiling sh: 2 of 30 s, it used 1.5 s of CPU");
        progress.seconds = None;
        assert_eq!(progress.text(Duration::from_secs(5), None), "profiling sh: 5 s");
    }

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4 0 0 0 0 11 22 33 44 20 0 1 0 5 0 0";
        assert_eq!(parse_cpu(stat), Some(110));
        assert_eq!(parse_cpu("7 (short) S 1"), Some(0));
        assert!(cpu_ticks(std::process::id()).is_some());
    }
}
