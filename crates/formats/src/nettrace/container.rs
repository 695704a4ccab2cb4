//! The blocks of a file, in both containers: objects with names (versions 4 and 5, all of .NET from
//! 3.0), and plain blocks (version 6).

use super::input::Input;
use crate::decoded::{IssueKind, Issues};

/// What each file begins with.
pub(crate) const MAGIC: &[u8] = b"Nettrace";
/// What the older files begin with, which .NET Core 2 wrote.
pub(crate) const NETPERF_MAGIC: &[u8] = b"\x14\0\0\0!FastSerialization.1";
const NULL: u8 = 1;
const BEGIN: u8 = 5;
const END: u8 = 6;
/// Blocks of named objects begin at multiples of so many bytes of the file.
const ALIGNMENT: usize = 4;
/// The trace object has no length.
const TRACE_BYTES: usize = 48;
const NEWEST: u32 = 6;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// What the first block says about the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) is_plain: bool,
    /// Since the epoch.
    pub(super) start_nanos: i64,
    start_ticks: i64,
    ticks_per_second: i64,
    /// 4 or 8.
    pub(super) pointer_bytes: usize,
    /// The process that was traced; 0 when unknown.
    pub(super) process: u64,
    pub(super) cpu_count: Option<u32>,
    /// Nanoseconds between samples; 0 when unknown.
    pub(super) interval: i64,
}

impl Header {
    /// The nanoseconds of so many ticks.
    pub(super) fn nanos(&self, ticks: i64) -> i64 {
        let per_second = i128::from(self.ticks_per_second.max(1));
        stdx::saturate(i128::from(ticks) * NANOS_PER_SECOND / per_second)
    }

    /// When a tick was, since the epoch.
    pub(super) fn time(&self, ticks: i64) -> i64 {
        self.start_nanos.saturating_add(self.nanos(ticks.saturating_sub(self.start_ticks)))
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Trace,
    Events,
    Types,
    SequencePoint,
    Stacks,
    Threads,
    LeavingThreads,
    Labels,
    Unknown,
}

/// A block, and where its bytes begin in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) content: Content,
    pub(super) at: usize,
    pub(super) bytes: &'a [u8],
}

/// Walks blocks up to the end or to damage.
#[derive(Clone, Debug)]
pub(super) struct Blocks<'a> {
    file: &'a [u8],
    at: usize,
    is_plain: bool,
    is_over: bool,
    damage: Option<String>,
}

/// Reads what a file begins with. `None`, and an issue, where that is not one that is read.
pub(super) fn open<'a>(file: &'a [u8], issues: &mut Issues) -> Option<(Header, Blocks<'a>)> {
    let mut blocks = match beginning(file) {
        Ok(blocks) => blocks,
        Err(problem) => {
            issues.add(IssueKind::UnknownFormat, || problem);
            return None;
        }
    };
    let header = blocks.next().filter(|block| block.content == Content::Trace);
    let header = header.and_then(|block| header_of(block.bytes, blocks.is_plain));
    if header.is_none() {
        issues.add(IssueKind::Damage, || {
            let at = blocks.at;
            format!("what the file says about itself is damaged or cut off, up to {at}: not read")
        });
    }
    header.map(|header| (header, blocks))
}

fn beginning(file: &[u8]) -> Result<Blocks<'_>, String> {
    if file.starts_with(NETPERF_MAGIC) {
        return Err(
            "a file of .NET Core 2 (netperf): nettrace files of .NET Core 3.0 and later are \
                    read"
                .to_owned(),
        );
    }
    let rest = file.strip_prefix(MAGIC).ok_or("no nettrace file")?;
    if rest.starts_with(NETPERF_MAGIC) {
        let at = MAGIC.len() + NETPERF_MAGIC.len();
        return Ok(Blocks { file, at, is_plain: false, is_over: false, damage: None });
    }
    let mut input = Input::new(rest);
    let numbers = [input.u32(), input.u32(), input.u32()];
    let [Some(0), Some(major), Some(_)] = numbers else {
        return Err("a nettrace file whose version cannot be read".to_owned());
    };
    if major != NEWEST {
        return Err(format!("a nettrace file of version {major}: versions 4 to {NEWEST} are read"));
    }
    let at = MAGIC.len() + input.at;
    Ok(Blocks { file, at, is_plain: true, is_over: false, damage: None })
}

fn header_of(bytes: &[u8], is_plain: bool) -> Option<Header> {
    let mut input = Input::new(bytes);
    let mut time = [0; 8];
    for part in &mut time {
        *part = i64::from(input.u16()?.cast_signed());
    }
    let mut header = Header {
        is_plain,
        start_nanos: nanos_of(time),
        start_ticks: input.u64()?.cast_signed(),
        ticks_per_second: input.u64()?.cast_signed(),
        pointer_bytes: if input.u32()? == 4 { 4 } else { 8 },
        ..Header::default()
    };
    if !is_plain {
        header.process = u64::from(input.u32()?);
        header.cpu_count = input.u32().filter(|count| *count > 0);
        header.interval = i64::from(input.u32()?);
        return Some(header);
    }
    for _ in 0..input.u32()? {
        let (Some(key), Some(value)) = (input.plain(), input.plain()) else { break };
        let (super::input::Text::Plain(key), super::input::Text::Plain(value)) = (key, value)
        else {
            break;
        };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
        let Some(number) = number else { continue };
        match key {
            b"ProcessId" => header.process = u64::from(number),
            b"HardwareThreadCount" => header.cpu_count = Some(number).filter(|count| *count > 0),
            b"ExpectedCPUSamplingRate" => header.interval = i64::from(number),
            _ => {}
        }
    }
    Some(header)
}

