//! Text for people: errors with hints, modes, times.

use std::error::Error;
use std::fmt;

use pipeline::pull;
use serde_json::{Map, Value, json};
use tree::{Kind, Node, Path, escape};

use crate::exit::{self, Code};

/// A path that an image does not have.
#[derive(Debug)]
pub(crate) struct NoSuchPath(pub(crate) Path);

impl fmt::Display for NoSuchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the image has no {}", self.0)
    }
}

impl Error for NoSuchPath {}

/// A login that nobody keeps.
#[derive(Debug)]
pub(crate) struct NoLogin {
    pub(crate) registry: String,
    pub(crate) file: std::path::PathBuf,
}

impl fmt::Display for NoLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no login for {} in {}", self.registry, self.file.display())
    }
}

impl Error for NoLogin {}

/// The chain of an error, one cause a line, and a hint where there is one. Nothing where nobody is to be
/// bothered: whoever read our output has closed it.
pub(crate) fn failure(failure: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines = vec![format!("error: {failure}")];
    if let Some(pipeline::Error::Pack(fault)) = failure.downcast_ref() {
        lines.extend(fault.details().into_iter().map(|line| format!("  {line}")));
    }
    let mut last = failure.to_string();
    let mut hint = hint(failure);
    let mut link = Some(failure);
    while let Some(error) = link {
        if exit::is_broken_pipe(error) {
            return Vec::new();
        }
        let said = error.to_string();
        // A transparent error says what its cause says.
        if said != last {
            lines.push(format!("  because: {said}"));
            last = said;
        }
        hint = hint.or_else(|| self::hint(error));
        link = error.source();
    }
    if let Some(hint) = hint {
        lines.push(format!("  hint: {hint}"));
    }
    lines
}

/// An error with all its causes, for a sentence.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut said = vec![error.to_string()];
    let mut link = error.source();
    while let Some(cause) = link {
        if said.last() != Some(&cause.to_string()) {
            said.push(cause.to_string());
        }
        link = cause.source();
    }
    said.join(": ")
}

/// What to do about an error.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(ext4::Error::TooSmall { needed, .. }) = error.downcast_ref() {
        // Not rounded to more: a little more may bring a journal, and be too little.
        let kib = needed.div_ceil(1 << 10);
        return Some(format!("--size {kib}K is enough, --free SIZE leaves room on top of what is needed"));
    }
    if let Some(erofs::Error::TooLarge { .. } | erofs::Error::Limit { .. }) = error.downcast_ref()
        && let Some(kernel) = error.downcast_ref().and_then(erofs::Error::needed_kernel)
    {
        return Some(format!("--erofs-min-kernel {kernel} lets it be larger: addresses then have 48 bits"));
    }
    if let Some(oci::Error::NoPlatform { .. } | oci::Error::OtherPlatform { .. }) = error.downcast_ref() {
        return Some("--platform OS/ARCHITECTURE chooses another".into());
    }
    if let Some(error) = error.downcast_ref::<registry::Error>()
        && let registry::Error::Denied { anonymous: true, .. } = innermost(error)
    {
        return Some(
            "unlade login stores credentials, and those of docker login and podman login are used, too"
                .into(),
        );
    }
    if let Some(pipeline::Error::Output { cause, .. }) = error.downcast_ref()
        && cause.kind() == std::io::ErrorKind::DirectoryNotEmpty
    {
        return Some("name a directory that does not exist yet: nothing is ever overwritten in place".into());
    }
    if let Some(composefs::Error::NoRepository(_)) = error.downcast_ref() {
        return Some("unlade composefs init makes one".into());
    }
    if let Some(composefs::Error::NoVerity(_)) = error.downcast_ref() {
        return Some("a repository made with unlade composefs init --insecure does without".into());
    }
    match error.downcast_ref() {
        Some(store::Error::Unreachable { .. }) => {
            Some("unlade fsck says what is wrong, and unlade fsck --repair mends it".into())
        }
        Some(store::Error::Incomplete { .. }) => Some("unlade pull fetches the rest".into()),
        Some(store::Error::Tagged { .. }) => Some("unlade rm NAME takes the name away".into()),
        _ => None,
    }
}

