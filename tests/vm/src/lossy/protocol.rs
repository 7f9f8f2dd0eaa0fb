//! NBD's fixed newstyle handshake and simple replies, as its `doc/proto.md` describes them: all that QEMU needs.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::Mutex,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{cache::Cache, lock};

const HELLO: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const OPTION: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
/// NBD_FLAG_FIXED_NEWSTYLE and NBD_FLAG_NO_ZEROES.
const HANDSHAKE: u16 = 3;
const OPT_ABORT: u32 = 2;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_UNSUPPORTED: u32 = (1 << 31) + 1;
/// NBD_FLAG_HAS_FLAGS, NBD_FLAG_SEND_FLUSH, NBD_FLAG_SEND_FUA: a disk that can be told to write.
const TRANSMISSION: u16 = 1 | 4 | 8;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
/// NBD_CMD_FLAG_FUA
const THROUGH: u16 = 1;
const EINVAL: u32 = 22;
/// More than QEMU ever asks for at once.
const LONGEST: u32 = 64 << 20;

/// Serves one machine until it ends. Its sudden end is in order.
pub fn serve(mut stream: UnixStream, cache: &Mutex<Cache>) -> Result<()> {
    let served = handshake(&mut stream, cache).and_then(|()| transmit(&mut stream, cache));
    match served {
        Err(error) if is_gone(&error) => Ok(()),
        served => served,
    }
}

fn handshake(stream: &mut UnixStream, cache: &Mutex<Cache>) -> Result<()> {
    stream.write_all(&[&HELLO.to_be_bytes()[..], &OPTION.to_be_bytes(), &HANDSHAKE.to_be_bytes()].concat())?;
    let _flags: [u8; 4] = take(stream)?;
    loop {
        ensure!(u64::from_be_bytes(take(stream)?) == OPTION, "it says something else than an option");
        let option = u32::from_be_bytes(take(stream)?);
        let length = u32::from_be_bytes(take(stream)?);
        ensure!(length <= LONGEST, "an option of {length} bytes");
        io::copy(&mut Read::take(&mut *stream, u64::from(length)), &mut io::sink())?;
        match option {
            OPT_GO => {
                // NBD_INFO_EXPORT
                let export = [&0_u16.to_be_bytes()[..], &lock(cache).size().to_be_bytes(), &TRANSMISSION.to_be_bytes()];
                answer(stream, option, REP_INFO, &export.concat())?;
                return answer(stream, option, REP_ACK, &[]);
            }
            OPT_ABORT => {
                answer(stream, option, REP_ACK, &[])?;
                return Err(io::Error::from(ErrorKind::UnexpectedEof)).context("it has changed its mind");
            }
            _ => answer(stream, option, REP_UNSUPPORTED, &[])?,
        }
    }
}

fn answer(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> Result<()> {
    let length = u32::try_from(data.len())?;
    let head = [&OPTION_REPLY.to_be_bytes()[..], &option.to_be_bytes(), &kind.to_be_bytes(), &length.to_be_bytes()];
    Ok(stream.write_all(&[&head.concat(), data].concat())?)
}

fn transmit(stream: &mut UnixStream, cache: &Mutex<Cache>) -> Result<()> {
    loop {
        ensure!(u32::from_be_bytes(take(stream)?) == REQUEST, "it says something else than a request");
        let flags = u16::from_be_bytes(take(stream)?);
        let kind = u16::from_be_bytes(take(stream)?);
        let cookie: [u8; 8] = take(stream)?;
        let offset = u64::from_be_bytes(take(stream)?);
        let length = u32::from_be_bytes(take(stream)?);
        ensure!(length <= LONGEST, "a request for {length} bytes");
        let mut bytes = vec![0; usize::try_from(length)?];
        if kind == WRITE {
            stream.read_exact(&mut bytes)?;
        }
        if lock(cache).is_gone() {
            return Ok(());
        }
        let inside = lock(cache).has(offset, u64::from(length));
        let mut error = 0_u32;
        match kind {
            READ | WRITE if !inside => error = EINVAL,
            READ => lock(cache).read(offset, &mut bytes)?,
            WRITE if flags & THROUGH != 0 => lock(cache).write_through(offset, &bytes)?,
            WRITE => lock(cache).write(offset, &bytes),
            FLUSH => lock(cache).flush()?,
            DISCONNECT => return Ok(()),
            other => bail!("a request of kind {other}"),
        }
        // No answer to what the power went in the middle of.
        if lock(cache).is_gone() {
            return Ok(());
        }
        let head = [&REPLY.to_be_bytes()[..], &error.to_be_bytes(), &cookie];
        stream.write_all(&head.concat())?;
        if kind == READ && error == 0 {
            stream.write_all(&bytes)?;
        }
    }
}

fn take<const N: usize>(stream: &mut UnixStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| gone.contains(&error.kind()))
}
