//! Digests as fs-verity computes them: the root of a tree of hashes, so that a kernel can check a file block by block
//! while it is read.
//!
//! See the kernel's `Documentation/filesystems/fsverity.rst`, "Merkle tree" and "fs-verity descriptor". Blocks have
//! 4096 bytes and there is no salt: the one form that composefs uses.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, SHA512, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Algorithm, Digest, DigestError};

/// Bytes in a block, of the file and of the tree.
pub const BLOCK: usize = 4096;

/// A file's digest as fs-verity computes it. No hash of the file's bytes, and never to be compared with one.
///
/// Shown as `ALGORITHM:HEX`, as `fsverity digest` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest(Digest);

impl FileDigest {
    /// The digest of a file with these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> FileDigest {
        let mut verity = Verity::new(algorithm);
        verity.update(bytes);
        verity.finish()
    }

    /// Takes the bytes of a digest, 32 or 64 of them as the algorithm has; `None` for any other number.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<FileDigest> {
        Digest::from_bytes(algorithm, bytes).map(FileDigest)
    }

    /// Reads the digits alone, lower case.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<FileDigest, DigestError> {
        format!("{}:{hex}", algorithm.name()).parse()
    }

    /// The hash function of the tree.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// The digest itself, 32 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The part behind the colon.
    pub fn hex(&self) -> String {
        self.0.hex()
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FileDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<FileDigest, DigestError> {
        text.parse().map(FileDigest)
    }
}

impl Serialize for FileDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FileDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileDigest, D::Error> {
        Digest::deserialize(deserializer).map(FileDigest)
    }
}

/// Computes a [`FileDigest`] piece by piece. Its memory is one block for each level of the tree.
#[derive(Debug, Clone)]
pub struct Verity {
    algorithm: Algorithm,
    size: u64,
    /// The start of a block of the file that is not full yet.
    partial: Vec<u8>,
    /// The hashes that fill no block yet: of the file's blocks, of the blocks of those hashes, and so on.
    levels: Vec<Vec<u8>>,
}

impl Verity {
    /// Starts with an empty file.
    pub fn new(algorithm: Algorithm) -> Verity {
        Verity { algorithm, size: 0, partial: Vec::new(), levels: Vec::new() }
    }

