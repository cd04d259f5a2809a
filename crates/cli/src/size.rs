//! The one grammar for numbers of bytes: `512`, `512B`, `64K`, `64KiB`, `1.5G`; all units are powers of 1024.

/// Reads a number of bytes.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no size; examples: 512M, 4G, 1.5GiB, 1048576 (bytes)");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.strip_suffix("iB").filter(|rest| !rest.is_empty()).unwrap_or(unit);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && (fraction.is_empty() || shift == 0)) || fraction.len() > 9
    {
        return Err(wrong());
    }
    let unit = 1u64 << shift;
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(unit)).ok_or_else(wrong)?;
    let part = match fraction {
        "" => 0,
        digits => {
            let numerator = u128::from(digits.parse::<u64>().map_err(|_| wrong())?);
            (numerator * u128::from(unit) / 10u128.pow(digits.len() as u32)) as u64
        }
    };
    whole.checked_add(part).ok_or_else(wrong)
}

/// Shows a number of bytes for people.
pub(crate) fn show(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("1.5G", 3 << 29),
            ("4GiB", 4 << 30),
            ("2T", 2 << 40),
            ("0.5M", 1 << 19),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "4X", "4 G", "-1", "1.G", ".5G", "1.5", "99999999P", "4iB", "1e3", "4GB"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(show(512), "512 B");
        assert_eq!(show(3 << 29), "1.5 GiB");
    }
}
