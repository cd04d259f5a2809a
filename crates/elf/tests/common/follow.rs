//! Follows each call of an [`Image`](super::image::Image) through its detour, by reading the code anew.

use std::collections::BTreeMap;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Register};

use super::image::TEXT;

const TEXT_OFFSET: usize = 0x1000;

fn read(bytes: &[u8], address: u64) -> BTreeMap<u64, Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut found = BTreeMap::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            decoder.set_position((instruction.ip() + 1 - address) as usize).expect("it is in there");
            decoder.set_ip(instruction.ip() + 1);
        }
        found.insert(instruction.ip(), instruction);
    }
    found
}

/// Whether an instruction does the same at another place.
fn is_same(was: &Instruction, now: &Instruction) -> bool {
    was.len() == now.len()
        && was.code() == now.code()
        && (0..was.op_count()).all(|operand| {
            was.op_kind(operand) == now.op_kind(operand)
                && was.op_register(operand) == now.op_register(operand)
        })
        && was.near_branch_target() == now.near_branch_target()
        && was.memory_displacement64() == now.memory_displacement64()
        && was.memory_base() == now.memory_base()
        && was.memory_index() == now.memory_index()
        && immediate(was) == immediate(now)
}

fn immediate(instruction: &Instruction) -> Option<u64> {
    (0..instruction.op_count()).find_map(|operand| instruction.try_immediate(operand).ok())
}

/// Panics if a call is left, or does not lead through its detour and back.
pub(crate) fn follow(file: &[u8], rewritten: &[u8], length: usize) {
    let text = TEXT_OFFSET..TEXT_OFFSET + length;
    let before = read(&file[text.clone()], TEXT);
    // One by one: what is no instruction may end elsewhere when something else follows.
    let one = |at: &u64| {
        let bytes = &rewritten[text.clone()][(at - TEXT) as usize..];
        (*at, Decoder::with_ip(64, bytes, *at, DecoderOptions::NONE).decode())
    };
    let after: BTreeMap<u64, Instruction> = before.keys().map(one).collect();
    let trailer = &rewritten[rewritten.len() - 32..];
    let number = |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().expect("eight bytes"));
    let (offset, slot, size) = (number(8) as usize, number(16), number(24) as usize);
    let detours = read(&rewritten[offset + 8..offset + size], slot + 8);
    assert!(after.values().all(|instruction| instruction.code() != Code::Syscall), "a call is left");
    let branches = |code: &BTreeMap<u64, Instruction>| -> Vec<u64> {
        code.values().map(Instruction::near_branch_target).filter(|target| *target != 0).collect()
    };
    let targets = branches(&before);
    for (&call, instruction) in before.iter().filter(|(_, instruction)| instruction.code() == Code::Syscall) {
        let leads = |at: &u64| {
            let jump = after.get(at).filter(|jump| jump.code() == Code::Jmp_rel32_64);
            before.contains_key(at)
                && jump.is_some_and(|jump| detours.contains_key(&jump.near_branch_target()))
        };
        let start =
            (0..=17).map(|back| call - back).find(leads).expect("a jump stands at the call or before it");
        let mut new = after[&start].near_branch_target();
        let mut step = || {
            let instruction = &detours[&new];
            new = instruction.next_ip();
            instruction
        };
        let mut old = start;
        while old < call {
            let was = &before[&old];
            assert!(is_same(was, step()) && was.flow_control() == FlowControl::Next, "moved from {old:#x}");
            old = was.next_ip();
        }
        let (lea, jump) = (step(), step());
        assert_eq!((lea.code(), lea.op0_register()), (Code::Lea_r64_m, Register::RCX));
        assert_eq!(lea.ip_rel_memory_address(), jump.next_ip());
        assert_eq!((jump.code(), jump.ip_rel_memory_address(), jump.len()), (Code::Jmp_rm64, slot, 6));
        old = instruction.next_ip();
        while old - start < 5 {
            assert!(is_same(&before[&old], step()), "moved from {old:#x}");
            old = before[&old].next_ip();
        }
        let back = step();
        assert_eq!((back.code(), back.near_branch_target()), (Code::Jmp_rel32_64, old));
        let inside = targets.iter().find(|target| start < **target && **target < old);
        assert_eq!(inside, None, "something jumps into what was replaced at {start:#x}");
    }
}
