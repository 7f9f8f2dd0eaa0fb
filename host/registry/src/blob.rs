use std::{ops::Range, pin::Pin};

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_RANGE};
use oci_spec::image::Descriptor;
use reqwest::Response;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Auth, Client, Reference,
    ask::Ask,
    client::range,
    digest::check_algorithm,
    fallback::{self, Doubt, Failure, Patience},
    hosts::Endpoint,
    transport::{Transport, next_chunk},
};

/// The bytes of one blob in order. Dropping it closes the connection.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A part of a blob as it comes.
pub struct BlobPart {
    /// Its bytes, in order.
    pub stream: BlobStream,
    /// Where they end: where it was asked, or at the end of the blob where the host knows no ranges.
    pub end: u64,
}

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
    end: u64,
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
    /// Whether it is only what was asked for, not the whole blob.
    ranged: bool,
}

pub(crate) async fn open(
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
    auth: Option<Auth>,
    part: Range<u64>,
) -> Result<BlobPart> {
    let what = || format!("{}: get blob {}", reference.name(), descriptor.digest());
    check_algorithm(descriptor.digest()).step(what)?;
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
        offset: part.start,
        end: part.end,
        failures: 0,
        source: None,
    };
    let source = download.connect().await?;
    if !source.ranged {
        download.end = download.descriptor.size();
    }
    download.source = Some(source);
    let end = download.end;
    let stream = stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|chunk| (chunk, download)))
    });
    Ok(BlobPart { stream: Box::pin(stream), end })
}

// === impl Download ===

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let is_part = self.end < self.descriptor.size();
            let mut source = match self.source.take() {
                // Of a part no more is read than was asked for, whatever follows.
                _ if is_part && self.offset == self.end => return Ok(None),
                Some(source) => source,
                None if self.offset == self.end => return Ok(None),
                None => match self.connect().await {
                    Ok(source) => source,
                    Err(error) => {
                        self.unreached(error).await?;
                        continue;
                    }
                },
            };
            match next_chunk(&source.transport, &mut source.response).await {
                Ok(Some(chunk)) => {
                    let mut chunk = skipped(chunk, &mut source.skip);
                    if is_part {
                        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
                        chunk.truncate(left);
                    }
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
                Ok(None) if self.offset == self.end => return Ok(None),
                Ok(None) => {
                    let text = format!("ended after {} of {} bytes", self.offset, self.end);
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

    /// After a break nobody could be reached again: all hosts once more for a while, for a registry that is restarted
    /// breaks off and then refuses.
    async fn unreached(&mut self, error: Error) -> Result<()> {
        let config = self.client.config();
        if error.kind() != Kind::Unavailable || self.failures >= config.retries {
            return Err(error);
        }
        tracing::debug!(offset = self.offset, "{error}");
        tokio::time::sleep(fallback::pause(config, self.failures)).await;
        self.failures += 1;
        Ok(())
    }

    async fn connect(&self) -> Result<Source> {
        let what = format!("{}: get blob {}", self.reference.name(), self.descriptor.digest());
        let hosts = self.usable();
        fallback::first(self.client.config(), &what, Patience::WithTheAbsent, hosts, |endpoint| async move {
            let (response, transport) = self.request(endpoint).await?;
            let ranged = response.status() == StatusCode::PARTIAL_CONTENT;
            let skip = if ranged { 0 } else { self.offset };
            Ok(Source { response, transport, endpoint: self.index_of(endpoint), skip, ranged })
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

    /// Who does not take a range is asked for the whole blob.
    async fn request(&self, endpoint: &Endpoint) -> Result<(Response, Transport), Failure> {
        let headers = range(&(self.offset..self.end), self.descriptor.size())?;
        let ranged = !headers.is_empty();
        // Later on, a refusal that may have any cause is not worth all that comes before.
        let at_the_beginning = self.offset == 0;
        match self.get(endpoint, headers).await {
            Err(failure)
                if ranged && (failure.range == Doubt::Yes || (failure.range == Doubt::Perhaps && at_the_beginning)) =>
            {
                tracing::debug!(host = endpoint.name(), error = %failure.error, "it is asked for the whole blob");
                self.get(endpoint, HeaderMap::new()).await
            }
            answer => answer,
        }
    }

    async fn get(&self, endpoint: &Endpoint, headers: HeaderMap) -> Result<(Response, Transport), Failure> {
        let size = self.descriptor.size();
        let ask = Ask { method: Method::GET, object: &self.object, headers, verified: true };
        let (response, transport) = self.client.ask(endpoint, &self.reference, self.auth.as_ref(), ask).await?;
        let wrong = |text: String| Failure::from(Error::new(Kind::DataLoss, text));
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !range.starts_with(&format!("bytes {}-", self.offset)) {
                let other = wrong(format!("answers with another range than the one asked for ({range:?})"));
                return Err(Failure { range: Doubt::Yes, ..other });
            }
            let total = range.split_once('/').map(|(_, total)| total).unwrap_or_default();
            if total.parse::<u64>().is_ok_and(|total| total != size) {
                return Err(wrong(format!("its length is {total} bytes, its descriptor says {size}")));
            }
            return Ok((response, transport));
        }
        if let Some(length) = response.content_length().filter(|length| *length != size) {
            return Err(wrong(format!("its length is {length} bytes, its descriptor says {size}")));
        }
        Ok((response, transport))
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
