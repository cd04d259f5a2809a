//! Pull an image, build a root filesystem.
