use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE, RANGE},
};
use oci_spec::image::{Descriptor, Digest, MediaType};
use reqwest::Response;
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    Auth, ClientConfig, MAX_DOCUMENT, Reference,
    ask::Ask,
    auth::Authorizer,
    blob::{self, BlobPart, BlobStream},
    clear_hosts::ClearHosts,
    digest::{check_algorithm, digest_of, verify},
    document::is_manifest_type,
    fallback::{self, Failure, Patience},
    hosts::{self, Endpoint},
    transport::{Clients, read_body},
};

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// A client of all registries: cheap to clone; clones share connections and tokens.
///
/// Dropping a future of it ends the work; nothing goes on in the background.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: ClientConfig,
    pub clients: Clients,
    pub authorizer: Authorizer,
    pub clear_hosts: ClearHosts,
}

/// What a reference stands for at this moment.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Type, digest and size of the document.
    pub descriptor: Descriptor,
    /// The document itself, verified against the descriptor.
    pub bytes: Bytes,
}

// === impl Client ===

impl Client {
    /// A client; nothing is connected or read yet.
    ///
    /// # Errors
    /// `InvalidArgument` for a timeout of zero, with which nothing could ever be pulled.
    pub fn new(config: ClientConfig) -> Result<Self> {
        if config.connect_timeout.is_zero() || config.progress_timeout.is_zero() {
            return Err(Error::invalid("registry client: a timeout of zero"));
        }
        let inner = Inner {
            config,
            clients: Clients::default(),
            authorizer: Authorizer::default(),
            clear_hosts: ClearHosts::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The manifest or index that a reference names. A digest in the reference is verified; for a tag, the digest
    /// is computed here and must be the one that the registry announces.
    ///
    /// # Errors
    /// `NotFound`, `Unauthenticated`, `PermissionDenied` as the last host says; `Unavailable` or `DeadlineExceeded`
    /// where it cannot be reached; `DataLoss` for a wrong digest. With several hosts, all are listed.
    pub async fn resolve(&self, reference: &Reference, auth: Option<&Auth>) -> Result<Resolved> {
        let what = format!("{reference}: resolve");
        let path = format!("manifests/{}", reference.object());
        let endpoints = self.endpoints(reference.registry()).await.step(|| what.clone())?;
        fallback::first(self.config(), &what, Patience::WithTheBusy, resolvers(&endpoints, reference), |endpoint| {
            self.fetch_manifest(endpoint, reference, &path, reference.digest(), auth)
        })
        .await
    }

    /// What a reference's tag points to, without its document: the registry's word only, to be compared with what
    /// is known already. `None` where no host can tell.
    ///
    /// A head request is not counted by registries that limit pulls.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub async fn head(&self, reference: &Reference, auth: Option<&Auth>) -> Result<Option<Digest>> {
        let what = format!("{reference}: resolve");
        let path = format!("manifests/{}", reference.object());
        let endpoints = self.endpoints(reference.registry()).await.step(|| what.clone())?;
        fallback::first(
            self.config(),
            &what,
            Patience::WithTheBusy,
            resolvers(&endpoints, reference),
            |endpoint| async {
                let ask = Ask { method: Method::HEAD, object: &path, headers: accept(), verified: false };
                let (response, _) = self.ask(endpoint, reference, auth, ask).await?;
                Ok(announced_digest(&response))
            },
        )
        .await
    }

    /// A manifest that an index names, verified against its descriptor.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub async fn manifest(&self, reference: &Reference, descriptor: &Descriptor, auth: Option<&Auth>) -> Result<Bytes> {
        let what = format!("{}: get manifest {}", reference.name(), descriptor.digest());
        check_algorithm(descriptor.digest()).step(|| what.clone())?;
        bounded(descriptor).step(|| what.clone())?;
        let path = format!("manifests/{}", descriptor.digest());
        let endpoints = self.endpoints(reference.registry()).await.step(|| what.clone())?;
        let pullable = endpoints.iter().filter(|e| e.pull).collect();
        let resolved = fallback::first(self.config(), &what, Patience::WithTheAbsent, pullable, |endpoint| {
            self.fetch_manifest(endpoint, reference, &path, Some(descriptor.digest()), auth)
        })
        .await?;
        Ok(resolved.bytes)
    }

