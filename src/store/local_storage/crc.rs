//! CRC-32C, as LevelDB masks it (`util/crc32c.h`): a checksum of bytes that hold checksums would be weak.

/// The remainders of every byte, for the reflected Castagnoli polynomial (RFC 3720, section 12.1).
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            remainder = (remainder >> 1) ^ (0x82f6_3b78 * (remainder & 1));
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The masked checksum of the parts, one behind the other.
pub(super) fn masked(parts: &[&[u8]]) -> u32 {
    let mut sum: u32 = !0;
    for part in parts {
        sum = part.iter().fold(sum, |sum, byte| (sum >> 8) ^ TABLE[usize::from(sum as u8 ^ byte)]);
    }
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksums() {
        for (parts, expect) in [
            (&[b"123456789".as_slice()] as &[&[u8]], 0xe306_9283_u32),
            (&[b"1234", b"56789"], 0xe306_9283),
            // RFC 3720, appendix B.4: 32 bytes of zeros.
            (&[&[0; 32]], 0x8a91_36aa),
        ] {
            let masked = expect.rotate_right(15).wrapping_add(0xa282_ead8);
            assert_eq!(super::masked(parts), masked, "{parts:?}");
        }
    }
}
