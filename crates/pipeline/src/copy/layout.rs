//! An OCI image layout, as a destination. What it holds already stays; its list is replaced last, in one moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use oci::{Descriptor, MediaType, Platform};
use serde_json::{Map, Value, json};
use store::Store;

use super::{Bring, Bundle, Error, Sink, mismatched};
use crate::event::Report;
use crate::publish::Unpublished;
use crate::pull;
use crate::source::layout::{open_regular, read_file};
use crate::source::listing::{FILE_MAX, INDEX_FILE, LAYOUT_FILE};
use crate::source::oci_archive::blob_name;

/// What marks a layout.
pub(super) const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout, and the name that the image gets there.
pub(crate) struct ToLayout<'a> {
    path: &'a Path,
    name: Option<&'a str>,
}

impl<'a> ToLayout<'a> {
    /// Opens a layout, or makes an empty one.
    pub(crate) fn open(
        path: &'a Path,
        name: Option<&'a str>,
        store: Option<&Store>,
    ) -> Result<ToLayout<'a>, Error> {
        let same = |one: &Path, other: &Path| {
            fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
        };
        if store.is_some_and(|store| same(path, store.path())) {
            return Err(Error::IsTheStore { path: path.into() });
        }
        fs::create_dir_all(path).map_err(Error::write(path))?;
        let mark = path.join(LAYOUT_FILE);
        if !mark.exists() {
            let mut entries = fs::read_dir(path).map_err(Error::write(path))?;
            if entries.next().is_some() {
                return Err(Error::NotALayout { path: path.into() });
            }
            write(&mark, MARK)?;
        }
        let layout = ToLayout { path, name };
        // What nothing can be added to is said before anything is fetched.
        layout.listing()?;
        Ok(layout)
    }

    fn blob_path(&self, blob: &Descriptor) -> PathBuf {
        // A digest has nothing but hexadecimal digits, so this leads nowhere else.
        self.path.join(blob_name(&blob.digest))
    }

    fn has(&self, blob: &Descriptor) -> bool {
        let found = fs::symlink_metadata(self.blob_path(blob));
        found.is_ok_and(|found| found.is_file() && found.len() == blob.size)
    }

    /// Makes sure that a blob is there: `write` is given its file, and the file's path, and must fail unless it wrote
    /// the right bytes. Says whether it was there before.
    pub(crate) fn put_with(
        &self,
        blob: &Descriptor,
        write: impl FnOnce(&File, &Path) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        if self.has(blob) {
            return Ok(true);
        }
        let (path, output) = self.create(blob)?;
        write(&output.file, &path)?;
        output.publish().map_err(Error::write(&path))?;
        Ok(false)
    }

    /// Starts the file of a blob. Whatever had the name and is no file is taken away: it may lead elsewhere.
    fn create(&self, blob: &Descriptor) -> Result<(PathBuf, Unpublished), Error> {
        let path = self.blob_path(blob);
        let directory = path.parent().unwrap_or(self.path);
        fs::create_dir_all(directory).map_err(Error::write(directory))?;
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&path).map_err(Error::write(&path))?;
        }
        let file = Unpublished::create(&path, 0).map_err(Error::write(&path))?;
        Ok((path, file))
    }

    /// The list of images, whatever else is in it.
    fn listing(&self) -> Result<Map<String, Value>, Error> {
        let path = self.path.join(INDEX_FILE);
        let bytes = match read_file(&path, FILE_MAX) {
            Err(crate::source::Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let listing = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": []});
                return Ok(listing.as_object().cloned().unwrap_or_default());
            }
            read => read.map_err(pull::Error::from)?,
        };
        let malformed = |cause: String| Error::Malformed { path: path.clone(), cause };
        if bytes.len() as u64 > FILE_MAX {
            return Err(malformed(format!("it has more than {FILE_MAX} bytes")));
        }
        let listing: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        match listing.get("manifests") {
            None | Some(Value::Null | Value::Array(_)) => Ok(listing),
            Some(_) => Err(malformed("its manifests are no list".into())),
        }
    }

    /// Puts an image on the list, all of which is there.
    pub(crate) fn list(&self, root: &Descriptor, platform: Option<Platform>) -> Result<(), Error> {
        let mark = self.path.join(LAYOUT_FILE);
        let lock = open_regular(&mark).map_err(pull::Error::from)?;
        lock_file(&lock).map_err(Error::write(&mark))?;
        let mut listing = self.listing()?;
        let manifests = listing.entry("manifests").or_insert(Value::Null);
        if manifests.is_null() {
            *manifests = json!([]);
        }
        let entry = entry(root, platform, self.name);
        if let Value::Array(manifests) = manifests {
            match self.name {
                Some(name) => {
                    manifests.retain(|known| known["annotations"][Descriptor::REF_NAME] != name);
                    manifests.push(entry);
                }
                None if manifests.iter().any(|known| known["digest"] == entry["digest"]) => {}
                None => manifests.push(entry),
            }
        }
        write(&self.path.join(INDEX_FILE), Value::Object(listing).to_string().as_bytes())
    }
}

impl Sink for ToLayout<'_> {
    fn put(&self, blob: &Descriptor, bring: Bring<'_>, _: &AtomicBool, _: Report<'_>) -> Result<bool, Error> {
        if self.has(blob) {
            return Ok(true);
        }
        let stored = bring()?;
        self.put_with(blob, |file, path| copy_stored(stored, blob, file, path))
    }

    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error> {
        for document in &bundle.documents {
            self.put_with(document, |mut file, path| {
                file.write_all(&store.document(document)?).map_err(Error::write(path))
            })?;
        }
        self.list(&bundle.root, bundle.platform())?;
        Ok(bundle.root.clone())
    }
}

/// Copies a blob of the store into a file.
pub(crate) fn copy_stored(
    stored: store::Blob,
    blob: &Descriptor,
    mut file: &File,
    path: &Path,
) -> Result<(), Error> {
    let copied = io::copy(&mut stored.verify(), &mut file);
    copied.map(drop).map_err(|error| match mismatched(error, blob.digest) {
        Ok(corrupt) => corrupt.into(),
        Err(error) => Error::write(path)(error),
    })
}

/// What a list says of an image: what it is, what it is for, and its name; the same wherever it came from.
pub(super) fn entry(root: &Descriptor, platform: Option<Platform>, name: Option<&str>) -> Value {
    let mut entry = Descriptor::new(root.media_type.clone(), root.digest, root.size);
    entry.platform = platform;
    if let Some(name) = name {
        entry.annotations.insert(Descriptor::REF_NAME.into(), name.into());
    }
    serde_json::to_value(&entry).expect("it has strings for keys and no way to fail")
}

/// Keeps others of us away who add to the same list.
fn lock_file(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            done => return done,
        }
    }
}

/// Lets a small file have these contents, from one moment to the next.
fn write(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let output = Unpublished::create(path, 0).map_err(Error::write(path))?;
    (&output.file).write_all(contents).map_err(Error::write(path))?;
    output.publish().map_err(Error::write(path))
}
