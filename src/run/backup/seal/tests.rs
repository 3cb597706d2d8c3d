use super::*;

fn key(byte: u8) -> Secret {
    Secret::key_file(&[byte; 32]).unwrap()
}

fn keys() -> Keys {
    Keys::fresh(&key(7)).unwrap()
}

fn sealed(keys: &Keys, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    keys.seal(&mut &*text, &mut out).unwrap();
    out
}

fn opened(secret: &Secret, mut file: &[u8]) -> Result<Vec<u8>> {
    let (path, mut out) = (Path::new("a.sealed"), Vec::new());
    let keys = Keys::of(secret, path, &mut { file })?;
    keys.unseal(path, &mut file, &mut out)?;
    Ok(out)
}

/// Text that repeats nowhere.
fn text(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// What the module's documentation says, with nothing of the module: the RFCs of HMAC, PBKDF2 and GCM alone.
fn by_the_book(main: [u8; 32], file: &[u8]) -> Vec<u8> {
    use aes_gcm::aead::{Aead, Payload};
    let (head, mut rest) = file.split_at(64);
    let hmac = |text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&main).unwrap();
        mac.update(text);
        mac.finalize().into_bytes()
    };
    assert_eq!(&head[..16], b"cutover-sealed/1");
    assert_eq!(&head[40..56], &hmac(b"cutover-sealed/1 check")[..16]);
    let cipher = Aes256Gcm::new_from_slice(&hmac(b"cutover-sealed/1 chunks")).unwrap();
    let (mut number, mut out) = (0_u32, Vec::new());
    loop {
        let (chunk, more) = rest.split_at(rest.len().min(65_536 + 16));
        let nonce = [&head[56..63], &number.to_be_bytes(), &[u8::from(more.is_empty())]].concat();
        let nonce = Nonce::try_from(nonce.as_slice()).unwrap();
        out.extend(cipher.decrypt(&nonce, Payload { msg: chunk, aad: head }).unwrap());
        (rest, number) = (more, number + 1);
        if more.is_empty() {
            return out;
        }
    }
}

#[test]
fn another_program_reads_what_the_documentation_says() {
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let text = text(length);
        let file = sealed(&keys(), &text);
        let chunks = length.div_ceil(65_536).max(1);
        assert_eq!(file.len(), 64 + length + 16 * chunks);
        assert_eq!((file[16], &file[20..24]), (2, &[0; 4][..]));
        let mut main = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        main.update(&file[24..40]);
        assert!(by_the_book(main.finalize().into_bytes().into(), &file) == text, "{length}");
        assert!(opened(&key(7), &file).unwrap() == text, "{length}");
    }
}

#[test]
fn a_passphrase_is_stretched() {
    let secret = Secret::passphrase("correct horse ☂".to_owned()).unwrap();
    let file = sealed(&Keys::fresh(&secret).unwrap(), b"hello");
    assert_eq!((file[16], &file[20..24]), (1, &600_000_u32.to_be_bytes()[..]));
    let main = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>("correct horse ☂".as_bytes(), &file[24..40], 600_000);
    assert_eq!(by_the_book(main, &file), b"hello");
    assert_eq!(opened(&secret, &file).unwrap(), b"hello");
    let wrong = opened(&Secret::passphrase("correct horse".to_owned()).unwrap(), &file).unwrap_err();
    assert_eq!((wrong.kind(), wrong.to_string().as_str()), (Kind::Usage, "a.sealed: the passphrase is wrong"));
    let wrong = opened(&key(7), &file).unwrap_err();
    assert_eq!(wrong.to_string(), "a.sealed: sealed with a passphrase, and a key file was given");
}

