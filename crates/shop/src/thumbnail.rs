//! `/thumbnail`: slow because it computes: paints a picture, blurs it and shrinks it.

/// Width and height of the picture before it is shrunk, in pixels.
const SIDE: usize = 400;
/// How far the blur reaches, in pixels.
const BLUR_RADIUS: usize = 5;
/// The thumbnail's side, in pixels.
const THUMB: usize = 32;

/// Grey values of the thumbnail of a product, row by row.
#[inline(never)]
pub(crate) fn make_thumbnail(id: usize) -> Vec<u8> {
    let picture = paint_picture(id);
    let blurred = blur_vertically(&blur_horizontally(&picture));
    shrink(&blurred)
}

#[inline(never)]
fn paint_picture(id: usize) -> Vec<u32> {
    (0..SIDE * SIDE).map(|i| ((i % SIDE) * (i / SIDE) + id * 37) as u32 & 0xff).collect()
}

#[inline(never)]
fn blur_horizontally(picture: &[u32]) -> Vec<u32> {
    let mut out = vec![0; picture.len()];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (from, to) = reach(x);
            let sum: u32 = picture[y * SIDE + from..y * SIDE + to].iter().sum();
            out[y * SIDE + x] = sum / (to - from) as u32;
        }
    }
    out
}

#[inline(never)]
fn blur_vertically(picture: &[u32]) -> Vec<u32> {
    let mut out = vec![0; picture.len()];
    for y in 0..SIDE {
        let (from, to) = reach(y);
        for x in 0..SIDE {
            let sum: u32 = (from..to).map(|row| picture[row * SIDE + x]).sum();
            out[y * SIDE + x] = sum / (to - from) as u32;
        }
    }
    out
}

fn reach(at: usize) -> (usize, usize) {
    (at.saturating_sub(BLUR_RADIUS), (at + BLUR_RADIUS + 1).min(SIDE))
}

#[inline(never)]
fn shrink(picture: &[u32]) -> Vec<u8> {
    let step = SIDE / THUMB;
    (0..THUMB * THUMB)
        .map(|i| picture[(i / THUMB * step) * SIDE + i % THUMB * step].min(255) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_an_even_picture_and_products_look_different() {
        assert!(blur_vertically(&blur_horizontally(&vec![9; SIDE * SIDE])).iter().all(|v| *v == 9));
        assert_eq!(make_thumbnail(1).len(), THUMB * THUMB);
        assert_ne!(make_thumbnail(1), make_thumbnail(2));
    }
}