    /// A small blob in memory, verified against its descriptor: an image's configuration.
    ///
    /// # Errors
    /// As [`Client::resolve`]; `InvalidArgument` where the descriptor's size is above [`MAX_DOCUMENT`].
    pub async fn small_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        auth: Option<&Auth>,
    ) -> Result<Bytes> {
        use futures::TryStreamExt as _;
        let what = format!("{}: get blob {}", reference.name(), descriptor.digest());
        bounded(descriptor).step(|| what.clone())?;
        let mut stream = self.blob(reference, descriptor, auth).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        verify(&what, &bytes, descriptor.digest())?;
        Ok(bytes.into())
    }

    /// A blob as a stream of exactly as many bytes as the descriptor says. The caller verifies the digest.
    ///
    /// A connection that breaks is made again and goes on where it broke, at the next host where one stays broken
    /// or silent.
    ///
    /// # Errors
    /// At the start as [`Client::resolve`]; later `DataLoss` for a body of another length, `Unavailable` or
    /// `DeadlineExceeded` naming host and blob.
    pub async fn blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        auth: Option<&Auth>,
    ) -> Result<BlobStream> {
        let part = 0..descriptor.size();
        blob::open(self.clone(), reference.clone(), descriptor.clone(), auth.cloned(), part)
            .await
            .map(|part| part.stream)
    }

    /// Some bytes of a blob, so that it can come over several connections, or go on where an earlier try has ended.
    /// A host that knows no ranges sends all: then the stream goes on to the blob's end ([`BlobPart::end`]).
    ///
    /// # Errors
    /// As [`Client::blob`]; `InvalidArgument` for bytes that the blob does not have.
    pub async fn blob_part(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        auth: Option<&Auth>,
        part: Range<u64>,
    ) -> Result<BlobPart> {
        if part.is_empty() || part.end > descriptor.size() {
            let what = format!("{}: get blob {}", reference.name(), descriptor.digest());
            return Err(Error::invalid(format!("{what}: it has no bytes {part:?}")));
        }
        blob::open(self.clone(), reference.clone(), descriptor.clone(), auth.cloned(), part).await
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// Reads the hosts of a registry, now.
    pub(crate) async fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>> {
        let (certs_d, registry) = (self.config().certs_d.clone(), registry.to_owned());
        let load = tokio::task::spawn_blocking(move || hosts::load(&certs_d, &registry));
        load.await.step(|| "read hosts.toml".into())?
    }

    async fn fetch_manifest(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        path: &str,
        digest: Option<&Digest>,
        auth: Option<&Auth>,
    ) -> Result<Resolved, Failure> {
        let ask = Ask { method: Method::GET, object: path, headers: accept(), verified: digest.is_some() };
        let (response, transport) = self.ask(endpoint, reference, auth, ask).await?;
        let media_type = media_type_of(&response);
        let announced = announced_digest(&response);
        let bytes = read_body(&transport, response, MAX_DOCUMENT).await?;
        if let Some(expected) = digest.or(announced.as_ref()) {
            verify("manifest", &bytes, expected)?;
        }
        let media_type = if is_manifest_type(&media_type) { media_type } else { own_media_type(&bytes, media_type) };
        let called = match digest.or(announced.as_ref()) {
            Some(digest) => digest.clone(),
            None => digest_of(&bytes)?,
        };
        let descriptor = Descriptor::new(MediaType::from(media_type.as_str()), bytes.len() as u64, called);
        Ok(Resolved { descriptor, bytes })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// A request for some bytes of a blob of this size; no word of ranges where it is the whole.
pub(crate) fn range(part: &Range<u64>, size: u64) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let text = match (part.start, part.end) {
        (0, end) if end == size => return Ok(headers),
        (start, end) if end == size => format!("bytes={start}-"),
        (start, end) => format!("bytes={start}-{}", end - 1),
    };
    headers.insert(RANGE, HeaderValue::try_from(text).step(|| "ask for a range".into())?);
    Ok(headers)
}

/// Any host may say what a digest is; only some may say what a tag is.
fn resolvers<'a>(endpoints: &'a [Endpoint], reference: &Reference) -> Vec<&'a Endpoint> {
    let by_digest = reference.digest().is_some();
    endpoints.iter().filter(|endpoint| if by_digest { endpoint.pull } else { endpoint.resolve }).collect()
}

fn accept() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
    headers
}

fn announced_digest(response: &Response) -> Option<Digest> {
    let digest: Digest = response.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()?;
    check_algorithm(&digest).is_ok().then_some(digest)
}

fn media_type_of(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_owned()
}

/// Where the host knows no better than `application/json`, the document's own word is its type.
fn own_media_type(bytes: &[u8], served: String) -> String {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    serde_json::from_slice::<Typed>(bytes).ok().and_then(|typed| typed.media_type).unwrap_or(served)
}

fn bounded(descriptor: &Descriptor) -> Result<()> {
    if descriptor.size() <= MAX_DOCUMENT {
        return Ok(());
    }
    Err(Error::invalid(format!("its size is {} bytes, more than the {MAX_DOCUMENT} allowed", descriptor.size())))
}
