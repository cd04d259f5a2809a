//! Turns OCI images into root filesystems.

fn main() {}
