//! What programs need: interpreters, libraries, and what loaders read, by the paths at which they are opened.
//!
//! In a package there are no links. So a path is kept as it is spelled, and a program by each name that leads to it:
//! where it looks for its libraries may depend on its own name (`$ORIGIN`).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use elf::loader::{Cache, musl};
use elf::{Architecture, Loader, Seen};

use super::PackError;
use super::command::{Environment, Interpreter, LINE, interpreter};
use super::configuration::{self, CACHE, PRELOADED};
use super::missing::Missing;
use super::programs::PROGRAM_MAX;
use super::system::{Found, System, without_links};
use crate::error::Error;

/// So many scripts may each be the next one's interpreter, as in Linux.
const SCRIPTS_DEEP: usize = 5;

/// Files that are needed.
pub(super) struct Closure<F> {
    /// By path in the package, without a leading slash.
    pub(super) files: BTreeMap<Vec<u8>, Needed<F>>,
    /// Programs that find their libraries by their own name, and not by one that leads to it: that one first.
    pub(super) astray: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A file that is needed.
pub(super) struct Needed<F> {
    pub(super) file: F,
    /// What wanted it first; `None` for what was asked for.
    pub(super) wanted_by: Option<Vec<u8>>,
}

/// What the loaders of a system are told.
pub(super) struct Told<'a> {
    environment: &'a Environment,
    cache: Option<Cache<'a>>,
    configured: Vec<Box<[u8]>>,
    preloaded: Vec<Box<[u8]>>,
}

/// Finds what is wanted, with all that it needs: `ask` says what is wanted.
///
/// # Errors
///
/// Those of `ask`; then one that names all that is missing.
pub(super) fn closure<S: System>(
    system: &mut S,
    environment: &Environment,
    ask: impl FnOnce(&mut Search<'_, S>) -> Result<(), Error>,
) -> Result<Closure<S::File>, Error> {
    let cache = configuration::read(system, CACHE)?;
    let preloaded = configuration::read(system, PRELOADED)?.unwrap_or_default();
    let preloaded = preloaded.split(|byte| byte.is_ascii_whitespace() || *byte == b':');
    let preloaded = preloaded.filter(|name| !name.is_empty()).map(Box::from);
    let told = Told {
        environment,
        // The loader does without one that is damaged.
        cache: cache.as_deref().and_then(|bytes| Cache::parse(bytes).ok()),
        configured: configuration::directories(system)?,
        preloaded: environment.preloaded.iter().cloned().chain(preloaded).collect(),
    };
    let mut search = Search {
        system,
        told: &told,
        closure: Closure { files: BTreeMap::new(), astray: Vec::new() },
        missing: BTreeMap::new(),
        headers: BTreeMap::new(),
        done: BTreeSet::new(),
        musl: None,
        depth: 0,
    };
    ask(&mut search)?;
    if search.missing.is_empty() {
        return Ok(search.closure);
    }
    let missing = search.missing.into_iter().map(|(name, (wanted_by, unusable))| Missing {
        name: name.into(),
        wanted_by: wanted_by.into_iter().collect(),
        unusable: unusable.into_iter().collect(),
    });
    Err(PackError::Missing(missing.collect()).into())
}

/// Paths of those that want something, and of what cannot be it.
type Wanting = (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>);

/// A search for what is needed.
pub(super) struct Search<'a, S: System> {
    pub(super) system: &'a mut S,
    told: &'a Told<'a>,
    closure: Closure<S::File>,
    missing: BTreeMap<Box<[u8]>, Wanting>,
    /// What ELF files say of themselves.
    headers: BTreeMap<S::File, Option<Rc<elf::File>>>,
    /// Programs whose libraries are known, with the directory that `$ORIGIN` means.
    done: BTreeSet<(S::File, Vec<u8>)>,
    /// musl's loader, once a program has named it.
    musl: Option<Box<[u8]>>,
    /// How many scripts have led to where the search is.
    depth: usize,
}

/// What is to be done about interpreters that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
    /// The script was asked for: its interpreter is missing.
    Asked,
    /// It came along with others.
    Along,
}

