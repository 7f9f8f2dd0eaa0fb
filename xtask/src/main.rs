//! What a contributor and CI run: `cargo xtask demo`, `cargo xtask test`, `cargo xtask bench`.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod contest;
mod crash;
mod critest;
mod demo;
mod go_tools;
mod guest;
mod kubelet;
mod oci_suite;
mod power;
mod progress;
mod suite;
mod test;
mod test_programs;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Wharf's tasks. Each installs what it needs and can, and names what it cannot.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds Wharf, runs a pod from an image through crictl on a private daemon, shows what happened, removes everything
    Demo {
        /// An image to pull from its registry; without one, a small real image is made on the spot
        image: Option<String>,
    },
    /// Builds Wharf and runs every test: units, plugins, end to end with the real crictl
    Test(test::Arguments),
    /// Builds Wharf and measures it, beside a peer if one is named
    Bench {
        /// Arguments of the bench: `--peer NAME=SOCKET`, `--json FILE`, …; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds Wharf and runs Kubernetes' critest against it, or against a reference
    Critest {
        /// `--guest` for a guest with cgroup v2 and AppArmor; arguments of wharf-critest: `--websocket`, `--parallel N`,
        /// `--focus WORDS`, …; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds Wharf and runs a real kubelet's static pods on it
    Kubelet {
        /// Arguments of wharf-kubelet: `--only WORDS`, `--keep FOLDER`, …; `--help` lists them. With `--guest` in a virtual
        /// machine of Linux 6.12, where systemd makes the control groups
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds Wharf and kills it at any moment: what must hold then, and that nothing is left
    Crash {
        /// Arguments of wharf-crash: `--kills N`, `--seed S`, `--time-limit SECONDS`, …; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Cuts the power of a guest on a disk that loses what was not flushed, and looks at what is left of images and pods
    Power(power::Arguments),
    /// Runs OCI's own tests of a runtime against `wharf-oci`, or against another runtime
    OciSuite(oci_suite::Arguments),
    /// Runs youki's contest, tests of a runtime, against `wharf-oci` and another runtime
    Contest(contest::Arguments),
    /// Builds the binaries into target/release
    Build,
    /// Installs what building and testing need, and names what it cannot
    Tools,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo { image } => demo::run(image.as_deref()),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench { arguments } => bench::run(&arguments),
        Task::Critest { arguments } => critest::run(&arguments),
        Task::Kubelet { arguments } => kubelet::run(&arguments),
        Task::Crash { arguments } => crash::run(&arguments),
        Task::Power(arguments) => power::run(&arguments),
        Task::OciSuite(arguments) => oci_suite::run(&arguments),
        Task::Contest(arguments) => contest::run(&arguments),
        Task::Tools => tools::for_tests(),
        Task::Build => tools::wasm_target().and_then(|()| build::binaries()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::failed(&error);
            ExitCode::FAILURE
        }
    }
}
