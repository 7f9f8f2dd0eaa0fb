use super::*;

const HEX: &str = "6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

fn normal(text: &str) -> String {
    text.parse::<Reference>().unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn names_mean_what_docker_and_containerd_mean_by_them() {
    for (written, meant) in [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("someone/thing:v1", "docker.io/someone/thing:v1"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x"),
        ("quay.io/a/b", "quay.io/a/b:latest"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("Registry/x", "Registry/x:latest"),
        ("a/b__c/d--e.f", "docker.io/a/b__c/d--e.f:latest"),
    ] {
        assert_eq!(normal(written), meant);
        assert_eq!(normal(meant), meant, "normalising twice changes nothing");
    }
}

#[test]
fn a_digest_needs_no_tag_and_wins_over_one() {
    assert_eq!(normal(&format!("busybox@sha256:{HEX}")), format!("docker.io/library/busybox@sha256:{HEX}"));
    let both: Reference = format!("host:5000/a/b:tag@sha256:{HEX}").parse().unwrap();
    assert_eq!((both.registry(), both.repository(), both.tag()), ("host:5000", "a/b", Some("tag")));
    assert_eq!(both.object(), format!("sha256:{HEX}"));
    assert_eq!(both.at(both.digest().unwrap()).to_string(), format!("host:5000/a/b@sha256:{HEX}"));
}

#[test]
fn what_no_registry_could_be_asked_for_is_refused() {
    let upper = HEX.to_uppercase();
    for bad in [
        "",
        HEX,
        "https://quay.io/a",
        "Busybox",
        "a//b",
        "/a",
        "a/",
        "a/../b",
        "quay.io/",
        "quay.io/.a",
        "quay.io/a_-b",
        "quay.io/a___b",
        "quay.io/a..b",
        "busybox:",
        "busybox:-x",
        "busybox:a b",
        "busybox@sha256:12",
        &format!("busybox@sha256:{upper}"),
        &format!("busybox@sha512:{HEX}"),
        &format!("busybox@sha384:{HEX}{}", &HEX[..32]),
        &format!("busybox@md5:{HEX}"),
        &format!("busybox@sha256:{HEX}@sha256:{HEX}"),
        "host:port/a",
        "host:99999/a",
        "host:0/a",
        "[::1/a",
        "[::g]:1/a",
        "-a.example/a",
        "a..example/a",
        "ex ample.org/a",
        "busybox:a\n",
        "quay.io/ä",
        &format!("quay.io/{}", "a".repeat(256)),
        &format!("busybox:{}", "a".repeat(129)),
    ] {
        assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
    }
}

#[test]
fn any_text_is_parsed_or_refused_and_what_is_parsed_stays_itself() {
    // A small xorshift over the characters that matter finds the corners that a list of examples leaves out.
    let alphabet: Vec<char> = "abZ09.:/@_-[]% lé".chars().collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut taken = 0;
    for _ in 0..200_000 {
        let mut text = String::new();
        for _ in 0..(state % 14) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state % alphabet.len() as u64).unwrap();
            text.push(alphabet[at]);
        }
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        if let Ok(reference) = text.parse::<Reference>() {
            taken += 1;
            assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "{text:?}");
        }
    }
    assert!(taken > 100, "the generator makes some good names ({taken})");
}
