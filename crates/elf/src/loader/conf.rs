//! `/etc/ld.so.conf`, from which ldconfig makes the cache: `ldconfig(8)`.

/// A line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A directory, absolute.
    Directory(Box<[u8]>),
    /// More such files: a pattern as `glob(7)` has it, absolute. Who knows the files reads them in the order of
    /// their names.
    Include(Box<[u8]>),
}

/// Reads a configuration file that lies in `directory`, to which its patterns are relative.
///
/// Comments, kinds of libraries behind a `=`, the old `hwcap` lines and what is no absolute path are left out, as
/// ldconfig does.
pub fn parse<'a>(text: &'a [u8], directory: &'a [u8]) -> impl Iterator<Item = Line> + 'a {
    text.split(|byte| *byte == b'\n').flat_map(move |line| {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        let (word, rest) = line.split_at(line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len()));
        let lines: Vec<Line> = match word {
            b"include" => {
                let patterns = rest.split(u8::is_ascii_whitespace).filter(|pattern| !pattern.is_empty());
                patterns.map(|pattern| Line::Include(absolute(pattern, directory))).collect()
            }
            b"hwcap" => Vec::new(),
            _ => {
                let path = line.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
                let trimmed = path.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
                let is_absolute = path.starts_with(b"/");
                is_absolute.then(|| Line::Directory(path[..trimmed].into())).into_iter().collect()
            }
        };
        lines
    })
}

fn absolute(pattern: &[u8], directory: &[u8]) -> Box<[u8]> {
    if pattern.starts_with(b"/") { pattern.into() } else { [directory, b"/", pattern].concat().into() }
}
