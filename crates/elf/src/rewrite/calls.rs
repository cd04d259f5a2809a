//! Reads the code: where instructions begin, which of them are calls, and where something jumps to.
//!
//! Code is read from the start of each section on, one instruction behind the other. Where it is known from
//! elsewhere that an instruction begins (a symbol, unwinding information, a jump) and reading has gone past that in the
//! middle of another, there are data between the code, or somebody jumps behind a prefix; it is read from there as
//! well, until both ways meet.

use std::collections::BTreeSet;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};

use super::CALLS_MAX;
use super::code::{Program, Section};
use super::set::Set;
use super::targets;
use crate::Error;

/// The longest instruction, in bytes.
pub(super) const LONGEST: u64 = 15;

/// All that is known of the instructions of a program.
pub(super) struct Decoded {
    /// Addresses of calls, in their order.
    pub(super) calls: Vec<u64>,
    /// Addresses of calls that are there only in one of two ways of reading.
    pub(super) unclear: BTreeSet<u64>,
    /// One for each section, in the same order.
    sections: Vec<Marks>,
}

/// Addresses in one section.
struct Marks {
    start: u64,
    end: u64,
    /// Where instructions begin.
    begins: Set,
    /// Where something stands that is no instruction.
    nothing: Set,
    /// Where branches lead to.
    branches: Set,
    /// Where something jumps to, or may.
    targets: Set,
}

impl Decoded {
    fn marks(&self, address: u64) -> Option<&Marks> {
        let behind = self.sections.partition_point(|marks| marks.start <= address);
        self.sections[..behind].last().filter(|marks| address < marks.end)
    }

    fn marks_mut(&mut self, address: u64) -> Option<&mut Marks> {
        let behind = self.sections.partition_point(|marks| marks.start <= address);
        self.sections[..behind].last_mut().filter(|marks| address < marks.end)
    }

    /// Whether something jumps to this address, or may.
    pub(super) fn is_target(&self, address: u64) -> bool {
        self.marks(address).is_some_and(|marks| marks.targets.contains(address))
    }

    /// Whether an instruction begins here.
    pub(super) fn begins(&self, address: u64) -> bool {
        self.marks(address).is_some_and(|marks| marks.begins.contains(address))
    }

    /// The nearest instruction that begins before this address.
    pub(super) fn previous(&self, address: u64) -> Option<u64> {
        (1..=LONGEST).map_while(|length| address.checked_sub(length)).find(|begin| self.begins(*begin))
    }

    /// Adds a target, wherever it is.
    pub(super) fn add_target(&mut self, address: u64) {
        if let Some(marks) = self.marks_mut(address) {
            marks.targets.insert(address);
        }
    }
}

/// Whether there are bytes of a `syscall` instruction, as one or in another.
pub(super) fn looks_like_one(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == [0x0f, 0x05])
}

/// A decoder that begins at an address of a section.
pub(super) fn decoder<'a>(section: &Section<'a>, address: u64) -> Option<Decoder<'a>> {
    let from = usize::try_from(address.checked_sub(section.address)?).ok()?;
    Decoder::try_with_ip(64, section.bytes.get(from..)?, address, DecoderOptions::NONE).ok()
}

/// Reads an instruction. What is none has one byte: how many a decoder looked at for that means nothing.
fn step(decoder: &mut Decoder<'_>, instruction: &mut Instruction) {
    let at = decoder.position();
    decoder.decode_out(instruction);
    if instruction.is_invalid() && decoder.set_position(at + 1).is_ok() {
        decoder.set_ip(instruction.ip().wrapping_add(1));
    }
}

/// Reads all code of a program.
pub(super) fn decode(program: &Program<'_>) -> Result<Decoded, Error> {
    let mut decoded = Decoded { calls: Vec::new(), unclear: BTreeSet::new(), sections: Vec::new() };
    for section in &program.sections {
        let set = || Set::new(section.address, section.bytes.len());
        let marks = Marks {
            start: section.address,
            end: section.end(),
            begins: set(),
            nothing: set(),
            branches: set(),
            targets: set(),
        };
        decoded.sections.push(marks);
    }
    let known = targets::known_begins(program);
    let mut tables = BTreeSet::new();
    for section in &program.sections {
        let Some(decoder) = decoder(section, section.address) else { continue };
        read_section(program, section, decoder, &mut decoded, &mut tables)?;
    }
    for (at, section) in program.sections.iter().enumerate() {
        let mut begins = decoded.sections[at].branches.without(&decoded.sections[at].begins);
        begins.extend(known.range(section.address..section.end()).filter(|begin| !decoded.begins(**begin)));
        read_again(program, section, &begins, &mut decoded, &mut tables)?;
    }
    let among_data = decoded.calls.iter().filter(|call| is_among_data(&decoded, &known, **call));
    let among_data: Vec<u64> = among_data.copied().collect();
    decoded.unclear.extend(among_data);
    for address in known {
        decoded.add_target(address);
    }
    targets::from_data(program, &tables, &mut decoded);
    Ok(decoded)
}

