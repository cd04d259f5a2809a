//! Detours: for each call a place of five bytes or more that becomes a jump, and what is done instead.

use iced_x86::{Code, FlowControl, Instruction, OpKind, Register};

use super::calls::{Decoded, LONGEST, decoder};
use super::code::Program;
use super::{Change, Fault};

/// Files are mapped in pages of this size.
pub(super) const PAGE: usize = 4096;

/// A jump to four bytes of distance.
const JUMP: usize = 5;

/// The most bytes that are replaced: four, which are not enough, and one more instruction.
pub(super) const REPLACED: usize = JUMP - 1 + LONGEST as usize;

/// Code behind the program. It begins with a slot into which the runner writes its own address.
pub(super) struct Trampoline {
    /// Where it is in memory: at the first page behind the program.
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
    /// Where the last place ended that was replaced.
    replaced: u64,
}

/// What is replaced for a call.
struct Place {
    start: u64,
    end: u64,
    /// The instructions beside the call, all before or all behind it.
    moved: Vec<Instruction>,
    is_before: bool,
}

impl Place {
    /// Whether nothing jumps behind its start, not even into an instruction, and all of it can be moved.
    fn is_sound(&self, decoded: &Decoded) -> bool {
        !(self.start + 1..self.end).any(|address| decoded.is_target(address)) && can_move(&self.moved)
    }
}

impl Trampoline {
    pub(super) fn new(program: &Program<'_>) -> Trampoline {
        let address = program.load_end.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX);
        Trampoline { address, bytes: vec![0; 8], replaced: 0 }
    }

    /// Adds a detour for the call at this address. Calls come in the order of addresses.
    pub(super) fn add(
        &mut self,
        program: &Program<'_>,
        decoded: &Decoded,
        call: u64,
    ) -> Result<Change, Fault> {
        // Nor are there programs up there.
        if self.address > i64::MAX as u64 {
            return Err(Fault::TooFar);
        }
        let before = self.before(program, decoded, call);
        let place = before.or_else(|| behind(program, decoded, call)).ok_or(Fault::NoRoom)?;
        let mut code = Vec::with_capacity(64);
        let start = self.address + self.bytes.len() as u64;
        if place.is_before {
            relocate(program, &place.moved, start, &mut code)?;
        }
        // lea rcx, [rip + 6]: the address behind the next instruction, as the kernel would leave it.
        code.extend_from_slice(&[0x48, 0x8d, 0x0d, 6, 0, 0, 0]);
        // jmp [slot]
        code.extend_from_slice(&[0xff, 0x25]);
        code.extend_from_slice(&distance(start + code.len() as u64 + 4, self.address)?);
        if !place.is_before {
            relocate(program, &place.moved, start, &mut code)?;
        }
        jump(&mut code, start, place.end)?;

        let section = program.section(place.start).ok_or(Fault::NoRoom)?;
        let mut change = Change {
            offset: section.offset + (place.start - section.address),
            bytes: [0x90; REPLACED],
            length: (place.end - place.start) as u8,
        };
        let mut site = Vec::with_capacity(JUMP);
        jump(&mut site, place.start, start)?;
        change.bytes[..JUMP].copy_from_slice(&site);
        self.bytes.extend_from_slice(&code);
        self.replaced = place.end;
        Ok(change)
    }

    /// Whole instructions before a call, back to where there are five bytes. Nothing may jump behind the first of
    /// them, and control goes through all of them.
    fn before(&self, program: &Program<'_>, decoded: &Decoded, call: u64) -> Option<Place> {
        let section = program.section(call)?;
        let end = decoder(section, call)?.decode().next_ip();
        let mut moved = Vec::new();
        let mut start = call;
        while end - start < JUMP as u64 {
            start = decoded.previous(start)?;
            let instruction = decoder(section, start)?.decode();
            if start < self.replaced
                || start < section.address
                || instruction.flow_control() != FlowControl::Next
            {
                return None;
            }
            moved.insert(0, instruction);
        }
        let place = Place { start, end, moved, is_before: true };
        place.is_sound(decoded).then_some(place)
    }
}

