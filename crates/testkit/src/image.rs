//! Images made by code: tarballs, OCI layouts, and a tiny image that really runs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hash::Digest;
use serde_json::{Value, json};

/// A tarball under construction, in the ustar format.
#[derive(Debug, Clone, Default)]
pub struct Tar(Vec<u8>);

/// An entry's header, as far as tests vary it.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// Name, at most 100 bytes.
    pub name: &'a [u8],
    /// Type flag: `b'0'` file, `b'1'` hard link, `b'2'` symlink, `b'3'` and `b'4'` devices, `b'5'` directory.
    pub typeflag: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Seconds since 1970.
    pub mtime: u64,
    /// Target of a link.
    pub link: &'a [u8],
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Default for Header<'_> {
    fn default() -> Self {
        Header { name: b"", typeflag: b'0', mode: 0o644, owner: (0, 0), mtime: 0, link: b"", device: (0, 0) }
    }
}

impl Tar {
    /// Adds an entry with its content.
    pub fn entry(mut self, header: &Header<'_>, content: &[u8]) -> Tar {
        let mut block = [0u8; 512];
        let mut text = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        text(0, header.name);
        text(100, format!("{:07o}", header.mode).as_bytes());
        text(108, format!("{:07o}", header.owner.0).as_bytes());
        text(116, format!("{:07o}", header.owner.1).as_bytes());
        text(124, format!("{:011o}", content.len()).as_bytes());
        text(136, format!("{:011o}", header.mtime).as_bytes());
        text(148, b"        ");
        text(156, &[header.typeflag]);
        text(157, header.link);
        text(257, b"ustar\x0000");
        text(329, format!("{:07o}", header.device.0).as_bytes());
        text(337, format!("{:07o}", header.device.1).as_bytes());
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds a regular file.
    pub fn file(self, name: &str, mode: u32, content: &[u8]) -> Tar {
        self.entry(&Header { name: name.as_bytes(), mode, ..Header::default() }, content)
    }

    /// Adds a directory.
    pub fn directory(self, name: &str, mode: u32) -> Tar {
        self.entry(&Header { name: name.as_bytes(), mode, typeflag: b'5', ..Header::default() }, b"")
    }

    /// Adds a symlink.
    pub fn symlink(self, name: &str, text: &str) -> Tar {
        let (name, link) = (name.as_bytes(), text.as_bytes());
        self.entry(&Header { name, link, mode: 0o777, typeflag: b'2', ..Header::default() }, b"")
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A layer to be put into an image: its blob, media type and diff ID.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The bytes as stored.
    pub blob: Vec<u8>,
    /// What they say to be.
    pub media_type: &'static str,
    /// Digest of the tarball.
    pub diff_id: Digest,
}

impl Layer {
    /// A layer that is not compressed.
    pub fn plain(tar: Vec<u8>) -> Layer {
        let diff_id = Digest::sha256(&tar);
        Layer { blob: tar, media_type: "application/vnd.oci.image.layer.v1.tar", diff_id }
    }

    /// A layer compressed with gzip.
    pub fn gzip(tar: &[u8]) -> Layer {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(tar).and_then(|()| encoder.finish()).map_or_else(
            |error| unreachable!("writing into memory does not fail: {error}"),
            |blob| Layer {
                blob,
                media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
                diff_id: Digest::sha256(tar),
            },
        )
    }
}

/// Writes an OCI layout with one image into `directory`, which is made, and gives the manifest's digest.
/// `config` is put beside what every config needs; pass `json!({})` for nothing.
pub fn write_layout(directory: &Path, tag: &str, layers: &[Layer], config: &Value) -> io::Result<Digest> {
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    let put = |media_type: &str, bytes: &[u8]| -> io::Result<Value> {
        let digest = Digest::sha256(bytes);
        fs::write(directory.join("blobs/sha256").join(digest.hex()), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() }))
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let mut whole = json!({
        "architecture": architecture,
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), config.as_object()) {
        whole.extend(more.clone());
    }
    let config = put("application/vnd.oci.image.config.v1+json", &serde_json::to_vec(&whole)?)?;
    let descriptors: Vec<Value> =
        layers.iter().map(|layer| put(layer.media_type, &layer.blob)).collect::<io::Result<_>>()?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": descriptors,
    }))?;
    let mut descriptor = put("application/vnd.oci.image.manifest.v1+json", &manifest)?;
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(directory.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Digest::sha256(&manifest))
}

/// What the program of [`hello`] prints.
pub const GREETING: &str = "Hello from a root filesystem by unlade.\n";

