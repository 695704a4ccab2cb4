//! Tables as text with commas between cells (RFC 4180).

/// Adds a row. Cells that a spreadsheet would take for formulas begin with an apostrophe: names come
/// from anywhere.
pub(crate) fn row(text: &mut String, cells: &[&str]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let is_number = cell.parse::<i64>().is_ok();
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
        let needs_quotes = cell.contains(['"', ',', '\r', '\n']);
        if needs_quotes {
            text.push('"');
        }
        if is_formula {
            text.push('\'');
        }
        if needs_quotes {
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells_are_quoted_where_they_must_be_and_never_formulas() {
        let mut text = String::new();
        super::row(&mut text, &["a", "b,\"c\"", "", "=1+1", "-5", "-f()", "@x,y", "two\nlines"]);
        let wanted = "a,\"b,\"\"c\"\"\",,'=1+1,-5,'-f(),\"'@x,y\",\"two\nlines\"\r\n";
        assert_eq!(text, wanted);
    }
}
