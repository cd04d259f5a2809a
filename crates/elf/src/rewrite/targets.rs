//! Addresses of code that other parts of a file have: symbols, unwinding information, relocations, tables of jumps.
//!
//! A jump through a register shows no target. Where one might lead into bytes that are to be replaced is known from
//! these; each only makes the rewriter more careful.

use std::collections::BTreeSet;

use object::LittleEndian as LE;
use object::elf::{
    PT_GNU_EH_FRAME, SHF_ALLOC, SHF_EXECINSTR, SHT_DYNSYM, SHT_NOBITS, SHT_RELR, SHT_SYMTAB, STT_OBJECT,
    STT_TLS, Sym64,
};
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader, Sym};

use super::calls::Decoded;
use super::code::Program;

/// Addresses at which an instruction begins for certain: the entry, symbols, what unwinding information covers.
pub(super) fn known_begins(program: &Program<'_>) -> BTreeSet<u64> {
    let mut known = BTreeSet::new();
    let mut add = |address: u64| {
        if program.section(address).is_some() {
            known.insert(address);
        }
    };
    add(program.header.e_entry(LE));
    for section in
        program.headers.iter().filter(|section| matches!(section.sh_type(LE), SHT_SYMTAB | SHT_DYNSYM))
    {
        let symbols: &[Sym64<LE>] = section.data_as_array(LE, program.bytes).unwrap_or_default();
        for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined(LE) && !symbol.is_absolute(LE)) {
            if !matches!(symbol.st_type(), STT_OBJECT | STT_TLS) {
                add(symbol.st_value(LE));
            }
        }
    }
    unwinding(program).for_each(add);
    known
}

/// Where functions begin that `.eh_frame_hdr` lists, in the one encoding that linkers write its table in.
fn unwinding<'a>(program: &Program<'a>) -> impl Iterator<Item = u64> + use<'a> {
    // Version, encodings of a pointer (four bytes), of the number of entries (four bytes) and of these: pairs of
    // signed four bytes each, relative to this segment.
    const TABLE: [u8; 2] = [0x03, 0x3b];
    let segment = program.segments.iter().find(|segment| segment.p_type(LE) == PT_GNU_EH_FRAME);
    let bytes = segment.and_then(|segment| segment.data(LE, program.bytes).ok()).unwrap_or_default();
    let start = segment.map_or(0, |segment| segment.p_vaddr(LE));
    let is_known = bytes.first() == Some(&1) && bytes.get(2..4) == Some(&TABLE);
    let count =
        bytes.get(8..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four));
    let entries = bytes.get(12..).filter(|_| is_known).unwrap_or_default().as_chunks::<8>().0;
    entries.iter().take(count as usize).map(move |[a, b, c, d, ..]| {
        start.wrapping_add_signed(i64::from(i32::from_le_bytes([*a, *b, *c, *d])))
    })
}

/// Addresses that stand in data: in relocations, as words, and in tables of jumps that begin where `tables` says.
pub(super) fn from_data(program: &Program<'_>, tables: &BTreeSet<u64>, decoded: &mut Decoded) {
    // Words are addresses in programs at fixed addresses, and where relocations are packed.
    let has_words =
        program.is_fixed() || program.headers.iter().any(|section| section.sh_type(LE) == SHT_RELR);
    for section in program.headers {
        if let Ok(Some((relocations, _))) = section.rela(LE, program.bytes) {
            for relocation in relocations {
                decoded.add_target(relocation.r_addend(LE) as u64);
            }
        }
        let flags = section.sh_flags(LE);
        let is_data = flags.contains(SHF_ALLOC) && !flags.contains(SHF_EXECINSTR);
        if !is_data || section.sh_type(LE) == SHT_NOBITS {
            continue;
        }
        let Ok(bytes) = section.data(LE, program.bytes) else { continue };
        if has_words {
            for word in bytes.as_chunks().0 {
                let address = u64::from_le_bytes(*word);
                if decoded.begins(address) {
                    decoded.add_target(address);
                }
            }
        }
        let start = section.sh_addr(LE);
        let mut of_section = tables.range(start..start.saturating_add(bytes.len() as u64)).peekable();
        while let Some(&table) = of_section.next() {
            let end = of_section.peek().map_or(bytes.len(), |next| (**next - start) as usize);
            read_table(table, &bytes[(table - start) as usize..end], decoded);
        }
    }
}

/// A table of jumps as compilers make them for code that can be anywhere: four bytes each, relative to the table. It
/// ends where an entry leads to no instruction, or where something else begins.
fn read_table(table: u64, bytes: &[u8], decoded: &mut Decoded) {
    for entry in bytes.as_chunks().0 {
        let address = table.wrapping_add_signed(i64::from(i32::from_le_bytes(*entry)));
        if !decoded.begins(address) {
            return;
        }
        decoded.add_target(address);
    }
}