/// Writes an OCI layout with a tiny image whose program is real: it prints [`GREETING`], and if it is
/// process 1 turns the machine off. Two layers, so that there is something to merge.
pub fn hello(directory: &Path) -> io::Result<Digest> {
    let base = Tar::default()
        .directory("./", 0o755)
        .directory("dev/", 0o755)
        .entry(
            &Header {
                name: b"dev/console",
                typeflag: b'3',
                mode: 0o600,
                device: (5, 1),
                ..Header::default()
            },
            b"",
        )
        .directory("etc/", 0o755)
        .file("etc/motd", 0o644, b"a lower layer's, to be removed\n")
        .directory("usr/", 0o755)
        .directory("usr/sbin/", 0o755)
        .symlink("sbin", "usr/sbin");
    let upper = Tar::default()
        .file("etc/.wh.motd", 0o644, b"")
        .file("etc/issue", 0o644, GREETING.as_bytes())
        .file("sbin/init", 0o755, &program());
    let layers = [Layer::gzip(&base.finish()), Layer::gzip(&upper.finish())];
    write_layout(directory, "hello", &layers, &json!({ "config": { "Entrypoint": ["/sbin/init"] } }))
}

/// A static ELF program for this machine's architecture.
///
/// It calls write(1, greeting), and getpid(); as process 1 also sync() and reboot(POWER_OFF); then exit(0).
fn program() -> Vec<u8> {
    match std::env::consts::ARCH {
        "aarch64" => elf(183, &code_aarch64()),
        _ => elf(62, &code_x86_64()),
    }
}

/// reboot(2)'s magic numbers and the command to turn the power off, from `linux/reboot.h`.
const REBOOT: [u32; 3] = [0xfee1_dead, 672_274_793, 0x4321_fedc];

fn code_x86_64() -> Vec<u8> {
    let mov = |register: u8, value: u32| [&[register][..], &value.to_le_bytes()].concat();
    let (eax, edx, esi, edi) = (0xb8, 0xba, 0xbe, 0xbf);
    let syscall = vec![0x0f, 0x05];
    let turn_off = [
        mov(eax, 162), // sync
        syscall.clone(),
        mov(eax, 169), // reboot
        mov(edi, REBOOT[0]),
        mov(esi, REBOOT[1]),
        mov(edx, REBOOT[2]),
        syscall.clone(),
    ]
    .concat();
    let exit = [mov(eax, 60), vec![0x31, 0xff], syscall.clone()].concat();
    let ask = [
        mov(edx, GREETING.len() as u32),
        syscall.clone(),
        mov(eax, 39), // getpid
        syscall,
        vec![0x83, 0xf8, 0x01],           // cmp eax, 1
        vec![0x75, turn_off.len() as u8], // jne exit
    ]
    .concat();
    let to_greeting = (ask.len() + turn_off.len() + exit.len()) as u32;
    let write = [mov(eax, 1), mov(edi, 1), vec![0x48, 0x8d, 0x35], to_greeting.to_le_bytes().to_vec()];
    [write.concat(), ask, turn_off, exit, GREETING.as_bytes().to_vec()].concat()
}

fn code_aarch64() -> Vec<u8> {
    let movz = |register: u32, value: u32| 0xd280_0000 | (value & 0xffff) << 5 | register;
    let movk = |register: u32, value: u32| 0xf2a0_0000 | (value >> 16) << 5 | register;
    const SVC: u32 = 0xd400_0001;
    let greeting_at = 22 * 4;
    let code = [
        movz(8, 64), // write
        movz(0, 1),
        // adr x1, greeting; this instruction is the third
        0x1000_0001 | ((greeting_at - 8) >> 2) << 5,
        movz(2, GREETING.len() as u32),
        SVC,
        movz(8, 172), // getpid
        SVC,
        0xf100_041f,           // cmp x0, 1
        0x5400_0001 | 11 << 5, // b.ne exit, 11 instructions on
        movz(8, 81),           // sync
        SVC,
        movz(8, 142), // reboot
        movz(0, REBOOT[0]),
        movk(0, REBOOT[0]),
        movz(1, REBOOT[1]),
        movk(1, REBOOT[1]),
        movz(2, REBOOT[2]),
        movk(2, REBOOT[2]),
        SVC,
        movz(8, 93), // exit
        movz(0, 0),
        SVC,
    ];
    debug_assert_eq!(code.len() * 4, greeting_at as usize);
    let mut bytes: Vec<u8> = code.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    bytes.extend_from_slice(GREETING.as_bytes());
    bytes
}

/// An ELF file with one segment that holds the headers and the code.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let length = HEADERS + code.len() as u64;
    let mut file = Vec::new();
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend_from_slice(&2u16.to_le_bytes()); // ET_EXEC
    file.extend_from_slice(&machine.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&(BASE + HEADERS).to_le_bytes()); // e_entry
    file.extend_from_slice(&64u64.to_le_bytes()); // e_phoff
    file.extend_from_slice(&0u64.to_le_bytes());
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes()); // sizes and numbers of headers
    }
    file.extend_from_slice(&1u32.to_le_bytes()); // PT_LOAD
    file.extend_from_slice(&5u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, length, length, 0x1000] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(code);
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_program_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hello");
        fs::write(&path, program()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = std::process::Command::new(&path).output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stdout), GREETING);
    }
}