/// What an error means for whoever called, if this link of the chain tells.
pub(crate) fn code_of(error: &(dyn Error + 'static)) -> Option<Code> {
    if error.is::<NoSuchPath>() || matches!(error.downcast_ref(), Some(tree::Lost::Missing { .. })) {
        return Some(Code::NotFound);
    }
    if let Some(composefs::Error::Missing { what: "tag", .. } | composefs::Error::NoRepository(_)) =
        error.downcast_ref()
    {
        return Some(Code::NotFound);
    }
    match error.downcast_ref() {
        Some(store::Error::NoTag { .. }) => return Some(Code::NotFound),
        Some(store::Error::InUse { .. } | store::Error::Needed { .. }) => return Some(Code::Locked),
        _ => {}
    }
    if let Some(oci::Error::NoPlatform { .. }) = error.downcast_ref() {
        return Some(Code::NotFound);
    }
    if let Some(pull::Error::NotInStore { .. }) = error.downcast_ref() {
        return Some(Code::NotFound);
    }
    if error.is::<NoLogin>() {
        return Some(Code::NotFound);
    }
    match innermost(error.downcast_ref()?) {
        registry::Error::NotFound { .. } => Some(Code::NotFound),
        registry::Error::Denied { .. } | registry::Error::Blocked { .. } => Some(Code::Denied),
        _ => None,
    }
}

/// What a registry's error is in the end, however often and wherever it was tried.
fn innermost(mut error: &registry::Error) -> &registry::Error {
    while let registry::Error::GaveUp { last, .. } | registry::Error::Everywhere { last, .. } = error {
        error = last;
    }
    error
}

/// `drwxr-xr-x` and its like.
pub(crate) fn mode(node: &Node) -> String {
    tree::mode_string(&node.kind, node.metadata.mode)
}

/// One word for what a node is.
pub(crate) fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory(_) => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symlink",
        Kind::CharDevice(_) => "char-device",
        Kind::BlockDevice(_) => "block-device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}

/// What `ls` and `diff` say of a node.
pub(crate) fn node_json(node: &Node) -> Value {
    let meta = &node.metadata;
    let mut value = json!({
        "type": kind(&node.kind),
        "mode": format!("{:04o}", meta.mode),
        "uid": meta.uid,
        "gid": meta.gid,
        "mtime": { "seconds": meta.mtime.seconds, "nanoseconds": meta.mtime.nanoseconds },
    });
    match &node.kind {
        Kind::File(content) => value["size"] = content.size().into(),
        Kind::Symlink(text) => value["target"] = escape(text).to_string().into(),
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            value["device"] = json!({ "major": device.major, "minor": device.minor });
        }
        _ => {}
    }
    let xattrs: Map<String, Value> =
        meta.xattrs().map(|(name, value)| (escape(name).to_string(), hex(value).into())).collect();
    if !xattrs.is_empty() {
        value["xattrs"] = xattrs.into();
    }
    value
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
pub(crate) fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days, counted in eras of 400 years that begin on a 1st of March.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}")
}

/// The seconds since 1970 of a time as documents spell it: `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, RFC 3339.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let [year, month, day] = [number(0..4)?, number(5..7)?, number(8..10)?];
    let [hour, minute, second] = [number(11..13)?, number(14..16)?, number(17..19)?];
    let between = [4, 7, 10, 13, 16].map(|at| text.as_bytes()[at]);
    if !matches!(between, [b'-', b'-', b'T' | b't' | b' ', b':', b':'])
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction =
        rest.strip_prefix('.').map_or("", |rest| rest.split(['Z', 'z', '+', '-']).next().unwrap_or(""));
    let zone = rest.strip_prefix('.').map_or(rest, |rest| &rest[fraction.len()..]);
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - zone.len();
            let east = number(at + 1..at + 3)? * 3_600 + number(at + 4..at + 6)? * 60;
            if *sign == b'+' { east } else { -east }
        }
        _ => return None,
    };
    // The way back of `time`.
    let (month, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era = year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// A moment as programs read it, RFC 3339 in UTC.
pub(crate) fn instant(time: std::time::SystemTime) -> String {
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    self::time(i64::try_from(since).unwrap_or(i64::MAX)).replace(' ', "T") + "Z"
}

/// A path of the host, escaped, so that any bytes are text and can be read back.
pub(crate) fn path(path: &std::path::Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Rows in columns, two spaces between them; the columns `right` stand at the right.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = (0..N)
            .filter(|column| widths[*column] > 0)
            .map(|column| match (right.contains(&column), widths[column]) {
                (true, width) => format!("{:>width$}", row[column]),
                (false, width) => format!("{:<width$}", row[column]),
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (16_725_225_600, "2500-01-01 00:00:00"),
        ] {
            assert_eq!(time(seconds), text);
            assert_eq!(self::seconds(&(text.replace(' ', "T") + "Z")), Some(seconds), "{text}");
        }
        for (text, seconds) in [
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T19:00:00.123456789-05:00", Some(0)),
            ("2024-02-29T23:59:59.5Z", Some(1_709_251_199)),
            ("", None),
            ("1970-01-01", None),
            ("1970-01-01T00:00:00", None),
            ("1970-13-01T00:00:00Z", None),
            ("1970-01-01T00:00:00+1", None),
            ("+970-01-01T00:00:00Z", None),
            ("1970-01-01T00:00:é0Z", None),
        ] {
            assert_eq!(self::seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn tables() {
        let rows = [["NAME", "SIZE", "X"], ["a", "1 B", ""], ["longer", "12.5 KiB", "y"]];
        let text = table(&rows.map(|row| row.map(String::from)), &[1]);
        assert_eq!(text, "NAME        SIZE  X\na            1 B\nlonger  12.5 KiB  y\n");
    }
}
