use rand::Rng as _;

/// A fresh id: 64 lower-case hex digits, as every CRI client expects.
pub(crate) fn new_id() -> String {
    hex::<32>()
}

/// `N` random bytes as hex digits.
pub(crate) fn hex<const N: usize>() -> String {
    let mut bytes = [0u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
