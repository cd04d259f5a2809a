//! The documents of OCI images, parsed and checked.
