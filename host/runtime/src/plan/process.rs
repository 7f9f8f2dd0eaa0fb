use std::{
    os::fd::{OwnedFd, RawFd},
    path::Path,
};

use oci_spec::runtime::Process;
use wharf_error::{Error, Result, ResultExt as _};

use super::{
    c_string,
    credentials::credentials,
    image::image,
    labels::plan_labels,
    limits::{plan_limits, plan_raises},
    scheduling::{Traits, plan_scheduling},
    strings::inside,
};
use crate::{
    ProcessStdio, TerminalSize, UserNamespace,
    child::{Op, Program, Sets},
    seccomp::Seccomp,
    user::Identity,
};

/// What a process reads and writes, ready for a child.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// These files.
    Files(ProcessStdio),
    /// A terminal that the child opens in the container's devpts.
    New(Option<TerminalSize>),
    /// The inner end of a terminal that is open already.
    Open(OwnedFd),
}

/// The part of a program that is the same for a container's first process and for any further one.
#[derive(Debug)]
pub(crate) struct ProcessPlan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) identity: &'a Identity,
    /// The user namespace that `identity` belongs to; none: the caller's.
    pub(crate) user: Option<&'a UserNamespace>,
    pub(crate) seccomp: Option<&'a Seccomp>,
    pub(crate) traits: &'a Traits,
    /// What is executed, where that is another than the first argument.
    pub(crate) program: Option<&'a Path>,
}

/// What [`ProcessPlan::become_user`] found out.
#[derive(Debug)]
pub(crate) struct Became {
    /// What this node does not have.
    pub(crate) warnings: Vec<String>,
    /// What it may in the end, where it still may more.
    finally: Option<Sets>,
}

/// Without no_new_privs, only who has this may filter its own system calls.
const SYS_ADMIN: u64 = 1 << 21;

