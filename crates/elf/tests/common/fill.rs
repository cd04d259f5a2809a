//! Makes of a rewritten file one that runs without the runner: the trampoline becomes a segment in place of a note,
//! and the kernel is called in it.

use iced_x86::{Code, Decoder, DecoderOptions};

use super::trampoline;

/// How a detour reaches the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// The jump through the slot becomes a call of the kernel, in a file at any address. Fit for whatever a program
    /// does.
    Itself,
    /// As with the runner: the slot has the address of code, here behind the detours, which calls the kernel and
    /// goes where `rcx` says. It needs fixed addresses and the stack, so that no thread can be made.
    Slot,
}

/// What the slot leads to: `lea rsp, [rsp - 128]; push rcx; syscall; pop rcx; lea rsp, [rsp + 128]; jmp rcx`, since what
/// is below the stack's end belongs to the program. Only the end of a signal, call 15, must find the stack as it is.
#[rustfmt::skip]
const ENTRY: [u8; 26] = [
    0x83, 0xf8, 15, 0x74, 19,
    0x48, 0x8d, 0x64, 0x24, 0x80, 0x51, 0x0f, 0x05, 0x59, 0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0, 0xff, 0xe1,
    0x0f, 0x05,
];

pub(crate) fn fill(rewritten: &[u8], through: Through) -> Vec<u8> {
    let (offset, address, code) = trampoline(rewritten);
    let mut code = code.to_vec();
    match through {
        Through::Slot => {
            let entry = address + code.len() as u64;
            code[..8].copy_from_slice(&entry.to_le_bytes());
            code.extend(ENTRY);
        }
        Through::Itself => {
            for place in slots(address, &code) {
                // syscall; nop dword [rax]
                code[place..place + 6].copy_from_slice(&[0x0f, 0x05, 0x0f, 0x1f, 0x40, 0]);
            }
        }
    }
    let mut file = rewritten[..offset as usize].to_vec();
    let size = (code.len() as u64).to_le_bytes();
    file.extend(code);
    let number = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let (headers, count) = (number(&file, 32) as usize, usize::from(file[56]));
    let kind = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    // The last note, or what says whether the stack is executable.
    let mut notes = (0..count).map(|at| headers + at * 56).filter(|at| matches!(kind(*at), 4 | 0x6474_e551));
    let header = notes.next_back().expect("there is a header to spare");
    file[header..header + 4].copy_from_slice(&1_u32.to_le_bytes());
    file[header + 4..header + 8].copy_from_slice(&5_u32.to_le_bytes());
    let fields = [offset.to_le_bytes(), address.to_le_bytes(), address.to_le_bytes(), size, size];
    for (at, field) in fields.iter().chain([&4096_u64.to_le_bytes()]).enumerate() {
        file[header + 8 + at * 8..][..8].copy_from_slice(field);
    }
    file
}

/// Where in a trampoline the jumps through the slot are.
pub(crate) fn slots(address: u64, code: &[u8]) -> Vec<usize> {
    let mut decoder = Decoder::with_ip(64, &code[8..], address + 8, DecoderOptions::NONE);
    let jumps = decoder.iter().filter(|instruction| {
        instruction.code() == Code::Jmp_rm64
            && instruction.is_ip_rel_memory_operand()
            && instruction.ip_rel_memory_address() == address
    });
    jumps.map(|instruction| (instruction.ip() - address) as usize).collect()
}
