use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{assemble::make_private, beneath::Beneath};
use crate::sys::{self, Errno};

/// The layers of an overlay, as they were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers<'a> {
    pub(super) beneath: &'a Path,
    pub(super) lowers: &'a [PathBuf],
    pub(super) upper: Option<Upper<'a>>,
    /// SELinux' label of all files.
    pub(super) label: Option<&'a CStr>,
}

/// The layer that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upper<'a> {
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
    pub(super) volatile: bool,
}

type Way = fn(&Layers<'_>) -> Result<OwnedFd, Failure>;

/// The ways to tell overlayfs its layers, best first. Older kernels know only later ones.
const WAYS: [Way; 3] = [by_fd, by_path, by_mount];

/// The first way that this kernel knows; learnt by the first success.
static KNOWN: AtomicU8 = AtomicU8::new(0);

/// An overlay as a detached mount.
pub(super) fn overlay(layers: &Layers<'_>) -> Result<OwnedFd> {
    let first = KNOWN.load(Ordering::Relaxed);
    let mut last = None;
    for (way, number) in WAYS.iter().zip(0_u8..).skip(usize::from(first)) {
        match way(layers) {
            Ok(mount) => {
                KNOWN.store(number, Ordering::Relaxed);
                check(&mount, layers)?;
                return Ok(mount);
            }
            // What this kernel does not know yet, it calls invalid or not supported. The first word is kept: it is the best reason.
            Err(Failure { unknown: true, error }) => last = last.or(Some(error)),
            Err(Failure { unknown: false, error }) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("no way to mount an overlay")))
}

/// Why a way failed, and whether an older one may do.
#[derive(Debug)]
struct Failure {
    unknown: bool,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { unknown: false, error }
    }
}

/// Kernel 6.13: each layer by its fd.
fn by_fd(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    by_option(layers, |context, key, layer| sys::configure_fd(context, key, layer.as_raw_fd()))
}

/// Kernel 6.5: each layer by a path of its own, which leads to its fd.
fn by_path(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    by_option(layers, |context, key, layer| sys::configure_string(context, key, &fd_path(layer)))
}

fn by_option(
    layers: &Layers<'_>,
    set: impl Fn(sys::RawFd, &CStr, &OwnedFd) -> sys::Sys<()>,
) -> Result<OwnedFd, Failure> {
    let folder = Beneath::open(layers.beneath)?;
    let context = sys::open_file_system(c"overlay").map_err(io::Error::from).step(|| "open overlayfs".into())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let context = unsafe { OwnedFd::from_raw_fd(context) };
    let number = context.as_raw_fd();
    let fail = |what: String| {
        let context = &context;
        move |errno| Failure {
            unknown: matches!(errno, Errno(libc::EINVAL | libc::EOPNOTSUPP)),
            error: explain(context, what, errno),
        }
    };

    sys::configure_string(number, c"source", c"overlay").map_err(fail("set overlay source".into()))?;
    for path in layers.lowers {
        let layer = folder.directory(path)?;
        set(number, c"lowerdir+", &layer).map_err(fail(format!("add layer {}", path.display())))?;
    }
    if let Some(upper) = &layers.upper {
        for (key, path) in [(c"upperdir", upper.upper), (c"workdir", upper.work)] {
            let layer = folder.directory(path)?;
            set(number, key, &layer).map_err(fail(format!("add layer {}", path.display())))?;
        }
        if upper.volatile {
            sys::configure_flag(number, c"volatile").map_err(fail("set overlay option volatile".into()))?;
        }
    }
    // A layer is shared by many roots; an index would tie it to one.
    sys::configure_string(number, c"index", c"off").map_err(fail("set overlay option index".into()))?;
    if let Some(label) = layers.label {
        sys::configure_string(number, c"context", label)
            .map_err(fail(format!("set overlay option context={label:?}")))?;
    }
    sys::create_superblock(number).map_err(fail("mount overlay".into()))?;
    let mount = sys::new_mount(number, 0).map_err(fail("mount overlay".into()))?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(mount) })
}

