//! What differs between the systems that unlade runs on: how files are opened, read at a place, given a name.
//!
//! `linux` and `windows` are counterparts: the same functions, each as its system has them. What a system lacks is an answer
//! that every caller has to know anyway (no reflinks here, no files without names there), so that no caller asks where
//! it runs. What all of unlade's features need stands here; those that only Linux has (a directory tree, a composefs
//! repository) have counterparts in their own crates.

#[cfg(unix)]
mod direct;
#[cfg(windows)]
#[path = "direct/elsewhere.rs"]
mod direct;
#[cfg(unix)]
mod linux;
#[cfg(unix)]
use linux as system;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

pub use direct::{Direct, Splicer};
pub use system::{
    CONFIGURATION, FileExt, HAS_SYMLINKS, LOCKS_HINDER_READING, allow_holes, check_name, clear, clone_blocks,
    copy_in_kernel, drive, insert, is_block_device, is_hole, is_mine, is_named, is_unreadable, link_nameless,
    make_directories, make_movable, make_zero, may_be_running, nameless, open_device, open_directory,
    open_or_create, open_regular, os_string, permissions_for_all, release, reopen, replace, reserve, sector,
    stored_bytes, symlink, sync_directory, sync_filesystem, take_out, touch, without_address, write_out,
};

#[cfg(test)]
mod tests;
