//! A small program made by code.

/// Where the code of an [`Image`] is in memory, and its data.
pub(crate) const TEXT: u64 = 0x40_1000;
pub(crate) const DATA: u64 = 0x40_2000;

const EXEC: u16 = 2;

/// A program of one section with code and one with data.
pub(crate) struct Image {
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) text: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// Flags of the segment of code: 5 to read and execute, 7 to write as well.
    pub(crate) text_flags: u32,
    /// Addresses of symbols.
    pub(crate) symbols: Vec<u64>,
    /// Changes the section header of the code: address, offset, size.
    pub(crate) section: fn(&mut (u64, u64, u64)),
    /// Bytes in front of the code that no section describes.
    pub(crate) uncovered: Vec<u8>,
}

impl Image {
    pub(crate) fn new(text: &[u8]) -> Image {
        Image {
            kind: EXEC,
            machine: 62,
            text: text.into(),
            data: b"hi\n".into(),
            text_flags: 5,
            symbols: Vec::new(),
            section: |_| {},
            uncovered: Vec::new(),
        }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; 64];
        let size = self.uncovered.len() + self.text.len();
        for (kind, flags, offset, address, size) in
            [(1, self.text_flags, 0x1000, TEXT, size as u64), (1, 4, 0x2000, DATA, self.data.len() as u64)]
        {
            file.extend(u32::to_le_bytes(kind));
            file.extend(u32::to_le_bytes(flags));
            for number in [offset, address, address, size, size, 0x1000] {
                file.extend(u64::to_le_bytes(number));
            }
        }
        file.resize(0x1000, 0);
        file.extend(&self.uncovered);
        file.extend(&self.text);
        assert!(file.len() <= 0x2000, "the code is too long");
        file.resize(0x2000, 0);
        file.extend(&self.data);
        file.resize(file.len().next_multiple_of(8), 0);
        let symbols = file.len() as u64;
        for address in &self.symbols {
            file.extend([0, 0, 0, 0, 2, 0, 1, 0]);
            file.extend(address.to_le_bytes());
            file.extend([0; 8]);
        }
        let headers = file.len() as u64;
        let mut text = (
            TEXT + self.uncovered.len() as u64,
            0x1000 + self.uncovered.len() as u64,
            self.text.len() as u64,
        );
        (self.section)(&mut text);
        let sections = [
            (0, 0, (0, 0, 0)),
            (1, 6, text),
            (1, 2, (DATA, 0x2000, self.data.len() as u64)),
            (2, 0, (0, symbols, self.symbols.len() as u64 * 24)),
        ];
        for (kind, flags, (address, offset, size)) in sections {
            file.extend([0; 4]);
            file.extend(u32::to_le_bytes(kind));
            for number in [flags, address, offset, size, 0, 1, 24] {
                file.extend(u64::to_le_bytes(number));
            }
        }
        file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        file[16..18].copy_from_slice(&self.kind.to_le_bytes());
        file[18..20].copy_from_slice(&self.machine.to_le_bytes());
        file[20] = 1;
        for (at, number) in [(24, TEXT + self.uncovered.len() as u64), (32, 64), (40, headers)] {
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        for (at, number) in [(52, 64), (54, 56), (56, 2), (58, 64), (60, 4_u16)] {
            file[at..at + 2].copy_from_slice(&number.to_le_bytes());
        }
        file
    }
}
