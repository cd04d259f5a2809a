//! Which files are meant by a pattern.

use std::fmt;
use std::str::FromStr;

/// A pattern of paths. `*` and `?` stand for anything but a slash, `**` for whole components, `[a-z]` and `{a,b}` for one
/// of several. One without a slash is matched with a file's name, wherever it is.
///
/// ```
/// use unlade_pipeline::Glob;
///
/// let glob: Glob = "*.png".parse().unwrap();
/// assert!(glob.matches(b"usr/share/icon.png"));
/// let glob: Glob = "/usr/**/*.so".parse().unwrap();
/// assert!(glob.matches(b"usr/lib/x/y.so") && !glob.matches(b"opt/y.so"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    of_names: bool,
}

impl Glob {
    /// Whether a path, without a slash in front, is meant.
    pub fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        fast_glob::glob_match(&self.pattern, if self.of_names { name } else { path })
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Glob, String> {
        let pattern = text.strip_prefix('/').unwrap_or(text);
        if pattern.is_empty() {
            return Err("the pattern is empty".into());
        }
        fast_glob::validate(pattern).map_err(|error| error.to_string())?;
        Ok(Glob { pattern: pattern.into(), of_names: !text.contains('/') })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.of_names { "" } else { "/" }, self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, meant) in [
            ("*.png", "a.png", true),
            ("*.png", "x/y/a.png", true),
            ("*.png", "a.png/b", false),
            ("/a.png", "a.png", true),
            ("/a.png", "x/a.png", false),
            ("x/*.png", "x/a.png", true),
            ("x/*.png", "x/y/a.png", false),
            ("x/**", "x/y/a.png", true),
            ("**/y/*", "x/y/a.png", true),
            ("*.{gz,xz}", "x/a.xz", true),
            ("[ab]", "x/b", true),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            assert_eq!(glob.matches(path.as_bytes()), meant, "{pattern} {path}");
            let again: Glob = glob.to_string().parse().unwrap();
            assert_eq!(again, glob);
        }
        for wrong in ["", "/", "a[", "{a"] {
            assert!(wrong.parse::<Glob>().is_err(), "{wrong}");
        }
    }
}
