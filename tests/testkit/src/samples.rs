use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    image::{Image, Kind},
    layer::{Compression, Layer},
    tree::{Node, Tree},
    userland::userland,
};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The layers of a small real userland: C library, tools, users and folders.
/// Each is packed as asked; an image of Docker's schema knows gzip only.
///
/// # Errors
///
/// When no userland can be had on this machine.
pub fn busybox_layers(packing: [Compression; 3]) -> Result<Vec<Layer>> {
    let parts = userland()?;
    Ok(vec![
        Layer::new("C library", &parts.libraries, packing[0])?,
        Layer::new("shell and tools", &parts.programs, packing[1])?,
        Layer::new("users and folders", &parts.skeleton, packing[2])?,
    ])
}

/// A small real image: three layers (gzip, zstd, plain for OCI's kinds, gzip for Docker's), `sh` as command.
///
/// # Errors
///
/// When no userland can be had on this machine.
pub fn busybox(kind: Kind) -> Result<Image> {
    let packing = match kind {
        Kind::Oci | Kind::OciIndex => [Compression::Gzip, Compression::Zstd, Compression::None],
        Kind::Docker | Kind::DockerList => [Compression::Gzip; 3],
    };
    Image::new(kind, &busybox_layers(packing)?, &shell())
}

/// A userland below layers with everything that is odd: whiteouts, an opaque folder, hard links across layers,
/// extended attributes, owners, setuid, a sparse file, long paths, an implied parent folder, a file that becomes a folder.
///
/// What must be seen in a container of it:
/// `/odd/removed` gone, `/odd/opaque` with `new` only, `/odd/link` and `/odd/target` one inode with text `target`,
/// `/odd/attr` with `user.wharf=yes`, `/odd/owned` of 1234:5678, `/odd/setuid` mode 4755, `/odd/sparse` of 8 MiB with `end` at
/// 8 MiB - 3, `/odd/was-file` a folder, `/tmp` still 1777, and a file `deep` at the end of a path of over 300 characters.
///
/// # Errors
///
/// When no userland can be had on this machine.
pub fn odd(kind: Kind) -> Result<Image> {
    let packing = [Compression::Gzip; 3];
    let mut layers = busybox_layers(packing)?;

    let mut lower = Tree::new();
    lower.file("odd/removed", "I am in a lower layer\n");
    lower.file("odd/removed-dir/file", "so am I\n");
    lower.file("odd/opaque/old", "hidden later\n");
    lower.file("odd/target", "target\n");
    lower.file("odd/was-file", "a folder later\n");
    lower.file("odd/attr", "with an attribute\n").xattr("user.wharf", b"yes");
    lower.file("odd/owned", "of somebody\n").owner(1234, 5678);
    lower.file("odd/setuid", "#!/bin/sh\n").mode(0o4755);
    lower.add("odd/sparse", Node::Sparse(8 << 20, vec![(0, b"start".to_vec()), ((8 << 20) - 3, b"end".to_vec())]));
    lower.file(&format!("odd/{}/{}/{}/deep", "a".repeat(100), "b".repeat(100), "c".repeat(100)), "deep\n");
    lower.add("odd/pipe", Node::Fifo);
    layers.push(Layer::new("odd things", &lower, Compression::Gzip)?);

    let mut upper = Tree::new();
    upper.whiteout("odd/removed");
    upper.whiteout("odd/removed-dir");
    upper.dir("odd/opaque");
    upper.opaque("odd/opaque");
    upper.file("odd/opaque/new", "seen\n");
    // A hard link to a file of the lower layer.
    upper.bare("odd/link", Node::Hardlink("odd/target".into()));
    upper.whiteout("odd/was-file");
    // Its parent is not in this archive: /tmp must keep its 1777.
    upper.bare("tmp/implied", Node::File(b"my folder is of a lower layer\n".to_vec()));
    layers.push(Layer::new("whiteouts and links", &upper, Compression::Gzip)?);

    let mut top = Tree::new();
    top.dir("odd/was-file");
    top.file("odd/was-file/inside", "a folder now\n");
    layers.push(Layer::new("a file becomes a folder", &top, Compression::Gzip)?);
    Image::new(kind, &layers, &shell())
}

/// An image of `count` layers: a userland, then one file each, `/layer/<n>`.
///
/// # Errors
///
/// When no userland can be had on this machine, or `count` is under three.
pub fn many_layers(count: usize) -> Result<Image> {
    let mut layers = busybox_layers([Compression::Gzip; 3])?;
    anyhow::ensure!(count >= layers.len(), "{count} layers are fewer than a userland has");
    for n in layers.len()..count {
        let mut tree = Tree::new();
        tree.file(&format!("layer/{n}"), format!("{n}\n"));
        layers.push(Layer::new(&format!("layer {n}"), &tree, Compression::Gzip)?);
    }
    Image::new(Kind::Oci, &layers, &shell())
}

fn shell() -> Value {
    json!({ "Cmd": ["sh"], "Env": [PATH] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Auth, DockerRegistry, Registry, request, skip::need};

    #[test]
    fn a_real_registry_takes_every_kind_of_image() {
        let Some(registry) = need(DockerRegistry::start()) else { return };
        let Some(odd) = need(odd(Kind::Docker)) else { return };
        registry.push("odd", "1", &odd).unwrap();
        for (tag, kind) in
            [("oci", Kind::Oci), ("index", Kind::OciIndex), ("docker", Kind::Docker), ("list", Kind::DockerList)]
        {
            let image = busybox(kind).unwrap();
            registry.push("busybox", tag, &image).unwrap();
            let accept = [("Accept", image.target.media_type.as_str())];
            let got =
                request("GET", registry.address(), &format!("/v2/busybox/manifests/{tag}"), &accept, b"").unwrap();
            assert_eq!((got.status, got.body), (200, image.target.bytes));
        }
    }

    #[test]
    fn an_image_of_127_layers_is_made_twice_alike() {
        let Some(one) = need(many_layers(127)) else { return };
        let registry = Registry::start(Auth::Open).unwrap();
        registry.add("many", "1", &one);
        assert_eq!(one.blobs.len(), 128);
        assert_eq!(one.target.digest, many_layers(127).unwrap().target.digest);
    }
}
