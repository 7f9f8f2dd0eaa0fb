mod answer;

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;

use self::answer::Answer;
use crate::{
    http::read_head,
    image::{Blob, Image},
    loopback::Loopback,
};

/// What a client that speaks TLS begins with.
const TLS_HANDSHAKE: u8 = 0x16;

const IDLE: Duration = Duration::from_secs(30);
/// How often an answer that stands still looks whether it is to go on.
const STILL: Duration = Duration::from_millis(10);

/// What a registry asks of who pulls.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nothing.
    Open,
    /// `Authorization: Basic` of this user and password.
    Basic(String, String),
    /// The bearer token [`Registry::TOKEN`], which its own `/token` gives to this user and password, and to who has
    /// [`Registry::IDENTITY`].
    Bearer(String, String),
}

/// One request that the registry saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `HEAD`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Whether it carried an `Authorization`.
    pub authorization: Option<String>,
    /// Its `Range`.
    pub range: Option<String>,
}

/// A small registry in this process, for what a real one cannot be made to do: broken connections, wrong bytes,
/// redirects, refused ranges; and for machines without Debian's `docker-registry`.
///
/// It serves what it is given by [`Registry::add`]; it takes no pushes. Ends on drop.
#[derive(Debug)]
pub struct Registry {
    server: Loopback,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    auth: Auth,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: HashMap<String, Blob>,
    /// By `repository:tag` and `repository@digest`.
    manifests: HashMap<String, Blob>,
    seen: Vec<Seen>,
    /// By digest: after how many bytes the connection breaks, and how often still.
    breaks: HashMap<String, (usize, u32)>,
    /// By digest: after how many bytes nothing more comes until [`Registry::go_on`].
    stalls: HashMap<String, usize>,
    /// Answers that stand still.
    stalled: usize,
    /// By digest: how often it is still found.
    lost: HashMap<String, u32>,
    /// Answers that are being written, and the most that were at once.
    writing: (usize, usize),
    /// Where blobs are answered from instead: `host:port`.
    redirect: Option<String>,
    no_ranges: bool,
}

impl Registry {
    /// What a registry with bearer tokens wants to see.
    pub const TOKEN: &str = "token-of-the-test-registry";
    /// For what its `/token` gives that too, as a refresh token.
    pub const IDENTITY: &str = "identity-for-the-test-registry";

    /// Listens on a free port of loopback.
    ///
    /// # Errors
    ///
    /// When there is no loopback.
    pub fn start(auth: Auth) -> Result<Self> {
        let listener = Loopback::bind()?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { auth, address, stop: Arc::default(), state: Mutex::default() });
        let serving = shared.clone();
        let server = Loopback::serve(listener, shared.stop.clone(), move |stream| drop(serving.serve(stream)))?;
        Ok(Self { server, shared })
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Serves an image as `repository:tag`, and by digest.
    pub fn add(&self, repository: &str, tag: &str, image: &Image) {
        let mut state = self.shared.lock();
        for blob in &image.blobs {
            state.blobs.insert(blob.digest.clone(), blob.clone());
        }
        for manifest in image.manifests.iter().chain([&image.target]) {
            state.manifests.insert(format!("{repository}@{}", manifest.digest), manifest.clone());
        }
        state.manifests.insert(format!("{repository}:{tag}"), image.target.clone());
    }

    /// Serves other bytes under a blob's digest: what whoever verifies must refuse.
    pub fn corrupt(&self, digest: &str) {
        if let Some(blob) = self.shared.lock().blobs.get_mut(digest)
            && let Some(byte) = blob.bytes.last_mut()
        {
            *byte ^= 0xff;
        }
    }

    /// Breaks the connection after so many bytes of this blob, the next `times` times it is asked for.
    pub fn break_blob(&self, digest: &str, after: usize, times: u32) {
        self.shared.lock().breaks.insert(digest.to_owned(), (after, times));
    }

    /// Sends so many bytes of this blob, and no more before [`go_on`](Self::go_on).
    pub fn stall_blob(&self, digest: &str, after: usize) {
        self.shared.lock().stalls.insert(digest.to_owned(), after);
    }

    /// How many answers stand still.
    pub fn stalled(&self) -> usize {
        self.shared.lock().stalled
    }

    /// Lets all go on that stand still, and stalls no more.
    pub fn go_on(&self) {
        self.shared.lock().stalls.clear();
    }

    /// Answers that there is no such blob, from the request after so many on.
    pub fn lose_blob_after(&self, digest: &str, times: u32) {
        self.shared.lock().lost.insert(digest.to_owned(), times);
    }

    /// The opposite of [`lose_blob_after`](Self::lose_blob_after).
    pub fn find_blob(&self, digest: &str) {
        self.shared.lock().lost.remove(digest);
    }

