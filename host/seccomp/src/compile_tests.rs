use serde_json::{Value, json};

use super::*;
use crate::interpreter::{run, run_number};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

fn errno(number: u32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number
}

fn filter(profile: Value) -> Filter {
    compile(&serde_json::from_value(profile).unwrap(), Architecture::X86_64).unwrap()
}

fn refusal(profile: Value) -> String {
    compile(&serde_json::from_value(profile).unwrap(), Architecture::X86_64).unwrap_err().to_string()
}

fn first(value: u64) -> [u64; 6] {
    [value, 0, 0, 0, 0, 0]
}

/// One rule for mkdir with these arguments, allowed; all else gets error 5.
fn with_arguments(arguments: Value) -> Filter {
    filter(json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5, "syscalls": [
        { "names": ["mkdir", "swapoff"], "action": "SCMP_ACT_ALLOW", "args": arguments },
        { "names": ["file_setattr"], "action": "SCMP_ACT_ALLOW" },
    ] }))
}

#[test]
fn every_action_is_what_it_says() {
    let names = ["read", "write", "open", "close", "stat", "fstat", "lstat"];
    let actions = ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "LOG"];
    let rules: Vec<_> = names
        .iter()
        .zip(actions)
        .map(|(name, action)| json!({ "names": [name], "action": format!("SCMP_ACT_{action}") }))
        .collect();
    let filter = filter(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    let values = [0, 0, KILL, libc::SECCOMP_RET_TRAP, errno(1), libc::SECCOMP_RET_TRACE | 1, libc::SECCOMP_RET_LOG];
    for (name, value) in names.iter().zip(values) {
        assert_eq!(run(&filter.program, Architecture::X86_64, name, [0; 6]), value, "{name}");
    }
    assert_eq!(run(&filter.program, Architecture::X86_64, "poll", [0; 6]), ALLOW);
    assert_eq!(filter.flags, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

#[test]
fn arguments_are_compared_in_all_64_bits() {
    let (small, large) = (0x7, 0x7_0000_0000_u64);
    for (operator, value, yes, no) in [
        ("EQ", large + 3, vec![large + 3], vec![3, large, large + 4, large * 2 + 3]),
        ("NE", large + 3, vec![3, large, large * 2 + 3], vec![large + 3]),
        ("GT", large, vec![large + 1, large * 2], vec![large, small, large - 1]),
        ("GE", large, vec![large, large + 1, large * 2], vec![small, large - 1]),
        ("LT", large, vec![small, large - 1, 0], vec![large, large + 1, large * 2]),
        ("LE", large, vec![small, large, 0], vec![large + 1, large * 2]),
    ] {
        let filter = with_arguments(json!([{ "index": 3, "value": value, "op": format!("SCMP_CMP_{operator}") }]));
        for (values, wanted) in [(yes, ALLOW), (no, errno(5))] {
            for argument in values {
                let arguments = [0, 0, 0, argument, 0, 0];
                let answer = run(&filter.program, Architecture::X86_64, "mkdir", arguments);
                assert_eq!(answer, wanted, "{operator} {value:#x} of {argument:#x}");
            }
        }
    }
    let masked = json!([{ "index": 0, "value": 0xff_0000_00ff_u64, "valueTwo": 0x11_0000_0022_u64, "op": "SCMP_CMP_MASKED_EQ" }]);
    let filter = with_arguments(masked);
    let answer = |value| run(&filter.program, Architecture::X86_64, "mkdir", first(value));
    assert_eq!(answer(0xffff_ff11_ffff_ff22), ALLOW);
    assert_eq!(answer(0xffff_ff12_ffff_ff22), errno(5));
    assert_eq!(answer(0xffff_ff11_ffff_ff23), errno(5));
}

#[test]
fn conditions_on_several_arguments_must_all_hold_and_on_one_any() {
    let eq = |index: u32, value: u64| json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" });
    let both = with_arguments(json!([eq(0, 1), eq(1, 2)]));
    let answer = |filter: &Filter, arguments| run(&filter.program, Architecture::X86_64, "mkdir", arguments);
    assert_eq!(answer(&both, [1, 2, 0, 0, 0, 0]), ALLOW);
    assert_eq!(answer(&both, [1, 1, 0, 0, 0, 0]), errno(5));
    let either = with_arguments(json!([eq(0, 1), eq(0, 2)]));
    assert_eq!(answer(&either, first(1)), ALLOW);
    assert_eq!(answer(&either, first(2)), ALLOW);
    assert_eq!(answer(&either, first(3)), errno(5));
}

#[test]
fn of_several_rules_the_one_without_arguments_wins_then_the_first() {
    let rule = |number: u32, arguments: Value| json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": number, "args": arguments });
    let when = |value: u64| json!([{ "index": 0, "value": value, "op": "SCMP_CMP_GE" }]);
    let answer = |rules: Value, value| {
        let filter = filter(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
        run(&filter.program, Architecture::X86_64, "mkdir", first(value))
    };
    let two = json!([rule(7, when(10)), rule(8, when(5))]);
    assert_eq!((answer(two.clone(), 12), answer(two.clone(), 6), answer(two, 1)), (errno(7), errno(8), ALLOW));
    assert_eq!(answer(json!([rule(7, when(10)), rule(8, json!([])), rule(9, json!([]))]), 12), errno(8));
    // What the default says anyway is no rule, and outweighs none.
    let same = json!([rule(7, when(10)), { "names": ["mkdir"], "action": "SCMP_ACT_ALLOW" }]);
    assert_eq!(answer(same, 12), errno(7));
}

#[test]
fn architectures_that_are_not_listed_kill() {
    let profile =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }] });
    let native = filter(profile.clone());
    assert_eq!(run(&native.program, Architecture::X86_64, "mkdir", [0; 6]), errno(1));
    for (other, number) in [(Architecture::X86, 39), (Architecture::Aarch64, 34), (Architecture::X32, X32_BIT | 83)] {
        assert_eq!(run_number(&native.program, other.audit(), number, [0; 6]), KILL, "{other:?}");
    }
    let mut all = profile;
    all["architectures"] = json!(["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_S390X", "SCMP_ARCH_ARM"]);
    let all = filter(all);
    for architecture in [Architecture::X86_64, Architecture::X86, Architecture::X32, Architecture::Arm] {
        assert_eq!(run(&all.program, architecture, "mkdir", [0; 6]), errno(1), "{architecture:?}");
        assert_eq!(run(&all.program, architecture, "rmdir", [0; 6]), ALLOW, "{architecture:?}");
    }
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let profile = |action: &str| {
        json!({ "defaultAction": action, "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        { "names": ["read", "clone3"], "action": "SCMP_ACT_ALLOW" }
    ] })
    };
    let newer = |action: &str, audit, number| run_number(&filter(profile(action)).program, audit, number, [0; 6]);
    let audit = Architecture::X86_64.audit();
    assert_eq!(newer("SCMP_ACT_ERRNO", audit, 436), errno(38));
    assert_eq!(newer("SCMP_ACT_ERRNO", audit, 0x3fff_ffff), errno(38));
    assert_eq!(newer("SCMP_ACT_KILL_PROCESS", audit, 436), errno(38));
    assert_eq!(newer("SCMP_ACT_ERRNO", audit, 434), errno(1));
    assert_eq!(newer("SCMP_ACT_ERRNO", audit, 435), ALLOW);
    assert_eq!(newer("SCMP_ACT_LOG", audit, 436), libc::SECCOMP_RET_LOG);
    assert_eq!(newer("SCMP_ACT_ERRNO", Architecture::X86.audit(), 500), errno(38));
}