impl ProcessPlan<'_> {
    /// What is done first, on the host: clean signals, closed to others, its OOM score.
    pub(crate) fn begin(&self, program: &mut Program) {
        program.step("reset signals", Op::ResetSignals);
        program.step("hide from other processes", Op::NotDumpable);
        if let Some(value) = self.process.oom_score_adj() {
            let text = value.to_string().into_bytes();
            program.step(format!("oom_score_adj {value}"), Op::OomScore { value, text });
        }
    }

    /// Makes the working directory where it is missing.
    pub(crate) fn make_directory(&self, program: &mut Program) -> Result<()> {
        let path = self.process.cwd();
        if path.parent().is_some() {
            let at = inside("process.cwd", path)?;
            program.step(format!("make working directory {}", path.display()), Op::MakeDirectory { at });
        }
        Ok(())
    }

    /// Standard input, output and error.
    pub(crate) fn stdio(&self, stdio: Prepared, program: &mut Program) -> Result<()> {
        let uid = self.owner()?;
        let op = match stdio {
            Prepared::New(size) => Op::Terminal { size, uid, to: None },
            Prepared::Files(ProcessStdio::Files { stdin, stdout, stderr }) => {
                let files = [program.adopt(stdin)?, program.adopt(stdout)?, program.adopt(stderr)?];
                Op::Stdio { files, uid }
            }
            Prepared::Files(ProcessStdio::Terminal { .. }) => return Err(Error::internal("a terminal is no file")),
            Prepared::Open(terminal) => {
                let terminal = program.adopt(terminal)?;
                program.step("make the terminal the controlling one", Op::Control { terminal });
                Op::Stdio { files: [terminal; 3], uid }
            }
        };
        program.step("set up standard input and output", op);
        Ok(())
    }

    /// A new terminal, made by another process than the one that takes it.
    pub(crate) fn terminal_for(
        &self,
        size: Option<TerminalSize>,
        maker: &mut Program,
        taker: &mut Program,
    ) -> Result<()> {
        let kind = rustix::net::SocketType::SEQPACKET;
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let pair = rustix::net::socketpair(rustix::net::AddressFamily::UNIX, kind, flags, None);
        let (from, to) = pair.map_err(std::io::Error::from).step(|| "make a socket for the terminal".into())?;
        let to = Some(maker.adopt(to)?);
        maker.step("set up the terminal", Op::Terminal { size, uid: self.owner()?, to });
        let from = taker.adopt(from)?;
        taker.step("take the terminal", Op::TakeTerminal { from });
        Ok(())
    }

    /// What has to be done before a user namespace is entered, where it is not allowed any more: standard input, output and
    /// error are given to the user, and hard limits are raised. Returns a terminal that is still to become the
    /// controlling one.
    pub(crate) fn outside(&self, stdio: Prepared, program: &mut Program) -> Result<Option<RawFd>> {
        plan_raises(self.process.rlimits().as_deref().unwrap_or_default(), program);
        match stdio {
            Prepared::New(_) => Ok(None),
            Prepared::Open(terminal) => {
                let terminal = program.adopt(terminal)?;
                let op = Op::Stdio { files: [terminal; 3], uid: self.owner()? };
                program.step("set up standard input and output", op);
                Ok(Some(terminal))
            }
            files @ Prepared::Files(_) => self.stdio(files, program).map(|()| None),
        }
    }

    /// The user, as the host knows it.
    fn owner(&self) -> Result<u32> {
        self.user.map_or(Ok(self.identity.uid), |user| user.mappings().host_uid(self.identity.uid))
    }

    /// Everything that turns the child into the process but the exec.
    pub(crate) fn become_user(&self, program: &mut Program) -> Result<Became> {
        let mut warnings = Vec::new();
        let path = self.process.cwd();
        if !path.is_absolute() {
            return Err(Error::invalid(format!("process.cwd {path:?} is not absolute")));
        }
        let path = c_string("process.cwd", path)?;
        let chdir = format!("chdir to cwd ({:?}) set in config.json", self.process.cwd());
        if let Some(user) = self.user {
            let mappings = user.mappings();
            mappings.host_uid(self.identity.uid).step(|| "process.user".into())?;
            let groups = std::iter::once(&self.identity.gid).chain(&self.identity.groups);
            for gid in groups {
                mappings.host_gid(*gid).step(|| "process.user".into())?;
            }
        }
        let capabilities = self.process.capabilities().as_ref();
        let mut credentials = credentials(self.identity, capabilities, self.user.is_some(), &mut warnings)?;
        let (uid, gid) = (credentials.uid, credentials.gid);
        let confined = self.process.no_new_privileges() == Some(true);
        let mut finally = None;
        if self.seccomp.is_some() && !confined && credentials.sets.effective & SYS_ADMIN == 0 {
            credentials.lent = SYS_ADMIN;
            finally = Some(credentials.sets);
        }
        program.step("umask", Op::Umask(self.process.user().umask().unwrap_or(0o022) & 0o777));
        program.step(&chdir, Op::Directory { path: path.clone(), again: false });
        self.traits.plan(program);
        plan_scheduling(self.process, program)?;
        plan_labels(self.process, program)?;
        // A limit on open files must not be met by what the container never sees, and raising one needs the root.
        program.step("close other files", Op::CloseAll);
        plan_limits(self.process.rlimits().as_deref().unwrap_or_default(), program)?;
        program.step(format!("become user {uid}:{gid}"), Op::Credentials(credentials));
        program.step(&chdir, Op::Directory { path, again: true });
        if confined {
            program.step("set no_new_privs", Op::NoNewPrivileges);
        }
        Ok(Became { warnings, finally })
    }

    /// The exec. Just before it the filter is loaded, so that it sees as little of ours as can be: a profile is written
    /// for the container's program.
    pub(crate) fn execute(&self, became: &Became, program: &mut Program) -> Result<()> {
        let image = image(self.process, &self.identity.home, self.program)?;
        if let Some(seccomp) = self.seccomp {
            program.step("look for the program", Op::Find(image.candidates.clone()));
            program.step("load the seccomp filter", Op::Filter(seccomp.filter()));
            if let Some(sets) = became.finally {
                program.step("give back CAP_SYS_ADMIN, which loading the seccomp filter took", Op::Capabilities(sets));
            }
        }
        program.step("exec", Op::Execute(image));
        Ok(())
    }
}

impl Prepared {
    /// Checks that the request and the specification speak of the same: a terminal, or files.
    pub(crate) fn new(process: &Process, stdio: ProcessStdio) -> Result<Self> {
        let wants = process.terminal() == Some(true);
        let in_spec = process.console_size().as_ref().and_then(|size| {
            Some(TerminalSize { rows: size.height().try_into().ok()?, columns: size.width().try_into().ok()? })
        });
        match stdio {
            ProcessStdio::Terminal { size } if wants => Ok(Self::New(size.or(in_spec))),
            ProcessStdio::Terminal { .. } => Err(Error::invalid("a terminal is given, but process.terminal is false")),
            ProcessStdio::Files { .. } if wants => Err(Error::invalid("process.terminal is true, but files are given")),
            files @ ProcessStdio::Files { .. } => Ok(Self::Files(files)),
        }
    }
}
