use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    archive::Archive,
    job::{Job, SYSTEMD},
    kernel::Kernel,
    modules,
    tools::Tools,
};

const INIT: &str = include_str!("init.sh");

/// The kernel's first root: busybox, the modules without which there is no other, and the job.
pub fn initramfs(tools: &Tools, kernel: &Kernel, agent: &Path, job: &Job) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "host", "modules", "over", "proc", "root", "sys"] {
        archive.folder(folder);
    }
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    archive.program("bin/busybox", &read(&tools.busybox)?);
    archive.program("init", INIT.as_bytes());
    let mut order = String::new();
    for module in modules::early(&kernel.modules)? {
        let name = module.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        archive.file(&format!("modules/{name}"), &read(&module)?);
        order.push_str(&name);
        order.push('\n');
    }
    archive.file("modules/order", order.as_bytes());
    archive.file("agent", agent.display().to_string().as_bytes());
    archive.file("job.json", &serde_json::to_vec(job)?);
    if job.systemd {
        archive.file("manager", SYSTEMD.as_bytes());
        archive.file("agent.service", unit(agent).as_bytes());
    }
    Ok(archive.finish())
}

/// The agent as the one thing that systemd starts: nothing of a usual boot is of use to a test.
fn unit(agent: &Path) -> String {
    format!(
        "[Unit]\nDescription=Wharf's agent in a guest\nDefaultDependencies=no\n\n\
         [Service]\nExecStart={}\nStandardOutput=file:/dev/console\nStandardError=file:/dev/console\n",
        agent.display()
    )
}
