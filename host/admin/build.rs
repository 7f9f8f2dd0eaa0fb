//! Generates the admin service without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["wharf/admin/v1/admin.proto"], ["proto"])?;
    // Secrets never reach a log: src/redact.rs.
    tonic_prost_build::configure().skip_debug(["wharf.admin.v1.Credentials"]).compile_fds(files)?;
    Ok(())
}
