use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;

use crate::{
    http::{read_head, request},
    loopback::Loopback,
};

const IDLE: Duration = Duration::from_secs(60);

/// An HTTP proxy on loopback that remembers what it was asked for. Whatever host is named, one and the same is behind it:
/// so a name that nobody else knows is reached through it and in no other way.
#[derive(Debug)]
pub struct Proxy {
    server: Loopback,
    shared: Arc<Shared>,
}

/// What a proxy was asked.
#[derive(Clone, Debug)]
pub struct Proxied {
    /// `CONNECT`, or the method of the request that it passed on.
    pub method: String,
    /// `host:port` of a `CONNECT`, else the whole URL.
    pub target: String,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug)]
struct Shared {
    to: String,
    seen: Mutex<Vec<Proxied>>,
}

impl Proxy {
    /// Starts one before `to`, which is `host:port`. It ends when it is dropped.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub fn start(to: &str) -> Result<Self> {
        let shared = Arc::new(Shared { to: to.to_owned(), seen: Mutex::default() });
        let serving = shared.clone();
        let server = Loopback::serve(Loopback::bind()?, Arc::default(), move |client| drop(serving.serve(client)))?;
        Ok(Self { server, shared })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Proxied> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> Result<()> {
        client.set_read_timeout(Some(IDLE))?;
        let mut writer = client.try_clone()?;
        let mut reader = BufReader::new(client);
        while let Some((first, headers)) = read_head(&mut reader)? {
            let mut words = first.split(' ').map(str::to_owned);
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            let seen = Proxied {
                method: method.clone(),
                target: target.clone(),
                authorization: header("proxy-authorization"),
            };
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            if method == "CONNECT" {
                return self.tunnel(reader.into_inner(), writer);
            }
            let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
            reader.read_exact(&mut body)?;
            self.pass_on(&mut writer, (&method, &target), &headers, &body)?;
        }
        Ok(())
    }

    fn tunnel(&self, mut client: TcpStream, mut to_client: TcpStream) -> Result<()> {
        let mut server = TcpStream::connect(&self.to)?;
        let mut to_server = server.try_clone()?;
        to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let back = std::thread::spawn(move || {
            let _ = std::io::copy(&mut server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let _ = std::io::copy(&mut client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = back.join();
        Ok(())
    }

    fn pass_on(
        &self,
        client: &mut TcpStream,
        (method, target): (&str, &str),
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<()> {
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        let own = ["host", "connection", "content-length", "proxy-authorization", "transfer-encoding"];
        let others = |headers: &[(String, String)]| -> Vec<(String, String)> {
            headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect()
        };
        let asked = others(headers);
        let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = request(method, &self.to, &format!("/{path}"), &asked, body)?;
        let length = answer.body.len().to_string();
        let length = match method {
            "HEAD" => answer.header("content-length").unwrap_or("0"),
            _ => &length,
        };
        let mut head = format!("HTTP/1.1 {} Passed on\r\nContent-Length: {length}\r\n", answer.status);
        for (name, value) in others(&answer.headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        client.write_all(head.as_bytes())?;
        Ok(client.write_all(&answer.body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Auth, Registry};

    #[test]
    fn a_name_that_nobody_knows_is_reached_through_it() {
        let registry = Registry::start(Auth::Open).unwrap();
        let proxy = Proxy::start(&registry.address()).unwrap();
        let answer = request("GET", &proxy.address(), "http://r.invalid/v2/?x=1", &[], b"").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
        assert_eq!(registry.seen()[0].path, "/v2/?x=1");
        let seen = proxy.seen();
        assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("GET", "http://r.invalid/v2/?x=1"));
    }

    #[test]
    fn it_makes_tunnels() {
        let registry = Registry::start(Auth::Open).unwrap();
        let proxy = Proxy::start(&registry.address()).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(b"CONNECT r.invalid:443 HTTP/1.1\r\nproxy-authorization: Basic x\r\n\r\n").unwrap();
        let mut head = [0; 39];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 Connection established\r\n\r\n");
        stream.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let seen = proxy.seen().remove(0);
        assert_eq!((seen.target.as_str(), seen.authorization.as_deref()), ("r.invalid:443", Some("Basic x")));
    }
}
