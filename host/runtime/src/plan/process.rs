use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;
use wharf_error::{Error, Result};

use super::{c_string, credentials::credentials, image::image, limits::plan_limits, strings::inside};
use crate::{
    ProcessStdio, TerminalSize,
    child::{Op, Program},
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
}

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
        let uid = self.identity.uid;
        let op = match stdio {
            Prepared::New(size) => Op::Terminal { size, uid },
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

    /// Everything that turns the child into the process but the exec. Returns what this node does not have.
    pub(crate) fn become_user(&self, program: &mut Program) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let path = self.process.cwd();
        if !path.is_absolute() {
            return Err(Error::invalid(format!("process.cwd {path:?} is not absolute")));
        }
        let path = c_string("process.cwd", path)?;
        let chdir = format!("chdir to cwd ({:?}) set in config.json", self.process.cwd());
        let credentials = credentials(self.identity, self.process.capabilities().as_ref(), &mut warnings)?;
        let (uid, gid) = (credentials.uid, credentials.gid);
        program.step("umask", Op::Umask(self.process.user().umask().unwrap_or(0o022) & 0o777));
        program.step(&chdir, Op::Directory { path: path.clone(), again: false });
        // A limit on open files must not be met by what the container never sees, and raising one needs the root.
        program.step("close other files", Op::CloseAll);
        plan_limits(self.process.rlimits().as_deref().unwrap_or_default(), program)?;
        program.step(format!("become user {uid}:{gid}"), Op::Credentials(credentials));
        program.step(&chdir, Op::Directory { path, again: true });
        if self.process.no_new_privileges() == Some(true) {
            program.step("set no_new_privs", Op::NoNewPrivileges);
        }
        Ok(warnings)
    }

    /// The exec.
    pub(crate) fn execute(&self, program: &mut Program) -> Result<()> {
        program.step("exec", Op::Execute(image(self.process, &self.identity.home)?));
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