/// The vector of RFC 7914, section 11, for PBKDF2-HMAC-SHA256 with 80,000 iterations: what others call by that name is this.
#[test]
fn pbkdf2_is_that_of_the_rfc() {
    let key = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(b"Password", b"NaCl", 80_000);
    let hex = blake3::Hash::from_bytes(key).to_hex();
    assert_eq!(hex.as_str(), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

#[test]
fn every_changed_byte_is_found() {
    let file = sealed(&keys(), &text(300));
    for at in 0..file.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] ^= mask;
            assert!(opened(&key(7), &changed).is_err(), "byte {at} ^ {mask:02x}");
        }
        assert!(opened(&key(7), &file[..at]).is_err(), "cut off at {at}");
        let mut longer = file.clone();
        longer.insert(at, 0);
        assert!(opened(&key(7), &longer).is_err(), "a byte more at {at}");
    }
    let longer = [&file[..], b"\0"].concat();
    assert!(opened(&key(7), &longer).is_err(), "a byte more at the end");
}

#[test]
fn chunks_stay_where_they_are() {
    const FULL: usize = CHUNK + TAG;
    let keys = keys();
    let file = sealed(&keys, &text(3 * CHUNK));
    let (head, rest) = file.split_at(HEADER);
    let chunks: Vec<&[u8]> = rest.chunks(FULL).collect();
    let other = sealed(&keys, &text(3 * CHUNK));
    let made =
        |order: &[usize]| [head].into_iter().chain(order.iter().map(|&it| chunks[it])).collect::<Vec<_>>().concat();
    assert!(opened(&key(7), &made(&[0, 1, 2])).is_ok());
    for order in [&[][..], &[0], &[0, 1], &[1, 0, 2], &[0, 2], &[0, 1, 1, 2], &[0, 1, 2, 2], &[2]] {
        assert_eq!(opened(&key(7), &made(order)).unwrap_err().kind(), Kind::Snapshot, "{order:?}");
    }
    let mixed = [&file[..HEADER + FULL], &other[HEADER + FULL..]].concat();
    let error = opened(&key(7), &mixed).unwrap_err().to_string();
    let expect = "a.sealed: damaged at byte 65616: the chunk that begins there was changed, moved or cut off";
    assert_eq!(error, format!("{expect}; take another backup"));
}

#[test]
fn key_files() {
    let hex = "0707070707070707070707070707070707070707070707070707070707070707";
    let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let file = sealed(&keys(), b"x");
    for spelt in
        [hex.to_owned(), format!("{hex}\r\n"), base64.to_owned(), format!("{base64}\n"), base64.replace('=', "")]
    {
        assert!(opened(&Secret::key_file(spelt.as_bytes()).unwrap(), &file).is_ok(), "{spelt}");
    }
    for bad in [&b""[..], b"short", &[7; 31], &[7; 33], &hex.as_bytes()[1..], b"zz"] {
        assert_eq!(Secret::key_file(bad).unwrap_err().kind(), Kind::Usage, "{bad:?}");
    }
    assert_eq!(opened(&key(8), &file).unwrap_err().to_string(), "a.sealed: the key file is wrong");
    assert!(!format!("{:?}", key(0x41)).contains("65"));
}

#[test]
fn other_files_are_none() {
    let wrong = |file: &[u8]| opened(&key(7), file).unwrap_err().to_string();
    assert!(wrong(b"").contains("cut off in its header"));
    assert!(wrong(&[0; 100]).contains("no sealed file"));
    let mut newer = sealed(&keys(), b"x");
    newer[15] = b'2';
    assert!(wrong(&newer).contains("update cutover"));
    let mut slow = sealed(&Keys::derive(&Secret::passphrase("x".into()).unwrap(), 1, [0; 16]), b"x");
    slow[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
    let slow = opened(&Secret::passphrase("x".into()).unwrap(), &slow).unwrap_err();
    assert!(slow.to_string().contains("no sealed file"), "{slow}");
}

#[test]
fn equal_texts_are_sealed_apart() {
    let keys = keys();
    assert_ne!(sealed(&keys, b"same")[HEADER..], sealed(&keys, b"same")[HEADER..]);
}
