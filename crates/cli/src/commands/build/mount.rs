//! What is said of the tarballs that the contents of an index stay in.

use std::path::Path;

use pipeline::Published;
use serde_json::{Value, json};

use crate::{render, size};

/// How many tarballs there are, and how all is mounted.
pub(super) fn lines(devices: &[Published], index: &Path) -> Vec<String> {
    if devices.is_empty() {
        return Vec::new();
    }
    let bytes = devices.iter().map(|device| device.length).sum();
    let reused = devices.iter().filter(|device| device.reused).count();
    let plural = if devices.len() == 1 { "" } else { "s" };
    let loops =
        devices.iter().map(|device| format!(",device=$(losetup -rf --show {})", quoted(&device.path)));
    vec![
        format!(
            "contents stay in {} tarball{plural} of {}, {reused} there before",
            devices.len(),
            size::show(bytes)
        ),
        format!("mount -t erofs -o loop{} {} MOUNTPOINT", loops.collect::<String>(), quoted(index)),
    ]
}

/// A tarball in a summary.
pub(super) fn json(device: &Published) -> Value {
    json!({
        "diffId": device.diff_id,
        "path": render::path(&device.path),
        "bytes": device.length,
        "reused": device.reused,
    })
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if text.bytes().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_for_a_shell() {
        for (path, text) in
            [("layers/0a.tar", "layers/0a.tar"), ("my layers", "'my layers'"), ("a'b", r"'a'\''b'")]
        {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
