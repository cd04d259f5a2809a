//! What stands in a `registries.conf`, as TOML.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One file, of version 2. What it holds beside this is for other programs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) registry: Vec<Table>,
    #[serde(rename = "unqualified-search-registries")]
    pub(super) search: Vec<String>,
    pub(super) aliases: BTreeMap<String, String>,
    /// Version 1.
    registries: BTreeMap<String, Old>,
}

/// `[[registry]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Table {
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror: Vec<MirrorTable>,
    pub(super) mirror_by_digest_only: bool,
    pub(super) pull_from_mirror: String,
}

/// `[[registry.mirror]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MirrorTable {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: String,
}

/// `[registries.search]` and the like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Old {
    registries: Vec<String>,
}

impl Document {
    /// Reads a file's text. The error says in which line.
    pub(super) fn parse(text: &str) -> Result<Document, String> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            format!("line {line}: {}", crate::error::quote(error.message()))
        })?;
        if document.registries.values().any(|old| !old.registries.is_empty()) {
            return Err("it is of version 1, which is not supported: write [[registry]] tables and \
                        unqualified-search-registries"
                .into());
        }
        Ok(document)
    }
}
