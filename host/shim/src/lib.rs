//! The pod supervisor, containerd-shim-wharf-v1.
//!
//! One process a pod: parent of its containers, owner of their stdio and logs, keeper of their exit codes.
//! It speaks containerd's shim v2 protocol over ttrpc and outlives the daemon that started it. One thread
//! runs the event loop, one writes logs; what blocks runs on threads that end when they are idle.

mod args;
mod container;
mod delete;
mod engine;
mod events;
mod exit;
mod features;
mod group;
mod image_mounts;
mod info;
mod io;
mod limits;
mod logging;
mod logs;
mod memory;
mod oom;
mod operation;
mod process;
mod publish;
mod reaper;
mod record;
mod rootfs;
mod sandbox;
mod serve;
mod shim;
mod start;
mod streams;
mod task;

use std::process::ExitCode;

use crate::args::{Action, Args};

/// The program: its arguments are those of the process.
pub fn main() -> ExitCode {
    let done = Args::parse(std::env::args_os().skip(1)).and_then(|args| match args.action {
        Action::Start => start::start(&args),
        Action::Delete => delete::delete(&args),
        Action::Serve => serve::serve(args),
        Action::Features => features::features(&args),
        Action::Info => info::info(),
        Action::Version => {
            println!("{}:\n  Version: {}", args::NAME, env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", args::NAME);
            ExitCode::FAILURE
        }
    }
}
