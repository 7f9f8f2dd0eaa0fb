use loona_hpack::Decoder;

use super::*;

const SETTINGS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
const DATA: &[u8] = b"\0\0\x05\0\x01\0\0\0\x01hello";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, kind, flags, 0, 0, 0, stream];
    frame[1..3].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block as grpcio 1.85 sends one: each header a literal that goes into the table.
fn block(authority: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":path", "/runtime.v1.RuntimeService/Version"), (":authority", authority)] {
        block.push(0x40);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    // :method POST, :scheme http
    block.extend_from_slice(&[0x83, 0x86]);
    block
}

/// What comes out, for input in pieces of this size.
fn through(input: &[u8], piece: usize) -> io::Result<(Vec<u8>, bool)> {
    let (mut filter, mut out) = (Filter::default(), Vec::new());
    for piece in input.chunks(piece) {
        filter.pass(piece, &mut out)?;
    }
    Ok((out, filter.is_open()))
}

fn begin() -> Vec<u8> {
    [PREFACE, SETTINGS].concat()
}

/// The authorities of all requests in it.
fn authorities(mut bytes: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    bytes = &bytes[PREFACE.len()..];
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = Head::read(*head);
        if head.begins_headers() {
            assert!(head.ends_headers());
            let list = decoder.decode(head.fragment(&rest[..head.length]).unwrap()).unwrap();
            all.extend(list.iter().filter(|(name, _)| name == b":authority").map(|(_, value)| {
                assert!(
                    list.contains(&(b":method".to_vec(), b"POST".to_vec())),
                    "the others are as they were: {list:?}"
                );
                String::from_utf8(value.clone()).unwrap()
            }));
        }
        bytes = &rest[head.length..];
    }
    all
}

#[test]
fn a_good_authority_opens_the_connection_and_nothing_is_changed() {
    let input = [begin(), frame(1, 4, 1, &block("localhost")), DATA.to_vec(), b"whatever comes".to_vec()].concat();
    for piece in [1, 7, input.len()] {
        assert_eq!(through(&input, piece).unwrap(), (input.clone(), true));
    }
}

#[test]
fn a_path_becomes_localhost_in_every_request() {
    // The second request names the first one's headers by their place in the table.
    let again = [0xBE, 0xBF, 0x83, 0x86];
    for path in ["tmp%2Fwharf.sock", "/run/wharf/wharf.sock", "unix:/run/wharf.sock", ""] {
        let requests = [frame(1, 4, 1, &block(path)), DATA.to_vec(), frame(1, 5, 3, &again), DATA.to_vec()].concat();
        let input = [begin(), requests].concat();
        for piece in [1, 7, input.len()] {
            let (out, open) = through(&input, piece).unwrap();
            assert!(!open && out.starts_with(&begin()) && out.ends_with(DATA), "{path}");
            assert_eq!(authorities(&out), ["localhost", "localhost"], "{path} in pieces of {piece}");
        }
    }
}

#[test]
fn settings_pass_before_a_request_is_whole() {
    let request = frame(1, 4, 1, &block("tmp%2Fwharf.sock"));
    let input = [begin(), request[..request.len() - 1].to_vec()].concat();
    assert_eq!(through(&input, 3).unwrap().0, begin());
}

#[test]
fn headers_in_several_frames_with_padding_and_priority_are_one() {
    let block = block("tmp%2Fwharf.sock");
    let (first, second) = block.split_at(20);
    let padded = [&[3, 0, 0, 0, 0, 16][..], first, &[0, 0, 0]].concat();
    let input = [begin(), frame(1, 0x8 | 0x20 | 0x1, 1, &padded), frame(9, 4, 1, second)].concat();
    let (out, _) = through(&input, 1).unwrap();
    assert_eq!(authorities(&out), ["localhost"]);
    assert_eq!(out[begin().len() + 4], 0x5, "the end of the stream is kept");
}

#[test]
fn what_is_no_request_is_for_whoever_reads_it() {
    for input in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [begin(), frame(1, 4, 1, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF])].concat(),
        [begin(), frame(1, 0x8 | 4, 1, &[200, 1])].concat(),
        [begin(), frame(1, 0, 1, &[0x83]), frame(0, 0, 1, b"no")].concat(),
        [begin(), vec![0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0, 1, 0, 0]].concat(),
    ] {
        for piece in [1, input.len()] {
            assert_eq!(through(&input, piece).unwrap(), (input.clone(), true));
        }
    }
}

#[test]
fn a_mended_connection_ends_at_what_cannot_be_understood() {
    let mended = [begin(), frame(1, 4, 1, &block("/run/wharf.sock"))].concat();
    for bad in [frame(1, 4, 3, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), [frame(1, 0, 3, &[0x83]), DATA.to_vec()].concat()] {
        assert_eq!(through(&[mended.clone(), bad].concat(), 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_long_block_and_a_short_one_that_means_much_are_refused() {
    let mended = [begin(), frame(1, 4, 1, &block("/run/wharf.sock"))].concat();
    let endless = (0..20).flat_map(|n| frame(if n == 0 { 1 } else { 9 }, 0, 3, &[0x83; 16000])).collect();
    let long = [&[0x40, 1, b'a', 0x7F, 0xA1, 0x1E][..], &[b'x'; 4000]].concat();
    let bomb = [frame(1, 4, 3, &long), frame(1, 4, 5, &[0xBE; 10_000])].concat();
    for bad in [endless, bomb] {
        let error = through(&[mended.clone(), bad].concat(), 4096).unwrap_err();
        assert!(error.to_string().contains("too long") || error.to_string().contains("more than"), "{error}");
    }
}