/// Whole instructions behind a call, up to where there are five bytes. Nothing may jump to any of them; only the last
/// one may lead elsewhere.
fn behind(program: &Program<'_>, decoded: &Decoded, call: u64) -> Option<Place> {
    let section = program.section(call)?;
    let mut decoder = decoder(section, call)?;
    let mut end = decoder.decode().next_ip();
    let mut moved: Vec<Instruction> = Vec::new();
    while end - call < JUMP as u64 {
        let falls_through = moved.last().is_none_or(|last| last.flow_control() == FlowControl::Next);
        if !decoder.can_decode() || !falls_through || !decoded.begins(end) {
            return None;
        }
        let instruction = decoder.decode();
        end = instruction.next_ip();
        moved.push(instruction);
    }
    let place = Place { start: call, end, moved, is_before: false };
    place.is_sound(decoded).then_some(place)
}

/// Whether instructions do the same elsewhere, if their distances are changed.
///
/// A call would leave an address of the trampoline on the stack, about which unwinding knows nothing. A short jump
/// does not reach, and a longer one needs more bytes than there were.
fn can_move(instructions: &[Instruction]) -> bool {
    instructions.iter().all(|instruction| {
        let operands = || (0..instruction.op_count()).map(|operand| instruction.op_kind(operand));
        let is_short = || {
            let four = instruction.len() >= JUMP && operands().all(|kind| kind == OpKind::NearBranch64);
            !four
                && operands().any(|kind| {
                    matches!(kind, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
                })
        };
        let flows = match instruction.flow_control() {
            FlowControl::Next | FlowControl::Return | FlowControl::IndirectBranch => true,
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => !is_short(),
            _ => false,
        };
        let is_far = operands().any(|kind| matches!(kind, OpKind::FarBranch16 | OpKind::FarBranch32));
        flows && !is_far && instruction.memory_base() != Register::EIP && instruction.code() != Code::INVALID
    })
}

/// Writes instructions for another address, where the detour `code` at `start` goes on. Each keeps its length.
fn relocate(
    program: &Program<'_>,
    moved: &[Instruction],
    start: u64,
    code: &mut Vec<u8>,
) -> Result<(), Fault> {
    for instruction in moved {
        let section = program.section(instruction.ip()).ok_or(Fault::NoRoom)?;
        let mut decoder = decoder(section, instruction.ip()).ok_or(Fault::NoRoom)?;
        let again = decoder.decode();
        let offsets = decoder.get_constant_offsets(&again);
        let at = (instruction.ip() - section.address) as usize;
        let mut bytes = section.bytes.get(at..at + instruction.len()).ok_or(Fault::NoRoom)?.to_vec();
        let next = start + (code.len() + bytes.len()) as u64;
        let mut replace = |offset: usize, size: usize, target: u64| -> Result<(), Fault> {
            let place = bytes.get_mut(offset..offset + size).and_then(|place| place.first_chunk_mut::<4>());
            let place = place.ok_or(Fault::NoRoom)?;
            *place = distance(next, target)?;
            Ok(())
        };
        if instruction.is_ip_rel_memory_operand() {
            replace(
                offsets.displacement_offset(),
                offsets.displacement_size(),
                instruction.ip_rel_memory_address(),
            )?;
        }
        if instruction.op_count() > 0 && instruction.op_kind(0) == OpKind::NearBranch64 {
            replace(offsets.immediate_offset(), offsets.immediate_size(), instruction.near_branch_target())?;
        }
        code.extend_from_slice(&bytes);
    }
    Ok(())
}

/// Adds a jump to code that began at `start`.
fn jump(code: &mut Vec<u8>, start: u64, target: u64) -> Result<(), Fault> {
    let next = start + (code.len() + JUMP) as u64;
    code.push(0xe9);
    code.extend_from_slice(&distance(next, target)?);
    Ok(())
}

/// How far it is from the end of an instruction to a target.
fn distance(next: u64, target: u64) -> Result<[u8; 4], Fault> {
    let distance = i32::try_from(target.wrapping_sub(next) as i64).map_err(|_| Fault::TooFar)?;
    Ok(distance.to_le_bytes())
}
