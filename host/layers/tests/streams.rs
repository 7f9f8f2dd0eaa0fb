//! Digests, compressions, and blobs that are not what they should be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{self, Read, Write as _};

use common::{Tar, unpack_new};
use flate2::{Compression as Level, write::GzEncoder};
use tempfile::TempDir;
use wharf_error::{Error, Kind};
use wharf_layers::{Compression, Descriptor, Failure, Limits, UnpackOptions, Unpacked, decoder, unpack};

/// More than one chunk of the pipe, so that both threads are at work.
fn big_tar() -> Vec<u8> {
    let text: String = (0..260_000).map(|n| format!("{n}\n")).collect();
    Tar::new().file("big", &text).file("small", "s").end()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

fn try_unpack(blob: impl Read, options: &UnpackOptions) -> Result<Unpacked, Error> {
    let dir = TempDir::new().unwrap();
    unpack(blob, dir.path(), options).map_err(|failure| match failure {
        Failure::Other(error) => error,
        Failure::NeedsParents(needs) => panic!("{needs}"),
    })
}

#[test]
fn digests_of_every_compression() {
    let tar = big_tar();
    let (_dir, plain) = unpack_new(&tar);
    let half = tar.len() / 2;
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"toc!"].concat();
    let blobs = [
        (Compression::None, tar.clone()),
        (Compression::Gzip, gzip(&tar)),
        (Compression::Gzip, [gzip(&tar[..half]), gzip(&tar[half..])].concat()),
        (Compression::Zstd, zstd(&tar)),
        (Compression::Zstd, [zstd(&tar[..half]), skippable.clone(), zstd(&tar[half..]), skippable].concat()),
        // Declared wrongly: the bytes say what they are.
        (Compression::None, gzip(&tar)),
        (Compression::Gzip, zstd(&tar)),
        (Compression::Zstd, tar.clone()),
    ];
    for (compression, blob) in blobs {
        let of_blob = try_unpack(&blob[..], &UnpackOptions::default()).unwrap();
        let expected = Descriptor { digest: of_blob.digest.clone(), size: blob.len() as u64 };
        let diff_id = Some(plain.diff_id.clone());
        let options = UnpackOptions { compression, expected: Some(expected), diff_id, ..UnpackOptions::default() };
        // A reader that gives a few bytes at a time changes nothing.
        for (first, step) in [(usize::MAX, usize::MAX), (1, 4093)] {
            let unpacked = try_unpack(Drip { data: &blob, first, step }, &options).unwrap();
            assert_eq!((unpacked.size, unpacked.bytes), (blob.len() as u64, tar.len() as u64));
            assert_eq!(unpacked.diff_id, plain.diff_id);
        }
    }
    // What sha256sum says of an empty input.
    let empty = try_unpack(io::empty(), &UnpackOptions::default()).unwrap();
    assert_eq!(empty.digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

struct Drip<'a> {
    data: &'a [u8],
    first: usize,
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = std::mem::replace(&mut self.first, self.step);
        let n = most.min(into.len()).min(self.data.len());
        into[..n].copy_from_slice(&self.data[..n]);
        self.data = &self.data[n..];
        Ok(n)
    }
}

#[test]
fn what_follows_the_archive_counts() {
    let tar = [Tar::new().file("a", "a").end(), b"trailing".repeat(100_000)].concat();
    let unpacked = try_unpack(&tar[..], &UnpackOptions::default()).unwrap();
    assert_eq!(unpacked.bytes, tar.len() as u64);
    assert_eq!(unpacked.digest, unpacked.diff_id);
    let again = try_unpack(&gzip(&tar)[..], &UnpackOptions::default()).unwrap();
    assert_eq!(again.diff_id, unpacked.diff_id);
}

