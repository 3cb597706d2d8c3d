use super::*;
use rusty_leveldb::{DB, Options, WriteBatch};
use std::{collections::BTreeMap, fs};
use tempfile::TempDir;

/// What a database holds: the last value of each key.
type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(folder: &Path) -> Result<Content> {
    let mut last: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)> = BTreeMap::new();
    read(folder, &mut |version| {
        let before = last.get(version.key).map(|it| it.0);
        if before.is_none_or(|it| it < version.sequence) {
            last.insert(version.key.to_vec(), (version.sequence, version.value.map(<[u8]>::to_vec)));
        }
        Ok(())
    })?;
    Ok(last.into_iter().filter_map(|(key, (_, value))| Some((key, value?))).collect())
}

/// A database that another implementation wrote, in `rounds` sessions, and what it holds.
fn written(rounds: u32, keys: u32, buffer: usize, compressor: u8) -> (TempDir, Content) {
    let home = tempfile::tempdir().unwrap();
    let mut expect = Content::new();
    for round in 0..rounds {
        let options = Options { write_buffer_size: buffer, compressor, ..Options::default() };
        let mut database = DB::open(home.path(), options).unwrap();
        for number in 0..keys {
            let key = format!("_https://{}.test\0\x01key {}", number % 3, number * 7 % keys).into_bytes();
            if number % 5 == round % 5 {
                database.delete(&key).unwrap();
                expect.remove(&key);
                continue;
            }
            let value = format!("\x01{round} {}", "value ".repeat(number as usize % 40)).into_bytes();
            let mut batch = WriteBatch::default();
            batch.put(&key, b"\x01at first");
            batch.put(&key, &value);
            database.write(batch, false).unwrap();
            expect.insert(key, value);
        }
        database.close().unwrap();
    }
    (home, expect)
}

/// The files that hold something, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let names = |it: &PathBuf| it.file_name().is_some_and(|it| it != "LOCK" && it != "LOG" && it != "LOG.old");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).filter(names).collect();
    files.sort();
    files
}

#[test]
fn what_another_implementation_wrote_is_read_whole() {
    for (rounds, keys, buffer, compressor, tables) in
        [(1, 1, 4 << 20, 0, false), (1, 300, 4 << 20, 0, false), (3, 900, 8 << 10, 0, true), (3, 900, 8 << 10, 1, true)]
    {
        let (home, expect) = written(rounds, keys, buffer, compressor);
        let has_tables = files(home.path()).iter().any(|it| it.extension().is_some_and(|it| it == "ldb"));
        assert_eq!(has_tables, tables, "{keys} keys");
        let before: Vec<_> = files(home.path()).iter().map(|it| fs::read(it).unwrap()).collect();
        assert!(content(home.path()).unwrap() == expect, "{rounds} rounds of {keys} keys");
        let after: Vec<_> = files(home.path()).iter().map(|it| fs::read(it).unwrap()).collect();
        assert!(before == after, "it was written to");
    }
}

#[test]
fn a_damaged_byte_is_never_less_data() {
    let (home, expect) = written(2, 40, 1 << 10, 1);
    assert!(content(home.path()).unwrap() == expect);
    let mut refused = 0;
    for path in files(home.path()) {
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x41;
            fs::write(&path, &damaged).unwrap();
            match content(home.path()) {
                Ok(it) => assert!(it == expect, "byte {place} of {} may say anything", path.display()),
                Err(it) => {
                    assert!(!it.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(refused > 1000, "{refused} refused");
}

#[test]
fn a_file_that_is_gone_or_cut_off_is_an_error() {
    let (home, expect) = written(2, 40, 1 << 10, 0);
    for path in files(home.path()) {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let cut = content(home.path());
        assert!(cut.as_ref().map_or(true, |it| *it == expect), "{}", path.display());
        assert!(cut.is_err() || path.ends_with("CURRENT"), "{}", path.display());
        fs::remove_file(&path).unwrap();
        assert!(content(home.path()).is_err(), "without {}", path.display());
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn what_is_no_database_says_so() {
    let check = |current: Option<&str>, manifest: &[u8], expect: &str| {
        let home = tempfile::tempdir().unwrap();
        if let Some(it) = current {
            fs::write(home.path().join("CURRENT"), it).unwrap();
        }
        fs::write(home.path().join("MANIFEST-000001"), manifest).unwrap();
        let error = content(home.path()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(None, b"", "CURRENT: the database needs this file");
    check(Some(""), b"", "CURRENT: it names no manifest");
    check(Some("MANIFEST-../../x\n"), b"", "CURRENT: it names no manifest");
    check(Some("MANIFEST-000002\n"), b"", "MANIFEST-000002: the database needs this file");
    check(Some("MANIFEST-000001\n"), b"", "MANIFEST-000001: it is empty");
    check(Some("MANIFEST-000001\n"), &[0xff; 64], "MANIFEST-000001: a record in it is cut off");
    check(Some("MANIFEST-000001\n"), &[0; 64], "MANIFEST-000001: it is empty");
    let record = |payload: &[u8]| {
        let sum = crc::masked(&[&[1], payload]).to_le_bytes();
        [&sum as &[u8], &(payload.len() as u16).to_le_bytes(), &[1], payload].concat()
    };
    check(Some("MANIFEST-000001\n"), &record(b"\x01\x09idb_cmp1\0"), "so it is none");
    check(Some("MANIFEST-000001\n"), &record(b"\x63"), "an edit in it cannot be read");
    check(Some("MANIFEST-000001\n"), &record(b"\x07\x00\xff"), "an edit in it cannot be read");
}
