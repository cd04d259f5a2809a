//! The catalogue of hostile and odd inputs, `docs/hostile-inputs.md`, line by line, the whole way: an image on the
//! disk is pulled, merged and written, and what is written is judged by GNU tar, e2fsck and the kernel. Takes root.
//!
//! A case is a number of the catalogue, an image, and what it gives: a tree as text with the notes, or what is
//! said of the layer and the entry at fault. `check` asserts beside it what holds for every case.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod case;
mod check;
mod guard;
mod shown;

mod archives;
mod attributes;
mod compression;
mod hardlinks;
mod manifests;
mod output;
mod paths;
mod types;
mod whiteouts;

mod complete;

use case::Case;

/// Every section that is a table.
const SECTIONS: [fn() -> Vec<Case>; 8] = [
    paths::cases,
    whiteouts::cases,
    types::cases,
    hardlinks::cases,
    archives::cases,
    attributes::cases,
    compression::cases,
    manifests::cases,
];
