//! The texts of a browser: rows of UTF-16 units, of which half a surrogate pair may be one.
//!
//! They become WTF-8 (simonsapin.github.io/wtf-8): UTF-8 that can hold half a pair, as the three bytes that its number would
//! have. What holds none is plain UTF-8, and no two texts become the same bytes.

use std::io::Read;

/// Bytes that one value may have when it is unpacked.
const LIMIT: usize = 256 << 20;

/// The text that units of two bytes, the lower first, stand for. Nothing, if one is cut off.
pub(super) fn of_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    let mut out = Vec::with_capacity(bytes.len());
    for unit in char::decode_utf16(units.iter().map(|it| u16::from_le_bytes(*it))) {
        match unit {
            Ok(it) => out.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(it) => {
                let unit = it.unpaired_surrogate();
                out.extend([12, 6, 0].map(|shift| 0x80 | (unit >> shift & 0x3f) as u8));
                let lead = out.len() - 3;
                out[lead] = 0xe0 | (unit >> 12) as u8;
            }
        }
    }
    Some(out)
}

/// The UTF-16 units that a text of WTF-8 stands for.
pub(crate) fn to_utf16(text: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        units.extend(chunk.valid().encode_utf16());
        // UTF-8 takes each of the three bytes of half a pair for one that is wrong.
        if let &[byte] = chunk.invalid() {
            match byte {
                0xed => units.push(0xd),
                _ => {
                    if let Some(unit) = units.last_mut() {
                        *unit = *unit << 6 | u16::from(byte & 0x3f);
                    }
                }
            }
        }
    }
    units
}

/// The text that units of one byte stand for.
pub(super) fn of_latin1(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&it| char::from(it)).collect::<String>().into_bytes()
}

/// The text of Chromium: a byte that says which units follow, then these. Nothing, if it is not one.
pub(super) fn of_chromium(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes.split_first()? {
        (0, rest) => of_utf16(rest),
        (1, rest) => Some(of_latin1(rest)),
        _ => None,
    }
}

/// How many UTF-16 units a text has.
pub(super) fn units(text: &[u8]) -> u64 {
    text.iter().map(|&it| u64::from(it & 0xc0 != 0x80) + u64::from(it >= 0xf0)).sum()
}

/// Unpacks raw Snappy. Nothing, if it is none or too large.
pub(super) fn unpack_snappy(bytes: &[u8]) -> Option<Vec<u8>> {
    snap::raw::decompress_len(bytes).ok().filter(|&it| it <= LIMIT)?;
    snap::raw::Decoder::new().decompress_vec(bytes).ok()
}

/// Unpacks Zstandard. Nothing, if it is none or too large.
pub(super) fn unpack_zstd(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let unpacked = zstd::Decoder::new(bytes).ok()?.take(LIMIT as u64 + 1).read_to_end(&mut out);
    unpacked.ok().filter(|&it| it <= LIMIT).map(|_| out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_wtf_8() {
        for (units, expect) in [
            (&[] as &[u16], b"" as &[u8]),
            (&[0x61, 0], b"a\0"),
            (&[0x65e5, 0xd83d, 0xde00], "日😀".as_bytes()),
            (&[0x61, 0xd800, 0x62], b"a\xed\xa0\x80b"),
            (&[0xdc00], b"\xed\xb0\x80"),
            (&[0xde00, 0xd83d], b"\xed\xb8\x80\xed\xa0\xbd"),
            (&[0xd83d, 0xd83d, 0xde00], b"\xed\xa0\xbd\xf0\x9f\x98\x80"),
        ] {
            let bytes: Vec<u8> = units.iter().flat_map(|it| it.to_le_bytes()).collect();
            let text = of_utf16(&bytes).unwrap();
            assert_eq!(text, expect, "{units:x?}");
            assert_eq!(super::units(&text), units.len() as u64, "{units:x?}");
            assert_eq!(to_utf16(&text), units);
        }
        assert_eq!(of_utf16(b"a"), None);
    }

    #[test]
    fn the_first_byte_says_which() {
        for (bytes, expect) in [
            (b"" as &[u8], None),
            (b"\x01", Some("")),
            (b"\x00", Some("")),
            (b"\x01caf\xe9 \xff", Some("café ÿ")),
            (b"\x00\xe5\x65", Some("日")),
            (b"\x00\xe5", None),
            (b"\x02a", None),
        ] {
            assert_eq!(of_chromium(bytes), expect.map(|it| it.as_bytes().to_vec()), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_packed_is_refused() {
        assert_eq!(unpack_snappy(b"\xff\xff\xff\xff\xff"), None);
        assert_eq!(unpack_snappy(b"\xff\xff\xff\xff\x0fabc"), None);
        assert_eq!(unpack_zstd(b"abc"), None);
        assert_eq!(unpack_zstd(&zstd::encode_all(&b"abc"[..], 1).unwrap()), Some(b"abc".to_vec()));
    }
}
