//! Windows.

use std::ffi::OsString;
use std::fs::{self, File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::os::windows::fs::{FileExt as _, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use same_file::Handle;

/// Whether nobody else can read a file that somebody has locked.
pub const LOCKS_HINDER_READING: bool = true;

/// Whether everybody can make symbolic links.
pub const HAS_SYMLINKS: bool = false;

/// Where the configuration of the system's programs is, which nobody but its administrator can change. Not in `\etc`:
/// every user can make that.
pub const CONFIGURATION: Option<&str> = None;

/// How long somebody who reads a file is waited for before it cannot be replaced.
const PATIENCE: Duration = Duration::from_secs(2);

/// A link itself is opened, not what it leads to (`CreateFile`, `FILE_FLAG_OPEN_REPARSE_POINT`).
const NO_FOLLOW: u32 = 0x0020_0000;
/// Directories can be opened, too (`FILE_FLAG_BACKUP_SEMANTICS`).
const DIRECTORIES: u32 = 0x0200_0000;

/// Reading and writing at a place, as Unix has it. Other than there, it moves the file's own position.
pub trait FileExt {
    /// Reads some bytes; none at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads as many bytes as there is room for.
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes = &mut bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all bytes.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl FileExt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.seek_read(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.seek_write(bytes, offset)
    }
}

/// Opens a regular file for reading; `None` if anything else has this name. No link is followed.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        // A directory cannot be opened like this.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file for reading and writing, and makes it if there is none. No link is followed.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).custom_flags(NO_FOLLOW).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is a link")),
    }
}

/// Opens a directory and nothing else. No link is followed.
pub fn open_directory(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(DIRECTORIES | NO_FOLLOW).open(path)?;
    if file.metadata()?.is_dir() { Ok(file) } else { Err(ErrorKind::NotADirectory.into()) }
}

/// Opens a block device for writing in place: not here.
pub fn open_device(_: &Path) -> io::Result<File> {
    Err(io::Error::new(ErrorKind::Unsupported, "devices can be written on Linux only"))
}

/// Refuses a name that would not be what is made under it: of a device, a stream of another file, or one that is cut
/// short without a word ("Naming Files, Paths, and Namespaces").
pub fn check_name(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |text: &str| Err(io::Error::new(ErrorKind::InvalidFilename, text));
    if name.chars().any(|c| c < ' ' || "<>:\"|?*".contains(c)) {
        return wrong("the name has a character that no file's can have here");
    }
    if name.ends_with(['.', ' ']) {
        return wrong("the name ends in a dot or a space, which would be left out");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |kind| stem.strip_prefix(kind).is_some_and(|n| n.chars().count() == 1 && "123456789¹²³".contains(n));
    if matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
    {
        return wrong("the name is that of a device");
    }
    Ok(())
}

/// Whether a name means a block device.
pub fn is_block_device(_: FileType) -> bool {
    false
}

/// How long the sectors of a block device are, in bytes: there are none.
pub fn sector(_: &File) -> io::Result<u32> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether this name means this open file.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = Handle::from_file(file.try_clone()?)?;
    match Handle::from_path(path) {
        Ok(named) => Ok(named == ours),
        // What is removed keeps its name until nobody has it open any more, and cannot be opened.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes of a name as the system has it. What is no text has no name here.
pub fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// How many bytes of a path that may come first in a list with colons are a drive and its colon.
pub fn drive(path: &[u8]) -> usize {
    match path {
        [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => 2,
        _ => 0,
    }
}

/// Whether something belongs to the user of this process. The directories in which that is asked are a user's own.
pub fn is_mine(_: &Metadata) -> bool {
    true
}

/// Whether a process of this number may be running. That is not asked: what it left stays.
pub fn may_be_running(_: &str) -> bool {
    true
}

/// Bytes that a file takes on the disk.
pub fn stored_bytes(found: &Metadata) -> u64 {
    found.len()
}

/// Lets a file be as new as if it had been written now.
pub fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_modified(SystemTime::now())
}

/// Waits until all of the filesystem that has this file or directory is on the disk: that cannot be asked for.
pub fn sync_filesystem(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether the system says that a file's bytes are lost or wrong (`ERROR_CRC`).
pub fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(23)
}

/// Why a name has no address, if that is what an error says, and whether it is known that it has none.
pub fn without_address(error: &io::Error) -> Option<(String, bool)> {
    // `WSAHOST_NOT_FOUND`, `WSATRY_AGAIN`, `WSANO_RECOVERY`, `WSANO_DATA`.
    match error.raw_os_error()? {
        11_001 | 11_003 | 11_004 => Some((error.to_string(), true)),
        11_002 => Some((error.to_string(), false)),
        _ => None,
    }
}

/// What a new temporary file has to be given so that others may use it as any other file: nothing, the directory says.
pub fn permissions_for_all() -> Option<Permissions> {
    None
}

/// Makes a rename in a directory durable: the filesystem's journal does.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::metadata(directory).map(drop)
}

/// Lets the name `to` mean what `from` does, whatever it meant before. What somebody reads cannot be replaced at that
/// moment: he is waited for, a while.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Makes a file without a name: there are none that could be given one.
pub fn nameless(_: &Path, _: u32) -> io::Result<Option<File>> {
    Ok(None)
}

/// Gives a file without a name one that nothing has.
pub fn link_nameless(_: &File, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Opens a file once more, for reading, whatever name it has or had: not here.
pub fn reopen(_: &File) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

/// Makes a symbolic link: not here.
pub fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "not everybody can make symbolic links here"))
}

/// Makes a directory, and those above it that are missing. There are no modes.
pub fn make_directories(path: &Path, _: u32) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Lets `to` share all blocks of `from`, where the filesystem can do that.
pub fn clone_blocks(_: &File, _: &File) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Copies bytes from a place in one file to a place in another without reading them; how many, or `None` where the
/// kernel cannot do that between these files.
pub fn copy_in_kernel(_: (&File, u64), _: (&File, u64), _: usize) -> io::Result<Option<usize>> {
    Ok(None)
}

/// Lets a new file take room only for what is written. Only a saving.
pub fn allow_holes(file: &File) {
    let _ = sys::sparse::allow(file);
}

/// Takes room for bytes that are about to be written. An error only where there is no room.
pub fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// Makes bytes of a file a hole.
pub fn clear(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Makes an empty file so long if its blocks can be moved within it: they cannot.
pub fn make_movable(_: &File, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Moves all that a file has from `offset` on towards its end, and leaves a hole.
pub fn insert(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Takes bytes out of a file, and moves all behind them there.
pub fn take_out(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Makes bytes of a device zeros: there are none.
pub fn make_zero(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Lets go of bytes that nobody will ask for again. Only a saving.
pub fn release(_: &File, _: u64, _: u64) {}

/// Lets the kernel begin to write bytes to the disk.
pub fn write_out(_: &File, _: u64, _: NonZeroU64) {}

/// Whether all bytes are known to be zeros without reading them.
pub fn is_hole(_: &File, _: u64, _: u64) -> bool {
    false
}
