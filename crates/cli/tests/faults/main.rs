//! Faults of the host: full and read-only disks, limits, vanished directories, signals, odd filesystems,
//! environments without a home.
//!
//! After each: exit code 1 and an error that names the place and the cause; nothing half-written under a final
//! name; the old output as it was; and with the fault gone, the next run makes the right bytes of what is there.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod scene;

mod calls;
mod full;
mod places;
mod surroundings;
