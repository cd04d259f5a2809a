//! The superblock, and what algorithms want to know.

use std::io;

use super::checksum::crc32c;
use super::{Source, ensure, u16_at, u32_at, u64_at};

/// What a superblock says.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Superblock {
    pub compatible: u32,
    pub incompatible: u32,
    pub block_bits: u8,
    pub root: u64,
    pub inodes: u64,
    /// The time of small inodes: seconds and nanoseconds.
    pub time: (i64, i64),
    pub blocks: u64,
    pub uuid: [u8; 16],
    pub label: Vec<u8>,
    /// Algorithms by bits, if what they want to know stands behind the superblock.
    pub algorithms: u16,
    /// The number of the packed inode, if there is one.
    pub packed: Option<u64>,
    /// Blocks of the devices beside it.
    pub devices: Vec<u64>,
    pub(super) metadata_at: u64,
    pub(super) shared_at: u64,
}

/// Reads the superblock, and checks what can be checked of it alone.
pub fn superblock(source: &(impl Source + ?Sized)) -> io::Result<Superblock> {
    let mut bytes = [0; 128];
    source.read(1024, &mut bytes)?;
    ensure(u32_at(&bytes, 0) == 0xe0f5_e1e2, || "no EROFS".into())?;
    let block_bits = bytes[12];
    ensure((9..=12).contains(&block_bits), || format!("blocks of 2^{block_bits}"))?;
    let block = 1 << block_bits;
    let (compatible, incompatible) = (u32_at(&bytes, 8), u32_at(&bytes, 80));
    ensure(compatible & !0x7 == 0 && incompatible & !0xbf == 0, || {
        format!("features {compatible:#x} {incompatible:#x}")
    })?;
    if compatible & 1 != 0 {
        // To the end of the block that the superblock lies in.
        let mut covered = vec![0; if block > 1024 { block - 1024 } else { block }];
        source.read(1024, &mut covered)?;
        covered[4..8].fill(0);
        let found = crc32c(&covered);
        ensure(found == u32_at(&bytes, 4), || format!("checksum {found:#x}"))?;
    }
    let algorithms = u16_at(&bytes, 84);
    ensure((incompatible & 2 != 0) == (algorithms != 0), || format!("algorithms {algorithms:#x}"))?;
    configurations(source, algorithms)?;
    // In the wide layout the upper bits stand where the root's number otherwise does.
    let wide = incompatible & 0x80 != 0;
    let short = u64::from(u16_at(&bytes, 14));
    let (root, upper) = if wide { (u64_at(&bytes, 112), short << 32) } else { (short, 0) };
    ensure(root > 0, || "a root without a number".into())?;
    let blocks = upper | u64::from(u32_at(&bytes, 36));
    let devices = match incompatible & 8 {
        0 => Vec::new(),
        _ => devices(source, u16_at(&bytes, 86), u16_at(&bytes, 88), blocks, wide)?,
    };
    ensure((incompatible & 8 != 0) != devices.is_empty(), || "devices, or the feature, alone".into())?;
    let table = if devices.is_empty() { 86..90 } else { 90..90 };
    let zero = [&bytes[13..14], &bytes[table], &bytes[90..96], &bytes[104..112], &bytes[120..128]];
    ensure(zero.iter().all(|part| part.iter().all(|byte| *byte == 0)), || "unknown fields".into())?;
    ensure(wide || bytes[112..120] == [0; 8], || "a wide number".into())?;
    ensure(bytes[79] == 0, || "label without an end".into())?;
    Ok(Superblock {
        compatible,
        incompatible,
        block_bits,
        root,
        inodes: u64_at(&bytes, 16),
        time: (u64_at(&bytes, 24) as i64, u32_at(&bytes, 32).into()),
        blocks,
        uuid: bytes[48..64].try_into().map_err(io::Error::other)?,
        label: bytes[64..80].split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
        algorithms,
        packed: Some(u64_at(&bytes, 96)).filter(|nid| *nid > 0),
        devices,
        metadata_at: u64::from(u32_at(&bytes, 40)) << block_bits,
        shared_at: u64::from(u32_at(&bytes, 44)) << block_bits,
    })
}

/// The blocks of each device beside the filesystem. All must be counted behind its own, and have a name of hexadecimal
/// digits.
fn devices(
    source: &(impl Source + ?Sized),
    count: u16,
    slot: u16,
    blocks: u64,
    wide: bool,
) -> io::Result<Vec<u64>> {
    let mut start = blocks;
    (0..u64::from(count))
        .map(|number| {
            let mut bytes = [0; 128];
            source.read((u64::from(slot) + number) * 128, &mut bytes)?;
            let upper = |at| if wide { u64::from(u16_at(&bytes, at)) << 32 } else { 0 };
            let blocks = upper(72) | u64::from(u32_at(&bytes, 64));
            let at = upper(74) | u64::from(u32_at(&bytes, 68));
            let unknown = if wide { 76 } else { 72 };
            ensure(at == start && blocks > 0, || format!("device {number}: {blocks} blocks at {at}"))?;
            ensure(bytes[..64].iter().all(u8::is_ascii_hexdigit), || "name of a device".into())?;
            ensure(bytes[unknown..].iter().all(|byte| *byte == 0), || "unknown fields".into())?;
            start += blocks;
            Ok(blocks)
        })
        .collect()
}

/// Checks what algorithms want to know.
fn configurations(source: &(impl Source + ?Sized), algorithms: u16) -> io::Result<()> {
    let mut at = 1024 + 128u64;
    for number in (0..16).filter(|number| algorithms >> number & 1 == 1) {
        let (mut length, mut bytes) = ([0; 2], vec![0; 14]);
        source.read(at, &mut length)?;
        let expected = [14, 0, 6, 6].get(number).copied().unwrap_or_default();
        ensure(u16_at(&length, 0) == expected && expected > 0, || format!("algorithm {number}"))?;
        bytes.truncate(expected.into());
        source.read(at + 2, &mut bytes)?;
        let (known, reserved) = bytes.split_at(if number == 0 { 4 } else { 2 });
        let good = match number {
            0 => u16_at(known, 0) == u16::MAX && (1..=256).contains(&u16_at(known, 2)),
            2 => known == [15, 0],
            _ => known[0] == 0 && known[1] <= 10,
        };
        ensure(good && reserved.iter().all(|byte| *byte == 0), || format!("configuration {bytes:?}"))?;
        at = (at + 2 + u64::from(expected)).next_multiple_of(4);
    }
    Ok(())
}
