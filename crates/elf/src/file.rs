//! What a file says of itself to a loader: System V ABI, chapters 4 and 5.
//!
//! Only what loaders look at is looked at: program headers and the dynamic segment, never sections.

use object::Endianness;
use object::elf::{
    DT_FLAGS_1, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, ELFCLASS32, ELFCLASS64,
    ELFMAG, FileHeader32, FileHeader64, PT_INTERP, PT_LOAD,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use crate::Error;

/// Bytes of all texts of a dynamic segment, which may name the same long one again and again.
pub const ELF_TEXTS_MAX: usize = 256 << 10;

/// The longest path that Linux takes, with the byte of its end.
pub(crate) const PATH_MAX: usize = 4096;

/// The flag of `DT_FLAGS_1` with which the system's directories are not searched.
const DF_1_NODEFLIB: u64 = 0x800;

/// Width of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 32 bits.
    Elf32,
    /// 64 bits.
    Elf64,
}

/// For what a file is. Loaders pass over files for something else than the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Architecture {
    /// Width of addresses.
    pub class: Class,
    /// Whether numbers begin with their lowest byte.
    pub little_endian: bool,
    /// `e_machine`, such as 62 for x86-64 and 183 for AArch64.
    pub machine: u16,
}

impl Architecture {
    /// x86-64 with 64-bit addresses, the only one that is rewritten.
    pub const X86_64: Architecture = Architecture { class: Class::Elf64, little_endian: true, machine: 62 };
}

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program at fixed addresses (`ET_EXEC`).
    Executable,
    /// A library, or a program that can be anywhere (`ET_DYN`).
    Shared,
    /// A compiler's output, a core, or something unknown: `e_type`.
    Other(u16),
}

/// What a file says to a loader. Texts are raw: nothing is expanded, split or checked in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// For what it is.
    pub architecture: Architecture,
    /// What is to be done with it.
    pub kind: Kind,
    /// The loader that is to load it (`PT_INTERP`), for a program that is not static.
    pub interpreter: Option<Box<[u8]>>,
    /// Names of libraries in the order in which they are searched (`DT_NEEDED`).
    pub needed: Vec<Box<[u8]>>,
    /// The name under which others need it (`DT_SONAME`).
    pub soname: Option<Box<[u8]>>,
    /// Directories for it and for what it needs (`DT_RPATH`).
    pub rpath: Option<Box<[u8]>>,
    /// Directories for what it needs itself (`DT_RUNPATH`).
    pub runpath: Option<Box<[u8]>>,
    /// Whether the system's directories are not to be searched for what it needs (`DF_1_NODEFLIB`).
    pub no_default_directories: bool,
    /// Where the last of its segments in memory ends (`PT_LOAD`); 0 if it has none.
    pub load_end: u64,
}

/// Reads what `bytes` say to a loader; `None` if they are no ELF file.
///
/// # Errors
///
/// `Corrupt` if a table or text lies outside of the file, `Limit` if texts are too long.
pub fn read(bytes: &[u8]) -> Result<Option<File>, Error> {
    if bytes.get(..4) != Some(&ELFMAG) {
        return Ok(None);
    }
    match bytes.get(4).copied() {
        Some(class) if class == ELFCLASS32.0 => {
            read_as::<FileHeader32<Endianness>>(bytes, Class::Elf32).map(Some)
        }
        Some(class) if class == ELFCLASS64.0 => {
            read_as::<FileHeader64<Endianness>>(bytes, Class::Elf64).map(Some)
        }
        _ => Err(Error::Corrupt("the ELF header names no class")),
    }
}

