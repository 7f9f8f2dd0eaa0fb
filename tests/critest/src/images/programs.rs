use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// Prints the user that the kernel takes it for: critest looks whether a setuid bit took effect.
pub fn euid() -> Result<Vec<u8>> {
    compiled(
        "#include <stdio.h>\n#include <unistd.h>\n\
         int main(void) { printf(\"Effective uid: %d\\n\", (int)geteuid()); return 0; }\n",
    )
}

/// Waits until it is told to end.
pub fn pause() -> Result<Vec<u8>> {
    compiled("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
}

// Static, so that it needs nothing else in its image.
fn compiled(source: &str) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir().context("make a folder to compile in")?;
    let (input, output) = (dir.path().join("program.c"), dir.path().join("program"));
    fs::write(&input, source).with_context(|| format!("write {}", input.display()))?;
    let out = Command::new("cc")
        .args(["-static", "-Os", "-s", "-Wl,--build-id=none", "-o"])
        .args([&output, &input])
        .stdin(Stdio::null())
        .output()
        .context("start cc (packages gcc and libc6-dev)")?;
    ensure!(out.status.success(), "compile a static program: {}", String::from_utf8_lossy(&out.stderr).trim());
    fs::read(&output).with_context(|| format!("read {}", output.display()))
}
