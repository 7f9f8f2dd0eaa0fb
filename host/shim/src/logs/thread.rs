use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::{Errno, read},
};
use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::AttachEnd;

use super::{Command, Listener, Source, Stream};

/// The token of the eventfd that announces commands.
const WAKE: u64 = 0;

/// What is read at once from one source, bytes: all others get their turn before the next.
const CHUNK: usize = 16 * 1024;

pub struct Writer {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Receiver<Command>,
    sources: HashMap<u64, Source>,
    /// Attached clients, one entry a stream; tokens are shared with the sources.
    listeners: HashMap<u64, Listener>,
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
        Ok(Self {
            epoll: poll,
            wake,
            commands,
            sources: HashMap::new(),
            listeners: HashMap::new(),
            next: WAKE + 1,
            chunk: Vec::with_capacity(CHUNK),
            out: Vec::new(),
        })
    }

    /// Until the process ends.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(16);
        loop {
            events.clear();
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the log thread cannot wait");
                    return;
                }
            }
            for event in events.drain(..) {
                let (token, flags) = (event.data.u64(), event.flags);
                if token == WAKE {
                    let _ = read(&*self.wake, &mut [0u8; 8]);
                    self.obey();
                } else if self.listeners.contains_key(&token) {
                    self.advance(token, flags);
                } else if self.pass(token) == Read::Ended {
                    self.forget(token);
                }
            }
            if timeout.is_some() {
                self.expire();
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
                    let _ = done.send(self.of(owner).len());
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
                Command::Listen(listener) => self.listen(listener),
                Command::Finish { owner } => self.close(|listener| listener.owner == owner),
            }
        }
    }

    // --- Sources

    fn add(&mut self, source: Source) {
        let token = self.next;
        self.next += 1;
        self.sources.insert(token, source);
        if !self.watch(token) {
            self.sources.remove(&token);
        }
    }

    fn watch(&mut self, token: u64) -> bool {
        let Some(source) = self.sources.get(&token) else { return false };
        let data = epoll::EventData::new_u64(token);
        let added = epoll::add(&self.epoll, &source.fd, data, epoll::EventFlags::IN);
        if let Err(error) = &added {
            tracing::error!(%error, "a log source cannot be waited for");
        }
        added.is_ok()
    }

    /// Reads what is there, whether or not attached clients are ready for it.
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

    /// Its clients get what they have not got yet, and then the end.
    fn forget(&mut self, token: u64) {
        if let Some(source) = self.sources.remove(&token) {
            // A terminal's master is open elsewhere, too: closing ours alone does not end the waiting.
            let _ = epoll::delete(&self.epoll, &source.fd);
            self.close(|listener| listener.owner == source.owner && listener.stream == source.stream);
        }
    }

    /// One chunk from a source to its file, and to those who are attached.
    fn pass(&mut self, token: u64) -> Read {
        let Some(source) = self.sources.get_mut(&token) else { return Read::Nothing };
        self.chunk.clear();
        match read(&source.fd, spare_capacity(&mut self.chunk)) {
            Ok(0) => {}
            Ok(_) => {
                source.write(&self.chunk, &mut self.out);
                if !self.listeners.is_empty() {
                    self.copy(token);
                }
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

    // --- Clients that are attached

    fn listen(&mut self, mut listener: Listener) {
        if !self.sources.values().any(|source| source.owner == listener.owner && source.stream == listener.stream) {
            return listener.tell(AttachEnd::Ended);
        }
        let token = self.next;
        self.next += 1;
        // Without a flag, too, the kernel tells that its reader has closed.
        let data = epoll::EventData::new_u64(token);
        match epoll::add(&self.epoll, &listener.fd, data, epoll::EventFlags::empty()) {
            Ok(()) => drop(self.listeners.insert(token, listener)),
            Err(error) => {
                tracing::error!(%error, "an attached client cannot be waited for");
                listener.tell(AttachEnd::Detached);
            }
        }
    }

    /// Hands the chunk to the clients of its source.
    fn copy(&mut self, source: u64) {
        let Some(&Source { owner, stream, .. }) = self.sources.get(&source) else { return };
        let now = Instant::now();
        for token in self.listening(|listener| listener.owner == owner && listener.stream == stream) {
            let Some(listener) = self.listeners.get_mut(&token) else { continue };
            let was_blocked = listener.is_blocked();
            if let Some(end) = listener.push(&self.chunk, now) {
                self.end(token, end);
            } else if listener.is_blocked() && !was_blocked {
                self.await_room(token, true);
            }
        }
        self.settle(owner, stream);
    }

    /// A client's FIFO has room, or has lost its reader.
    fn advance(&mut self, token: u64, flags: epoll::EventFlags) {
        let Some(listener) = self.listeners.get_mut(&token) else { return };
        let (owner, stream) = (listener.owner, listener.stream);
        let end = if flags.contains(epoll::EventFlags::ERR) {
            Some(AttachEnd::Detached)
        } else {
            listener.advance(Instant::now())
        };
        let free = !listener.is_blocked();
        match end {
            Some(end) => self.end(token, end),
            None if free => {
                self.await_room(token, false);
                self.settle(owner, stream);
            }
            None => {}
        }
    }

    /// Lets those go who have been waited for long enough.
    fn expire(&mut self) {
        let now = Instant::now();
        for token in self.listening(|listener| listener.expires().is_some_and(|end| end <= now)) {
            self.advance(token, epoll::EventFlags::OUT);
        }
    }

    fn close(&mut self, which: impl Fn(&Listener) -> bool) {
        for token in self.listening(which) {
            let Some(listener) = self.listeners.get_mut(&token) else { continue };
            if let Some(end) = listener.close() {
                self.end(token, end);
            }
        }
    }

    fn listening(&self, which: impl Fn(&Listener) -> bool) -> Vec<u64> {
        self.listeners.iter().filter(|(_, listener)| which(listener)).map(|(token, _)| *token).collect()
    }

    /// One stream that is too slow ends its session; else the other goes on.
    fn end(&mut self, token: u64, end: AttachEnd) {
        let Some(mut listener) = self.listeners.remove(&token) else { return };
        let _ = epoll::delete(&self.epoll, &listener.fd);
        let (owner, stream, session) = (listener.owner, listener.stream, listener.session);
        listener.tell(end);
        drop(listener);
        self.settle(owner, stream);
        if end == AttachEnd::TooSlow {
            tracing::warn!("an attached client reads too slowly and was let go");
            for other in self.listening(|other| other.session == session) {
                self.end(other, AttachEnd::Ended);
            }
        }
    }

    fn await_room(&self, token: u64, wait: bool) {
        let Some(listener) = self.listeners.get(&token) else { return };
        let flags = if wait { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        let _ = epoll::modify(&self.epoll, &listener.fd, epoll::EventData::new_u64(token), flags);
    }

    /// A source is read only while none of its clients is behind. It is taken out of the waiting altogether: the end
    /// of its writers would be told again and again.
    fn settle(&mut self, owner: u64, stream: Stream) {
        let blocked = self
            .listeners
            .values()
            .any(|listener| listener.owner == owner && listener.stream == stream && listener.is_blocked());
        let of = |source: &Source| source.owner == owner && source.stream == stream && source.waits != blocked;
        let tokens: Vec<u64> = self.sources.iter().filter(|(_, source)| of(source)).map(|(token, _)| *token).collect();
        for token in tokens {
            if let Some(source) = self.sources.get_mut(&token) {
                source.waits = blocked;
                if blocked {
                    let _ = epoll::delete(&self.epoll, &source.fd);
                } else {
                    self.watch(token);
                }
            }
        }
    }

    /// Until the next client has been waited for long enough.
    fn timeout(&self) -> Option<Timespec> {
        let next = self.listeners.values().filter_map(Listener::expires).min()?;
        // Rounded up: a moment too early is a turn for nothing.
        let left = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Some(Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() })
    }
}