fn read_as<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8], class: Class) -> Result<File, Error> {
    let header = Elf::parse(bytes).map_err(|_| Error::Corrupt("the ELF header is cut off or unknown"))?;
    let endian = header.endian().map_err(|_| Error::Corrupt("the ELF header names no byte order"))?;
    let segments = header
        .program_headers(endian, bytes)
        .map_err(|_| Error::Corrupt("the program headers lie outside of the file"))?;
    let mut file = File {
        architecture: Architecture {
            class,
            little_endian: header.is_little_endian(),
            machine: header.e_machine(endian).0,
        },
        kind: match header.e_type(endian) {
            object::elf::ET_EXEC => Kind::Executable,
            object::elf::ET_DYN => Kind::Shared,
            other => Kind::Other(other.0),
        },
        interpreter: None,
        needed: Vec::new(),
        soname: None,
        rpath: None,
        runpath: None,
        no_default_directories: false,
        load_end: load_end::<Elf>(segments, endian)?,
    };
    if let Some(segment) = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP) {
        let text = segment.data(endian, bytes).ok();
        let text = text.ok_or(Error::Corrupt("the interpreter's name lies outside of the file"))?;
        let text = &text[..text.len().min(PATH_MAX)];
        let end = text.iter().position(|byte| *byte == 0);
        let end = end.ok_or(Error::Corrupt("the interpreter's name has no end, or is longer than a path"))?;
        file.interpreter = Some(text[..end].into());
    }
    let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, bytes).transpose());
    let dynamic =
        dynamic.transpose().map_err(|_| Error::Corrupt("the dynamic segment lies outside of the file"))?;
    let entries = dynamic.unwrap_or_default().iter().map(|entry| (entry.tag(endian), entry.val(endian)));
    read_dynamic(&mut file, entries.take_while(|(tag, _)| tag.0 != 0), |address| {
        let segment = segments.iter().find_map(|segment| {
            let is_loaded = segment.p_type(endian) == PT_LOAD;
            let into = address.checked_sub(segment.p_vaddr(endian).into()).filter(|_| is_loaded)?;
            segment.data(endian, bytes).ok()?.get(usize::try_from(into).ok()?..)
        });
        segment.unwrap_or_default()
    })?;
    Ok(file)
}

/// Where the last of the segments in memory ends.
pub(crate) fn load_end<Elf: FileHeader>(
    segments: &[Elf::ProgramHeader],
    endian: Elf::Endian,
) -> Result<u64, Error> {
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    loaded.map(|segment| segment.p_vaddr(endian).into().checked_add(segment.p_memsz(endian).into())).try_fold(
        0,
        |most, end| {
            end.map(|end: u64| end.max(most)).ok_or(Error::Corrupt("a segment ends behind all memory"))
        },
    )
}

const TOO_LONG: Error =
    Error::Limit { what: "the texts of the dynamic segment have more bytes", limit: ELF_TEXTS_MAX };

/// Reads the entries of a dynamic segment; `at` gives what is in memory from an address on.
fn read_dynamic<'a>(
    file: &mut File,
    entries: impl Iterator<Item = (object::elf::DynamicTag, u64)> + Clone,
    at: impl Fn(u64) -> &'a [u8],
) -> Result<(), Error> {
    let value = |wanted| entries.clone().find(|(tag, _)| *tag == wanted).map(|(_, value)| value);
    let mut strings = value(DT_STRTAB).map(&at).unwrap_or_default();
    let size = value(DT_STRSZ).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    strings = &strings[..strings.len().min(size)];

    let mut left = ELF_TEXTS_MAX;
    let mut text = |offset: u64| -> Result<Box<[u8]>, Error> {
        let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..));
        let rest = rest.ok_or(Error::Corrupt("a text of the dynamic segment lies outside of the file"))?;
        let rest = &rest[..rest.len().min(left + 1)];
        let Some(end) = rest.iter().position(|byte| *byte == 0) else {
            return Err(if rest.len() > left {
                TOO_LONG
            } else {
                Error::Corrupt("a text of the dynamic segment does not end")
            });
        };
        // An empty text takes memory, too.
        left = left.checked_sub(end + size_of::<Box<[u8]>>()).ok_or(TOO_LONG)?;
        Ok(rest[..end].into())
    };
    for (tag, value) in entries.clone() {
        match tag {
            DT_NEEDED => file.needed.push(text(value)?),
            DT_SONAME => file.soname = Some(text(value)?),
            DT_RPATH => file.rpath = Some(text(value)?),
            DT_RUNPATH => file.runpath = Some(text(value)?),
            DT_FLAGS_1 => file.no_default_directories = value & DF_1_NODEFLIB != 0,
            _ => {}
        }
    }
    Ok(())
}
