//! A tiny image whose program is real: it boots and prints.

use std::io;
use std::path::Path;

use hash::Digest;
use serde_json::json;

use crate::image::{Header, Layer, Tar, write_layout};

/// What the program of [`write()`] prints.
pub const GREETING: &str = "Hello from a root filesystem by unlade.\n";

/// Writes an OCI layout with a tiny image whose program is real: it prints [`GREETING`], and if it is
/// process 1 turns the machine off. Two layers, so that there is something to merge.
pub fn write(directory: &Path) -> io::Result<Digest> {
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

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
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