/// Kernels before 6.5: one option string, by mount(2). It needs a mount table to mount in.
fn by_mount(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    in_own_mount_table(|| mount(layers)).map_err(Failure::from)
}

/// Works in a mount table of its own: that of a thread that ends.
pub(super) fn in_own_mount_table<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("overlay".into()).spawn_scoped(scope, || {
            let here = |done: sys::Sys<()>, what: &str| done.map_err(io::Error::from).step(|| what.to_owned());
            here(sys::leave_namespaces(libc::CLONE_NEWNS | libc::CLONE_FS), "make a mount namespace")?;
            let private = sys::mount_legacy(c"", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"");
            here(private, "make mounts private")?;
            work()
        });
        let thread = thread.step(|| "start a thread to mount an overlay".into())?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("the thread that mounts an overlay panicked")))
    })
}

fn mount(layers: &Layers<'_>) -> Result<OwnedFd> {
    let here = |done: sys::Sys<()>, what: &str| done.map_err(io::Error::from).step(|| what.to_owned());
    // Opened here, for overlayfs takes layers of the mounter's own namespace only.
    let folder = Beneath::open(layers.beneath)?;
    let lowers = layers.lowers.iter().map(|path| folder.directory(path)).collect::<Result<Vec<_>>>()?;
    let paths: Vec<String> = lowers.iter().map(fd_text).collect();
    let mut options = format!("index=off,lowerdir={}", paths.join(":"));
    let mut held = Vec::new();
    if let Some(upper) = &layers.upper {
        for (key, path) in [("upperdir", upper.upper), ("workdir", upper.work)] {
            let layer = folder.directory(path)?;
            options += &format!(",{key}={}", fd_text(&layer));
            held.push(layer);
        }
        if upper.volatile {
            options += ",volatile";
        }
    }
    if let Some(label) = layers.label {
        // Quoted, for the categories in it are separated by commas.
        options += &format!(",context=\"{}\"", label.to_string_lossy());
    }
    if options.len() >= 4096 {
        let text = format!("{} layers are more than this kernel takes", layers.lowers.len());
        return Err(Error::new(Kind::Exhausted, text).hint("kernel 6.5 or newer takes 500"));
    }
    let options = CString::new(options).map_err(|_| Error::internal("a NUL byte in overlay options"))?;
    // Any directory serves as mount point; the options are read before it is covered.
    here(sys::mount_legacy(c"overlay", c"/proc", c"overlay", 0, &options), "mount overlay")?;
    let tree = sys::clone_tree(libc::AT_FDCWD, c"/proc", false).map_err(io::Error::from);
    let tree = tree.step(|| "detach the overlay".into())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    make_private(&tree, false)?;
    Ok(tree)
}

/// An overlay that cannot use its upper comes up read-only without a word: that is refused here.
fn check(mount: &OwnedFd, layers: &Layers<'_>) -> Result<()> {
    let system = sys::file_system(mount.as_raw_fd()).map_err(io::Error::from).step(|| "look at the overlay".into())?;
    if layers.upper.is_some() && system.readonly {
        let text = "the overlay came up read-only: its upper layer cannot be written";
        return Err(
            Error::new(Kind::FailedPrecondition, text).hint("the file system of the upper must support overlayfs")
        );
    }
    Ok(())
}

/// The errno, with what the kernel's log of this context says.
fn explain(context: &OwnedFd, what: String, errno: Errno) -> Error {
    let mut said = [0_u8; 256];
    let length = sys::read(context.as_raw_fd(), &mut said).unwrap_or(0);
    let said =
        String::from_utf8_lossy(said.get(..length).unwrap_or_default()).trim().trim_start_matches("e ").to_owned();
    let error = Error::internal(if said.is_empty() { what } else { format!("{what}: {said}") });
    error.because(io::Error::from(errno))
}

fn fd_text(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn fd_path(fd: &OwnedFd) -> CString {
    CString::new(fd_text(fd)).unwrap_or_default()
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
