use std::{ffi::CString, sync::atomic::Ordering};

use wharf_seccomp::Filter;

use super::{
    Op, Program, credentials, execute, mounts,
    paths::{Held, ensure},
    report::{Failure, Tag, send},
};
use crate::{
    child::Holder,
    sys::{self, CloneRequest, Cloned, Errno, RawFd, Sys},
};

/// What a child knows while it runs.
pub(super) struct Child {
    pub(super) channel: RawFd,
    pub(super) root: RawFd,
    /// Where it waits for its start; -1: nowhere.
    start: RawFd,
    preserved: u32,
    /// Which step it is at.
    pub(super) step: u32,
    /// The host's null device, an empty read-only file system, a procfs of our own: opened when first needed.
    pub(super) null: RawFd,
    pub(super) empty: RawFd,
    pub(super) proc: RawFd,
    /// Whose files it makes, where not its own.
    files_as: Option<(u32, u32)>,
    /// Whether the working directory has to be tried again as the user.
    directory_denied: bool,
    /// The first program to try; nothing but it is asked of a filter.
    first: Option<usize>,
}

/// Ends the process, should anything unwind: no code of the parent's may run in its copy.
struct NoReturn;

impl Drop for NoReturn {
    fn drop(&mut self) {
        sys::exit(70);
    }
}

/// Runs a program to its end. `keep` are the files it needs, ascending; all others are closed first.
pub(super) fn run(program: &Program, keep: &[RawFd], channel: RawFd) -> ! {
    let _end = NoReturn;
    let mut child = Child {
        channel,
        root: program.root.unwrap_or(-1),
        start: program.start.unwrap_or(-1),
        preserved: program.preserved,
        step: 0,
        null: -1,
        empty: -1,
        proc: -1,
        files_as: None,
        directory_denied: false,
        first: None,
    };
    close_all_but(keep, program.preserved);
    for op in &program.steps {
        program.at.store(child.step, Ordering::Relaxed);
        if let Err(failure) = child.perform(op) {
            send(channel, Tag::Failed, child.step, failure, None);
            // What a shell says of a command that is not there, and of one that cannot be run.
            sys::exit(if failure.errno == Errno(libc::ENOENT) { 127 } else { 126 });
        }
        child.step = child.step.saturating_add(1);
    }
    sys::exit(0)
}

