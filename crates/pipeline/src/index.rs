//! Writing an index: an EROFS filesystem of names and metadata, whose contents stay in the layers' tarballs.

use std::path::Path;

use tree::Tree;

use crate::built::Built;
use crate::error::Error;
use crate::identity::Identity;
use crate::options::Erofs;
use crate::publish::Unpublished;
use crate::spool::Spool;
use crate::tarballs::Tarballs;
use crate::write::{Held, Job, describe_erofs};

impl Job<'_> {
    /// Writes an index, and publishes it when the tarballs that it leads to have their names.
    pub(crate) fn write_index(
        &self,
        tree: &Tree,
        (spool, tarballs): (Spool, Tarballs<'_>),
        erofs: &Erofs,
        path: &Path,
        built: &mut Built,
    ) -> Result<(), Error> {
        let identity = Identity::derive(&built.manifest, &self.options.spelled());
        let uuid = erofs.uuid.unwrap_or(identity.uuid);
        let options = erofs::Options { uuid, ..erofs.options.clone() };
        let layout = erofs::plan_index(tree, &tarballs.devices(&spool), &options).map_err(Error::Erofs)?;

        let fail = |cause| Error::Output { path: path.into(), cause };
        let output = Unpublished::create(path, layout.size()).map_err(fail)?;
        self.fill((&output.file, 0), path, Held::Spool(spool), (0, layout.size()), built, |out| {
            layout.write(tree, out).map_err(|error| match error {
                erofs::Error::Io(cause) => fail(cause),
                other => Error::Erofs(other),
            })
        })?;
        built.output_bytes = layout.size();
        let devices = tarballs.publish(layout.devices(), self.image)?;
        output.publish().map_err(fail)?;
        describe_erofs(&layout, uuid, devices, built);
        Ok(())
    }
}
