//! What there is around a filesystem: hash trees for dm-verity, disks with partitions.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod disk;
#[path = "../support/mod.rs"]
mod support;
mod verity;
