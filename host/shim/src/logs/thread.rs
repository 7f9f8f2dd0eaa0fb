use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, PoisonError, mpsc::Receiver},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll,
    io::{Errno, read},
};
use wharf_error::{Result, ResultExt as _};

use super::{Command, Source, now};

/// The token of the eventfd that announces commands.
const WAKE: u64 = 0;

/// What is read at once from one source, bytes: all others get their turn before the next.
const CHUNK: usize = 16 * 1024;

/// Lines are written when they are this many bytes, and at the end of each chunk.
const WRITE: usize = 32 * 1024;

pub struct Writer {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Receiver<Command>,
    sources: HashMap<u64, Source>,
    next: u64,
    chunk: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Eq, PartialEq)]
enum Read {
    Some,
    Nothing,
    Ended,
}

// === impl Writer ===

impl Writer {
    pub fn new(wake: Arc<OwnedFd>, commands: Receiver<Command>) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from).step(|| "epoll".into())?;
        epoll::add(&poll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)
            .map_err(io::Error::from)
            .step(|| "epoll".into())?;
        let (chunk, out) = (Vec::with_capacity(CHUNK), Vec::new());
        Ok(Self { epoll: poll, wake, commands, sources: HashMap::new(), next: WAKE + 1, chunk, out })
    }

    /// Until the process ends.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(16);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the log thread cannot wait");
                    return;
                }
            }
            for token in events.drain(..).map(|event| event.data.u64()) {
                if token == WAKE {
                    let _ = read(&*self.wake, &mut [0u8; 8]);
                    self.obey();
                } else if self.pass(token) == Read::Ended {
                    self.forget(token);
                }
            }
            // Lines as long as they may be are rare; their buffer need not stay.
            self.out.shrink_to(4096);
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(source) => self.add(source),
                Command::Drain { owner, done } => {
                    self.drain(owner);
                    // Who asked may have given up.
                    let _ = done.send(());
                }
                Command::Remove { owner } => {
                    self.drain(owner);
                    for token in self.of(owner) {
                        if let Some(source) = self.sources.get_mut(&token) {
                            source.finish(&mut self.out);
                        }
                        self.forget(token);
                    }
                }
            }
        }
    }

    fn add(&mut self, source: Source) {
        let token = self.next;
        self.next += 1;
        let data = epoll::EventData::new_u64(token);
        match epoll::add(&self.epoll, &source.fd, data, epoll::EventFlags::IN) {
            Ok(()) => drop(self.sources.insert(token, source)),
            Err(error) => tracing::error!(%error, "a log source cannot be waited for"),
        }
    }

    fn drain(&mut self, owner: u64) {
        for token in self.of(owner) {
            let mut read = Read::Some;
            while read == Read::Some {
                read = self.pass(token);
            }
            if read == Read::Ended {
                self.forget(token);
            }
        }
    }

    fn of(&self, owner: u64) -> Vec<u64> {
        self.sources.iter().filter(|(_, source)| source.owner == owner).map(|(token, _)| *token).collect()
    }

    fn forget(&mut self, token: u64) {
        if let Some(source) = self.sources.remove(&token) {
            // A terminal's master is open elsewhere, too: closing ours alone does not end the waiting.
            let _ = epoll::delete(&self.epoll, &source.fd);
        }
    }

    /// One chunk from a source to its file.
    fn pass(&mut self, token: u64) -> Read {
        let Some(source) = self.sources.get_mut(&token) else { return Read::Nothing };
        self.chunk.clear();
        match read(&source.fd, spare_capacity(&mut self.chunk)) {
            Ok(0) => {}
            Ok(_) => {
                source.write(&self.chunk, &mut self.out);
                return Read::Some;
            }
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            // A terminal's end.
            Err(Errno::IO) => {}
            Err(error) => tracing::warn!(%error, "a log source cannot be read"),
        }
        source.finish(&mut self.out);
        Read::Ended
    }
}

// === impl Source ===

impl Source {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(sink) = &self.sink else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = &mut self.lines else { return sink.append(bytes) };
        let time = now();
        // A chunk of empty lines is many times as long in the file.
        for part in bytes.chunks(WRITE / 64) {
            lines.feed(part, &time, out);
            if out.len() > WRITE {
                sink.append(out);
                out.clear();
            }
        }
        sink.append(out);
        out.clear();
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let (Some(sink), Some(lines)) = (&self.sink, &mut self.lines) else { return };
        lines.finish(&now(), out);
        sink.lock().unwrap_or_else(PoisonError::into_inner).append(out);
        out.clear();
    }
}
