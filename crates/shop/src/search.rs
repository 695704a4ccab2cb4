//! `/search?q=`: slow because the pattern is compiled anew for every product and every description
//! is scanned from the start. The fix would be an index, or compiling once.

use crate::catalogue::Product;

/// Products whose description matches `pattern` (`*` stands for anything), best first.
#[inline(never)]
pub(crate) fn search_catalogue<'a>(products: &'a [Product], pattern: &str) -> Vec<&'a str> {
    products
        .iter()
        .filter(|product| {
            let tokens = compile_pattern(pattern);
            scan_description(product.description.as_bytes(), &tokens)
        })
        .map(|product| product.name.as_str())
        .take(20)
        .collect()
}

/// One step of a compiled pattern.
enum Token {
    Literal(u8),
    Anything,
}

/// The needless part: this depends on the query only, yet it runs once a product.
#[inline(never)]
fn compile_pattern(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for byte in pattern.to_lowercase().bytes() {
        tokens.push(if byte == b'*' { Token::Anything } else { Token::Literal(byte) });
    }
    tokens
}

/// Tries the pattern at each position of the text in turn.
#[inline(never)]
fn scan_description(text: &[u8], tokens: &[Token]) -> bool {
    (0..text.len()).any(|start| matches_at(&text[start..], tokens))
}

fn matches_at(text: &[u8], tokens: &[Token]) -> bool {
    match tokens {
        [] => true,
        [Token::Literal(byte), rest @ ..] => {
            text.first().is_some_and(|c| c.eq_ignore_ascii_case(byte))
                && matches_at(&text[1..], rest)
        }
        [Token::Anything, rest @ ..] => {
            (0..=text.len()).any(|skip| matches_at(&text[skip..], rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_matches_and_nothing_else() {
        let mut goods = crate::catalogue::make(1);
        goods.truncate(50);
        goods[7].description = "A purple Zeppelin with a basket".into();
        assert_eq!(search_catalogue(&goods, "zeppelin*basket"), [goods[7].name.as_str()]);
        assert!(search_catalogue(&goods, "submarine").is_empty());
    }
}
