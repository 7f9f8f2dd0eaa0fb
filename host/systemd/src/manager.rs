use std::{
    collections::HashMap,
    io,
    path::Path,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result};

use crate::bus::{self, Call, Connection, Message, Reader, Writer};

/// Where systemd listens for root without a message bus, as its own `systemctl` knows it.
const SOCKET: &str = "/run/systemd/private";
const NAME: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How long its socket may be away, and between two looks.
const ABSENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// systemd's manager object over a connection of one operation. Without deadlines: callers have one for the whole.
pub(crate) struct Manager {
    connection: Connection,
}

impl Manager {
    /// Tries for some seconds: a systemd that executes itself anew makes its socket anew.
    pub(crate) async fn connect() -> Result<Self> {
        let give_up = Instant::now() + ABSENCE;
        loop {
            match Connection::open(Path::new(SOCKET)).await {
                Ok(connection) => return Ok(Self { connection }),
                Err(_) if Instant::now() < give_up => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    let what = format!("connect to systemd at {SOCKET}: {error}");
                    return Err(Error::new(Kind::Unavailable, what)
                        .hint("systemd keeps this socket for root, on nodes where it is the first process"));
                }
            }
        }
    }

    /// Calls a method of the manager.
    pub(crate) async fn call(&mut self, method: &str, signature: &str, body: impl FnOnce(&mut Writer)) -> Result<()> {
        let call = manager(method, signature, body);
        self.ask(&call, |_| {}).await.map(drop)
    }

    /// Calls a method that queues a job, and waits until that is done.
    pub(crate) async fn job(&mut self, method: &str, signature: &str, body: impl FnOnce(&mut Writer)) -> Result<()> {
        let call = manager(method, signature, body);
        // The end of a short job is told before the answer that names it.
        let mut ended = HashMap::new();
        let reply = self.ask(&call, |message| ended.extend(job_removed(&message))).await?;
        let ours = decode(method, Reader::new(&reply.body).string())?;
        let result = loop {
            if let Some(result) = ended.remove(ours) {
                break result;
            }
            let message = self.connection.next().await.map_err(|error| broken(method, &error))?;
            ended.extend(job_removed(&message));
        };
        if result == "done" {
            return Ok(());
        }
        let what = format!("{method}: the job of systemd ended as {result:?}");
        Err(Error::new(Kind::FailedPrecondition, what).hint("journalctl says why"))
    }

    /// systemd's version.
    pub(crate) async fn version(&mut self) -> Result<String> {
        let name = "Version";
        let value = self.property(OBJECT, MANAGER, name).await?;
        Ok(decode(name, variant(&value, "s").and_then(|mut reader| reader.string()))?.to_owned())
    }

    /// Where a unit was written, if it was, and which units need it, as those in a slice need that. `NotFound` where it is
    /// not loaded.
    pub(crate) async fn written_and_needed(&mut self, unit: &str) -> Result<(String, Vec<String>)> {
        let method = "GetUnit";
        let reply = self.ask(&manager(method, "s", |body| body.string(unit)), |_| {}).await?;
        let path = decode(method, Reader::new(&reply.body).string())?;
        let value = self.property(path, UNIT, "FragmentPath").await?;
        let written = decode(unit, variant(&value, "s").and_then(|mut reader| reader.string()))?.to_owned();
        let value = self.property(path, UNIT, "RequiredBy").await?;
        let needed = decode(unit, variant(&value, "as").and_then(|mut reader| reader.strings()))?;
        Ok((written, needed.into_iter().map(str::to_owned).collect()))
    }

    async fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Message> {
        let mut body = Writer::default();
        body.string(interface);
        body.string(name);
        let (interface, member, body) = (PROPERTIES, "Get", body.into_bytes());
        self.ask(&Call { destination: NAME, path, interface, member, signature: "ss", body }, |_| {}).await
    }

    async fn ask(&mut self, call: &Call<'_>, heard: impl FnMut(Message)) -> Result<Message> {
        let reply = self.connection.call(call, heard).await.map_err(|error| broken(call.member, &error))?;
        if reply.kind != bus::Kind::Error {
            return Ok(reply);
        }
        let text = if reply.signature.starts_with('s') { Reader::new(&reply.body).string().ok() } else { None };
        let kind = if reply.error == NO_SUCH_UNIT { Kind::NotFound } else { Kind::FailedPrecondition };
        let text = text.unwrap_or_default();
        Err(Error::new(kind, format!("{}: systemd refuses: {text} ({})", call.member, reply.error))
            .hint("`journalctl -b _PID=1` may say more"))
    }
}

fn manager<'a>(member: &'a str, signature: &'a str, body: impl FnOnce(&mut Writer)) -> Call<'a> {
    let mut writer = Writer::default();
    body(&mut writer);
    Call { destination: NAME, path: OBJECT, interface: MANAGER, member, signature, body: writer.into_bytes() }
}

/// The path and the result of a job that has ended.
fn job_removed(message: &Message) -> Option<(String, String)> {
    if message.kind != bus::Kind::Signal || message.member != "JobRemoved" || message.signature != "uoss" {
        return None;
    }
    let mut reader = Reader::new(&message.body);
    reader.u32().ok()?;
    let path = reader.string().ok()?.to_owned();
    // Of its unit.
    reader.string().ok()?;
    Some((path, reader.string().ok()?.to_owned()))
}

/// What is in an answer that is a variant of this type.
fn variant<'a>(reply: &'a Message, signature: &str) -> io::Result<Reader<'a>> {
    let mut reader = Reader::new(&reply.body);
    match reader.signature()? {
        there if there == signature => Ok(reader),
        other => Err(io::Error::other(format!("it is of type {other:?}, not {signature:?}"))),
    }
}

fn decode<T>(what: &str, value: io::Result<T>) -> Result<T> {
    value.map_err(|error| Error::internal(format!("{what}: systemd's answer: {error}")))
}

fn broken(what: &str, error: &io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("{what}: speak to systemd: {error}"))
        .hint("systemd may be executing itself anew: try again")
}
