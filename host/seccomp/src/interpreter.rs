//! Runs a filter as the kernel would, for tests.

use libc::sock_filter as Instruction;

use crate::{Architecture, architecture::X32_BIT};

/// What a filter answers to a system call, by name.
pub(crate) fn run(program: &[Instruction], architecture: Architecture, name: &str, arguments: [u64; 6]) -> u32 {
    let number = architecture.number(name).unwrap_or_else(|| panic!("{architecture:?} has no {name}"));
    let base = if architecture == Architecture::X32 { X32_BIT } else { 0 };
    run_number(program, architecture.audit(), base | number, arguments)
}

/// The same by number.
pub(crate) fn run_number(program: &[Instruction], audit: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(audit.to_le_bytes());
    data.extend([0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut value) = (0_usize, 0_u32);
    for _ in 0..program.len() {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let code = u32::from(code);
        let way = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            _ if code == libc::BPF_RET | libc::BPF_K => return k,
            _ if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                let at = usize::try_from(k).unwrap();
                assert_eq!(at % 4, 0, "the kernel takes aligned words only");
                value = u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
            }
            _ if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => value &= k,
            _ if code == libc::BPF_JMP | libc::BPF_JA => at += usize::try_from(k).unwrap(),
            _ if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => at += way(value == k),
            _ if code == libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K => at += way(value > k),
            _ if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => at += way(value >= k),
            _ => panic!("instruction {code:#x}"),
        }
    }
    panic!("the program does not end");
}