    /// How many answers with a body were being written at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.lock().writing.1
    }

    /// Sends who asks for a blob to another host (`host:port`), as object stores behind registries do.
    pub fn redirect_blobs(&self, to: &str) {
        self.shared.lock().redirect = Some(to.to_owned());
    }

    /// Answers the whole blob whatever range is asked for.
    pub fn refuse_ranges(&self) {
        self.shared.lock().no_ranges = true;
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        if reader.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            // In clear, as Go's server says it: by it clients know that they may ask again without TLS.
            return Ok(writer
                .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")?);
        }
        while let Some((first, headers)) = read_head(&mut reader)? {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let length = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            let mut form = String::new();
            reader.by_ref().take(length).read_to_string(&mut form)?;
            let mut words = first.split(' ');
            let (method, path) =
                (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
            let seen = Seen { method, path, authorization: header("authorization"), range: header("range") };
            let answer = self.answer(&seen, &form);
            let head_only = seen.method == "HEAD";
            self.lock().seen.push(seen);

            let mut text = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
            for (name, value) in &answer.headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            writer.write_all(text.as_bytes())?;
            if head_only {
                continue;
            }
            self.begin_writing();
            let body = &answer.body[..answer.break_after.unwrap_or(answer.body.len()).min(answer.body.len())];
            let written = self.write(&mut writer, body, answer.stall.as_ref());
            self.lock().writing.0 -= 1;
            written?;
            if answer.break_after.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn write(&self, writer: &mut TcpStream, body: &[u8], stall: Option<&(usize, String)>) -> std::io::Result<()> {
        let Some((after, digest)) = stall else { return writer.write_all(body) };
        let (first, rest) = body.split_at((*after).min(body.len()));
        writer.write_all(first)?;
        self.lock().stalled += 1;
        while self.lock().stalls.contains_key(digest) && !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(STILL);
        }
        self.lock().stalled -= 1;
        writer.write_all(rest)
    }

    fn begin_writing(&self) {
        let mut state = self.lock();
        state.writing.0 += 1;
        state.writing.1 = state.writing.1.max(state.writing.0);
    }

    fn answer(&self, asked: &Seen, form: &str) -> Answer {
        let path = asked.path.split('?').next().unwrap_or_default();
        if path == "/token" {
            return self.token(asked, form);
        }
        if !self.allowed(asked) {
            let challenge = match &self.auth {
                Auth::Bearer(..) => format!(
                    "Bearer realm=\"http://{}/token\",service=\"test\",scope=\"repository:test:pull\"",
                    self.address
                ),
                _ => "Basic realm=\"test\"".into(),
            };
            return Answer::error("401 Unauthorized", "UNAUTHORIZED").with("WWW-Authenticate", challenge);
        }
        if path == "/v2/" || path == "/v2" {
            return Answer::new("200 OK", b"{}".to_vec()).with("Content-Type", "application/json");
        }
        let rest = path.strip_prefix("/v2/").unwrap_or_default();
        if let Some((repository, reference)) = rest.split_once("/manifests/") {
            return self.manifest(repository, reference);
        }
        match rest.split_once("/blobs/") {
            Some((_, digest)) => self.blob(asked, digest),
            None => Answer::error("404 Not Found", "NAME_UNKNOWN"),
        }
    }

    fn allowed(&self, asked: &Seen) -> bool {
        let expected = match &self.auth {
            Auth::Open => return true,
            Auth::Basic(user, password) => basic(user, password),
            Auth::Bearer(..) => format!("Bearer {}", Registry::TOKEN),
        };
        asked.authorization.as_deref() == Some(&expected)
    }

    fn token(&self, asked: &Seen, form: &str) -> Answer {
        let refresh = format!("refresh_token={}", Registry::IDENTITY);
        let by_identity = asked.method == "POST" && form.split('&').any(|field| field == refresh);
        match &self.auth {
            Auth::Bearer(user, password)
                if !by_identity && asked.authorization.as_deref() != Some(&basic(user, password)) =>
            {
                Answer::error("401 Unauthorized", "UNAUTHORIZED")
            }
            _ => Answer::new("200 OK", json!({ "token": Registry::TOKEN, "expires_in": 300 }).to_string().into_bytes())
                .with("Content-Type", "application/json"),
        }
    }

    fn manifest(&self, repository: &str, reference: &str) -> Answer {
        let separator = if reference.contains(':') { '@' } else { ':' };
        match self.lock().manifests.get(&format!("{repository}{separator}{reference}")) {
            Some(blob) => Answer::new("200 OK", blob.bytes.clone())
                .with("Content-Type", &blob.media_type)
                .with("Docker-Content-Digest", &blob.digest),
            None => Answer::error("404 Not Found", "MANIFEST_UNKNOWN"),
        }
    }

    fn blob(&self, asked: &Seen, digest: &str) -> Answer {
        let mut state = self.lock();
        if let Some(other) = &state.redirect {
            return Answer::new("307 Temporary Redirect", Vec::new())
                .with("Location", format!("http://{other}{}", asked.path));
        }
        if let Some(times) = state.lost.get_mut(digest) {
            if *times == 0 {
                return Answer::error("404 Not Found", "BLOB_UNKNOWN");
            }
            *times -= 1;
        }
        let Some(blob) = state.blobs.get(digest).cloned() else {
            return Answer::error("404 Not Found", "BLOB_UNKNOWN");
        };
        let size = blob.bytes.len();
        let range = asked.range.as_deref().filter(|_| !state.no_ranges).and_then(|r| parse_range(r, size));
        let mut answer = match range {
            Some((from, to)) => Answer::new("206 Partial Content", blob.bytes[from..to].to_vec())
                .with("Content-Range", format!("bytes {from}-{}/{size}", to - 1)),
            None => Answer::new("200 OK", blob.bytes),
        };
        if let Some((after, times)) = state.breaks.get_mut(digest)
            && *times > 0
            && asked.method == "GET"
        {
            *times -= 1;
            answer.break_after = Some(*after);
        }
        if let Some(after) = state.stalls.get(digest).filter(|_| asked.method == "GET") {
            answer.stall = Some((*after, digest.to_owned()));
        }
        answer
            .with("Content-Type", "application/octet-stream")
            .with("Docker-Content-Digest", digest)
            .with("Accept-Ranges", "bytes")
    }
}

// `bytes=from-` or `bytes=from-to`; the end is exclusive in what is returned.
fn parse_range(text: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to: usize = if to.is_empty() { size } else { to.parse::<usize>().ok()?.checked_add(1)?.min(size) };
    (from < to).then_some((from, to))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests;
