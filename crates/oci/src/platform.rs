//! What an image runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Operating system, processor architecture and its variant, with Go's names (`linux/arm64/v8`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system, for Windows.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that are required.
    #[serde(
        default,
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::descriptor::null_is_default"
    )]
    pub os_features: Vec<String>,
}

impl Platform {
    /// Linux on the architecture that this program was built for, whatever the host's system is.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "loongarch64" => "loong64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        let variant = (architecture == "arm").then(|| "v7".to_string());
        Platform {
            architecture: architecture.into(),
            os: "linux".into(),
            variant,
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// How well an image of this platform serves `wanted`: `None` not at all, otherwise less is better.
    ///
    /// Variants are as the image index specification has them: a missing one means v8 for arm64 and v7 for
    /// arm; arm and amd64 run what was made for lower variants, too.
    pub fn serves(&self, wanted: &Platform) -> Option<u32> {
        if self.os != wanted.os || self.architecture != wanted.architecture {
            return None;
        }
        // Images that require features of the system which nobody promised are not offered.
        if !self.os_features.iter().all(|feature| wanted.os_features.contains(feature)) {
            return None;
        }
        match (self.level(), wanted.level()) {
            (Some(mine), Some(wanted)) => wanted.checked_sub(mine),
            // No numbers to compare: the variants must be the same word.
            _ => (self.variant == wanted.variant).then_some(0),
        }
    }

    /// Whether it says anything: simple tools leave the fields of images made from scratch empty.
    pub fn is_stated(&self) -> bool {
        !self.os.is_empty() && !self.architecture.is_empty()
    }

    /// Whether both mean the same, however they spell it: `arm64` is `arm64/v8`.
    pub fn is_same(&self, other: &Platform) -> bool {
        let equal = self.serves(other) == Some(0) && other.serves(self) == Some(0);
        self == other || equal && self.os_version == other.os_version
    }

    /// Whether it stands for "no platform", as attestations have it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// The variant as a number that can be compared: `v8` is 800, `v8.1` is 801.
    fn level(&self) -> Option<u32> {
        let default = match self.architecture.as_str() {
            "arm64" => 8,
            "arm" => 7,
            _ => 1,
        };
        let (major, minor) = match self.variant.as_deref() {
            None | Some("") => (default, 0),
            Some(variant) => {
                let (major, minor) =
                    variant.strip_prefix('v')?.split_once('.').unwrap_or((&variant[1..], "0"));
                (major.parse::<u8>().ok()?, minor.parse::<u8>().ok()?)
            }
        };
        Some(u32::from(major) * 100 + u32::from(minor.min(99)))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// Reads `OS/ARCHITECTURE[/VARIANT]`; the usual other names of architectures are understood.
    fn from_str(text: &str) -> Result<Platform, Error> {
        let mut parts = text.split('/');
        let (Some(os), Some(architecture), variant, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::Platform(text.into()));
        };
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !word(os) || !word(architecture) || !variant.is_none_or(word) {
            return Err(Error::Platform(text.into()));
        }
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "i386" | "i686" => ("386", None),
            other => (other, None),
        };
        Ok(Platform {
            architecture: architecture.into(),
            os: os.into(),
            variant: variant.or(implied).map(String::from),
            os_version: None,
            os_features: Vec::new(),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os.escape_debug(), self.architecture.escape_debug())?;
        if let Some(variant) = &self.variant {
            write!(f, "/{}", variant.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants() {
        for (have, want, serves) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64/v2", "linux/amd64", None),
            ("linux/amd64", "linux/amd64/v3", Some(200)),
            ("linux/amd64/v1", "linux/amd64", Some(0)),
            ("linux/amd64/v2", "linux/amd64/v3", Some(100)),
            ("linux/amd64/v4", "linux/amd64/v3", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64/v8", "linux/aarch64", Some(0)),
            ("linux/arm64/v8.1", "linux/arm64", None),
            ("linux/arm64/v8.1", "linux/arm64/v9", Some(99)),
            ("linux/arm64/v9", "linux/arm64", None),
            ("linux/arm/v5", "linux/arm/v7", Some(200)),
            ("linux/arm/v6", "linux/arm", Some(100)),
            ("linux/arm/v6", "linux/armhf", Some(100)),
            ("linux/arm/v6", "linux/arm/v7", Some(100)),
            ("linux/arm/v7", "linux/armel", None),
            ("linux/arm/v8", "linux/arm", None),
            ("linux/arm/v7", "linux/arm64", None),
            ("linux/386", "linux/amd64", None),
            ("linux/arm/v7", "linux/arm/v6", None),
            ("linux/arm", "linux/arm/v7", Some(0)),
            ("windows/amd64", "linux/amd64", None),
            ("linux/riscv64", "linux/riscv64", Some(0)),
            // Words that are no numbers must be the same.
            ("linux/riscv64/rva20", "linux/riscv64/rva20", Some(0)),
            ("linux/riscv64/rva20", "linux/riscv64/rva23", None),
            ("linux/riscv64/rva20", "linux/riscv64", None),
            ("linux/arm64/v", "linux/arm64", None),
            ("linux/arm64/v99999999999", "linux/arm64/v9", None),
            ("linux/arm64/v8.x", "linux/arm64", None),
        ] {
            let (image, wanted): (Platform, Platform) = (have.parse().unwrap(), want.parse().unwrap());
            assert_eq!(image.serves(&wanted), serves, "{have} for {want}");
        }
        let mut demanding: Platform = "linux/amd64".parse().unwrap();
        demanding.os_features = vec!["win32k".into()];
        let wanted: Platform = "linux/amd64".parse().unwrap();
        assert_eq!((demanding.serves(&wanted), wanted.serves(&demanding)), (None, Some(0)));
        assert!(!demanding.is_same(&wanted));
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
