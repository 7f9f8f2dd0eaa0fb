use std::{ffi::CString, sync::Arc};

use wharf_seccomp::Filter;

use crate::{
    TerminalSize,
    sys::{Attributes, Limit, PointerList, RawFd, Schedule},
};

/// One step of a child. All of its fds, strings and bytes were made in the parent; a path without more is resolved
/// inside the container's root.
#[derive(Debug)]
pub(crate) enum Op {
    /// Default actions for all signals.
    ResetSignals,
    /// No other process looks into this one.
    NotDumpable,
    /// Writes this to its own `oom_score_adj`; a value that is not allowed is clamped with a warning.
    OomScore { value: i32, text: Vec<u8> },
    /// Writes `0` to each of these `tasks` files.
    Join(Vec<RawFd>),
    /// New namespaces of these kinds.
    Unshare(i32),
    /// Enters these kinds of namespaces of a namespace file or a pidfd.
    Enter { namespace: RawFd, kinds: i32 },
    /// Clones with `CLONE_PARENT` and ends; the new process, a child of the caller's, goes on.
    Fork { flags: u64 },
    /// The root of the user namespace it is in, with every capability there.
    BecomeRoot,
    /// Files are made as this user and group from here on, and all capabilities stay.
    MakeFilesAs { uid: u32, gid: u32 },
    /// A copy of the mount namespace, and its root for a root. Owned by a user namespace that does not own the
    /// original, each mount in it is locked: nobody inside takes it away or makes it writable.
    OwnMounts,
    /// A session of its own.
    Session,
    /// The host name.
    HostName(Vec<u8>),
    /// The NIS domain name.
    DomainName(Vec<u8>),
    /// `lo` up.
    Loopback,
    /// Mounts made here stay here; unmounts on the host are followed.
    SlaveMounts,
    /// Attaches the root's detached mount at a path of the host.
    AttachRoot { at: CString },
    /// Attaches a detached tree.
    Attach { tree: RawFd, at: Vec<u8>, holder: Holder },
    /// Mounts a new file system.
    Mount(FileSystem),
    /// Makes a mount in the root read-only.
    MakeReadonly { at: Vec<u8> },
    /// Makes a device node or FIFO.
    MakeNode(Node),
    /// Makes a symlink where nothing is.
    MakeLink { target: CString, directory: Vec<u8>, name: CString },
    /// Makes a directory and those above it.
    MakeDirectory { at: Vec<u8> },
    /// Hides a file behind the null device, a directory behind an empty one; absent is fine.
    Mask { at: CString, in_proc: bool },
    /// Puts a read-only copy over a path; absent is fine.
    Readonly { at: CString, in_proc: bool },
    /// Writes a kernel setting, through a procfs that no other process sees. The path is below `/proc`. With an owner, as
    /// that user.
    Sysctl { path: CString, value: Vec<u8>, owner: Option<u32> },
    /// A terminal from the container's devpts: its master is sent to the parent, it becomes 0, 1, 2 and `/dev/console`.
    /// With `to`, a socket, another process takes it for its own by [`Op::TakeTerminal`].
    Terminal { size: Option<TerminalSize>, uid: u32, to: Option<RawFd> },
    /// A terminal that another process sends becomes the controlling one and 0, 1 and 2.
    TakeTerminal { from: RawFd },
    /// Makes an open terminal the controlling one.
    Control { terminal: RawFd },
    /// These become 0, 1 and 2, and belong to a user.
    Stdio { files: [RawFd; 3], uid: u32 },
    /// The root's own mount becomes read-only.
    ReadonlyRoot,
    /// The root becomes `/`; the host's file systems go.
    Pivot,
    /// The root is moved over `/`, for where that cannot be pivoted away: on an initramfs.
    MoveRoot,
    /// The propagation of `/` (`MS_SHARED` and its like), and of all below it when `recursive`.
    RootPropagation { propagation: u64, recursive: bool },
    /// A resource limit; what may not be raised is clamped with a warning.
    Limit { resource: u32, limit: Limit },
    /// Raises a hard limit where it is lower, for an [`Op::Limit`] to come, when raising is not allowed any more. Not
    /// being allowed to is left to that one to tell.
    RaiseLimit { resource: u32, hard: u64 },
    /// The file mode creation mask.
    Umask(u32),
    /// The working directory. With `again`, where the one before was not allowed.
    Directory { path: CString, again: bool },
    /// Which processors it runs on, one bit each; those that its cgroup does not have do not count.
    Affinity(Vec<u8>),
    /// How it is scheduled.
    Schedule(Schedule),
    /// How what it reads and writes is scheduled: class and level, as the kernel packs them.
    IoPriority(i32),
    /// On which nodes its memory lies: mode and flags, and one bit a node.
    MemoryPolicy { mode: u32, nodes: Vec<u8> },
    /// What kind of system it sees.
    Personality(u32),
    /// Writes a value to the first of these files below a procfs that is there: of the attributes that security modules
    /// give the process at its next exec.
    Attribute { proc: RawFd, files: Vec<CString>, value: Vec<u8> },
    /// User, groups and capabilities.
    Credentials(Credentials),
    /// No exec gives more from here on.
    NoNewPrivileges,
    /// Closes everything but 0, 1, 2, the channel, and what the program keeps for later.
    CloseAll,
    /// Tells the parent, and waits for its word; ends when the parent has gone.
    Ready,
    /// Whether there is a program to execute, told before it is: an error as of [`Op::Execute`].
    Look { candidates: Vec<CString> },
    /// Waits on the program's socket until somebody connects and gives the word; that connection is the channel then.
    AwaitStart,
    /// Notes which of these is the first that is there, where [`Op::Execute`] is to start, and unblocks signals: what
    /// else would be asked of a filter.
    Find(Arc<[CString]>),
    /// Loads a seccomp filter. The number of its listener is told to the parent, whose word is waited for.
    Filter(Arc<Filter>),
    /// Capabilities alone.
    Capabilities(Sets),
    /// Executes the program.
    Execute(ExecImage),
    /// Ends.
    Exit,
}

/// What a mount lies on, made when it is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holder {
    Directory,
    /// A directory, and no symlink on the way to it: for proc and sysfs, whose paths others rely on.
    PlainDirectory,
    File,
}

/// A file system to mount.
#[derive(Debug)]
pub(crate) struct FileSystem {
    pub(crate) kind: CString,
    /// Options and their values; `source` is one of them.
    pub(crate) options: Vec<(CString, Option<CString>)>,
    /// `MOUNT_ATTR_*`.
    pub(crate) attributes: u32,
    /// What fsmount does not take: propagation.
    pub(crate) then: Option<Attributes>,
    pub(crate) at: Vec<u8>,
    pub(crate) holder: Holder,
}

/// A device node or FIFO to make.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) directory: Vec<u8>,
    pub(crate) name: CString,
    /// Type and permissions.
    pub(crate) mode: u32,
    pub(crate) device: (u32, u32),
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// User, groups and capabilities, one bit each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// What is dropped from the bounding set.
    pub(crate) drop: Vec<u32>,
    pub(crate) sets: Sets,
    pub(crate) ambient: Vec<u32>,
    /// What stays effective beside the sets, until [`Op::Capabilities`].
    pub(crate) lent: u64,
}

/// What a process may, one bit a capability.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sets {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

/// A program to execute.
#[derive(Debug)]
pub(crate) struct ExecImage {
    /// What to try, in order.
    pub(crate) candidates: Arc<[CString]>,
    pub(crate) arguments: PointerList,
    pub(crate) environment: PointerList,
}
