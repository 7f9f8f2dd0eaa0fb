use std::{fmt::Write as _, io, path::Path};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{Call, Kind, Message, message::FIXED};

/// Of a line while it is agreed upon who we are.
const LONGEST_LINE: usize = 512;

/// A connection to a peer, for one call after the other. Without deadlines: callers have one for the whole.
pub(crate) struct Connection {
    stream: UnixStream,
    serial: u32,
}

impl Connection {
    /// As the user that this process is.
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket).await?;
        // The user's number in digits, and these in hexadecimal: the peer compares it with what the kernel says.
        let mut hello = "\0AUTH EXTERNAL ".to_owned();
        for digit in rustix::process::geteuid().as_raw().to_string().bytes() {
            let _ = write!(hello, "{digit:02x}");
        }
        // All at once, as systemd's own tools do: a message that comes to it together with BEGIN lies in its buffer until
        // another comes.
        stream.write_all(format!("{hello}\r\nBEGIN\r\n").as_bytes()).await?;
        let answer = line(&mut stream).await?;
        if !answer.starts_with("OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("it answers {answer:?}")));
        }
        Ok(Self { stream, serial: 0 })
    }

    /// Calls a method and waits for the answer, which may be an error. What else comes until then is `heard`.
    pub(crate) async fn call(&mut self, call: &Call<'_>, mut heard: impl FnMut(Message)) -> io::Result<Message> {
        self.serial = self.serial.wrapping_add(1);
        self.stream.write_all(&call.encode(self.serial)?).await?;
        loop {
            let message = self.next().await?;
            if matches!(message.kind, Kind::Return | Kind::Error) && message.reply_to == Some(self.serial) {
                return Ok(message);
            }
            heard(message);
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> io::Result<Message> {
        let mut fixed = [0; FIXED];
        self.stream.read_exact(&mut fixed).await?;
        let mut bytes = fixed.to_vec();
        bytes.resize(Message::length(&fixed)?, 0);
        self.stream.read_exact(&mut bytes[FIXED..]).await?;
        Message::decode(&bytes)
    }
}

/// Byte by byte: what follows the line is a message's.
async fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(io::Error::other("it does not speak D-Bus"));
        }
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}
