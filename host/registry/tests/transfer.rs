//! Bytes that come late, short, long, wrong or twice.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use oci_spec::image::{Descriptor, MediaType};
use support::{Fake, OCI_MANIFEST, Reply, blob, client, descriptor, hosts, impatient, manifest, read_all, reference};
use wharf_error::Kind;
use wharf_registry::{BlobPart, Client, ClientConfig, MAX_DOCUMENT, digest_of};

fn offset_of(range: Option<&str>) -> usize {
    range.map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let (bytes, layer) = blob(300_000);
    let sent = bytes.clone();
    let fake = Fake::start(move |seen| {
        let offset = offset_of(seen.header("range"));
        let rest = sent[offset..].to_vec();
        let reply = if offset == 0 {
            Reply::ok(rest)
        } else {
            let range = format!("bytes {offset}-{}/{}", sent.len() - 1, sent.len());
            Reply::status(206).body(rest).header("content-range", range)
        };
        if offset < 250_000 { reply.broken_after(70_000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let got = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap();
    assert!(got == bytes);
    let offsets: Vec<usize> = fake.seen().iter().map(|seen| offset_of(seen.header("range"))).collect();
    assert!(
        offsets.len() > 4 && offsets.is_sorted(),
        "more breaks than retries, but each time something came: {offsets:?}"
    );
}

#[tokio::test]
async fn a_download_outlives_a_restart_of_the_registry() {
    let (bytes, layer) = blob(200_000);
    let sent = bytes.clone();
    // An address of its own: on the usual one another test may be given the port meanwhile.
    let fake = Fake::start_at("127.83.1.9:0", move |_| Reply::ok(sent.clone()).stalled_after(90_000)).await;
    let address = fake.address.clone();
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(ClientConfig {
        certs_d: dir.path().into(),
        backoff: Duration::from_millis(100),
        ..Default::default()
    })
    .unwrap();
    let mut stream = client.blob(&reference(&address, "a/b:1"), &layer, None).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 90_000 {
        got.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    drop(fake);
    let rest = tokio::spawn(async move {
        while let Some(chunk) = stream.next().await {
            got.extend_from_slice(&chunk?);
        }
        Ok::<_, wharf_error::Error>(got)
    });
    // Broken off, and then refused for more than one retry's time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!rest.is_finished(), "{:?}", rest.await.unwrap().map(|got| got.len()));
    let sent = bytes.clone();
    let again = Fake::start_at(&address, move |seen| {
        let offset = offset_of(seen.header("range"));
        let range = format!("bytes {offset}-{}/{}", sent.len() - 1, sent.len());
        Reply::status(206).body(sent[offset..].to_vec()).header("content-range", range)
    })
    .await;
    assert!(rest.await.unwrap().unwrap() == bytes);
    assert_eq!(offset_of(again.seen()[0].header("range")), 90_000, "nothing is fetched twice");
}

#[tokio::test]
async fn a_host_without_ranges_sends_all_again_and_nothing_is_seen_twice() {
    let (bytes, layer) = blob(200_000);
    let calls = Arc::new(AtomicUsize::new(0));
    let (sent, counter) = (bytes.clone(), calls.clone());
    let fake = Fake::start(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::ok(sent.clone()).broken_after(90_000),
        _ => Reply::ok(sent.clone()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let got = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap();
    assert!(got == bytes);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_host_that_refuses_ranges_or_gives_another_is_asked_for_the_whole_blob() {
    let (bytes, layer) = blob(200_000);
    for refusal in [405, 416, 501, 206] {
        let (sent, asked) = (bytes.clone(), AtomicUsize::new(0));
        let fake = Fake::start(move |seen| match seen.header("range") {
            None if asked.fetch_add(1, Ordering::SeqCst) == 0 => Reply::ok(sent.clone()).broken_after(90_000),
            None => Reply::ok(sent.clone()),
            Some(_) if refusal == 206 => {
                Reply::status(206).body(sent[..100].to_vec()).header("content-range", "bytes 0-99/200000")
            }
            Some(_) => Reply::status(refusal),
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let (client, image) = (client(dir.path()), reference(&fake.address, "a/b:1"));
        assert!(read_all(&client, &image, &layer).await.unwrap() == bytes, "{refusal}: goes on after a break");
        let part = client.blob_part(&image, &layer, None, 50_000..100_000).await.unwrap();
        assert_eq!(part.end, 200_000, "{refusal}: no more has to be asked for");
        assert!(read_part(part).await == bytes[50_000..], "{refusal}");
    }
}

#[tokio::test]
async fn what_refuses_ranges_for_another_reason_is_told_with_it() {
    let (_, layer) = blob(200_000);
    let fake = Fake::start(move |_| Reply::status(403)).await;
    let dir = tempfile::tempdir().unwrap();
    let image = reference(&fake.address, "a/b:1");
    for (part, asked) in [(0..100_000, 2), (50_000..100_000, 3)] {
        let error = client(dir.path()).blob_part(&image, &layer, None, part).await.err().unwrap();
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert_eq!(fake.seen().len(), asked, "it is asked twice at the beginning alone");
    }
}

#[tokio::test]
async fn silence_ends_and_names_host_and_blob() {
    let (bytes, layer) = blob(200_000);
    let fake = Fake::start(move |_| Reply::ok(bytes.clone()).stalled_after(50_000)).await;
    let dir = tempfile::tempdir().unwrap();
    let error = read_all(&impatient(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    let text = error.to_string();
    for part in ["127.0.0.1", layer.digest().as_ref(), "no byte for 400ms"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn a_silent_mirror_is_left_for_the_next_host() {
    let (bytes, layer) = blob(200_000);
    let (stalled, sent) = (bytes.clone(), bytes.clone());
    let mirror = Fake::start(move |_| Reply::ok(stalled.clone()).stalled_after(50_000)).await;
    let fake = Fake::start(move |seen| {
        let offset = offset_of(seen.header("range"));
        let range = format!("bytes {offset}-{}/{}", sent.len() - 1, sent.len());
        Reply::status(206).body(sent[offset..].to_vec()).header("content-range", range)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), &fake.address, &format!("[host.'http://{}']", mirror.address));
    let got = read_all(&impatient(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap();
    assert!(got == bytes);
    assert_eq!(offset_of(fake.seen()[0].header("range")), 50_000, "nothing is fetched twice");
}

#[tokio::test]
async fn a_blob_is_never_longer_nor_shorter_than_its_descriptor_says() {
    let (bytes, layer) = blob(100_000);
    let dir = tempfile::tempdir().unwrap();
    let long = [bytes.clone(), b"more".to_vec()].concat();
    let (sent, chunked) = (long.clone(), long);
    let fake = Fake::start(move |_| Reply::ok(sent.clone())).await;
    let error = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("its length is 100004 bytes"), "{error}");

    let fake = Fake::start(move |_| Reply::ok(chunked.clone()).chunked()).await;
    let error = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("longer than the 100000 bytes"), "{error}");

    let fake = Fake::start(move |_| Reply::ok(bytes[..60_000].to_vec()).chunked()).await;
    let error = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &layer).await.unwrap_err();
    assert!(error.to_string().contains("ended after 60000 of 100000 bytes"), "{error}");
    assert!(fake.seen().len() <= 4, "tried a few times, not for ever");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let fake = Fake::start(|_| Reply::ok("")).await;
    let dir = tempfile::tempdir().unwrap();
    let got = read_all(&client(dir.path()), &reference(&fake.address, "a/b:1"), &descriptor(b"")).await.unwrap();
    assert!(got.is_empty());
}

#[tokio::test]
async fn a_manifest_must_be_what_its_digest_says() {
    let fake = Fake::start(|_| Reply::ok(manifest()).header("content-type", OCI_MANIFEST)).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let right = digest_of(manifest().as_bytes()).unwrap();
    let wrong = digest_of(b"another").unwrap();
    client.resolve(&reference(&fake.address, &format!("a/b@{right}")), None).await.unwrap();
    let error = client.resolve(&reference(&fake.address, &format!("a/b@{wrong}")), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains(right.as_ref()) && error.to_string().contains(wrong.as_ref()), "{error}");
    let child = Descriptor::new(MediaType::ImageManifest, 10, wrong);
    assert_eq!(
        client.manifest(&reference(&fake.address, "a/b:1"), &child, None).await.unwrap_err().kind(),
        Kind::DataLoss
    );
    let config = descriptor(b"{}");
    let error = client.small_blob(&reference(&fake.address, "a/b:1"), &config, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
}

#[tokio::test]
async fn a_tag_s_manifest_must_be_what_the_registry_announces() {
    let announced = digest_of(b"another").unwrap().to_string();
    let fake = Fake::start(move |_| {
        Reply::ok(manifest()).header("content-type", OCI_MANIFEST).header("docker-content-digest", announced.clone())
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    assert_eq!(client.resolve(&image, None).await.unwrap_err().kind(), Kind::DataLoss);
    assert_eq!(client.head(&image, None).await.unwrap(), Some(digest_of(b"another").unwrap()));
    assert_eq!(fake.seen().last().unwrap().method, "HEAD");
}

#[tokio::test]
async fn an_endless_manifest_is_cut_off() {
    let size = usize::try_from(MAX_DOCUMENT).unwrap() + 1;
    let fake = Fake::start(move |seen| {
        let reply = Reply::ok(vec![b' '; size]);
        if seen.path.contains("chunked") { reply.chunked() } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    for tag in ["plain", "chunked"] {
        let error = client.resolve(&reference(&fake.address, &format!("a/b:{tag}")), None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DataLoss, "{error}");
        assert!(error.to_string().contains("larger than"), "{error}");
    }
    let (_, huge) = blob(size);
    let error = client.small_blob(&reference(&fake.address, "a/b:1"), &huge, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "refused before a byte is asked for: {error}");
}

#[tokio::test]
async fn dropping_a_download_closes_its_connection() {
    let (bytes, layer) = blob(100_000);
    let fake = Fake::start(move |_| Reply::ok(bytes.clone()).stalled_after(10)).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let mut stream = client.blob(&reference(&fake.address, "a/b:1"), &layer, None).await.unwrap();
    assert_eq!(futures::StreamExt::next(&mut stream).await.unwrap().unwrap().len(), 10);
    drop(stream);
    let again = client.head(&reference(&fake.address, "a/b:1"), None).await;
    assert!(again.is_ok(), "the client goes on working: {again:?}");
}

/// A host that knows ranges, whole ones (`a-`) and parts (`a-b`).
fn ranged(sent: &[u8], range: Option<&str>) -> Reply {
    let Some(range) = range else { return Reply::ok(sent.to_vec()) };
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let to = if to.is_empty() { sent.len() } else { to.parse::<usize>().unwrap() + 1 };
    let text = format!("bytes {from}-{}/{}", to - 1, sent.len());
    Reply::status(206).body(sent[from..to].to_vec()).header("content-range", text)
}

async fn read_part(part: BlobPart) -> Vec<u8> {
    part.stream.map(Result::unwrap).fold(Vec::new(), |all, chunk| async move { [all, chunk.to_vec()].concat() }).await
}

#[tokio::test]
async fn a_blob_comes_in_parts_where_the_host_can() {
    let (bytes, layer) = blob(300_000);
    let sent = bytes.clone();
    let fake = Fake::start(move |seen| ranged(&sent, seen.header("range"))).await;
    let dir = tempfile::tempdir().unwrap();
    let (client, image) = (client(dir.path()), reference(&fake.address, "a/b:1"));
    for part in [0..100_000, 100_000..299_999, 299_999..300_000, 0..300_000] {
        let got = client.blob_part(&image, &layer, None, part.clone()).await.unwrap();
        assert_eq!(got.end, part.end);
        let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap());
        assert!(read_part(got).await == bytes[start..end], "{part:?}");
    }
    let asked: Vec<_> = fake.seen().iter().map(|seen| seen.header("range").map(str::to_owned)).collect();
    let expected = [Some("bytes=0-99999"), Some("bytes=100000-299998"), Some("bytes=299999-"), None];
    assert_eq!(asked, expected.map(|range| range.map(str::to_owned)));
    for part in [0..0, 10..300_001, 300_000..300_000] {
        let error = client.blob_part(&image, &layer, None, part).await.err().unwrap();
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}

#[tokio::test]
async fn a_host_without_ranges_gives_the_rest_of_the_blob_for_a_part() {
    let (bytes, layer) = blob(300_000);
    let sent = bytes.clone();
    let fake = Fake::start(move |_| Reply::ok(sent.clone())).await;
    let dir = tempfile::tempdir().unwrap();
    let image = reference(&fake.address, "a/b:1");
    let part = client(dir.path()).blob_part(&image, &layer, None, 50_000..100_000).await.unwrap();
    assert_eq!(part.end, 300_000, "the caller is told that no more has to be asked for");
    assert!(read_part(part).await == bytes[50_000..]);
}

#[tokio::test]
async fn a_part_that_breaks_goes_on_and_never_gives_more_than_was_asked() {
    let (bytes, layer) = blob(300_000);
    let (sent, calls) = (bytes.clone(), Arc::new(AtomicUsize::new(0)));
    let fake = Fake::start(move |seen| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => ranged(&sent, seen.header("range")).broken_after(30_000),
        // The host forgets how ranges work.
        _ => Reply::ok(sent.clone()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let image = reference(&fake.address, "a/b:1");
    let part = client(dir.path()).blob_part(&image, &layer, None, 100_000..200_000).await.unwrap();
    assert_eq!(part.end, 200_000);
    assert!(read_part(part).await == bytes[100_000..200_000]);
    assert_eq!(fake.seen()[1].header("range"), Some("bytes=130000-199999"));
}

#[tokio::test]
async fn a_part_of_a_blob_of_another_length_is_refused() {
    let (bytes, layer) = blob(300_000);
    let fake = Fake::start(move |_| {
        Reply::status(206).body(bytes[..1000].to_vec()).header("content-range", "bytes 0-999/300001")
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let image = reference(&fake.address, "a/b:1");
    let error = client(dir.path()).blob_part(&image, &layer, None, 0..1000).await.err().unwrap();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("300001"), "{error}");
}
