//! What a series is known by, for an alert that does not say it.

use crate::bridge::alert::Labels;

/// FNV-1a with 64 bits.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// No text in UTF-8 has this byte, so no two sets of labels run together to the same bytes.
const SEPARATOR: u8 = 0xff;

/// The fingerprint of labels as Alertmanager computes it.
pub fn fingerprint(labels: &Labels) -> String {
    let bytes = labels.iter().flat_map(|(name, value)| {
        name.bytes().chain(std::iter::once(SEPARATOR)).chain(value.bytes()).chain(std::iter::once(SEPARATOR))
    });
    let hash = bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}
