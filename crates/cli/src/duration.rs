//! The one grammar for spans of time: `90s`, `15m`, `12h`, `30d`, `4w`; and how a span is shown.

use std::time::Duration;

/// Units and their seconds.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// Reads a span of time.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no span of time; examples: 90s, 15m, 12h, 30d, 4w");
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit)).ok_or_else(wrong)?;
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit.1));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// Shows a span of time for people, in the largest unit of which there are two or more.
pub(crate) fn show(span: Duration) -> String {
    const NAMES: [(&str, u64); 7] = [
        ("year", 31_557_600),
        ("month", 2_629_800),
        ("week", 604_800),
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
        ("second", 1),
    ];
    let seconds = span.as_secs();
    let (name, unit) = NAMES.iter().find(|(_, unit)| seconds >= 2 * unit).unwrap_or(&NAMES[6]);
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("4w", 2_419_200)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "30", "-1d", "1.5h", "30 d", "1y", "99999999999999999w", "1dd", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (90_000, "25 hours"),
            (172_800, "2 days"),
            (1_209_600, "2 weeks"),
            (63_115_200, "2 years"),
        ] {
            assert_eq!(show(Duration::from_secs(seconds)), text);
        }
    }
}
