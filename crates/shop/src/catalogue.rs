//! The goods on sale: made from a seed, the same at every start.

use serde::Serialize;
use stdx::Rng;

/// How many products the shop sells.
pub(crate) const PRODUCTS: usize = 10_000;
/// How many traits a product is described by, for recommendations.
pub(crate) const TRAITS: usize = 24;

const ADJECTIVES: [&str; 12] = [
    "red",
    "quiet",
    "folding",
    "tiny",
    "heavy",
    "wooden",
    "electric",
    "vintage",
    "waterproof",
    "cheap",
    "golden",
    "left-handed",
];
const NOUNS: [&str; 12] = [
    "lamp", "kettle", "bicycle", "chair", "tent", "radio", "knife", "clock", "umbrella", "drill",
    "violin", "backpack",
];

/// One product.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Product {
    pub(crate) id: usize,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Price in cents.
    pub(crate) price_cents: u64,
    pub(crate) traits: [f32; TRAITS],
}

/// The whole range, ordered by id.
pub(crate) fn make(seed: u64) -> Vec<Product> {
    let mut rng = Rng::seeded(seed);
    (0..PRODUCTS).map(|id| make_product(id, &mut rng)).collect()
}

fn make_product(id: usize, rng: &mut Rng) -> Product {
    let name = format!("{} {} {id}", pick(&ADJECTIVES, rng), pick(&NOUNS, rng));
    let mut description = format!("A {name}, made for people who like a");
    for _ in 0..10 {
        description.push(' ');
        description.push_str(pick(&ADJECTIVES, rng));
        description.push(' ');
        description.push_str(pick(&NOUNS, rng));
    }
    let traits = std::array::from_fn(|_| rng.below(1_000) as f32 / 1_000.0);
    Product { id, name, description, price_cents: 500 + rng.below(50_000), traits }
}

fn pick<'a>(words: &[&'a str], rng: &mut Rng) -> &'a str {
    words[rng.below(words.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_seed_gives_the_same_goods() {
        let (a, b) = (super::make(3), super::make(3));
        assert_eq!(a.len(), super::PRODUCTS);
        assert_eq!(a[17].description, b[17].description);
        assert_ne!(a[17].description, super::make(4)[17].description);
    }
}
