//! `start`: a server for the pod, its address printed once it listens.

use std::{
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, OpenOptionsExt as _},
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, flock},
    io::{Errno, FdFlags, fcntl_setfd},
    process::{setsid, umask},
};
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::read_only_program;
use wharf_shim_api::address_of;

use crate::{
    args::{Args, NAME},
    delete::clean_locked,
    group::leader,
};

/// What a socket's path may have, without the NUL at its end.
const SOCKET_PATH_MAX: usize = 107;

/// How long a start or a delete of the same bundle may hold another up.
const LOCK: Duration = Duration::from_secs(15);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Where sockets of bundles with long paths go, and those of bundles that may go before their shim.
const SHORT_SOCKETS: &str = "/run/wharf-shim";

/// Starts the server, unless one listens for this bundle or its pod already, and prints its address.
///
/// The socket listens before the server runs: a call that comes early waits in its backlog.
pub fn start(args: &Args) -> Result<()> {
    if let Some(leader) = leader(args).map(|leader| socket_for(args, &leader))
        && UnixStream::connect(&leader).is_ok()
    {
        let address = address_of(&leader);
        // Where containerd looks for it after its restart.
        write(&args.bundle.join("address"), &address)?;
        return answer(address);
    }
    let lock = lock(&args.bundle)?;
    let socket = socket_of(args);
    let address = address_of(&socket);
    if UnixStream::connect(&socket).is_err() {
        // A server before us has died: what its record names has nobody else to take it away.
        clean_locked(args)?;
        point!("shim.start.cleaned");
        let listener = listen(&socket)?;
        point!("shim.start.listening");
        write(&args.bundle.join("address"), &address)?;
        point!("shim.start.address");
        let pid = spawn(args, listener.into(), &lock)?;
        point!("shim.start.spawned");
        write(&args.bundle.join("shim.pid"), &pid.to_string())?;
        point!("shim.start.pid");
    }
    answer(address)
}

/// Prints how the shim is spoken to.
fn answer(address: String) -> Result<()> {
    let answer = match std::env::var("MAX_SHIM_VERSION").ok().and_then(|version| version.parse::<u32>().ok()) {
        // containerd 2 takes a bare address for a shim of version 2.
        Some(3..) => serde_json::json!({ "version": 3, "address": address, "protocol": "ttrpc" }).to_string(),
        _ => address,
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()).step(|| "print the address".into())
}

/// Holds a bundle until the file is closed, also in the process that inherits it: who starts a shim holds it until that has
/// said which process it is, so that who cleans up meanwhile waits, and finds it.
pub fn lock(bundle: &Path) -> Result<File> {
    let step = || format!("lock {}", bundle.display());
    let folder = File::open(bundle).step(step)?;
    let deadline = Instant::now() + LOCK;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(folder),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {
                let what = format!("{}: another start or delete of it has not ended within {LOCK:?}", step());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
            Err(error) => return Err(io::Error::from(error)).step(step),
        }
    }
}

/// The socket of a shim, as [`socket_for`] says.
pub fn socket_of(args: &Args) -> PathBuf {
    socket_for(args, &args.bundle)
}

/// The socket of a bundle: in it; by a hash of its path when that is too long, and under containerd, which removes the
/// bundle with the pod's first container, whatever else of the pod still runs.
fn socket_for(args: &Args, bundle: &Path) -> PathBuf {
    let socket = bundle.join("shim.sock");
    // Who keeps bundles as long as shims has no program to tell events.
    if socket.as_os_str().len() <= SOCKET_PATH_MAX && args.publish_binary.as_os_str().is_empty() {
        return socket;
    }
    let mut hasher = DefaultHasher::new();
    bundle.hash(&mut hasher);
    Path::new(SHORT_SOCKETS).join(format!("{:016x}.sock", hasher.finish()))
}

/// The shim's log: a file of ours, or the FIFO that containerd reads.
pub fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo()) {
        // Read and write: opening it waits for nobody, and a reader that goes away raises no SIGPIPE.
        return OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn listen(socket: &Path) -> Result<UnixListener> {
    if let Some(parent) = socket.parent().filter(|parent| *parent == Path::new(SHORT_SOCKETS)) {
        fs::create_dir_all(parent).step(|| format!("make {}", parent.display()))?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).step(|| format!("remove the stale socket {}", socket.display()));
        }
        _ => {}
    }
    // Nobody else runs in this process: the mask is ours to change for a moment.
    let old = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(socket);
    umask(old);
    listener.step(|| format!("listen on {}", socket.display()))
}

/// Runs the server in a session of its own, with nothing of ours but the socket, the log and the bundle's lock.
fn spawn(args: &Args, listener: OwnedFd, lock: &File) -> Result<u32> {
    let program = read_only_program()?;
    let log = args.bundle.join("log");
    let stderr = open_log(&log).step(|| format!("open {}", log.display()))?;
    let (socket, lock) = (listener.as_raw_fd(), lock.try_clone().step(|| "duplicate the lock".into())?);
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .arg0(NAME)
        .args(["-namespace", &args.namespace, "-id", &args.id, "-address", &args.address])
        .arg("-bundle")
        .arg(&args.bundle)
        .arg("-publish-binary")
        .arg(&args.publish_binary)
        .args(["-socket-fd", &socket.to_string(), "-lock-fd", &lock.as_raw_fd().to_string()])
        .args(args.debug.then_some("-debug"))
        .arg("serve")
        .current_dir("/")
        .env_clear()
        .envs(wharf_crash_points::environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    for name in ["PATH", "TTRPC_ADDRESS", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // SAFETY: the closure only makes system calls; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            // Whatever the caller left open is not ours to keep.
            if libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) != 0 {
                return Err(io::Error::last_os_error());
            }
            fcntl_setfd(&listener, FdFlags::empty())?;
            fcntl_setfd(&lock, FdFlags::empty())?;
            Ok(())
        });
    }
    let child = command.spawn().step(|| "start the shim's server".into())?;
    Ok(child.id())
}

/// Writes a small file of the bundle, `0600`. `start` and the server write the same into one, and whoever reads it between
/// them finds it whole: nothing is cut off before the new is there.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len().try_into().map_err(io::Error::other)?)
    };
    write().step(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_is_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.pid");
        write(&path, "12345").unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || (0..2000).all(|_| fs::read_to_string(&path).unwrap() == "12345")
        });
        while !reader.is_finished() {
            write(&path, "12345").unwrap();
        }
        assert!(reader.join().unwrap());
        write(&path, "1").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
    }

    #[test]
    fn a_socket_is_in_its_bundle_where_it_fits_and_stays() {
        let of = |bundle: &Path, publish: &str| {
            socket_of(&Args { bundle: bundle.into(), publish_binary: publish.into(), ..Args::default() })
        };
        let short = Path::new("/run/wharf/pods/x");
        assert_eq!(of(short, ""), short.join("shim.sock"));
        let long = PathBuf::from(format!("/{}", "x".repeat(200)));
        let socket = of(&long, "");
        assert!(socket.as_os_str().len() <= SOCKET_PATH_MAX);
        assert_eq!(socket, of(&long, ""), "both processes find the same one");
        assert!(of(short, "/usr/bin/containerd").starts_with(SHORT_SOCKETS), "it outlives the bundle");
    }
}
