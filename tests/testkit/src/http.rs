use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

const DEADLINE: Duration = Duration::from_secs(60);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// An answer to [`request`].
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One plain HTTP/1.1 request on a connection of its own; a minute at most for each read and write.
///
/// # Errors
///
/// When nobody answers at `address` (`host:port`), or the answer is not HTTP.
pub fn request(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
    let what = || format!("{method} http://{address}{path}");
    let target = address.to_socket_addrs().with_context(what)?.next().with_context(what)?;
    let mut stream = TcpStream::connect_timeout(&target, CONNECT_DEADLINE).with_context(what)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).with_context(what)?;
    stream.write_all(body).with_context(what)?;

    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader).with_context(what)?.with_context(what)?;
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .with_context(|| format!("{}: no status in {first:?}", what()))?;
    let mut response = Response { status, headers, body: Vec::new() };
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        response.body = read_chunks(&mut reader).with_context(what)?;
    } else if let Some(length) = response.header("content-length") {
        let length: u64 = length.parse().with_context(what)?;
        reader.take(length).read_to_end(&mut response.body).with_context(what)?;
        if response.body.len() as u64 != length {
            bail!("{}: the connection ended after {} of {length} bytes", what(), response.body.len());
        }
    } else {
        reader.read_to_end(&mut response.body).with_context(what)?;
    }
    Ok(response)
}

/// First line and headers, names in lower case; `None` when the peer closed before the first byte.
pub(crate) type Head = (String, Vec<(String, String)>);

pub(crate) fn read_head(reader: &mut BufReader<TcpStream>) -> Result<Option<Head>> {
    let mut line = || -> Result<String> {
        let mut text = String::new();
        reader.by_ref().take(64 << 10).read_line(&mut text)?;
        Ok(text)
    };
    let first = line()?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let next = line()?;
        let next = next.trim_end();
        if next.is_empty() {
            return Ok(Some((first.trim_end().to_owned(), headers)));
        }
        let (name, value) = next.split_once(':').with_context(|| format!("no header: {next:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim().split(';').next().unwrap_or_default(), 16).context("chunk size")?;
        reader.by_ref().take(size).read_to_end(&mut body)?;
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
