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

/// Reads a date and time of RFC 3339, e.g. `2026-11-20T15:30:47.491437807Z`; digits beyond
/// nanoseconds are cut off.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date.split('-'), [4, 2, 2])?;
    let (time, offset_minutes) = offset(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time.split(':'), [2, 2, 2])?;
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    // A leap second counts as the next one.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}")[..9].parse().ok()?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let seconds = minutes * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Timestamp::from_nanos)
}

/// The time without its offset, and the offset in minutes.
fn offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let (at, sign) = match (time.rfind('+'), time.rfind('-')) {
        (Some(at), _) => (at, 1),
        (None, Some(at)) => (at, -1),
        (None, None) => return None,
    };
    let [hours, minutes] = numbers(time[at + 1..].split(':'), [2, 2])?;
    Some((&time[..at], sign * (hours * 60 + minutes)))
}

/// Numbers of exactly so many digits each.
fn numbers<'a, const N: usize>(
    mut parts: impl Iterator<Item = &'a str>,
    digits: [usize; N],
) -> Option<[i64; N]> {
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = if is_number { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(found)
}

/// Days of the Gregorian calendar since 1970: years begin in March, so that a leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    days_of_years + (month * 153 + 2) / 5 + day - 1 - 719_468
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
    fn dates_of_all_precisions_and_offsets_read() {
        let nanos = |text| rfc3339(text).map(Timestamp::nanos);
        assert_eq!(nanos("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanos("2026-11-20T15:30:47.491437807Z"), Some(1_795_188_647_491_437_807));
        assert_eq!(nanos("2026-11-20T15:30:47.4Z"), Some(1_795_188_647_400_000_000));
        assert_eq!(nanos("2026-11-20T17:00:47+01:30"), Some(1_795_188_647_000_000_000));
        assert_eq!(nanos("2024-02-29t23:59:60-00:00"), Some(1_709_251_200_000_000_000));
        assert_eq!(nanos("1969-12-31T23:59:59.0000000019Z"), Some(-999_999_999));
        for text in [
            "",
            "now",
            "2026-11-20",
            "2026-11-20T15:30:47",
            "2026-13-20T15:30:47Z",
            "é-11-20T15:30:47Z",
            "2026-11-20T25:30:47Z",
            "2026-11-20T15:30:47.Z",
            "2026-11-20T15:30:47.éZ",
            "9999-11-20T15:30:47Z",
            "2026-11-20T15:30:47+é:00",
            "+026-11-20T15:30:47Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

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
