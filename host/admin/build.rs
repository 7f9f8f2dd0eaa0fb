//! Generates the admin service without protoc.

/// CRI's, some of whose messages are the admin service's too.
const CRI: &str = "../api/proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed={CRI}");
    let files = protox::compile(["wharf/admin/v1/admin.proto"], ["proto", CRI])?;
    // CRI's messages are generated where they are at home.
    tonic_prost_build::configure().extern_path(".runtime.v1", "::wharf_api::cri").compile_fds(files)?;
    Ok(())
}
