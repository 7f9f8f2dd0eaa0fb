use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use wharf_vm::{DISK, End, Event, Program};

use crate::{left::Left, port::Port};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A program's output is read to its end, but who inherited it from the program may hold it for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs one program to its end, or its limit, and tells all of it. What it left is told, and what runs of it is killed.
pub fn run(program: &Program, port: &Port) -> Result<()> {
    port.tell(&Event::Started { program: program.name.clone() });
    let left = Left::watch();
    let begin = Instant::now();
    let end = execute(program, port)?;
    let took = begin.elapsed();
    let left = left.new_things(|| while reap(WaitPidFlag::WNOHANG).is_some() {});
    kill_processes(&left);
    port.tell(&Event::Ended { program: program.name.clone(), end, took, left });
    Ok(())
}

fn execute(program: &Program, port: &Port) -> Result<End> {
    let mut command = Command::new(&program.path);
    command.args(&program.args).current_dir(&program.cwd);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .env("TMPDIR", format!("{DISK}/tmp"));
    command.envs(&program.env);
    // A group of its own, to be killed as one.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(End::NotStarted(format!("{}: {error}", program.path.display()))),
    };
    let pid = Pid::from_raw(i32::try_from(child.id()).context("a pid is an i32")?);
    let (closed, drained) = mpsc::channel::<()>();
    let outputs: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|o| Box::new(o) as _), child.stderr.take().map(|e| Box::new(e) as _)];
    for output in outputs.into_iter().flatten() {
        let (port, closed) = (port.clone(), closed.clone());
        thread::spawn(move || {
            tell_lines(output, &port);
            drop(closed);
        });
    }
    drop(closed);
    let (ended, in_time) = mpsc::channel::<()>();
    let limit = program.limit;
    let watch = thread::spawn(move || {
        let late = matches!(in_time.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
        if late {
            // Fails only for a group that has ended.
            let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
        }
        late
    });
    let end = wait(pid);
    drop(ended);
    let late = watch.join().unwrap_or(false);
    // Nothing is ever sent: it ends when both readers have.
    let _ = drained.recv_timeout(DRAIN);
    Ok(if late { End::TimedOut } else { end })
}

// Every child: the first process of a machine is the parent of all orphans.
fn wait(pid: Pid) -> End {
    loop {
        match reap(WaitPidFlag::empty()) {
            Some(WaitStatus::Exited(one, code)) if one == pid => return End::Exit(code),
            Some(WaitStatus::Signaled(one, signal, _)) if one == pid => return End::Signal(signal as i32),
            Some(_) => {}
            None => return End::NotStarted("it is no child any more".into()),
        }
    }
}

fn reap(flags: WaitPidFlag) -> Option<WaitStatus> {
    loop {
        match waitpid(None, Some(flags)) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) | Ok(WaitStatus::StillAlive) => return None,
            Ok(status) => return Some(status),
        }
    }
}

fn tell_lines(output: impl Read, port: &Port) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        port.tell(&Event::Line { text: String::from_utf8_lossy(&line).into_owned() });
    }
}

fn kill_processes(left: &[String]) {
    let pids = left.iter().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()?.parse().ok());
    for pid in pids {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
