//! How blobs and manifests come in, by the distribution specification.

use std::collections::HashMap;

use hash::Digest;
use serde_json::{Value, json};

use super::{Request, Response, State, lock};

/// What registries do differently.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// Fewest bytes of a chunk that is not the last, as it says itself.
    pub chunk_min: Option<usize>,
    /// Most bytes of a chunk.
    pub chunk_max: Option<usize>,
    /// Name places by whole URLs.
    pub absolute: bool,
    /// Name places at this origin instead.
    pub origin: Option<String>,
    /// Keep nothing of a request that was cut.
    pub forgetful: bool,
    /// Know nothing of mounting.
    pub mountless: bool,
    /// Have the referrers API.
    pub referrers: bool,
}

/// The uploads that are under way, and what came of others.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    pub(super) habits: Habits,
    open: HashMap<String, Open>,
    begun: u32,
    done: HashMap<(String, String), Vec<u8>>,
}

/// An upload that is under way.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// Changes with every answer, so that who sends to an old place is found out.
    state: u32,
}

impl Uploads {
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.done.get(&(repository.into(), digest.into())).cloned()
    }

    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// What has arrived at a place, if the request names it as the last answer did.
    /// Who only asks may have missed that.
    fn find(&mut self, request: &Request, place: &str) -> Option<&mut Vec<u8>> {
        let open = self.open.get_mut(place)?;
        let state = request.parameter("_state")?;
        let known = (1..=open.state).rev().find(|known| state == format!("{place}/{known}+"))?;
        (known == open.state || request.method == "GET").then_some(&mut open.bytes)
    }

    /// The answer to whatever is asked of `place`, or of the place where uploads begin. `elsewhere` gives the blobs
    /// that all repositories have.
    pub(super) fn serve(
        &mut self,
        request: &Request,
        repository: &str,
        place: &str,
        here: &str,
        elsewhere: impl Fn(&str, &str) -> Option<Vec<u8>>,
    ) -> Response {
        if place.is_empty() {
            return self.begin(request, repository, here, elsewhere);
        }
        let Habits { chunk_min, chunk_max, forgetful, .. } = self.habits;
        let Some(bytes) = self.find(request, place) else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        if request.method == "GET" {
            return self.located(204, repository, place, here);
        }
        if request.cut && forgetful {
            return Response::status(500);
        }
        let starts_here = request.header("content-range").is_none_or(|range| {
            range.split('-').next().and_then(|start| start.parse().ok()) == Some(bytes.len())
        });
        let too_large = chunk_max.is_some_and(|most| request.body.len() > most);
        let before = bytes.len();
        if !starts_here || too_large {
            return self.located(416, repository, place, here);
        }
        bytes.extend_from_slice(&request.body);
        match (request.method.as_str(), request.parameter("digest")) {
            ("PATCH", _) if before > 0 && chunk_min.is_some_and(|least| before % least != 0) => {
                Response::error(416, "SIZE_INVALID", "a chunk before was too short")
            }
            ("PATCH", _) => self.located(202, repository, place, here),
            ("PUT", Some(digest)) => {
                let Open { bytes, .. } = self.open.remove(place).unwrap_or_default();
                if Digest::sha256(&bytes).to_string() != digest {
                    return Response::error(400, "DIGEST_INVALID", "provided digest did not match");
                }
                self.done.insert((repository.into(), digest.clone()), bytes);
                Response::status(201)
                    .with("Location", &format!("/v2/{repository}/blobs/{digest}"))
                    .with("Docker-Content-Digest", &digest)
            }
            _ => Response::status(405),
        }
    }

    fn begin(
        &mut self,
        request: &Request,
        repository: &str,
        here: &str,
        elsewhere: impl Fn(&str, &str) -> Option<Vec<u8>>,
    ) -> Response {
        if request.method != "POST" {
            return Response::status(405);
        }
        if let (Some(digest), Some(from), false) =
            (request.parameter("mount"), request.parameter("from"), self.habits.mountless)
            && let Some(bytes) = self.blob(&from, &digest).or_else(|| elsewhere(&from, &digest))
        {
            self.done.insert((repository.into(), digest.clone()), bytes);
            return Response::status(201).with("Docker-Content-Digest", &digest);
        }
        self.begun += 1;
        let place = self.begun.to_string();
        self.open.insert(place.clone(), Open::default());
        self.located(202, repository, &place, here)
    }

    /// An answer that says where to go on, and how much is there.
    fn located(&mut self, status: u16, repository: &str, place: &str, here: &str) -> Response {
        let open = self.open.entry(place.into()).or_default();
        open.state += 1;
        let (size, state) = (open.bytes.len(), open.state);
        let origin = match &self.habits.origin {
            Some(origin) => origin,
            None if self.habits.absolute => here,
            None => "",
        };
        let mut response = Response::status(status)
            .with(
                "Location",
                &format!("{origin}/v2/{repository}/blobs/uploads/{place}?_state={place}%2F{state}%2B"),
            )
            // As Debian's registry has it, "0-0" is nothing as well.
            .with("Range", &format!("0-{}", size.saturating_sub(1)));
        if let Some(least) = self.habits.chunk_min {
            response.set("OCI-Chunk-Min-Length", &least.to_string());
        }
        response
    }
}