/// Reads a section from its start.
fn read_section(
    program: &Program<'_>,
    section: &Section<'_>,
    mut decoder: Decoder<'_>,
    decoded: &mut Decoded,
    tables: &mut BTreeSet<u64>,
) -> Result<(), Error> {
    let mut instruction = Instruction::default();
    let at = decoded.sections.partition_point(|marks| marks.start < section.address);
    while decoder.can_decode() {
        step(&mut decoder, &mut instruction);
        decoded.sections[at].begins.insert(instruction.ip());
        if instruction.is_invalid() {
            decoded.sections[at].nothing.insert(instruction.ip());
        }
        if instruction.code() == Code::Syscall {
            if decoded.calls.len() == CALLS_MAX {
                return Err(Error::Limit { what: "the program has more system calls", limit: CALLS_MAX });
            }
            decoded.calls.push(instruction.ip());
        }
        collect(program, &instruction, decoded, tables);
    }
    Ok(())
}

/// How far around a call what is no instruction makes it doubtful, in bytes. One in eight things that are read out of
/// noise is none, and these are some twenty on either side.
const AROUND: u64 = 64;

/// Whether near a call stands what is no instruction, with no begin of code in between that is known from elsewhere. A
/// table between functions reads like that, such as those of OpenSSL, and so the call is none.
fn is_among_data(decoded: &Decoded, known: &BTreeSet<u64>, call: u64) -> bool {
    let Some(marks) = decoded.marks(call) else { return false };
    let start = known.range(..=call).next_back().map_or(0, |begin| *begin);
    let end = known.range(call + 1..).next().map_or(u64::MAX, |begin| *begin);
    let before = start.max(call.saturating_sub(AROUND))..call;
    let behind = call + 1..end.min(call.saturating_add(AROUND));
    before.chain(behind).any(|address| marks.nothing.contains(address))
}

/// Reads from each begin that the first reading passed over, until both meet.
fn read_again(
    program: &Program<'_>,
    section: &Section<'_>,
    begins: &[u64],
    decoded: &mut Decoded,
    tables: &mut BTreeSet<u64>,
) -> Result<(), Error> {
    // What was read a third way is not read again, so that all of it takes no longer than the section is.
    let mut seen = Set::new(section.address, section.bytes.len());
    let mut instruction = Instruction::default();
    for &begin in begins {
        let Some(mut decoder) = decoder(section, begin) else { continue };
        while decoder.can_decode() && !decoded.begins(decoder.ip()) && seen.insert(decoder.ip()) {
            step(&mut decoder, &mut instruction);
            if instruction.code() == Code::Syscall {
                decoded.unclear.insert(instruction.ip());
            }
            collect(program, &instruction, decoded, tables);
        }
        // Calls of the first reading, from the instruction that goes across up to where both meet, are as unclear.
        let from = decoded.previous(begin).unwrap_or(begin);
        let first = decoded.calls.partition_point(|call| *call < from);
        let between = decoded.calls[first..].iter().take_while(|call| **call < decoder.ip());
        decoded.unclear.extend(between);
        if decoded.unclear.len() > CALLS_MAX {
            return Err(Error::Limit { what: "the program has more system calls", limit: CALLS_MAX });
        }
    }
    Ok(())
}

/// Collects what an instruction says of other addresses: where it jumps to, and what it takes the address of. A jump
/// through a register or a table leads to such a one.
fn collect(
    program: &Program<'_>,
    instruction: &Instruction,
    decoded: &mut Decoded,
    tables: &mut BTreeSet<u64>,
) {
    if instruction.code() == Code::Endbr64 {
        decoded.add_target(instruction.ip());
    }
    for operand in 0..instruction.op_count() {
        match instruction.op_kind(operand) {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                let target = instruction.near_branch_target();
                if let Some(marks) = decoded.marks_mut(target) {
                    marks.branches.insert(target);
                    marks.targets.insert(target);
                }
            }
            OpKind::Memory if instruction.memory_base() == Register::RIP => {
                let address = instruction.ip_rel_memory_address();
                decoded.add_target(address);
                if instruction.code() == Code::Lea_r64_m && program.section(address).is_none() {
                    tables.insert(address);
                }
            }
            OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64 if program.is_fixed() => {
                decoded.add_target(instruction.immediate(operand));
            }
            _ => {}
        }
    }
}