    /// Takes in the file's next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if !self.partial.is_empty() {
            let fill = bytes.len().min(BLOCK - self.partial.len());
            self.partial.extend_from_slice(&bytes[..fill]);
            bytes = &bytes[fill..];
            if self.partial.len() < BLOCK {
                return;
            }
            let block = std::mem::take(&mut self.partial);
            self.block(&block);
            self.partial = block;
            self.partial.clear();
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block);
        }
        self.partial.extend_from_slice(rest);
    }

    /// Takes in a block of the file.
    fn block(&mut self, block: &[u8]) {
        let hash = self.hash(block);
        self.push(0, &hash);
    }

    /// Notes a hash, and the hashes of all blocks of hashes that are full with it.
    fn push(&mut self, level: usize, hash: &[u8]) {
        if self.levels.len() == level {
            self.levels.push(Vec::with_capacity(BLOCK));
        }
        self.levels[level].extend_from_slice(hash);
        if self.levels[level].len() == BLOCK {
            self.raise(level);
        }
    }

    /// Moves a level's block up, as its hash, with zeros for what it lacks.
    fn raise(&mut self, level: usize) {
        let mut block = std::mem::take(&mut self.levels[level]);
        block.resize(BLOCK, 0);
        let hash = self.hash(&block);
        block.clear();
        self.levels[level] = block;
        self.push(level + 1, &hash);
    }

    fn hash(&self, bytes: &[u8]) -> Vec<u8> {
        let function = match self.algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        };
        digest(function, bytes).as_ref().to_vec()
    }

    /// The digest of the file that went by.
    pub fn finish(mut self) -> FileDigest {
        FileDigest(Digest::of(self.algorithm, &self.descriptor()))
    }

    /// `struct fsverity_descriptor`, whose hash is the digest.
    fn descriptor(&mut self) -> [u8; 256] {
        let (size, root) = (self.size, self.root());
        let mut descriptor = [0; 256];
        descriptor[0] = 1;
        descriptor[1] = match self.algorithm {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        };
        descriptor[2] = BLOCK.trailing_zeros() as u8;
        descriptor[8..16].copy_from_slice(&size.to_le_bytes());
        descriptor[16..16 + root.len()].copy_from_slice(&root);
        descriptor
    }

    /// The hash at the top; of an empty file there is none, and zeros stand for it.
    fn root(&mut self) -> Vec<u8> {
        if !self.partial.is_empty() {
            let mut block = std::mem::take(&mut self.partial);
            block.resize(BLOCK, 0);
            self.block(&block);
        }
        let length = self.algorithm.length();
        let mut level = 0;
        while level < self.levels.len() {
            let is_top = level + 1 == self.levels.len();
            match self.levels[level].len() {
                0 => {}
                only if is_top && only == length => return std::mem::take(&mut self.levels[level]),
                _ => self.raise(level),
            }
            level += 1;
        }
        vec![0; length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian's `fsverity digest` says of files with so many bytes, which count up from 0.
    const FILES: &[(usize, &str, &str)] = &[
        (
            0,
            "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
            "ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d10adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf",
        ),
        (
            1,
            "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551",
            "9fcf5172b085b1c8f9365eecb37a1869e193a4705654a5829f11939cd01d5c0fd97276be8cd9d49f76cfc8dcfeb80f8128e3548a1de50b56912b9e3fc7bde27b",
        ),
        (
            4095,
            "5f4953aad672b0188023d6cd6fbce9d09508eb7dad165b6298ce0086bc1e72db",
            "1f4a9ea21af349cae1d1aa1ce4e560ce6d1e5882d8e2e7696b5afd14191f876e608444553101ba7ff16386a79c7e8739b2905ed14baf8036ebd05e6f09063b2a",
        ),
        (
            4096,
            "13e9b8848ae484a36acb3f3cac0ceb2f7601e96633d15c92f9bd3dd44e492157",
            "7bf994782b368ecc4e20ce9144701b1a30524d5bbc90987625de22eebc8cf370ec846c1b5e77f9099c6f6cfc0b590359b9ac8083a43e5f7fa5ec05a25dab6e03",
        ),
        (
            4097,
            "b0d074abef4d544404facfab6ba242f6a8ccbde90f1325cd286f3c8aa8d0f8aa",
            "97a1e45daaa69bd7b31908cf835318ba36476984ffa7f4a5913c0187db04ce5f19dc80306f493741d4ad1cdd212b7a9d2691aa3d42563d35471363fbb0fc7f1c",
        ),
        (
            262144,
            "879749b06517756efddf41c469e4b6411861a48729b345e0bee05590bdf54b94",
            "f3d1adb48d9e641487f0674034e494b8e1ad589f9430b34f2a7e56acdf05180753d3f491f48c0958a8482edb1cda90fc82f0edd2bc6d22573bc743abd8e42a48",
        ),
        (
            262145,
            "3a184208d2025273795779ebbea5a31c8edecdb33646aaad46c66d089f8b9eed",
            "db774f463acc1e672e4da91d045eb146f2647efec545951fb7005067ff9899da3ae94dc206531b40985587ce4e5eb173a235d51b488074067d9e34131814b9de",
        ),
        (
            524288,
            "d82861203d50ae9b60948504a704f35f5118bd229aeb1a22d6dae47b1767c4c4",
            "7b3d245f9dc3169e2f721fa32f735149ace066408e783d5d79e21f9761e2efc39fb016b0a94e0a00af41a32fa5283b189899b0f27f91d013be745709678c0278",
        ),
        (
            524289,
            "4dc6905041c9c4ee73e13b53f63f5d289c46da359b664a965ead7f8cc4d799d4",
            "60b58fe0f1e5198627ffb6be091eef60edce9b4ff6ee43884ba78a831ecdecc1572729afc5ebeb09101e3f102c9d7142ab4f66216198d85f8c7194eca7885bb2",
        ),
        (
            16777221,
            "f8a2a26ded2f9e02929a40f01e7af04ea05e7053d980d68c042d7df6c41c3720",
            "30e92cfc902f19d8d3860a24b0c339dc8de24206223238460b291121872b4d99e790f232601a4d9f68a4f7203a29e38d6c5f4b8a470af4934840ccff4aa962ed",
        ),
    ];

    fn counting(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn files_of_all_heights() {
        for &(length, sha256, sha512) in FILES {
            let bytes = counting(length);
            for (algorithm, expected) in [(Algorithm::Sha256, sha256), (Algorithm::Sha512, sha512)] {
                assert_eq!(
                    FileDigest::of(algorithm, &bytes).hex(),
                    expected,
                    "{length} bytes, {algorithm:?}"
                );
            }
        }
    }

    #[test]
    fn hello_world() {
        let digest = FileDigest::of(Algorithm::Sha256, b"hello world");
        assert_eq!(digest.hex(), "1e2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64");
    }

    #[test]
    fn pieces_change_nothing() {
        let bytes = counting(600_001);
        let whole = FileDigest::of(Algorithm::Sha256, &bytes);
        for length in [1, 7, 4095, 4096, 4097, 100_000] {
            let mut verity = Verity::new(Algorithm::Sha256);
            bytes.chunks(length).for_each(|piece| verity.update(piece));
            assert_eq!(verity.finish(), whole, "pieces of {length}");
        }
    }

    #[test]
    fn text_and_back() {
        let digest = FileDigest::of(Algorithm::Sha512, b"");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(FileDigest::from_hex(Algorithm::Sha512, &digest.hex()), Ok(digest));
        assert_eq!(FileDigest::from_bytes(Algorithm::Sha512, digest.as_bytes()), Some(digest));
        assert_eq!(FileDigest::from_bytes(Algorithm::Sha256, digest.as_bytes()), None);
    }
}
