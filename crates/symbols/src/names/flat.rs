//! Functions that lie within each other, as one row of addresses without overlaps.

use crate::limits;
use rustc_hash::FxHashMap;

/// The addresses of a function, or of one that was inlined `depth` deep into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) depth: u32,
    pub(crate) function: u32,
}

/// Addresses at which one chain of functions runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) chain: u32,
}

/// Chains of functions as a tree: the chain it is inlined into, and a function. Row 0 is none.
#[derive(Debug)]
pub(crate) struct Chains {
    pub(crate) rows: Vec<(u32, u32)>,
    known: FxHashMap<(u32, u32), u32>,
}

impl Default for Chains {
    fn default() -> Self {
        Self { rows: vec![(0, 0)], known: FxHashMap::default() }
    }
}

impl Chains {
    pub(crate) fn intern(&mut self, outer: u32, function: u32) -> u32 {
        let rows = &mut self.rows;
        *self.known.entry((outer, function)).or_insert_with(|| {
            rows.push((outer, function));
            rows.len() as u32 - 1
        })
    }
}

/// Lays extents out. One that does not lie within an extent of the depth above it is left out; of
/// two functions at one address the first wins.
pub(crate) fn flatten(mut extents: Vec<Extent>, chains: &mut Chains) -> Vec<Piece> {
    extents.retain(|it| it.start < it.end && it.depth as usize <= limits::INLINES_MAX);
    extents.sort_by_key(|it| (it.start, it.depth, std::cmp::Reverse(it.end)));
    let mut out = Pieces::default();
    let mut open: Vec<(u64, u32)> = Vec::new();
    for extent in extents {
        out.close(&mut open, extent.start);
        if open.len() != extent.depth as usize {
            continue;
        }
        let (end, outer) =
            open.last().map_or((extent.end, 0), |top| (extent.end.min(top.0), top.1));
        out.reach(extent.start, outer);
        let chain = chains.intern(outer, extent.function);
        open.push((end, chain));
    }
    out.close(&mut open, u64::MAX);
    out.pieces
}

#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    /// Up to here everything is written.
    at: u64,
}

impl Pieces {
    /// Writes `chain` up to `end`.
    fn reach(&mut self, end: u64, chain: u32) {
        if chain != 0 && self.at < end {
            match self.pieces.last_mut() {
                Some(last) if last.end == self.at && last.chain == chain => last.end = end,
                _ => self.pieces.push(Piece { start: self.at, end, chain }),
            }
        }
        self.at = self.at.max(end);
    }

    /// Ends what does not reach beyond `start`.
    fn close(&mut self, open: &mut Vec<(u64, u32)>, start: u64) {
        while let Some(&(end, chain)) = open.last() {
            if end > start {
                return;
            }
            self.reach(end, chain);
            open.pop();
        }
    }
}

/// Puts pieces of `more` where `have` has none; both are sorted and without overlaps.
pub(crate) fn fill(have: Vec<Piece>, more: &[Piece]) -> Vec<Piece> {
    if have.is_empty() {
        return more.to_vec();
    }
    let mut out = Vec::with_capacity(have.len() + more.len());
    let mut more = more.iter().copied().peekable();
    let mut free = 0_u64;
    let mut gap = |free: u64, until: u64, out: &mut Vec<Piece>| {
        while let Some(piece) = more.peek_mut() {
            if piece.start >= until {
                break;
            }
            let (start, end) = (piece.start.max(free), piece.end.min(until));
            if start < end {
                out.push(Piece { start, end, ..*piece });
            }
            if piece.end > until {
                piece.start = until;
                break;
            }
            more.next();
        }
    };
    for piece in have {
        gap(free, piece.start, &mut out);
        free = piece.end;
        out.push(piece);
    }
    gap(free, u64::MAX, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: u64, end: u64, depth: u32, function: u32) -> Extent {
        Extent { start, end, depth, function }
    }

    /// Pieces with the functions at them, outermost first.
    fn shown(pieces: &[Piece], chains: &Chains) -> Vec<(u64, u64, Vec<u32>)> {
        let row = |piece: &Piece| {
            let (mut functions, mut at) = (Vec::new(), piece.chain);
            while at != 0 {
                let (outer, function) = chains.rows[at as usize];
                functions.push(function);
                at = outer;
            }
            functions.reverse();
            (piece.start, piece.end, functions)
        };
        pieces.iter().map(row).collect()
    }

    #[test]
    fn inlined_functions_split_the_ones_around_them() {
        let mut chains = Chains::default();
        let extents = vec![
            extent(10, 50, 0, 1),
            extent(20, 40, 1, 2),
            extent(25, 30, 2, 3),
            extent(40, 45, 1, 4),
            extent(60, 70, 0, 5),
        ];
        let pieces = flatten(extents, &mut chains);
        let wanted = vec![
            (10, 20, vec![1]),
            (20, 25, vec![1, 2]),
            (25, 30, vec![1, 2, 3]),
            (30, 40, vec![1, 2]),
            (40, 45, vec![1, 4]),
            (45, 50, vec![1]),
            (60, 70, vec![5]),
        ];
        assert_eq!(shown(&pieces, &chains), wanted);
    }

    #[test]
    fn what_contradicts_itself_is_left_out() {
        let mut chains = Chains::default();
        let extents = vec![
            extent(10, 30, 0, 1),
            extent(10, 30, 0, 2),
            extent(20, 40, 0, 3),
            extent(25, 90, 1, 4),
            extent(95, 99, 1, 5),
            extent(8, 8, 0, 6),
        ];
        let pieces = flatten(extents, &mut chains);
        let wanted = vec![(10, 25, vec![1]), (25, 30, vec![1, 4])];
        assert_eq!(shown(&pieces, &chains), wanted);
    }

    #[test]
    fn gaps_are_filled_and_nothing_else() {
        let piece = |start, end, chain| Piece { start, end, chain };
        let have = vec![piece(10, 20, 1), piece(30, 40, 2)];
        let more = [piece(5, 12, 7), piece(15, 35, 8), piece(50, 60, 9)];
        let wanted = [
            piece(5, 10, 7),
            piece(10, 20, 1),
            piece(20, 30, 8),
            piece(30, 40, 2),
            piece(50, 60, 9),
        ];
        assert_eq!(fill(have, &more), wanted);
        assert_eq!(fill(Vec::new(), &more), more);
    }
}