impl Child {
    fn perform(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::ResetSignals => sys::reset_signals(),
            Op::NotDumpable => sys::not_dumpable()?,
            Op::OomScore { value, text } => self.oom_score(*value, text)?,
            Op::Join(files) => {
                for file in files {
                    sys::write(*file, b"0")?;
                }
            }
            Op::Unshare(kinds) => sys::leave_namespaces(*kinds)?,
            Op::Enter { namespace, kinds } => sys::enter_namespace(*namespace, *kinds)?,
            Op::Fork { flags } => self.fork(*flags)?,
            Op::BecomeRoot => become_root()?,
            Op::MakeFilesAs { uid, gid } => self.make_files_as(*uid, *gid)?,
            Op::OwnMounts => own_mounts()?,
            Op::Session => sys::new_session()?,
            Op::HostName(name) => sys::set_host_name(name)?,
            Op::DomainName(name) => sys::set_domain_name(name)?,
            Op::Loopback => sys::bring_loopback_up()?,
            Op::SlaveMounts => mounts::slave_mounts()?,
            Op::AttachRoot { at } => sys::attach_at(self.root, at)?,
            Op::Attach { tree, at, holder } => mounts::attach(self.root, *tree, at, *holder)?,
            Op::Mount(system) => mounts::mount(self.root, system)?,
            Op::MakeReadonly { at } => mounts::make_readonly(self.root, at)?,
            Op::MakeNode(node) => self.make_node(node)?,
            Op::MakeLink { target, directory, name } => {
                let directory = ensure(self.root, directory, Holder::Directory)?;
                match sys::make_link(target, directory.0, name) {
                    Ok(()) | Err(Errno(libc::EEXIST)) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Op::MakeDirectory { at } => drop(ensure(self.root, at, Holder::Directory)?),
            Op::Mask { at, in_proc } => self.mask(at, *in_proc)?,
            Op::Readonly { at, in_proc } => self.readonly(at, *in_proc)?,
            Op::Sysctl { path, value, owner } => self.sysctl(path, value, *owner)?,
            Op::Terminal { size, uid, to } => self.terminal(*size, *uid, *to)?,
            Op::TakeTerminal { from } => take_terminal(*from)?,
            Op::Control { terminal } => sys::make_controlling(*terminal)?,
            Op::Stdio { files, uid } => stdio(files, *uid)?,
            Op::ReadonlyRoot => mounts::readonly_root(self.root)?,
            Op::Pivot => pivot(self.root)?,
            Op::MoveRoot => move_root(self.root)?,
            Op::RootPropagation { propagation, recursive } => mounts::root_propagation(*propagation, *recursive)?,
            Op::Limit { resource, limit } => self.limit(*resource, *limit)?,
            Op::RaiseLimit { resource, hard } => raise_limit(*resource, *hard)?,
            Op::Umask(mask) => sys::set_umask(*mask),
            Op::Directory { path, again } => self.directory(path, *again)?,
            Op::Affinity(processors) => sys::set_affinity(processors)?,
            Op::Schedule(schedule) => sys::set_schedule(schedule)?,
            Op::IoPriority(priority) => sys::set_io_priority(*priority)?,
            Op::MemoryPolicy { mode, nodes } => sys::set_memory_policy(*mode, nodes)?,
            Op::Personality(domain) => sys::set_personality(*domain)?,
            Op::Attribute { proc, files, value } => attribute(*proc, files, value)?,
            Op::Credentials(credentials) => credentials::apply(credentials)?,
            Op::NoNewPrivileges => sys::no_new_privileges()?,
            Op::CloseAll => {
                let (first, second) = (self.channel.min(self.start), self.channel.max(self.start));
                close_all_but(&[first, second], self.preserved);
            }
            Op::Ready => {
                send(self.channel, Tag::Ready, self.step, Errno(0).into(), None);
                self.wait();
            }
            Op::Find(candidates) => {
                self.first = Some(candidates.iter().position(|path| sys::exists(path)).unwrap_or(0));
                sys::set_signal_mask(0)?;
            }
            Op::Filter(filter) => self.filter(filter)?,
            Op::Capabilities(sets) => sys::set_capabilities(sets.effective, sets.permitted, sets.inheritable)?,
            Op::Execute(image) => {
                if self.first.is_none() {
                    sys::set_signal_mask(0)?;
                }
                return Err(execute::execute(image, self.first.unwrap_or(0)));
            }
            Op::Look { candidates } => execute::look(candidates)?,
            Op::AwaitStart => self.await_start()?,
            Op::Exit => sys::exit(0),
        }
        Ok(())
    }

    fn make_files_as(&mut self, uid: u32, gid: u32) -> Sys<()> {
        self.files_as = Some((uid, gid));
        sys::set_file_user(uid, gid)?;
        raise_all()
    }

    /// Does something as another user, with all that we may.
    pub(super) fn as_user<T>(&self, uid: u32, work: impl FnOnce() -> Sys<T>) -> Sys<T> {
        sys::set_effective_user(uid)?;
        raise_all()?;
        let done = work();
        sys::set_effective_user(0)?;
        if let Some((uid, gid)) = self.files_as {
            sys::set_file_user(uid, gid)?;
            raise_all()?;
        }
        done
    }

    /// Tells the parent that this step got less than it was asked for.
    fn warn(&self, errno: Errno, value: i32) {
        send(self.channel, Tag::Warning, self.step, Failure { value, ..errno.into() }, None);
    }

    fn oom_score(&self, value: i32, text: &[u8]) -> Sys<()> {
        let file = Held(sys::open_in(libc::AT_FDCWD, c"/proc/self/oom_score_adj", libc::O_RDWR, 0)?);
        match sys::write(file.0, text) {
            Ok(_) => Ok(()),
            // Lowering it below where it ever was takes CAP_SYS_RESOURCE, which a nested node has not.
            Err(errno @ Errno(libc::EACCES | libc::EPERM)) => {
                let neutral = value < 0 && sys::write(file.0, b"0").is_ok();
                self.warn(errno, if neutral { 0 } else { i32::MIN });
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Both sides tell of the new process: either may be killed before it can (a cgroup at its limit), and one that
    /// nobody knows of would never be reaped, and its PID namespace never end.
    fn fork(&self, flags: u64) -> Sys<()> {
        let request =
            CloneRequest { flags: flags | u64::from(libc::CLONE_PARENT.cast_unsigned()), exit_signal: 0, cgroup: None };
        // SAFETY: the child goes on in this same interpreter, under the same rules as its parent.
        match unsafe { sys::clone(&request) }? {
            Cloned::Child => {
                send(self.channel, Tag::Here, self.step, Errno(0).into(), None);
                Ok(())
            }
            Cloned::Parent { pid, pidfd } => {
                send(self.channel, Tag::Forked, self.step, Failure { value: pid, ..Errno(0).into() }, Some(pidfd));
                sys::exit(0)
            }
        }
    }

    fn make_node(&self, node: &super::Node) -> Result<(), Failure> {
        let directory = ensure(self.root, &node.directory, Holder::Directory)?;
        match sys::make_node(directory.0, &node.name, node.mode, node.device) {
            Ok(()) => Ok(sys::chown_at(directory.0, &node.name, node.uid, node.gid)?),
            Err(Errno(libc::EEXIST)) => {
                // One that the image brought is as good if it is the same.
                let flags = libc::O_PATH | libc::O_NOFOLLOW;
                let there = Held(sys::open_in(directory.0, &node.name, flags, libc::RESOLVE_BENEATH)?);
                let what = sys::stat(there.0)?;
                let same = what.kind() == node.mode & libc::S_IFMT && what.device == node.device;
                if same { Ok(()) } else { Err(Errno(libc::EEXIST).into()) }
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn limit(&self, resource: u32, limit: sys::Limit) -> Sys<()> {
        match sys::limit(resource, Some(&limit)) {
            Err(errno @ Errno(libc::EPERM)) => {
                let hard = sys::limit(resource, None)?.hard.min(limit.hard);
                sys::limit(resource, Some(&sys::Limit { soft: limit.soft.min(hard), hard }))?;
                self.warn(errno, i32::try_from(hard).unwrap_or(i32::MAX));
                Ok(())
            }
            other => other.map(drop),
        }
    }

    fn directory(&mut self, path: &std::ffi::CStr, again: bool) -> Result<(), Failure> {
        if again && !self.directory_denied {
            return Ok(());
        }
        match mounts::enter_directory(path) {
            // The host's root may be nobody to a network file system: the user's own turn comes.
            Err(Failure { errno: Errno(libc::EACCES | libc::EPERM), .. }) if !again => {
                self.directory_denied = true;
                Ok(())
            }
            other => other,
        }
    }

    /// The listener closes with the exec; until then nobody but the parent has a use for it.
    fn filter(&self, filter: &Filter) -> Sys<()> {
        let asked = if filter.notifies { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
        let listener = sys::load_filter(&filter.program, filter.flags | asked)?;
        if filter.notifies {
            send(self.channel, Tag::Listener, self.step, Failure { value: listener, ..Errno(0).into() }, None);
            self.wait();
        }
        Ok(())
    }

    /// Waits for the parent's word; ends when that has gone.
    fn wait(&self) {
        let mut word = [0_u8; 1];
        if !matches!(sys::read(self.channel, &mut word), Ok(1)) {
            sys::exit(0);
        }
    }

    /// Who comes and goes without a word was killed on its way: the next one is waited for.
    fn await_start(&self) -> Sys<()> {
        loop {
            let connection = Held(sys::accept(self.start)?);
            let mut word = [0_u8; 1];
            if matches!(sys::read(connection.0, &mut word), Ok(1)) {
                sys::replace(connection.0, self.channel)?;
                sys::close(self.start);
                return Ok(());
            }
        }
    }
}

/// `keep` is in ascending order; `preserved` of those from 3 on are kept, too.
fn close_all_but(keep: &[RawFd], preserved: u32) {
    let mut first: u32 = preserved.saturating_add(3);
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if fd > first {
            let _ = sys::close_range(first, fd - 1);
        }
        first = first.max(fd.saturating_add(1));
    }
    let _ = sys::close_range(first, u32::MAX);
}

/// Ids are set one after the other; the capabilities of the user namespace stay, for nobody it knows becomes its root.
fn become_root() -> Sys<()> {
    sys::set_groups(&[])?;
    sys::set_group(0)?;
    sys::set_user(0)
}

fn raise_all() -> Sys<()> {
    let all = sys::permitted_capabilities()?;
    sys::set_capabilities(all, all, 0)
}

/// Entering the copy that one is in makes its root the process's, whatever that was before.
fn own_mounts() -> Sys<()> {
    sys::leave_namespaces(libc::CLONE_NEWNS)?;
    let own = Held(sys::own_pidfd()?);
    sys::enter_namespace(own.0, libc::CLONE_NEWNS)
}

fn take_terminal(from: RawFd) -> Sys<()> {
    let terminal = Held(sys::receive_descriptor(from)?);
    become_terminal(terminal.0)
}

/// Makes a terminal the controlling one, and 0, 1 and 2.
pub(super) fn become_terminal(terminal: RawFd) -> Sys<()> {
    sys::make_controlling(terminal)?;
    (0..3).try_for_each(|number| sys::duplicate(terminal, number))
}

fn attribute(proc: RawFd, files: &[CString], value: &[u8]) -> Result<(), Failure> {
    let mut missing = Errno(libc::ENOENT);
    for file in files {
        match sys::open_in(proc, file, libc::O_WRONLY, libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV) {
            Ok(file) => {
                let file = Held(file);
                return match sys::write(file.0, value) {
                    Ok(_) => Ok(()),
                    Err(Errno(libc::ENOENT)) => Err(Failure::new(libc::ENOENT, "the node has not loaded it")),
                    Err(Errno(libc::EINVAL)) => Err(Failure::new(libc::EINVAL, "the node's policy does not know it")),
                    Err(errno) => Err(errno.into()),
                };
            }
            Err(errno) => missing = errno,
        }
    }
    Err(missing.into())
}

fn raise_limit(resource: u32, hard: u64) -> Sys<()> {
    let now = sys::limit(resource, None)?;
    if now.hard < hard {
        match sys::limit(resource, Some(&sys::Limit { hard, ..now })) {
            Ok(_) | Err(Errno(libc::EPERM)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn stdio(files: &[RawFd; 3], uid: u32) -> Sys<()> {
    for (file, number) in files.iter().zip(0..) {
        let what = sys::stat(*file)?;
        if what.uid != uid && !what.is_null() {
            // Read-only file systems and kinds of files without an owner: the process has the open file anyway.
            match sys::give(*file, uid) {
                Ok(()) | Err(Errno(libc::EINVAL | libc::EPERM | libc::EROFS)) => {}
                Err(errno) => return Err(errno),
            }
        }
        sys::duplicate(*file, number)?;
    }
    Ok(())
}

fn move_root(root: RawFd) -> Result<(), Failure> {
    sys::enter(root)?;
    sys::mount_legacy(c".", c"/", c"", libc::MS_MOVE, c"")?;
    sys::confine_to_here()?;
    let top = Held(sys::open_in(libc::AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?);
    Ok(sys::enter(top.0)?)
}

fn pivot(root: RawFd) -> Result<(), Failure> {
    sys::enter(root)?;
    sys::change_root_to_here()?;
    sys::unmount(c".")?;
    let top = Held(sys::open_in(libc::AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?);
    Ok(sys::enter(top.0)?)
}
