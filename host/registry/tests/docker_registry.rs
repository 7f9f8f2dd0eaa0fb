//! Against Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use support::{client, read_all, reference};
use wharf_error::Kind;
use wharf_registry::{Document, digest_of};
use wharf_testkit::{Compression, DockerRegistry, Image, Kind as Form, Layer, Tree, need};

fn image(form: Form) -> Image {
    let mut tree = Tree::new();
    tree.file("etc/motd", "hello from a layer\n".repeat(5000));
    let layer = Layer::new("one", &tree, Compression::Gzip).unwrap();
    Image::new(form, &[layer], &serde_json::json!({ "Cmd": ["sh"] })).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_image_is_resolved_and_read() {
    let Some(registry) = need(DockerRegistry::start()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    for form in [Form::Oci, Form::OciIndex, Form::Docker, Form::DockerList] {
        let image = image(form);
        registry.push("some/image", "1", &image).unwrap();
        let tag = reference(registry.address(), "some/image:1");
        let resolved = client.resolve(&tag, None).await.unwrap();
        assert_eq!(resolved.descriptor.digest().to_string(), image.target.digest);
        assert_eq!(resolved.descriptor.media_type().as_ref(), image.target.media_type);
        assert_eq!(client.head(&tag, None).await.unwrap().unwrap(), *resolved.descriptor.digest());
        let by_digest = client.resolve(&tag.at(resolved.descriptor.digest()), None).await.unwrap();
        assert_eq!(by_digest.bytes, resolved.bytes);

        let manifest = match Document::parse(&image.target.media_type, &resolved.bytes).unwrap() {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let child = client.manifest(&tag, &index.manifests()[1], None).await.unwrap();
                match Document::parse(index.manifests()[1].media_type().as_ref(), &child).unwrap() {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => panic!("an index in an index"),
                }
            }
        };
        let config = client.small_blob(&tag, manifest.config(), None).await.unwrap();
        assert_eq!(digest_of(&config).unwrap().to_string(), image.id);
        let layer = read_all(&client, &tag, &manifest.layers()[0]).await.unwrap();
        assert_eq!(digest_of(&layer).unwrap(), *manifest.layers()[0].digest());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let Some(registry) = need(DockerRegistry::start()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let error = client.resolve(&reference(registry.address(), "some/image:absent"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(error.to_string().contains("404 Not Found: manifest unknown"), "{error}");
}
