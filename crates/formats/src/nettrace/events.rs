//! The events of a block, and the rows that describe types of events in versions 4 and 5.

use super::container::Block;
use super::input::Input;

/// What a block's flags say.
const COMPRESSED: u16 = 1;
const HAS_TYPE: u8 = 1;
const HAS_CAPTURE: u8 = 2;
const HAS_THREAD: u8 = 4;
const HAS_STACK: u8 = 8;
const HAS_LABELS: u8 = 16;
const HAS_RELATED: u8 = 32;
const HAS_SIZE: u8 = 128;
const ID_BYTES: usize = 16;
const ALIGNMENT: usize = 4;
/// The highest bit of a type says that events are sorted.
const TYPE_MASK: u32 = 0x7fff_ffff;

/// An event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event<'a> {
    /// Where it begins in the file.
    pub(super) at: usize,
    /// A key of types; 0 for rows that describe types.
    pub(super) kind: u32,
    /// Counts the events of the capturing thread, lost ones too.
    pub(super) sequence: u32,
    /// Whom it is about: the system's id, or a key of threads (version 6).
    pub(super) thread: u64,
    /// Who wrote it.
    pub(super) capture: u64,
    /// A key of stacks; 0 without.
    pub(super) stack: u32,
    pub(super) ticks: i64,
    /// A key of label lists (version 6).
    pub(super) labels: u32,
    pub(super) payload: &'a [u8],
}

/// Walks the events of a block up to its end or to damage.
#[derive(Clone, Debug)]
pub(super) struct Events<'a> {
    input: Input<'a>,
    base: usize,
    is_plain: bool,
    is_compressed: bool,
    last: Event<'a>,
    payload_bytes: usize,
    /// Where they stopped before the end.
    pub(super) damage: Option<usize>,
}

impl<'a> Events<'a> {
    pub(super) fn new(block: &Block<'a>, is_plain: bool) -> Self {
        let mut input = Input::new(block.bytes);
        let mut events = Self {
            input,
            base: block.at,
            is_plain,
            is_compressed: false,
            last: Event::default(),
            payload_bytes: 0,
            damage: None,
        };
        let mut header = || {
            let size = usize::from(input.u16()?);
            let flags = input.u16()?;
            input.take(size.checked_sub(4)?)?;
            Some(flags)
        };
        match header() {
            Some(flags) => {
                events.is_compressed = flags & COMPRESSED != 0;
                events.input = input;
            }
            None => {
                events.damage = Some(block.at);
                events.input = Input::new(&[]);
            }
        }
        events
    }

    fn compressed(&mut self) -> Option<Event<'a>> {
        let input = &mut self.input;
        let mut event = Event { at: self.base + input.at, ..self.last };
        let flags = input.u8()?;
        if flags & HAS_TYPE != 0 {
            event.kind = input.varuint()? as u32;
        }
        if flags & HAS_CAPTURE != 0 {
            event.sequence = event.sequence.wrapping_add(input.varuint()? as u32);
            event.capture = input.varuint()?;
            let _processor = input.varuint()?;
        }
        if event.kind != 0 || self.is_plain {
            event.sequence = event.sequence.wrapping_add(1);
        }
        if flags & HAS_THREAD != 0 {
            event.thread = input.varuint()?;
        }
        if flags & HAS_STACK != 0 {
            event.stack = input.varuint()? as u32;
        }
        event.ticks = event.ticks.wrapping_add(input.varuint()?.cast_signed());
        if flags & HAS_LABELS != 0 {
            if self.is_plain {
                event.labels = input.varuint()? as u32;
            } else {
                input.take(ID_BYTES)?;
            }
        }
        if flags & HAS_RELATED != 0 && !self.is_plain {
            input.take(ID_BYTES)?;
        }
        if flags & HAS_SIZE != 0 {
            self.payload_bytes = usize::try_from(input.varuint()?).ok()?;
        }
        event.payload = input.take(self.payload_bytes)?;
        Some(event)
    }

    fn uncompressed(&mut self) -> Option<Event<'a>> {
        let at = self.base + self.input.at;
        let size = self.input.u32()? as usize;
        let mut row = self.input.part(size)?;
        // The next one begins aligned, whether or not the size says so.
        let padding = self.input.at.next_multiple_of(ALIGNMENT) - self.input.at;
        self.input.take(padding.min(self.input.left()))?;
        let mut event = Event { at, ..Event::default() };
        event.kind = row.u32()? & TYPE_MASK;
        event.sequence = row.u32()?;
        event.thread = row.u64()?;
        event.capture = row.u64()?;
        let _processor = row.u32()?;
        event.stack = row.u32()?;
        event.ticks = row.u64()?.cast_signed();
        if self.is_plain {
            event.labels = row.u32()?;
        } else {
            row.take(2 * ID_BYTES)?;
        }
        let payload_bytes = row.u32()? as usize;
        event.payload = row.take(payload_bytes)?;
        Some(event)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if self.input.left() == 0 || self.damage.is_some() {
            return None;
        }
        let at = self.base + self.input.at;
        let event = if self.is_compressed { self.compressed() } else { self.uncompressed() };
        match event {
            Some(event) => self.last = event,
            None => self.damage = Some(at),
        }
        event
    }
}
