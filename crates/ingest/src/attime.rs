//! Times in query strings: epoch numbers in seconds, milli-, micro- or nanoseconds by magnitude,
//! and `now`, `now-1h` (s, m or min, h, d, w).

use stdx::Timestamp;

/// The unit of a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// By magnitude, as Pyroscope's clients write them.
    Guess,
    /// Milliseconds, as our API writes them.
    Millis,
}

/// Reads a time; `None` when it is none of the forms.
pub fn parse(text: &str, now: Timestamp, epoch: Epoch) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        return relative(offset.trim(), now);
    }
    let number: i64 = text.parse().ok()?;
    let nanos_per_unit = match (epoch, number.unsigned_abs()) {
        (Epoch::Millis, _) => 1_000_000,
        (Epoch::Guess, 0..100_000_000_000) => 1_000_000_000,
        (Epoch::Guess, 0..100_000_000_000_000) => 1_000_000,
        (Epoch::Guess, 0..100_000_000_000_000_000) => 1_000,
        (Epoch::Guess, _) => 1,
    };
    number.checked_mul(nanos_per_unit).map(Timestamp::from_nanos)
}

fn relative(offset: &str, now: Timestamp) -> Option<Timestamp> {
    if offset.is_empty() {
        return Some(now);
    }
    let (sign, length) = match offset.split_at_checked(1)? {
        ("-", length) => (-1, length),
        ("+", length) => (1, length),
        _ => return None,
    };
    let digits = length.find(|c: char| !c.is_ascii_digit()).unwrap_or(length.len());
    let (number, unit) = length.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let number: i64 = number.parse().ok()?;
    let nanos = number.checked_mul(seconds)?.checked_mul(1_000_000_000)?;
    Some(now.plus_nanos(sign * nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_read() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let second = 1_700_000_123;
        for text in ["1700000123", "1700000123000", "1700000123000000", "1700000123000000000"] {
            let read = parse(text, now, Epoch::Guess);
            assert_eq!(read, Some(Timestamp::from_millis(second * 1000)), "{text}");
        }
        assert_eq!(parse("12", now, Epoch::Millis), Some(Timestamp::from_millis(12)));
        assert_eq!(parse("now", now, Epoch::Millis), Some(now));
        let hour_ago = Some(now.plus_nanos(-3_600_000_000_000));
        assert_eq!(parse("now-1h", now, Epoch::Millis), hour_ago);
        for text in ["", "yesterday", "now-", "now-1y", "now-99999999999999999999s", "1.5", "now-é"]
        {
            assert_eq!(parse(text, now, Epoch::Guess), None, "{text}");
        }
    }
}
