//! Image configurations: `config.md` of the image specification.

use std::collections::BTreeMap;

use hash::Digest;
use serde::{Deserialize, Serialize};

use crate::manifest::{DOCUMENT_MAX, json};
use crate::{Error, Platform};

/// An image's configuration, as far as anybody here asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What it runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// When it was made, as text in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// How to run it.
    #[serde(default, rename = "config", deserialize_with = "crate::descriptor::null_is_default")]
    pub execution: Execution,
    /// Digests of the uncompressed layers.
    pub rootfs: Rootfs,
    /// How it came about.
    #[serde(default, deserialize_with = "crate::descriptor::null_is_default")]
    pub history: Vec<History>,
}

/// The part of a config that names the layers' contents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rootfs {
    /// Digests of the uncompressed layers, the lowest first.
    #[serde(default, deserialize_with = "crate::descriptor::null_is_default")]
    pub diff_ids: Vec<Digest>,
}

/// How a container of the image is run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// `NAME=VALUE`s.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub env: Vec<String>,
    /// First words of the command.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub entrypoint: Vec<String>,
    /// The other words, or what stands for them.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub cmd: Vec<String>,
    /// Directory to start in.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub working_dir: String,
    /// User, and group behind a colon, by name or number.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub user: String,
    /// Ports that it listens on, as keys (`80/tcp`).
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// Directories that are to be volumes, as keys.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Labels.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks it to stop.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub stop_signal: String,
}

/// One step of an image's making.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, as text in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl Config {
    /// Reads a config whose bytes were checked against their digest.
    pub fn parse(bytes: &[u8]) -> Result<Config, Error> {
        const WHAT: &str = "config";
        let size = bytes.len() as u64;
        if size > DOCUMENT_MAX {
            return Err(Error::TooLarge { what: WHAT, size, limit: DOCUMENT_MAX });
        }
        json(WHAT, bytes)
    }
}
