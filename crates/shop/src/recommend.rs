//! `/recommend`: slow because it compares every product of a range with every other one.

use crate::catalogue::{Product, TRAITS};

/// The most alike pairs of products among `range`, best first.
#[inline(never)]
pub(crate) fn recommend_pairs(range: &[Product]) -> Vec<(usize, usize)> {
    let mut scored = score_all_pairs(range);
    rank_pairs(&mut scored);
    scored.into_iter().take(10).map(|(_, a, b)| (a, b)).collect()
}

/// Quadratic in the number of products.
#[inline(never)]
fn score_all_pairs(range: &[Product]) -> Vec<(f32, usize, usize)> {
    let mut scored = Vec::new();
    for (i, a) in range.iter().enumerate() {
        for b in &range[i + 1..] {
            let similarity = cosine_similarity(&a.traits, &b.traits);
            if similarity > 0.9 {
                scored.push((similarity, a.id, b.id));
            }
        }
    }
    scored
}

#[inline(never)]
fn cosine_similarity(a: &[f32; TRAITS], b: &[f32; TRAITS]) -> f32 {
    let (mut dot, mut norm_a, mut norm_b) = (0.0_f32, 0.0_f32, 0.0_f32);
    for i in 0..TRAITS {
        dot += a[i] * b[i];
        norm_a += a[i] * a[i];
        norm_b += b[i] * b[i];
    }
    dot / (norm_a.sqrt() * norm_b.sqrt()).max(f32::EPSILON)
}

#[inline(never)]
fn rank_pairs(scored: &mut [(f32, usize, usize)]) {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_come_first() {
        let mut goods = crate::catalogue::make(1);
        goods.truncate(40);
        goods[31].traits = goods[5].traits;
        assert_eq!(recommend_pairs(&goods)[0], (5, 31));
        assert!(recommend_pairs(&goods[..1]).is_empty());
    }
}
