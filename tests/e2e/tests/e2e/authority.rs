//! Clients whose requests name the socket's path as their authority.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use wharf_e2e::Node;
use wharf_testkit::python_grpc;

/// A connection of grpcio 1.85 that asks for CRI's version, byte for byte but for the authority.
fn connection(authority: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let literal = |block: &mut Vec<u8>, name: &str, value: &str| {
        block.push(0x40);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    };
    literal(&mut block, ":path", "/runtime.v1.RuntimeService/Version");
    literal(&mut block, ":authority", authority);
    block.extend_from_slice(&[0x83, 0x86]);
    literal(&mut block, "content-type", "application/grpc");
    literal(&mut block, "te", "trailers");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    // An empty message, and no more.
    bytes.extend_from_slice(b"\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0");
    bytes
}

#[test]
fn a_path_as_authority_is_understood() {
    let Some(node) = Node::empty() else { return };
    let socket = node.daemon.socket();
    for authority in ["localhost", "run%2Fwharf%2Fwharf.sock", "/run/wharf/wharf.sock", "unix:/run/wharf/wharf.sock"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(&connection(authority)).unwrap();
        let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
        while !answer.windows(5).any(|some| some == b"wharf") {
            let read = stream.read(&mut chunk).unwrap_or_else(|error| panic!("{authority}: {error} after {answer:?}"));
            assert!(read > 0, "{authority}: the connection ends after {answer:?}");
            answer.extend_from_slice(&chunk[..read]);
        }
    }
    node.finish();
}

/// CRI's version, three times over one channel, without generated code: an answer's second field is the runtime's name.
const ASK: &str = r#"
import grpc, sys
channel = grpc.insecure_channel("unix:" + sys.argv[1])
ask = channel.unary_unary("/runtime.v1.RuntimeService/Version", request_serializer=bytes, response_deserializer=bytes)
for _ in range(3):
    assert b"\x12\x05wharf" in ask(b"", timeout=60)
print(grpc.__version__)
"#;

#[test]
fn pythons_grpc_is_a_client() {
    let Some(node) = Node::empty() else { return };
    // The bytes that it sends are tested above, so a machine without PyPI proves the same.
    match python_grpc() {
        Err(error) => eprintln!("without Python's grpcio: {error:#}"),
        Ok(python) => {
            let out = Command::new(python).args(["-c", ASK]).arg(node.daemon.socket()).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
    }
    node.finish();
}
