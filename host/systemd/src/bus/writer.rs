use super::{Properties, Value};

/// Encodes values one after the other, in this machine's order of bytes.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Zeros up to a multiple of `to`.
    pub(crate) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_ne_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_ne_bytes());
    }

    /// Also an object's path.
    pub(crate) fn string(&mut self, value: &str) {
        self.u32(length(value.len()));
        self.bytes.extend(value.as_bytes());
        self.byte(0);
    }

    pub(crate) fn signature(&mut self, value: &str) {
        self.byte(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.bytes.extend(value.as_bytes());
        self.byte(0);
    }

    /// `align`: that of an element, before the first of which its padding is not counted.
    pub(crate) fn array(&mut self, align: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.bytes.len();
        self.align(align);
        let begin = self.bytes.len();
        elements(self);
        let written = length(self.bytes.len() - begin);
        self.bytes[at - 4..at].copy_from_slice(&written.to_ne_bytes());
    }

    /// `v`
    pub(crate) fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Bool(value) => self.bool(*value),
            Value::U64(value) => self.u64(*value),
            Value::String(value) => self.string(value),
            Value::U32s(values) => self.array(4, |array| values.iter().for_each(|value| array.u32(*value))),
            Value::Bytes(values) => self.array(1, |array| array.bytes.extend(values)),
        }
    }

    /// `a(sv)`
    pub(crate) fn properties(&mut self, properties: &Properties) {
        self.array(8, |array| {
            for (name, value) in properties {
                array.align(8);
                array.string(name);
                array.variant(value);
            }
        });
    }
}

/// Nothing here comes near what a length can say; a message that did would be refused as broken.
fn length(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