impl State {
    /// Takes a manifest of which all blobs and manifests are there.
    pub(super) fn put(&self, request: &Request, repository: &str, name: &str) -> Response {
        let digest = Digest::sha256(&request.body);
        if name.contains(':') && name != digest.to_string() {
            return Response::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
            return Response::error(400, "MANIFEST_INVALID", "manifest invalid");
        };
        let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
        let blobs = list("layers")
            .into_iter()
            .chain([document["config"].clone()].into_iter().filter(|c| !c.is_null()));
        for blob in blobs {
            if self.blob(repository, blob["digest"].as_str().unwrap_or_default()).is_none() {
                return Response::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        for manifest in list("manifests") {
            let name = format!("{repository}:{}", manifest["digest"].as_str().unwrap_or_default());
            if !lock(&self.manifests).contains_key(&name) {
                return Response::error(400, "MANIFEST_BLOB_UNKNOWN", "manifest unknown to registry");
            }
        }
        let media_type = request.header("content-type").unwrap_or_default().to_string();
        for name in [name, &digest.to_string()] {
            let content = (media_type.clone(), request.body.clone());
            lock(&self.manifests).insert(format!("{repository}:{name}"), content);
        }
        let mut response = Response::status(201).with("Docker-Content-Digest", &digest.to_string());
        if let (Some(subject), true) =
            (document["subject"]["digest"].as_str(), lock(&self.uploads).habits.referrers)
        {
            response.set("OCI-Subject", subject);
        }
        response
    }

    /// The manifests of a repository that have this digest for a subject.
    pub(super) fn referrers(&self, request: &Request, repository: &str, digest: &str) -> Response {
        if !lock(&self.uploads).habits.referrers {
            return Response::status(404);
        }
        let wanted = request.parameter("artifactType");
        let mut found: Vec<Value> = Vec::new();
        for (name, (media_type, bytes)) in lock(&self.manifests).iter() {
            let own = Digest::sha256(bytes).to_string();
            let Ok(document) = serde_json::from_slice::<Value>(bytes) else { continue };
            let fits = document["subject"]["digest"] == digest
                && wanted.as_deref().is_none_or(|wanted| document["artifactType"] == wanted);
            if fits && *name == format!("{repository}:{own}") {
                found.push(json!({
                    "mediaType": media_type, "digest": own, "size": bytes.len(),
                    "artifactType": document["artifactType"], "annotations": document["annotations"],
                }));
            }
        }
        found.sort_by_key(|entry| entry["digest"].to_string());
        let media_type = "application/vnd.oci.image.index.v1+json";
        let mut response =
            Response::json(200, &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": found}));
        response.set("Content-Type", media_type);
        if wanted.is_some() {
            response.set("OCI-Filters-Applied", "artifactType");
        }
        response
    }
}