impl<S: System> Search<'_, S> {
    /// Keeps the file at an absolute path by all names that lead to it, with what it needs. Whether there is one.
    pub(super) fn keep(
        &mut self,
        path: &[u8],
        wanted_by: Option<&[u8]>,
        scripts: Scripts,
    ) -> Result<bool, Error> {
        let Some(found) = self.system.find(path)? else { return Ok(false) };
        self.insert(path, found.file, wanted_by)?;
        for name in &found.names {
            self.insert(name, found.file, wanted_by)?;
        }
        self.needs(path, &found, scripts)?;
        Ok(true)
    }

    /// Keeps what the file that was found at `path` needs if it is a program, a script or a library.
    pub(super) fn needs(
        &mut self,
        path: &[u8],
        found: &Found<S::File>,
        scripts: Scripts,
    ) -> Result<(), Error> {
        let called = [b"/", &*without_links(path)].concat();
        if let Some(file) = self.header(&called, found.file)? {
            let name = [b"/", found.names.last().map(|name| &**name).unwrap_or_default()].concat();
            let missing = self.libraries(&name, found.file, &file)?;
            if called != name && !self.libraries(&called, found.file, &file)?.is_empty() && missing.is_empty()
            {
                self.closure.astray.push((called[1..].into(), name[1..].into()));
            }
            for missing in missing {
                let (wanted_by, unusable) = self.missing.entry(missing.name).or_default();
                wanted_by.extend(missing.wanted_by.iter().map(|path| without_links(path)));
                unusable.extend(missing.unusable.iter().map(|path| without_links(path)));
            }
            return Ok(());
        }
        let is_run = found.is_executable || scripts == Scripts::Asked;
        if !is_run || self.depth == SCRIPTS_DEEP || !self.done.insert((found.file, Vec::new())) {
            return Ok(());
        }
        let start = self.system.read(found.file, LINE as u64)?;
        if let Some(Interpreter { path, command }) = interpreter(&start) {
            let environment = self.told.environment;
            self.depth += 1;
            self.keep_interpreter(path, Some(environment.absolute(path)), &called, scripts)?;
            if let Some(command) = command {
                let program = environment.program(command, self.system)?;
                self.keep_interpreter(command, program, &called, scripts)?;
            }
            self.depth -= 1;
        }
        Ok(())
    }

    fn keep_interpreter(
        &mut self,
        word: &[u8],
        path: Option<Vec<u8>>,
        script: &[u8],
        scripts: Scripts,
    ) -> Result<(), Error> {
        let is_there = match path {
            Some(path) => self.keep(&path, Some(&script[1..]), scripts)?,
            None => false,
        };
        if !is_there && scripts == Scripts::Asked {
            self.missing.entry(word.into()).or_default().0.insert(script[1..].into());
        }
        Ok(())
    }

    /// Keeps the libraries of a program or library as if it were at `path`, and gives those that are missing.
    fn libraries(
        &mut self,
        path: &[u8],
        number: S::File,
        file: &elf::File,
    ) -> Result<Vec<elf::Missing>, Error> {
        let origin = path.iter().rposition(|byte| *byte == b'/').map_or(&path[..0], |slash| &path[..slash]);
        let is_static = file.interpreter.is_none() && file.needed.is_empty();
        if is_static || !self.done.insert((number, [origin, b"/"].concat())) {
            return Ok(Vec::new());
        }
        let told = self.told;
        let mut program = file.clone();
        if program.interpreter.is_some() {
            // What is to be preloaded comes first, and may be missing.
            program.needed.splice(..0, told.preloaded.iter().cloned());
        }
        let library_path = &*told.environment.library_path;
        let found = match self.musl_of(file)? {
            Some(interpreter) => {
                let directories = self.musl_directories(&interpreter, path)?;
                let loader = Loader::Musl { library_path, directories: &directories };
                self.search(path, program, &loader)?
            }
            None => {
                for told in [CACHE, PRELOADED] {
                    if let Some(found) = self.system.find(told)? {
                        self.insert(told, found.file, Some(&path[1..]))?;
                    }
                }
                let loader =
                    Loader::Glibc { library_path, cache: told.cache.as_ref(), configured: &told.configured };
                self.search(path, program, &loader)?
            }
        };
        for library in &found.libraries {
            let wanted_by = library.wanted_by.map_or(path, |number| &*found.libraries[number].path);
            self.keep_library(&library.path, &without_links(wanted_by), file.architecture)?;
        }
        let wanted = |missing: &elf::Missing| {
            !told.preloaded.contains(&missing.name) || missing.wanted_by.iter().any(|by| **by != *path)
        };
        Ok(found.missing.into_iter().filter(wanted).collect())
    }

    /// Keeps a library, and its variants for newer processors: a loader takes what its cache says.
    fn keep_library(
        &mut self,
        path: &[u8],
        wanted_by: &[u8],
        architecture: Architecture,
    ) -> Result<(), Error> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let told = self.told;
        for path in [path].into_iter().chain(told.cache.iter().flat_map(|cache| cache.paths(name))) {
            let Some(found) = self.system.find(path)? else { continue };
            if self.header(path, found.file)?.is_some_and(|file| file.architecture == architecture) {
                self.insert(path, found.file, Some(wanted_by))?;
            }
        }
        Ok(())
    }

    fn search(
        &mut self,
        path: &[u8],
        program: elf::File,
        loader: &Loader<'_>,
    ) -> Result<elf::Closure, Error> {
        let architecture = program.architecture;
        let look = |path: &[u8]| -> Result<Seen, Fault> {
            let Some(found) = self.system.find(path)? else { return Ok(Seen::Absent) };
            Ok(match self.header(path, found.file)? {
                // Those for others are not copied, however often they are met.
                Some(file) if file.architecture == architecture => Seen::Elf(Box::new((*file).clone())),
                _ => Seen::Other,
            })
        };
        elf::closure(path, program, loader, look).map_err(|fault| match fault {
            Fault::Elf(fault) => PackError::Program { path: path[1..].into(), fault }.into(),
            Fault::Other(error) => *error,
        })
    }

    /// musl's loader if a file is for it, and not for glibc's.
    fn musl_of(&mut self, file: &elf::File) -> Result<Option<Box<[u8]>>, Error> {
        if let Some(interpreter) = &file.interpreter {
            let interpreter = musl::is_musl(interpreter).then(|| interpreter.clone());
            self.musl = interpreter.clone().or(self.musl.take());
            return Ok(interpreter);
        }
        // A library does not say it; its C library has a name of its own.
        if !file.needed.iter().any(|name| **name == *b"libc.so" || name.starts_with(b"libc.musl-")) {
            return Ok(None);
        }
        if self.musl.is_none() {
            let names = self.system.names(b"/lib")?;
            let name = names.iter().find(|name| musl::is_musl(name));
            self.musl = name.map(|name| [b"/lib/", &**name].concat().into());
        }
        Ok(Some(self.musl.clone().unwrap_or_default()))
    }

    fn musl_directories(&mut self, interpreter: &[u8], wanted_by: &[u8]) -> Result<Vec<Box<[u8]>>, Error> {
        let Some(path) = musl::path_file(interpreter) else { return Ok(musl::DEFAULT.map(Box::from).into()) };
        let Some(found) = self.system.find(&path)? else { return Ok(musl::DEFAULT.map(Box::from).into()) };
        self.insert(&path, found.file, Some(&wanted_by[1..]))?;
        Ok(musl::parse(&configuration::read(self.system, &path)?.unwrap_or_default()))
    }

    /// What a file says of itself if it is ELF. What is damaged is not, for no loader takes it.
    fn header(&mut self, path: &[u8], file: S::File) -> Result<Option<Rc<elf::File>>, Error> {
        if let Some(known) = self.headers.get(&file) {
            return Ok(known.clone());
        }
        let fail = |fault| PackError::Program { path: without_links(path), fault };
        let mut header = None;
        if self.system.read(file, 4)? == b"\x7fELF" {
            let bytes = self.system.read(file, PROGRAM_MAX + 1)?;
            if bytes.len() as u64 > PROGRAM_MAX {
                let what = "the program has more bytes";
                return Err(fail(elf::Error::Limit { what, limit: PROGRAM_MAX as usize }).into());
            }
            header = match elf::read(&bytes) {
                Err(elf::Error::Corrupt(_)) => None,
                read => read.map_err(fail)?.map(Rc::new),
            };
        }
        self.headers.insert(file, header.clone());
        Ok(header)
    }

    /// Keeps a file under a path as it is without links. Where something else is by that path, as links and `..` may
    /// have it, the file keeps its own name.
    pub(super) fn insert(
        &mut self,
        path: &[u8],
        file: S::File,
        wanted_by: Option<&[u8]>,
    ) -> Result<(), Error> {
        let mut name = without_links(path);
        if path.windows(2).any(|two| two == b"..") && !self.is_for(&name, file)? {
            let found = self.system.find(path)?;
            name = found.and_then(|found| found.names.last().map(|name| name.to_vec())).unwrap_or(name);
        }
        if let Entry::Vacant(place) = self.closure.files.entry(name) {
            place.insert(Needed { file, wanted_by: wanted_by.map(<[u8]>::to_vec) });
        }
        Ok(())
    }

    /// Whether a name is the file's, or free.
    fn is_for(&mut self, name: &[u8], file: S::File) -> Result<bool, Error> {
        let absolute = [b"/", name].concat();
        if let Some(there) = self.system.find(&absolute)? {
            return Ok(there.file == file);
        }
        for end in (1..absolute.len()).filter(|end| absolute[*end] == b'/') {
            if self.system.find(&absolute[..end])?.is_some() {
                return Ok(false);
            }
        }
        Ok(self.system.names(&absolute)?.is_empty())
    }
}

/// Why looking has failed.
enum Fault {
    Elf(elf::Error),
    Other(Box<Error>),
}

impl From<elf::Error> for Fault {
    fn from(fault: elf::Error) -> Fault {
        Fault::Elf(fault)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Other(error.into())
    }
}
