//! `/checkout`: slow under load because every request prices its basket while holding one lock.
//! The time goes into waiting, which a CPU profile shows only as short work under the lock.

use crate::catalogue::Product;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Stock and takings, all behind one lock.
#[derive(Debug, Default)]
pub(crate) struct Till {
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    sold: BTreeMap<usize, u64>,
    takings_cents: u64,
}

impl Till {
    /// Prices the basket and books it; returns its price in cents.
    #[inline(never)]
    pub(crate) fn checkout(&self, products: &[Product], basket: &[usize]) -> u64 {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let price_cents = price_basket_under_lock(products, basket);
        for id in basket {
            *ledger.sold.entry(*id).or_default() += 1;
        }
        ledger.takings_cents = ledger.takings_cents.wrapping_add(price_cents);
        price_cents
    }
}

/// The best price over all ways of splitting the basket at a discount, the slow way.
#[inline(never)]
fn price_basket_under_lock(products: &[Product], basket: &[usize]) -> u64 {
    let prices: Vec<u64> = basket
        .iter()
        .filter_map(|id| products.get(*id))
        .map(|product| product.price_cents)
        .collect();
    let splits = 1_u64 << prices.len().min(14);
    (0..splits).map(|split| price_of_split(&prices, split)).min().unwrap_or(0)
}

/// Items whose bit is set are bought together, at a tenth off from three items on.
#[inline(never)]
fn price_of_split(prices: &[u64], split: u64) -> u64 {
    let (mut together, mut alone, mut count) = (0, 0, 0);
    for (bit, price) in prices.iter().enumerate() {
        if split >> bit & 1 == 1 {
            together += price;
            count += 1;
        } else {
            alone += price;
        }
    }
    if count >= 3 { together * 9 / 10 + alone } else { together + alone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_basket_together_is_cheapest_from_three_items_on() {
        let goods = crate::catalogue::make(1);
        let till = Till::default();
        let sum = |ids: &[usize]| ids.iter().map(|id| goods[*id].price_cents).sum::<u64>();
        assert_eq!(till.checkout(&goods, &[1, 2]), sum(&[1, 2]));
        assert_eq!(till.checkout(&goods, &[1, 2, 3, 4]), sum(&[1, 2, 3, 4]) * 9 / 10);
        assert_eq!(till.ledger.lock().unwrap().sold[&1], 2);
    }
}
