//! The structures of a stream, little-endian.

use std::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian as le};

/// A part of the file, in bytes from its start.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct Range {
    pub(super) start: le::U64,
    pub(super) end: le::U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 11],
    pub(super) version: u8,
    pub(super) flags: le::U16,
    /// As in an fs-verity descriptor.
    pub(super) algorithm: u8,
    pub(super) lg_blocksize: u8,
    pub(super) info: Range,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(super) struct Info {
    pub(super) stream_refs: Range,
    pub(super) object_refs: Range,
    pub(super) stream: Range,
    pub(super) named_refs: Range,
    pub(super) content_type: [u8; 8],
    /// Bytes of what the stream stands for.
    pub(super) stream_size: le::U64,
}

pub(super) const MAGIC: &[u8; 11] = b"SplitStream";
pub(super) const VERSION: u8 = 0;
pub(super) const LG_BLOCKSIZE: u8 = 12;

const _: () = assert!(size_of::<Header>() == 32 && size_of::<Info>() == 80);

/// What a stream's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// A layer's tarball.
    Layer,
    /// An image's config.
    Config,
    /// A manifest.
    Manifest,
    /// Anything else.
    Blob,
}

impl ContentType {
    pub(super) fn bytes(self) -> [u8; 8] {
        *match self {
            ContentType::Layer => b"ocilayer",
            ContentType::Config => b"ociconfg",
            ContentType::Manifest => b"ocimanif",
            ContentType::Blob => b"oci_blob",
        }
    }

    pub(super) fn parse(bytes: [u8; 8]) -> Option<ContentType> {
        [ContentType::Layer, ContentType::Config, ContentType::Manifest, ContentType::Blob]
            .into_iter()
            .find(|content_type| content_type.bytes() == bytes)
    }
}
