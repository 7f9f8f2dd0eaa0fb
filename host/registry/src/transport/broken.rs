use std::{error::Error, io, iter};

/// What broke a connection, as far as it matters for what to do next.
#[derive(Debug)]
pub(super) struct Broken {
    /// Whether the host may be there when it is asked again: it refuses or breaks off while it is restarted, and name
    /// servers have hours of their own. A certificate that is not trusted, or a name that nobody has, stays so; and one
    /// that let a whole deadline pass has had its time.
    pub passing: bool,
    /// Whether nobody listens there.
    pub refused: bool,
    /// Whether, asked by TLS, it answered something else, hung up at once, or said nothing.
    pub no_tls: bool,
}

// === impl Broken ===

impl Broken {
    pub fn by(error: &reqwest::Error) -> Self {
        if !error.is_connect() {
            return Self { passing: true, refused: false, no_tls: false };
        }
        use io::ErrorKind as K;
        let is = |kinds: &[K]| causes(error).filter_map(io_error).any(|error| kinds.contains(&error.kind()));
        let hung_up = is(&[K::ConnectionReset, K::ConnectionAborted, K::BrokenPipe, K::UnexpectedEof]);
        let refused = is(&[K::ConnectionRefused]);
        // The name server's word for "try again" has no kind of its own.
        let is_asleep = |error: &io::Error| error.to_string().contains("Temporary failure in name resolution");
        Self {
            passing: hung_up
                || refused
                || is(&[K::HostUnreachable, K::NetworkUnreachable])
                || causes(error).filter_map(io_error).any(is_asleep),
            refused,
            no_tls: hung_up || error.is_timeout() || causes(error).any(is_no_tls),
        }
    }
}

fn is_no_tls(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidMessage(_)))
}

fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref()
}

/// An error and what is behind it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    iter::successors(Some(first), |error| cause(*error))
}

/// An I/O error's own source leaves out the error that it wraps.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match io_error(error).and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
