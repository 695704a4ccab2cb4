//! A flame graph as one static SVG: no script, every text escaped, titles as tooltips.

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

/// What is drawn: the nodes of a flame graph in pre-order, the root first.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Above it.
    pub title: &'a str,
    /// Of the values.
    pub unit: &'a str,
    /// Distinct names.
    pub names: &'a [String],
    /// Name of each node.
    pub name: &'a [u32],
    /// Depth of each node; the root has 0.
    pub depth: &'a [u16],
    /// Value of each node with callees.
    pub total: &'a [i64],
}

impl Picture<'_> {
    fn label(&self, at: usize) -> &str {
        let name = self.name.get(at).and_then(|name| self.names.get(*name as usize));
        name.map_or("?", String::as_str)
    }
}

/// The picture.
pub fn render(picture: &Picture<'_>) -> String {
    let whole = picture.total.first().copied().unwrap_or(0).max(1) as f64;
    let scale = WIDTH / whole;
    let boxes = place(picture, scale);
    let rows = boxes.iter().map(|one| one.depth).max().unwrap_or(0) + 1;
    let height = HEAD + f64::from(rows) * ROW + 4.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"6\" y=\"18\" font-size=\"14\">{}</text>\n",
        escape(picture.title)
    );
    for one in &boxes {
        write_box(&mut text, picture, one, whole);
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
fn place(picture: &Picture<'_>, scale: f64) -> Vec<Box> {
    let mut boxes = Vec::new();
    // Where the next child of each open node begins.
    let mut next: Vec<f64> = vec![0.0];
    for (at, (&depth, &total)) in picture.depth.iter().zip(picture.total).enumerate() {
        next.truncate(usize::from(depth) + 1);
        let Some(x) = next.last().copied() else { continue };
        let width = total.max(0) as f64 * scale;
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

fn write_box(text: &mut String, picture: &Picture<'_>, one: &Box, whole: f64) {
    let (name, total) = (picture.label(one.at), picture.total[one.at]);
    let value = stdx::units::format_value(total, picture.unit);
    let share = total as f64 / whole * 100.0;
    let y = HEAD + f64::from(one.depth) * ROW;
    let _ = write!(
        text,
        "<g><title>{}: {value} ({share:.2} %)</title>\
         <rect x=\"{:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{:.1}\" rx=\"1\" fill=\"{}\"/>",
        escape(name),
        one.x,
        (one.width - 0.5).max(0.2),
        ROW - 1.0,
        colour(name)
    );
    let room = ((one.width - 6.0) / CHARACTER).max(0.0) as usize;
    if room >= 3 {
        let shown: String = if name.chars().count() > room {
            name.chars().take(room - 1).chain(['…']).collect()
        } else {
            name.to_owned()
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

/// Text that is nothing but text in XML, which knows no control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Whether a text is well-formed XML without comments and the like: elements are closed in order,
    /// and nothing else has a `<` or an unknown `&`.
    pub(crate) fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut parts = xml.split('<');
        assert_eq!(parts.next(), Some(""));
        for part in parts {
            let (tag, text) = part.split_once('>').expect("a tag ends");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("a name"));
            }
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            assert!(!open.is_empty() || text.trim().is_empty(), "{text:?} is outside");
            for reference in part.split('&').skip(1) {
                let known = ["lt;", "gt;", "amp;", "quot;", "#39;"];
                assert!(known.iter().any(|one| reference.starts_with(one)), "&{reference}");
            }
            assert!(!part.chars().any(|c| c.is_control() && c != '\n'), "{part:?}");
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn names_are_escaped_and_boxes_lie_inside_their_parents() {
        let odd = "</svg><script>&\"'\u{1b}\u{0}\u{ffff}";
        let picture = Picture {
            title: "a & b",
            unit: "count",
            names: &["total", odd].map(str::to_owned),
            name: &[0, 1, 1],
            depth: &[0, 1, 1],
            total: &[10, 6, 4],
        };
        let svg = render(&picture);
        assert_well_formed(&svg);
        assert!(svg.contains("&lt;script&gt;") && svg.contains("a &amp; b"));
        let boxes = place(&picture, WIDTH / 10.0);
        let at: Vec<_> = boxes.iter().map(|one| (one.x as i64, one.width as i64)).collect();
        assert_eq!(at, [(0, 1200), (0, 720), (720, 480)]);
    }
}
