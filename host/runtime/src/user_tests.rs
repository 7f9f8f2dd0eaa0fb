use super::*;

fn accounts() -> Accounts {
    Accounts {
        passwd: b"root:x:0:0:root:/root:/bin/sh\n# comment:x:7:7::/:\nwww-data:x:33:33:www:/var/www:/bin/false\n\
            overflow:x:4294967296:0::/:/bin/sh\nnegative:x:-1:0::/:/bin/sh\nshort:x\n1000:x:4242:4242::/odd:/bin/sh\n\
            dev:x:1001:1001:a,b,c:/home/dev\n\xff\xfe:x:3:3::/:\n"
            .to_vec(),
        group: b"root:x:0:\nwww-data:x:33:\naudio:x:29:www-data,dev\nvideo:x:44:dev\nbroken\nbig:x:99999999999:dev\n"
            .to_vec(),
    }
}

fn user(name: &str) -> User {
    serde_json::from_value(serde_json::json!({
        "uid": 77, "gid": 78, "additionalGids": [5, 29], "username": name,
    }))
    .unwrap()
}

fn identified(name: &str) -> Identity {
    identify(&user(name), &accounts(), true).unwrap()
}

#[test]
fn without_a_name_the_numbers_stand() {
    let identity = identified("");
    assert_eq!((identity.uid, identity.gid, identity.groups.as_slice()), (77, 78, &[5, 29][..]));
    assert_eq!(identity.home, "/");
}

#[test]
fn a_name_brings_group_groups_and_home() {
    let identity = identified("dev");
    assert_eq!((identity.uid, identity.gid), (1001, 1001));
    assert_eq!(identity.groups, [1001, 5, 29, 44]);
    assert_eq!(identity.home, "/home/dev");
}

#[test]
fn a_number_finds_its_account_and_needs_none() {
    let identity = identified("33");
    assert_eq!((identity.uid, identity.gid, identity.home.as_str()), (33, 33, "/var/www"));
    assert_eq!(identity.groups, [33, 5, 29]);
    let identity = identified("12345");
    assert_eq!((identity.uid, identity.gid, identity.home.as_str()), (12345, 0, "/"));
    assert_eq!(identified("1000").uid, 4242, "a name of digits is a name first");
}

#[test]
fn a_group_is_a_name_or_a_number() {
    assert_eq!(identified("dev:audio").gid, 29);
    assert_eq!(identified("dev:31337").gid, 31337);
    assert_eq!(identified("4000:4001").gid, 4001);
    assert_eq!(identified("root:video").gid, 44);
}

#[test]
fn strict_takes_no_group_of_the_image_but_the_users_own() {
    let identity = identify(&user("dev"), &accounts(), false).unwrap();
    assert_eq!(identity.groups, [1001, 5, 29]);
}

#[test]
fn who_is_not_there_is_told_in_known_words() {
    let error = |name: &str| identify(&user(name), &accounts(), true).unwrap_err().to_string();
    assert_eq!(error("foo"), "unable to find user foo: no matching entries in passwd file");
    assert_eq!(error("dev:foo"), "unable to find group foo: no matching entries in group file");
    assert_eq!(error("short"), "unable to find user short: no matching entries in passwd file");
}

#[test]
fn numbers_never_wrap() {
    for name in [
        "4294967296",
        "4294967295",
        "-1",
        "+5",
        "18446744073709551616",
        "0:4294967296",
        "0:-1",
        "99999999999999999999999999999999:0",
        "overflow",
        "negative",
        ":",
        "dev:",
        ":0",
        "dev:audio:video",
        " 0",
        "0x0",
    ] {
        assert!(identify(&user(name), &accounts(), true).is_err(), "{name:?} is taken");
    }
}

#[test]
fn any_text_gives_an_answer_and_only_root_is_root() {
    // A cheap generator: every string over what user strings are made of.
    let alphabet = ["0", "1", "9", "-", ":", "r", "dev", " ", "\u{7f}", "4294967296", "\n"];
    for a in alphabet {
        for b in alphabet {
            for c in alphabet {
                let name = format!("{a}{b}{c}");
                if let Ok(identity) = identify(&user(&name), &accounts(), true)
                    && identity.uid == 0
                {
                    let who = name.split(':').next().unwrap();
                    assert!(who.bytes().all(|byte| byte == b'0'), "{name:?} became root");
                }
            }
        }
    }
}

#[test]
fn a_home_is_a_path_of_one_line() {
    let accounts =
        |home: &str| Accounts { passwd: format!("a:x:5:5::{home}:/bin/sh\n").into_bytes(), group: Vec::new() };
    for (home, taken) in [("/home/a", "/home/a"), ("", "/"), ("relative", "/"), ("/a\u{7}b", "/")] {
        assert_eq!(identify(&user("a"), &accounts(home), true).unwrap().home, taken);
    }
}
