//! A flame graph as one static SVG: no script, every text escaped, titles as tooltips.

use crate::flame::Flame;
use std::fmt::Write;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 18.0;
const HEAD: f64 = 28.0;
/// Narrower boxes are left out.
const BOX_WIDTH_MIN: f64 = 0.3;
/// Width of a character of the font, about.
const CHARACTER: f64 = 6.6;
/// Deeper rows are left out.
const ROWS_MAX: u16 = 512;

/// The picture.
pub(crate) fn render(flame: &Flame, title: &str) -> String {
    let whole = flame.total.first().copied().unwrap_or(0).max(1) as f64;
    let scale = WIDTH / whole;
    let boxes = place(flame, scale);
    let rows = boxes.iter().map(|one| one.depth).max().unwrap_or(0) + 1;
    let height = HEAD + f64::from(rows) * ROW + 4.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"6\" y=\"18\" font-size=\"14\">{}</text>\n",
        escape(title)
    );
    for one in &boxes {
        write_box(&mut text, flame, one, whole);
    }
    text.push_str("</svg>\n");
    text
}

struct Box {
    at: usize,
    depth: u16,
    x: f64,
    width: f64,
}

/// Where each node goes: children side by side under their parent.
fn place(flame: &Flame, scale: f64) -> Vec<Box> {
    let mut boxes = Vec::new();
    // Where the next child of each open node begins.
    let mut next: Vec<f64> = vec![0.0];
    for at in 0..flame.len() {
        let depth = flame.depth[at];
        next.truncate(usize::from(depth) + 1);
        let Some(x) = next.last().copied() else { continue };
        let width = flame.total[at].max(0) as f64 * scale;
        if let Some(last) = next.last_mut() {
            *last += width;
        }
        next.push(x);
        if width >= BOX_WIDTH_MIN && depth < ROWS_MAX {
            boxes.push(Box { at, depth, x, width });
        }
    }
    boxes
}

fn write_box(text: &mut String, flame: &Flame, one: &Box, whole: f64) {
    let name = flame.label(one.at);
    let value = stdx::units::format_value(flame.total[one.at], &flame.meta.unit);
    let share = flame.total[one.at] as f64 / whole * 100.0;
    let y = HEAD + f64::from(one.depth) * ROW;
    let _ = write!(
        text,
        "<g><title>{}: {value} ({share:.2} %)</title>\
         <rect x=\"{:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{:.1}\" rx=\"1\" fill=\"{}\"/>",
        escape(&name),
        one.x,
        (one.width - 0.5).max(0.2),
        ROW - 1.0,
        colour(&name)
    );
    let room = ((one.width - 6.0) / CHARACTER).max(0.0) as usize;
    if room >= 3 {
        let shown: String = if name.chars().count() > room {
            name.chars().take(room - 1).chain(['…']).collect()
        } else {
            name
        };
        let _ = write!(
            text,
            "<text x=\"{:.2}\" y=\"{:.1}\">{}</text>",
            one.x + 3.0,
            y + 12.5,
            escape(&shown)
        );
    }
    text.push_str("</g>\n");
}

/// A warm colour that a name always gets.
fn colour(name: &str) -> String {
    let hash =
        name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("hsl({},{}%,{}%)", 15 + hash % 40, 60 + hash / 40 % 25, 62 + hash / 1000 % 14)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_boxes_lie_inside_their_parents() {
        let flame = Flame {
            names: ["total", "<script>"].map(str::to_owned).to_vec(),
            depth: vec![0, 1, 1],
            name: vec![0, 1, 1],
            total: vec![10, 6, 4],
            own: vec![0, 6, 4],
            ..Flame::default()
        };
        let svg = render(&flame, "a & b");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"));
        assert!(svg.contains("a &amp; b"));
        let boxes = place(&flame, WIDTH / 10.0);
        let at: Vec<_> = boxes.iter().map(|one| (one.x as i64, one.width as i64)).collect();
        assert_eq!(at, [(0, 1200), (0, 720), (720, 480)]);
    }
}
