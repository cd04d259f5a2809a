//! A content-addressed store of OCI images on disk.
