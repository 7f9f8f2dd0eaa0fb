use super::*;
use crate::{
    http::request,
    image::{Kind, digest_of},
    layer::{Compression, Layer},
    tree::Tree,
};

fn image() -> Image {
    let mut tree = Tree::new();
    tree.file("hello", "hello".repeat(1000));
    let layer = Layer::new("l", &tree, Compression::Gzip).unwrap();
    Image::new(Kind::OciIndex, &[layer], &json!({})).unwrap()
}

#[test]
fn an_added_image_is_served_by_tag_digest_and_range() {
    let (registry, image) = (Registry::start(Auth::Open).unwrap(), image());
    registry.add("a/b", "1", &image);
    let get = |path: &str, headers: &[(&str, &str)]| request("GET", &registry.address(), path, headers, b"").unwrap();
    let index = get("/v2/a/b/manifests/1?ns=x", &[]);
    assert_eq!((index.status, digest_of(&index.body)), (200, image.target.digest.clone()));
    let config = get(&format!("/v2/a/b/blobs/{}", image.id), &[]);
    assert_eq!(digest_of(&config.body), image.id);
    let part = get(&format!("/v2/a/b/blobs/{}", image.id), &[("Range", "bytes=3-5")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &config.body[3..6]));
    assert_eq!(get("/v2/a/b/manifests/2", &[]).status, 404);
    assert_eq!(registry.seen().len(), 4);
}

#[test]
fn a_broken_blob_breaks_as_often_as_asked_and_auth_is_demanded() {
    let image = image();
    let registry = Registry::start(Auth::Basic("u".into(), "p".into())).unwrap();
    registry.add("r", "1", &image);
    registry.break_blob(&image.id, 10, 1);
    let path = format!("/v2/r/blobs/{}", image.id);
    assert_eq!(request("GET", &registry.address(), &path, &[], b"").unwrap().status, 401);
    let login = basic("u", "p");
    let ask = || request("GET", &registry.address(), &path, &[("Authorization", &login)], b"");
    let error = format!("{:#}", ask().unwrap_err());
    assert!(error.contains("ended after 10 of"), "{error}");
    assert_eq!(digest_of(&ask().unwrap().body), image.id);
}

#[test]
fn who_speaks_tls_is_told_that_this_is_http() {
    let registry = Registry::start(Auth::Open).unwrap();
    let mut client = TcpStream::connect(registry.address()).unwrap();
    client.write_all(&[0x16, 0x03, 0x01, 0x00, 0x00]).unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.0 400 "), "{said}");
}
