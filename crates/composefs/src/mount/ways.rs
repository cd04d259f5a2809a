//! How an image can be mounted.

/// How a kernel is asked. Each way works with newer kernels, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Linux 6.15: filesystems that are mounted nowhere are layers of others, by descriptors.
    Detached,
    /// Linux 6.12: EROFS reads a file. overlayfs wants its layers to have paths, for the moment.
    File,
    /// Linux 6.5: EROFS reads a block device.
    Loop,
}

/// How an image is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Whether set-user-ID programs and devices of the image mean what they say.
    pub trusted: bool,
    /// The only way to try; all, the newest first, if none is said.
    pub way: Option<Way>,
}