/// Since the epoch; of year, month, day of the week, day, hour, minute, second, millisecond.
fn nanos_of([year, month, _, day, hour, minute, second, milli]: [i64; 8]) -> i64 {
    // Days by years that begin in March, so that a leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    seconds.saturating_mul(1_000_000_000).saturating_add(milli * 1_000_000)
}

impl<'a> Blocks<'a> {
    /// What stopped them, when they were walked.
    pub(super) fn tell_damage(self, issues: &mut Issues) {
        if let Some(damage) = self.damage {
            issues.add(IssueKind::Damage, || damage);
        }
    }

    fn plain(&mut self, input: &mut Input<'a>) -> Option<Block<'a>> {
        let head = input.u32()?;
        let content = match head >> 24 {
            0 => {
                self.is_over = true;
                return None;
            }
            1 => Content::Trace,
            2 => Content::Events,
            3 => Content::Types,
            4 => Content::SequencePoint,
            5 => Content::Stacks,
            6 => Content::Threads,
            7 => Content::LeavingThreads,
            8 => Content::Labels,
            _ => Content::Unknown,
        };
        Some(self.block(content, (head & 0xff_ffff) as usize, input))
    }

    fn object(&mut self, input: &mut Input<'a>) -> Option<Block<'a>> {
        match input.u8()? {
            NULL => {
                self.is_over = true;
                return None;
            }
            BEGIN => {}
            _ => return None,
        }
        let tags = input.take(2)?;
        let _versions = input.u64()?;
        let name = input.u32()? as usize;
        let name = input.take(name)?;
        if tags != [BEGIN, NULL] || input.u8()? != END {
            return None;
        }
        let content = match name {
            b"Trace" => Content::Trace,
            b"EventBlock" => Content::Events,
            b"MetadataBlock" => Content::Types,
            b"SPBlock" => Content::SequencePoint,
            b"StackBlock" => Content::Stacks,
            _ => Content::Unknown,
        };
        let size = if content == Content::Trace {
            TRACE_BYTES
        } else {
            let size = input.u32()? as usize;
            let at = self.at + input.at;
            input.take(at.next_multiple_of(ALIGNMENT) - at)?;
            size
        };
        let block = self.block(content, size, input);
        if !self.is_over && input.u8() != Some(END) {
            self.is_over = true;
            self.damage = Some(format!("the object at {} has no end: what follows is not read", {
                block.at
            }));
        }
        Some(block)
    }

    /// A block of so many bytes; the last one may be cut off.
    fn block(&mut self, content: Content, size: usize, input: &mut Input<'a>) -> Block<'a> {
        let at = self.at + input.at;
        let count = size.min(input.left());
        if count < size {
            self.is_over = true;
            self.damage = Some(format!(
                "the block at {at} says it has {size} bytes, there are {count}; these are read"
            ));
        }
        Block { content, at, bytes: input.take(count).unwrap_or_default() }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        if self.is_over {
            return None;
        }
        let mut input = Input::new(self.file.get(self.at..)?);
        let block = if self.is_plain { self.plain(&mut input) } else { self.object(&mut input) };
        if block.is_none() && !self.is_over {
            self.is_over = true;
            let (at, left) = (self.at, self.file.len() - self.at);
            // A trace that was stopped by a kill has no end.
            if left > 0 {
                self.damage = Some(format!("at {at} no block begins: {left} bytes are not read"));
            }
        }
        self.at += input.at;
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_since_the_epoch() {
        assert_eq!(nanos_of([1970, 1, 4, 1, 0, 0, 0, 0]), 0);
        let seconds = |time| nanos_of(time) / 1_000_000_000;
        assert_eq!(seconds([2020, 2, 6, 29, 23, 59, 59, 0]), 1_583_020_799);
        assert_eq!(seconds([2021, 6, 3, 9, 9, 48, 25, 902]), 1_623_232_105);
        assert_eq!(nanos_of([i64::from(i16::MAX); 8]), i64::MAX);
    }

    #[test]
    fn ticks_become_nanoseconds() {
        let header = Header {
            start_nanos: 5,
            start_ticks: 100,
            ticks_per_second: 3_000_000_000,
            ..Header::default()
        };
        assert_eq!(header.time(3_100), 1_005);
        assert_eq!(header.time(i64::MIN), header.time(i64::MIN), "saturates");
    }

    #[test]
    fn other_versions_are_refused_in_words() {
        for (file, words) in [
            (NETPERF_MAGIC.to_vec(), ".NET Core 2"),
            ([MAGIC, &[0; 4], &[9, 0, 0, 0], &[0; 4]].concat(), "version 9"),
            (MAGIC.to_vec(), "cannot be read"),
        ] {
            let mut issues = Issues::default();
            assert!(open(&file, &mut issues).is_none());
            let issues = issues.into_vec();
            assert!(issues[0].example.contains(words), "{issues:?}");
        }
    }
}
