//! Manifests and blobs from an OCI registry over HTTP.
