//! `/report`: slow because it allocates a string for every cell, copies the growing page for every
//! row, and then serialises the same rows to JSON as well.

use crate::catalogue::Product;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    price: String,
    words: Vec<String>,
}

/// The page and its JSON twin, as one text.
#[inline(never)]
pub(crate) fn build_report(products: &[Product]) -> String {
    let rows: Vec<Row> = products.iter().map(build_row).collect();
    let mut report = render_table(&rows);
    report.push_str(&serialise_rows(&rows));
    report
}

#[inline(never)]
fn build_row(product: &Product) -> Row {
    Row {
        id: product.id.to_string(),
        name: product.name.to_uppercase(),
        price: format_price(product.price_cents),
        words: product.description.split(' ').map(str::to_owned).collect(),
    }
}

#[inline(never)]
fn format_price(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

/// Copies the page so far once a row: quadratic, and all of it allocation and memory copying.
#[inline(never)]
fn render_table(rows: &[Row]) -> String {
    rows.iter().fold(String::new(), |page, row| {
        format!("{page}<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", row.id, row.name, row.price)
    })
}

#[inline(never)]
fn serialise_rows(rows: &[Row]) -> String {
    serde_json::to_string_pretty(rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_product_is_in_the_table_and_in_the_json() {
        let goods = crate::catalogue::make(1);
        let report = super::build_report(&goods[..10]);
        assert_eq!(report.matches("<tr>").count(), 10);
        let json = &report[report.find('[').unwrap()..];
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(json).unwrap().as_array().unwrap().len(),
            10
        );
        assert_eq!(super::format_price(1205), "12.05 EUR");
    }
}