#[test]
fn arms_private_calls_do_not_count_as_new() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_ARM"], "syscalls": [
        { "names": ["read", "set_tls"], "action": "SCMP_ACT_ALLOW" }
    ] });
    let filter = compile(&serde_json::from_value(profile).unwrap(), Architecture::Aarch64).unwrap();
    assert_eq!(run(&filter.program, Architecture::Arm, "set_tls", [0; 6]), ALLOW);
    assert_eq!(run(&filter.program, Architecture::Arm, "cacheflush", [0; 6]), errno(38));
    assert_eq!(run(&filter.program, Architecture::Arm, "write", [0; 6]), errno(38));
    assert_eq!(run(&filter.program, Architecture::Aarch64, "read", [0; 6]), ALLOW);
}

#[test]
fn on_i386_sockets_have_a_second_door() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        { "names": ["connect"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }
    ] });
    let filter = filter(profile);
    assert_eq!(run(&filter.program, Architecture::X86, "socketcall", first(3)), errno(13));
    assert_eq!(run(&filter.program, Architecture::X86, "socketcall", first(1)), ALLOW);
    assert_eq!(run(&filter.program, Architecture::X86, "connect", [0; 6]), errno(13));
}

#[test]
fn a_rule_a_call_with_its_own_number_still_fits() {
    // Every call with a value of its own: no ranges to merge, all trampolines in use.
    let names: Vec<_> = syscalls::x86_64::Sysno::iter().map(|call| call.name()).collect();
    let rules: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, number)| {
            json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": number,
            "args": [{ "index": 5, "value": number, "op": "SCMP_CMP_EQ" }] })
        })
        .collect();
    let filter = filter(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    for (name, number) in names.iter().zip(1_u32..) {
        let arguments = |value: u32| [0, 0, 0, 0, 0, value.into()];
        assert_eq!(run(&filter.program, Architecture::X86_64, name, arguments(number)), errno(number), "{name}");
        assert_eq!(run(&filter.program, Architecture::X86_64, name, arguments(0)), ALLOW, "{name}");
    }
}

#[test]
fn contradictions_are_refused_by_field() {
    let with = |field: &str, value: Value| {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
        profile[field] = value;
        refusal(profile)
    };
    let rule = |rule: Value| with("syscalls", json!([rule]));
    for (text, wanted) in [
        (with("defaultAction", "SCMP_ACT_NOTIFY".into()), "default action"),
        (with("defaultErrnoRet", 5.into()), "defaultErrnoRet 5: SCMP_ACT_ALLOW takes no error number"),
        (with("flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])), "SCMP_ACT_NOTIFY"),
        (rule(json!({ "names": ["write"], "action": "SCMP_ACT_NOTIFY" })), "write syscall"),
        (rule(json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" })), "listenerPath"),
        (rule(json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000 })), "errnoRet 5000"),
        (rule(json!({ "names": [], "action": "SCMP_ACT_ERRNO" })), "names none"),
        (
            rule(
                json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] }),
            ),
            "args.index 6",
        ),
    ] {
        assert!(text.starts_with("linux.seccomp: ") && text.contains(wanted), "{text:?} is not about {wanted:?}");
    }
    let many = (0..3000).map(|value| json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" })).collect::<Vec<_>>();
    assert!(
        rule(json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": many })).contains("the kernel takes 4096")
    );
}

#[test]
fn flags_are_the_kernel_s() {
    let flags = |list: Value| filter(json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": list })).flags;
    assert_eq!(flags(json!([])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), 0);
    let two = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    assert_eq!(flags(two), libc::SECCOMP_FILTER_FLAG_LOG | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}