#[test]
fn mismatches_are_data_loss() {
    let blob = gzip(&big_tar());
    let good = try_unpack(&blob[..], &UnpackOptions::default()).unwrap();
    let digest = good.digest.clone();
    let with = |digest: &str, size: u64, diff_id: Option<&str>| UnpackOptions {
        expected: Some(Descriptor { digest: digest.into(), size }),
        diff_id: diff_id.map(Into::into),
        ..UnpackOptions::default()
    };
    let zeroes = format!("sha256:{}", "0".repeat(64));
    let size = good.size;
    let mut flipped = blob.clone();
    flipped[blob.len() / 2] ^= 0x10;
    let cases: [(&str, &[u8], UnpackOptions, Kind); 11] = [
        ("other digest", &blob, with(&zeroes, size, None), Kind::DataLoss),
        ("other diffID", &blob, with(&digest, size, Some(&zeroes)), Kind::DataLoss),
        ("too short", &blob, with(&digest, size + 1, None), Kind::DataLoss),
        ("too long", &blob, with(&digest, size - 1, None), Kind::DataLoss),
        ("cut", &blob[..blob.len() / 2], with(&digest, size, None), Kind::DataLoss),
        ("flipped bit", &flipped, with(&digest, size, None), Kind::DataLoss),
        ("an error page", b"<html>not found</html>", with(&digest, size, None), Kind::DataLoss),
        ("cut, and nobody knows", &blob[..blob.len() / 2], UnpackOptions::default(), Kind::InvalidArgument),
        ("other algorithm", &blob, with("sha384:00", size, None), Kind::Unsupported),
        ("diffID's too", &blob, with(&digest, size, Some("md5:00")), Kind::Unsupported),
        ("other sha512", &blob, with(&format!("sha512:{}", "0".repeat(128)), size, None), Kind::DataLoss),
    ];
    for (name, blob, options, kind) in cases {
        let error = try_unpack(blob, &options).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
    // Broken although its digest is right: nobody needs to fetch it again.
    let broken = gzip(b"no tar at all, but long enough to be looked at");
    let digest = try_unpack(&broken[..], &UnpackOptions::default()).unwrap_err();
    assert_eq!(digest.kind(), Kind::InvalidArgument);
}

#[test]
fn each_digest_is_by_its_own_algorithm() {
    let sha512 = |bytes: &[u8]| {
        use sha2::Digest as _;
        sha2::Sha512::digest(bytes).iter().fold("sha512:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    };
    let plain = big_tar();
    let blob = gzip(&plain);
    let sha256 = try_unpack(&blob[..], &UnpackOptions::default()).unwrap();
    for (digest, diff_id) in [
        (sha512(&blob), sha512(&plain)),
        (sha512(&blob), sha256.diff_id.clone()),
        (sha256.digest.clone(), sha512(&plain)),
    ] {
        let expected = Some(Descriptor { digest: digest.clone(), size: sha256.size });
        let options = UnpackOptions { expected, diff_id: Some(diff_id.clone()), ..UnpackOptions::default() };
        let unpacked = try_unpack(&blob[..], &options).unwrap();
        assert_eq!((unpacked.digest, unpacked.diff_id), (digest, diff_id));
    }
}

#[test]
fn bombs_are_stopped_early() {
    let zeroes = vec![0; 32 << 20];
    let bomb = zstd(&Tar::new().entry(tar::EntryType::Regular, "zero", "", &zeroes, |_| {}).end());
    assert!(bomb.len() < 10_000);
    let ratio = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    let error = try_unpack(&bomb[..], &UnpackOptions { limits: ratio, ..UnpackOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.to_string().contains("more than 100 for one"), "{error}");
    let cap = Limits { bytes: 8 << 20, ..Limits::default() };
    let error = try_unpack(&bomb[..], &UnpackOptions { limits: cap, ..UnpackOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(try_unpack(&bomb[..], &UnpackOptions::default()).is_ok(), "32 MiB are nothing");
}

#[test]
fn a_failing_reader_keeps_its_kind() {
    struct Failing(Option<io::Error>);
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.take().unwrap_or_else(|| io::Error::other("asked twice")))
        }
    }
    let blob = gzip(&big_tar());
    let head = || &blob[..blob.len() / 2];
    let ours = Error::new(Kind::Unauthenticated, "registry says no");
    let error = try_unpack(head().chain(Failing(Some(io::Error::other(ours)))), &UnpackOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert_eq!(error.to_string(), "layer: read blob: registry says no");
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let error = try_unpack(head().chain(Failing(Some(reset))), &UnpackOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    let late = io::Error::from(io::ErrorKind::TimedOut);
    let error = try_unpack(Failing(Some(late)), &UnpackOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded, "{error}");
}

#[test]
fn the_decoder_alone() {
    let text = b"as it was".repeat(1000);
    for (media_type, blob) in [
        ("application/vnd.oci.image.layer.v1.tar", text.clone()),
        ("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&text)),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", zstd(&text)),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip(&text)),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip(&text)),
        ("application/vnd.docker.image.rootfs.diff.tar", gzip(&text)),
    ] {
        let mut out = Vec::new();
        decoder(&blob[..], media_type).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == text, "{media_type}");
    }
    for media_type in ["", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/wasm"] {
        assert_eq!(decoder(&b""[..], media_type).err().unwrap().kind(), Kind::Unsupported, "{media_type}");
    }
}
