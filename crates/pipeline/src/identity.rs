//! What a filesystem is called, derived from what it is made of.

use hash::Digest;

/// A filesystem's identifiers.
pub(crate) struct Identity {
    /// A UUID of version 8 (RFC 9562), so that it is never taken for a random one.
    pub(crate) uuid: [u8; 16],
    /// Key for the hash of directories.
    pub(crate) hash_seed: [u8; 16],
    /// What stands in front of all that dm-verity hashes.
    pub(crate) verity_salt: [u8; 32],
    /// The UUID of the hash tree.
    pub(crate) verity_uuid: [u8; 16],
    /// The UUID of the disk that has the filesystem in a partition.
    pub(crate) disk_uuid: [u8; 16],
    /// The UUID of the partition, if no hash tree decides that.
    pub(crate) root_uuid: [u8; 16],
}

impl Identity {
    /// The same image and options give the same identifiers, on every machine.
    pub(crate) fn derive(manifest: &Digest, options: &str) -> Identity {
        Identity {
            uuid: version_8(hash("unlade filesystem uuid", manifest, options)),
            hash_seed: first(hash("unlade directory hash seed", manifest, options)),
            verity_salt: hash("unlade verity salt", manifest, options),
            verity_uuid: version_8(hash("unlade verity uuid", manifest, options)),
            disk_uuid: version_8(hash("unlade disk uuid", manifest, options)),
            root_uuid: version_8(hash("unlade root partition uuid", manifest, options)),
        }
    }
}

/// The domain keeps the identifiers apart from each other; NULs keep the parts apart.
fn hash(domain: &str, manifest: &Digest, options: &str) -> [u8; 32] {
    let digest = Digest::sha256(format!("{domain}\0{manifest}\0{options}").as_bytes());
    digest.as_bytes().try_into().expect("a SHA-256 has 32 bytes")
}

fn first(hash: [u8; 32]) -> [u8; 16] {
    *hash.first_chunk().expect("it has more")
}

fn version_8(hash: [u8; 32]) -> [u8; 16] {
    let mut uuid = first(hash);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_and_apart() {
        let one = Identity::derive(&Digest::sha256(b"a"), "x");
        let same = Identity::derive(&Digest::sha256(b"a"), "x");
        assert_eq!((one.uuid, one.hash_seed), (same.uuid, same.hash_seed));
        assert_ne!(one.uuid, Identity::derive(&Digest::sha256(b"b"), "x").uuid);
        assert_ne!(one.uuid, Identity::derive(&Digest::sha256(b"a"), "y").uuid);
        assert_ne!(one.uuid, one.hash_seed);
        assert_eq!((one.uuid[6] >> 4, one.uuid[8] >> 6), (8, 2));
    }
}
