use std::collections::HashMap;

use libc::sock_filter as Instruction;

/// A place in a program, counted from its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Label(usize);

/// A program under construction, from its last instruction to its first: jumps lead forward only, so where they go is
/// known when they are written.
#[derive(Debug, Default)]
pub(crate) struct Code {
    reversed: Vec<Instruction>,
    returns: HashMap<u32, Label>,
}

/// How a jump compares the accumulator with its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
}

impl Code {
    /// Ends the program with a value. Each value is written once.
    pub(crate) fn end(&mut self, value: u32) -> Label {
        if let Some(label) = self.returns.get(&value) {
            return *label;
        }
        let label = self.put(libc::BPF_RET | libc::BPF_K, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// Loads a word of the kernel's `seccomp_data` and goes on behind it.
    pub(crate) fn load(&mut self, offset: u32) -> Label {
        self.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
    }

    /// Keeps these bits and goes on behind it.
    pub(crate) fn mask(&mut self, bits: u32) -> Label {
        self.put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, bits)
    }

    /// Goes one way or the other.
    pub(crate) fn branch(&mut self, test: Test, number: u32, then: Label, otherwise: Label) -> Label {
        if then == otherwise {
            return self.jump(then);
        }
        let code = match test {
            Test::Equal => libc::BPF_JEQ,
            Test::Greater => libc::BPF_JGT,
            Test::GreaterOrEqual => libc::BPF_JGE,
        };
        let then = self.near(then);
        let otherwise = self.near(otherwise);
        let far = |label| u8::try_from(self.distance(label)).unwrap_or(u8::MAX);
        let (then, otherwise) = (far(then), far(otherwise));
        self.put(libc::BPF_JMP | code | libc::BPF_K, then, otherwise, number)
    }

    /// The label of what was written last, where it is the one wanted; else a jump there.
    pub(crate) fn jump(&mut self, label: Label) -> Label {
        let distance = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
        if distance == 0 { label } else { self.put(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance) }
    }

    /// The finished program.
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// The label, or a jump to it that is near enough for a branch: one more instruction may come between.
    fn near(&mut self, label: Label) -> Label {
        if self.distance(label) + 2 > usize::from(u8::MAX) { self.jump(label) } else { label }
    }

    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0
    }

    fn put(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k });
        Label(self.reversed.len())
    }
}
