//! Where a program's code is: its sections with instructions, checked against the segments that are loaded.

use object::LittleEndian as LE;
use object::elf::{
    ELFMAG, ET_DYN, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD, ProgramHeader64, SHF_ALLOC, SHF_EXECINSTR,
    SHT_NOBITS, SHT_NULL, SectionHeader64,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::calls::looks_like_one;
use super::{Fault, Obstacle, Reason, SECTIONS_MAX, SEGMENTS_MAX};
use crate::{Architecture, Error, file};

/// A program whose headers were read.
pub(super) struct Program<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) header: &'a FileHeader64<LE>,
    pub(super) segments: &'a [ProgramHeader64<LE>],
    pub(super) headers: &'a [SectionHeader64<LE>],
    /// Sections with code, in the order of addresses.
    pub(super) sections: Vec<Section<'a>>,
    /// Sections with code that are not in the file.
    outside: Vec<(u64, u64)>,
    /// Where the last segment in memory ends.
    pub(super) load_end: u64,
}

/// A section with code.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl Section<'_> {
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.len() as u64)
    }
}

impl<'a> Program<'a> {
    /// Reads headers, or says why the file is none that is rewritten.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Result<Program<'a>, Reason>, Error> {
        if bytes.get(..4) != Some(&ELFMAG) {
            return Ok(Err(Reason::NotElf));
        }
        let machine = Architecture::X86_64.machine.to_le_bytes();
        if bytes.get(4..6) != Some(&[2, 1]) || bytes.get(18..20) != Some(&machine) {
            return Ok(Err(Reason::OtherArchitecture));
        }
        let header = FileHeader64::<LE>::parse(bytes);
        let header = header.map_err(|_| Error::Corrupt("the ELF header is cut off or unknown"))?;
        if !matches!(header.e_type(LE), ET_EXEC | ET_DYN) {
            return Ok(Err(Reason::NotLoaded));
        }
        let segments = header
            .program_headers(LE, bytes)
            .map_err(|_| Error::Corrupt("the program headers lie outside of the file"))?;
        let load_end = file::load_end::<FileHeader64<LE>>(segments, LE)?;
        check("the program has more segments", segments.len(), SEGMENTS_MAX)?;
        // Loaders need no sections, so that a table of them that is spoilt stops nobody else.
        let headers = header.section_headers(LE, bytes).unwrap_or_default();
        check("the program has more sections", headers.len(), SECTIONS_MAX)?;
        let mut program =
            Program { bytes, header, segments, headers, sections: Vec::new(), outside: Vec::new(), load_end };
        for section in headers {
            let flags = section.sh_flags(LE);
            let is_code = flags.contains(SHF_ALLOC) && flags.contains(SHF_EXECINSTR);
            if !is_code || section.sh_size(LE) == 0 || matches!(section.sh_type(LE), SHT_NULL | SHT_NOBITS) {
                continue;
            }
            let (address, offset) = (section.sh_addr(LE), section.sh_offset(LE));
            match section.data(LE, bytes) {
                Ok(bytes) => program.sections.push(Section { address, offset, bytes }),
                Err(_) => program.outside.push((address, offset)),
            }
        }
        if program.sections.is_empty() {
            return Ok(Err(Reason::NoCode));
        }
        program.sections.sort_by_key(|section| (section.address, section.offset));
        Ok(Ok(program))
    }

    /// Whether addresses are what the file says, and not relative to where it is loaded.
    pub(super) fn is_fixed(&self) -> bool {
        self.header.e_type(LE) == ET_EXEC
    }

    /// The section with code that has this address.
    pub(super) fn section(&self, address: u64) -> Option<&Section<'a>> {
        let behind = self.sections.partition_point(|section| section.address <= address);
        self.sections[..behind].last().filter(|section| address < section.end())
    }

    pub(super) fn obstacle(&self, address: u64, fault: Fault) -> Obstacle {
        let section = self.section(address);
        let offset = section.map_or(0, |section| section.offset + (address - section.address));
        Obstacle { address, offset, fault }
    }

    /// What is wrong with sections and segments, before any instruction is looked at.
    pub(super) fn obstacles(&self) -> Vec<Obstacle> {
        let misplaced = |&(address, offset)| Obstacle { address, offset, fault: Fault::Misplaced };
        let mut found: Vec<Obstacle> = self.outside.iter().map(misplaced).collect();
        let mut end = 0;
        for section in &self.sections {
            let fault = match self.segment(section) {
                Some(_) if section.address < end => Some(Fault::Misplaced),
                Some(segment) => segment.p_flags(LE).contains(PF_W).then_some(Fault::Writable),
                None => Some(Fault::Misplaced),
            };
            end = section.end();
            let (address, offset) = (section.address, section.offset);
            found.extend(fault.map(|fault| Obstacle { address, offset, fault }));
        }
        // Sections share no bytes; many that do would be read again and again.
        let sizes =
            self.headers.iter().filter_map(|section| section.data(LE, self.bytes).ok().map(<[u8]>::len));
        if sizes.fold(0, usize::saturating_add) > self.bytes.len() {
            found.push(misplaced(&(0, 0)));
        }
        found.extend(self.uncovered());
        found
    }

    /// The segment of code in which a section lies, in the file as in memory.
    fn segment(&self, section: &Section<'_>) -> Option<&ProgramHeader64<LE>> {
        let length = section.bytes.len() as u64;
        let mut segments = self.code_segments().filter(|segment| {
            let (offset, size) = segment.file_range(LE);
            let (in_memory, in_file) =
                (section.address.checked_sub(segment.p_vaddr(LE)), section.offset.checked_sub(offset));
            let ends = in_file.and_then(|at| at.checked_add(length));
            in_file.is_some() && in_memory == in_file && ends.is_some_and(|ends| ends <= size)
        });
        segments.next()
    }

    fn code_segments(&self) -> impl Iterator<Item = &ProgramHeader64<LE>> {
        let is_code = |segment: &&ProgramHeader64<LE>| {
            segment.p_type(LE) == PT_LOAD && segment.p_flags(LE).contains(PF_X)
        };
        self.segments.iter().filter(is_code)
    }

    /// Bytes like a call in executable memory, where no section says whether they are code or data.
    fn uncovered(&self) -> Vec<Obstacle> {
        let mut described: Vec<(u64, u64)> =
            self.headers.iter().filter_map(|section| section.file_range(LE)).collect();
        // The headers of the file itself, which the first segment has in it.
        let headers = u64::from(self.header.e_phentsize(LE)) * self.segments.len() as u64;
        described.push((0, size_of::<FileHeader64<LE>>() as u64));
        described.push((self.header.e_phoff(LE), headers));
        described.sort();
        let mut found = Vec::new();
        for segment in self.code_segments() {
            let (mut at, size) = segment.file_range(LE);
            let end = at.saturating_add(size).min(self.bytes.len() as u64);
            let address = |offset: u64| segment.p_vaddr(LE).saturating_add(offset - segment.p_offset(LE));
            let mut look = |from: u64, to: u64| {
                let gap = self.bytes.get(from as usize..to as usize).unwrap_or_default();
                let fault = Fault::Uncovered;
                found.extend(looks_like_one(gap).then(|| Obstacle {
                    address: address(from),
                    offset: from,
                    fault,
                }));
            };
            for &(offset, size) in &described {
                let to = offset.min(end);
                if to > at {
                    look(at, to);
                }
                at = at.max(offset.saturating_add(size));
            }
            if at < end {
                look(at, end);
            }
        }
        found
    }
}

fn check(what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count > limit { Err(Error::Limit { what, limit }) } else { Ok(()) }
}
