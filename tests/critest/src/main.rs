//! Kubernetes' critest, unmodified, against a private daemon, or against a reference that runs already.
//!
//! The images that critest names are made here from Debian packages and served by Debian's docker-registry on loopback.
//! All of it happens in a network namespace of its own, so that no packet filter of the machine is touched.
//! A spec that is skipped must be skipped for a reason that is listed: see [`Expected`].
#![forbid(unsafe_code)]

mod apparmor;
mod arguments;
mod expected;
mod images;
mod node;
mod report;
mod suite;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser as _;
use wharf_testkit::{CniPlugins, DockerRegistry};

use self::{
    apparmor::AppArmor,
    arguments::Arguments,
    expected::{Expected, NOT_ASKED},
    node::Node,
    report::Outcome,
    suite::Suite,
};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("critest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    wharf_testkit::root()?;
    // While packages can still be fetched.
    let images = images::all()?;
    DockerRegistry::find()?;
    CniPlugins::find()?;
    if arguments.prepare {
        return AppArmor::package().map(drop);
    }
    let apparmor = AppArmor::is_enabled().then(AppArmor::new).transpose()?;
    let programs = apparmor.as_ref().map(AppArmor::programs);
    // Before any thread is started: they would stay in the old one.
    if arguments.endpoint.is_none() {
        wharf_testkit::own_network()?;
    }
    let registry = DockerRegistry::start()?;
    for name in images {
        let (_, repository) = name.repository.split_once('/').unwrap_or(("", &name.repository));
        registry.push(repository, name.tag, &name.image)?;
    }
    let node = Node::start(arguments, registry.address(), programs)?;
    let ran = Suite::new(arguments, node.endpoint(), programs).run();
    if let Err(error) = &ran {
        println!("{}", node.log_tail());
        eprintln!("critest: {error:#}");
    }
    let left = node.finish();
    let outcomes = ran?;
    let expected = Expected::of_this_machine();
    let mut unexpected = Vec::new();
    for (name, outcome) in &outcomes {
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(why) => unexpected.push(format!("FAILED {name}\n      {}", why.replace('\n', "\n      "))),
            Outcome::Skipped(why) => match expected.reason(name, why, arguments) {
                Some(NOT_ASKED) => {}
                Some(reason) => println!("  - skipped: {name}: {reason}"),
                None => unexpected.push(format!("SKIPPED for no listed reason: {name}: {why}")),
            },
        }
    }
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let passed = count(|o| matches!(o, Outcome::Passed));
    let failed = count(|o| matches!(o, Outcome::Failed(_)));
    let skipped = count(|o| matches!(o, Outcome::Skipped(_)));
    for line in &unexpected {
        println!("  ✗ {line}");
    }
    println!("critest: {passed} passed, {failed} failed, {skipped} skipped");
    left?;
    ensure!(unexpected.is_empty(), "{} specs are not as they should be", unexpected.len());
    ensure!(passed > 0, "no spec was run");
    Ok(())
}
