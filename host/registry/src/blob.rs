use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, stream};
use http::{Method, StatusCode, header::CONTENT_RANGE};
use oci_spec::image::Descriptor;
use reqwest::Response;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Auth, Client, Reference,
    client::{Ask, range_from},
    digest::sha256_of,
    fallback::{self, Failure},
    hosts::Endpoint,
    transport::{Transport, next_chunk},
};

/// The bytes of one blob in order. Dropping it closes the connection.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A download under way.
struct Download {
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
    auth: Option<Auth>,
    object: String,
    endpoints: Vec<Endpoint>,
    /// The hosts that fell silent or stayed broken: not asked again for this blob.
    given_up: Vec<usize>,
    offset: u64,
    failures: u32,
    source: Option<Source>,
}

/// The answer that is being read.
struct Source {
    response: Response,
    transport: Transport,
    endpoint: usize,
    /// Bytes at its start that are here already: a host that knows no ranges sends all again.
    skip: u64,
}

pub(crate) async fn open(
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
    auth: Option<Auth>,
) -> Result<BlobStream> {
    let what = || format!("{}: get blob {}", reference.name(), descriptor.digest());
    sha256_of(descriptor.digest()).step(what)?;
    let endpoints: Vec<Endpoint> =
        client.endpoints(reference.registry()).await.step(what)?.into_iter().filter(|e| e.pull).collect();
    let object = format!("blobs/{}", descriptor.digest());
    let mut download = Download {
        client,
        reference,
        descriptor,
        auth,
        object,
        endpoints,
        given_up: Vec::new(),
        offset: 0,
        failures: 0,
        source: None,
    };
    download.source = Some(download.connect().await?);
    Ok(Box::pin(stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|chunk| (chunk, download)))
    })))
}

// === impl Download ===

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let mut source = match self.source.take() {
                Some(source) => source,
                None if self.offset == self.descriptor.size() => return Ok(None),
                None => self.connect().await?,
            };
            match next_chunk(&source.transport, &mut source.response).await {
                Ok(Some(chunk)) => {
                    let chunk = skipped(chunk, &mut source.skip);
                    if self.offset + chunk.len() as u64 > self.descriptor.size() {
                        let text = format!("is longer than the {} bytes of its descriptor", self.descriptor.size());
                        return Err(self.error(source.endpoint, Error::new(Kind::DataLoss, text)));
                    }
                    self.source = Some(source);
                    if !chunk.is_empty() {
                        self.offset += chunk.len() as u64;
                        self.failures = 0;
                        return Ok(Some(chunk));
                    }
                }
                Ok(None) if self.offset == self.descriptor.size() => return Ok(None),
                Ok(None) => {
                    let text = format!("ended after {} of {} bytes", self.offset, self.descriptor.size());
                    self.broken(source.endpoint, Error::new(Kind::Unavailable, text)).await?;
                }
                Err(error) => self.broken(source.endpoint, error).await?,
            }
        }
    }

    /// After a break: the same host again for a while, then the others, then the end.
    async fn broken(&mut self, endpoint: usize, error: Error) -> Result<()> {
        let config = self.client.config();
        let error = self.error(endpoint, error);
        tracing::debug!(offset = self.offset, "{error}");
        let silent = error.kind() == Kind::DeadlineExceeded;
        if silent || self.failures >= config.retries {
            self.given_up.push(endpoint);
            self.failures = 0;
            if self.given_up.len() == self.endpoints.len() {
                return Err(error);
            }
            return Ok(());
        }
        tokio::time::sleep(fallback::pause(config, self.failures)).await;
        self.failures += 1;
        Ok(())
    }

    async fn connect(&self) -> Result<Source> {
        let what = format!("{}: get blob {}", self.reference.name(), self.descriptor.digest());
        let hosts = self.usable();
        fallback::first(self.client.config(), &what, hosts, |endpoint| async move {
            let (response, transport, skip) = self.request(endpoint).await?;
            Ok(Source { response, transport, endpoint: self.index_of(endpoint), skip })
        })
        .await
    }

    fn usable(&self) -> Vec<&Endpoint> {
        self.endpoints
            .iter()
            .enumerate()
            .filter(|(index, _)| !self.given_up.contains(index))
            .map(|(_, endpoint)| endpoint)
            .collect()
    }

    fn index_of(&self, endpoint: &Endpoint) -> usize {
        self.endpoints.iter().position(|each| std::ptr::eq(each, endpoint)).unwrap_or_default()
    }

    async fn request(&self, endpoint: &Endpoint) -> Result<(Response, Transport, u64), Failure> {
        let ask = Ask { method: Method::GET, object: &self.object, headers: range_from(self.offset)?, verified: true };
        let (response, transport) = self.client.ask(endpoint, &self.reference, self.auth.as_ref(), ask).await?;
        let size = self.descriptor.size();
        let wrong = |text: String| Failure::from(Error::new(Kind::DataLoss, text));
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !range.starts_with(&format!("bytes {}-", self.offset)) {
                return Err(wrong(format!("answers with another range than the one asked for ({range:?})")));
            }
            return Ok((response, transport, 0));
        }
        if let Some(length) = response.content_length().filter(|length| *length != size) {
            return Err(wrong(format!("its length is {length} bytes, its descriptor says {size}")));
        }
        Ok((response, transport, self.offset))
    }

    fn error(&self, endpoint: usize, error: Error) -> Error {
        let host = self.endpoints.get(endpoint).map(Endpoint::name).unwrap_or_default();
        let what = format!("{}: get blob {} at {host}", self.reference.name(), self.descriptor.digest());
        Error::new(error.kind(), what).because(error)
    }
}

/// Takes off what was received before.
fn skipped(mut chunk: Bytes, skip: &mut u64) -> Bytes {
    let cut = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
    *skip -= cut as u64;
    chunk.split_off(cut)
}
