//! Input that is broken, or made to break whoever reads it: each is refused with what is wrong and where.

use super::*;

#[track_caller]
fn refuse(kind: &str, bytes: &[u8], wanted: &str) {
    let files = Files::new(&[("t", bytes)]);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    match read(kind, &files, "t", &FileOptions::default()) {
        Ok(read) => panic!("{kind} {shown}: read as {read}"),
        Err(error) => assert_eq!(error, format!("t:{wanted}"), "{kind}: {shown}"),
    }
}

const JSON: &[(&[u8], &str)] = &[
    (b"", "1:1: the file is empty; a JSON document is wanted"),
    (b" \n ", "2:2: the file is empty; a JSON document is wanted"),
    (b"\xef\xbb\xbf", "1:1: the file is empty; a JSON document is wanted"),
    (b"7", "1:1: a single value is no table; an array or an object is wanted"),
    (b"\"a\"", "1:1: a single value is no table; an array or an object is wanted"),
    (b"null", "1:1: a single value is no table; an array or an object is wanted"),
    (b"nul", "1:4: expected a JSON value, found the end of the file"),
    (b"nulx", "1:4: expected a JSON value, found `x`"),
    (b"NaN", "1:1: expected a JSON value, found `N`"),
    (b"[", "1:2: expected a JSON value, found the end of the file"),
    (b"[1", "1:3: expected `,` or `]`, found the end of the file"),
    (b"[1,", "1:4: expected a JSON value, found the end of the file"),
    (b"[1,]", "1:4: expected a JSON value, found `]`"),
    (b"[,1]", "1:2: expected a JSON value, found `,`"),
    (b"[1,,2]", "1:4: expected a JSON value, found `,`"),
    (b"[1 2]", "1:4: expected `,` or `]`, found `2`"),
    (b"[1}", "1:3: expected `,` or `]`, found `}`"),
    (b"[1]]", "1:4: expected the end of the document, found `]`"),
    (b"[1],", "1:4: expected the end of the document, found `,`"),
    (b"[1] x", "1:5: expected the end of the document, found `x`"),
    (b"[]\n\n[]", "3:1: expected the end of the document, found `[`"),
    (b"[1]\0", "1:4: expected the end of the document, found byte 0x00"),
    (b"\0", "1:1: expected a JSON value, found byte 0x00"),
    (b"[\0]", "1:2: expected a JSON value, found byte 0x00"),
    (b"[\x0c1]", "1:2: expected a JSON value, found byte 0x0c"),
    (b"[\xa0]", "1:2: expected a JSON value, found byte 0xa0"),
    (b"[tru]", "1:5: expected a JSON value, found `]`"),
    (b"[True]", "1:2: expected a JSON value, found `T`"),
    (b"[Infinity]", "1:2: expected a JSON value, found `I`"),
    (b"[-Infinity]", "1:3: expected a digit, found `I`"),
    (b"[-]", "1:3: expected a digit, found `]`"),
    (b"[+1]", "1:2: expected a JSON value, found `+`"),
    (b"[.5]", "1:2: expected a JSON value, found `.`"),
    (b"[1.]", "1:4: expected a digit, found `]`"),
    (b"[1.e1]", "1:4: expected a digit, found `e`"),
    (b"[1e]", "1:4: expected a digit, found `]`"),
    (b"[1e+]", "1:5: expected a digit, found `]`"),
    (b"[01]", "1:3: expected `,` or `]`, found `1`"),
    (b"[-01]", "1:4: expected `,` or `]`, found `1`"),
    (b"[0x1]", "1:3: expected `,` or `]`, found `x`"),
    (b"[1_0]", "1:3: expected `,` or `]`, found `_`"),
    (b"['a']", "1:2: expected a JSON value, found `'`"),
    (b"[a]", "1:2: expected a JSON value, found `a`"),
    (b"[1 // x\n]", "1:4: expected `,` or `]`, found `/`"),
    (b"[\"a]", "1:5: expected the closing quote of a string, found the end of the file"),
    (b"[\"a\\", "1:5: expected one of the escapes of JSON after `\\`, found the end of the file"),
    (b"[\"\\x41\"]", "1:4: expected one of the escapes of JSON after `\\`, found `x`"),
    (b"[\"\\'\"]", "1:4: expected one of the escapes of JSON after `\\`, found `'`"),
    (b"[\"\\u12G4\"]", "1:7: expected four hexadecimal digits after `\\u`, found `G`"),
    (b"[\"\\u12\"]", "1:7: expected four hexadecimal digits after `\\u`, found `\"`"),
    (b"[\"a\nb\"]", "1:4: a control character in a string has to be escaped"),
    (b"[\"12345678\t\"]", "1:11: a control character in a string has to be escaped"),
    (b"[\"\0\"]", "1:3: a control character in a string has to be escaped"),
    (b"[\"\xff\"]", "1:3: invalid UTF-8, byte 0xff"),
    ("[\"éé\"".as_bytes(), "1:6: expected `,` or `]`, found the end of the file"),
    (b"[\"\xc3\xa9\xc3\"]", "1:4: invalid UTF-8, byte 0xc3"),
    (b"[\"\xed\xa0\x80\"]", "1:3: invalid UTF-8, byte 0xed"),
    (b"[\"\xc0\x80\"]", "1:3: invalid UTF-8, byte 0xc0"),
    (b"[\"\xf4\x90\x80\x80\"]", "1:3: invalid UTF-8, byte 0xf4"),
    (b"[{\"a\":\"\xff\"}]", "1:8: invalid UTF-8, byte 0xff"),
    (b"[{\"\xff\":1}]", "1:4: invalid UTF-8, byte 0xff"),
    (b"{\"\xff\":1}", "1:3: invalid UTF-8, byte 0xff"),
    (b"\xff\xfe[\0]\0", "1:1: the file is UTF-16; convert it to UTF-8"),
    (b"\xfe\xff\0[\0]", "1:1: the file is UTF-16; convert it to UTF-8"),
    (b"\xef\xbb\xbf\xef\xbb\xbf[]", "1:1: expected a JSON value, found byte 0xef"),
    (b"[{\"a\":1,\"b\":2,\"a\":3}]", "1:15: the member `a` comes twice in one object"),
    (b"[{},\n {\"a\":1,\"\\u0061\":3}]", "2:9: the member `a` comes twice in one object"),
    (b"[{\"\\ud800\":1}]", "1:3: the name of a member holds half of a surrogate pair: \"\\ud800\""),
    (b"[{\"\\udc00\\ud800\":1}]", "1:3: the name of a member holds half of a surrogate pair: \"\\udc00\\ud800\""),
    (b"{\"\\ud800x\":1}", "1:2: the name of a member holds half of a surrogate pair"),
    (b"{\"a\":1,\n\"b\":2,\"a\":3}", "2:7: the member `a` comes twice in one object"),
    (b"{\"a\":[{}],\"a\":[{}]}", "1:11: the member `a` comes twice in one object"),
    (b"{\"a\":[{\"x\":1,\"x\":2}]}", "1:14: the member `x` comes twice in one object"),
    (b"{", "1:2: expected the name of a member in double quotes, found the end of the file"),
    (b"{a:1}", "1:2: expected the name of a member in double quotes, found `a`"),
    (b"{'a':1}", "1:2: expected the name of a member in double quotes, found `'`"),
    (b"{1:1}", "1:2: expected the name of a member in double quotes, found `1`"),
    (b"{\"a\"}", "1:5: expected `:`, found `}`"),
    (b"{\"a\" 1}", "1:6: expected `:`, found `1`"),
    (b"{\"a\":}", "1:6: expected a JSON value, found `}`"),
    (b"{\"a\":1", "1:7: expected `,` or `}`, found the end of the file"),
    (b"{\"a\":1,}", "1:8: expected the name of a member in double quotes, found `}`"),
    (b"{\"a\":1 \"b\":2}", "1:8: expected `,` or `}`, found `\"`"),
    (b"{\"a\":1]", "1:7: expected `,` or `}`, found `]`"),
    (b"[{\"a\":1,}]", "1:9: expected the name of a member in double quotes, found `}`"),
    (b"[{\"a\":1 \"b\":2}]", "1:9: expected `,` or `}`, found `\"`"),
    (b"[{\"a\"=1}]", "1:6: expected `:`, found `=`"),
    (b"[{\"a\":[{\"b\":1]}]", "1:14: expected `,` or `}`, found `]`"),
    (b"[{\"a\":[1}]", "1:9: expected `,` or `]`, found `}`"),
    (b"[{\"a\":{\"b\" 1}}]", "1:12: expected `:`, found `1`"),
    (b"[{\"a\":{1:2}}]", "1:8: expected the name of a member in double quotes, found `1`"),
];

#[test]
fn json() {
    for (bytes, wanted) in JSON {
        refuse("json", bytes, wanted);
    }
}

#[test]
fn ndjson() {
    let cases: &[(&[u8], &str)] = &[
        (b"{\"a\":1}\n{\"a\":", "2:6: expected a JSON value, found the end of the file"),
        (b"{\"a\":1}\n{\"a\":\n", "2:6: expected a JSON value, found the end of the line"),
        (b"{\"a\":1}\n\n{\"a\":\"x", "3:8: expected the closing quote of a string, found the end of the file"),
        (b"{\"a\":\"x\n\"}", "1:8: expected the closing quote of a string, found the end of the line"),
        (b"{\"a\":1} {\"a\":2}\n", "1:9: expected the end of the line, found `{`"),
        (b"{\"a\":1},\n{\"a\":2}\n", "1:8: expected the end of the line, found `,`"),
        (b"[{\"a\":1}]\n", "1:1: expected an object `{...}`, a row, found `[`"),
        (b"1\n", "1:1: expected an object `{...}`, a row, found `1`"),
        (b"null\n", "1:1: expected an object `{...}`, a row, found `n`"),
        (b"{\n\"a\":1\n}", "1:2: expected the name of a member in double quotes, found the end of the line"),
        (b"{}\n{\"a\":1,\"a\":1}\n", "2:8: the member `a` comes twice in one object"),
        (b"{}\n{\"\\udfff\":1}\n", "2:2: the name of a member holds half of a surrogate pair: \"\\udfff\""),
        (b"{}\n{\"a\":\"\xff\"}\n", "2:7: invalid UTF-8, byte 0xff"),
        (b"{}\n\0\n", "2:1: expected an object `{...}`, a row, found byte 0x00"),
        (b"{}\n{\"a\":1}\xef\xbb\xbf\n", "2:8: expected the end of the line, found byte 0xef"),
        (b"{\"a\":tru}\n", "1:9: expected a JSON value, found `}`"),
        (b"{\"a\":-}\n", "1:7: expected a digit, found `}`"),
        (b"{\"a\":1", "1:7: expected `,` or `}`, found the end of the file"),
        (b"{\"a\":12\n", "1:8: expected `,` or `}`, found the end of the line"),
        (b"{\"a\":[}\n", "1:7: expected a JSON value, found `}`"),
    ];
    for (bytes, wanted) in cases {
        refuse("ndjson", bytes, wanted);
    }
}

#[test]
fn csv() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "1: the file is empty; a header row is wanted, or `columns` in the plan"),
        (b"\n\n", "1: the file is empty; a header row is wanted, or `columns` in the plan"),
        (b"a,b,a\n", "1: the header names the column `a` twice"),
        (b"a,,\n", "1: the header names the column `` twice"),
        (b"a,\xff\n", "1: the header is not UTF-8"),
        (b"a,b\n1,2\n3\n", "3:1: a record of 1 cells in a table of 2 columns"),
        (b"a,b\n1,2\n3,4,5\n", "3:1: a record of 3 cells in a table of 2 columns"),
        (b"a,b\r\n\"1\r\n1\",2\r\n\r\n\r\n3\r\n", "6:1: a record of 1 cells in a table of 2 columns"),
        (b"a,b\n1,2,\n", "2:1: a record of 3 cells in a table of 2 columns"),
        (b"a,b\n1,\"2\n3,4\n", "2:3: a quote is opened here and never closed"),
        (b"a,b\n1,\"2\n3,4\n\",\"", "4:3: a quote is opened here and never closed"),
        (b"a,\"b\n", "1:3: a quote is opened here and never closed"),
        (b"\"", "1:1: a quote is opened here and never closed"),
        (b"a\n\"x\"\"\n", "2:4: a quote is opened here and never closed"),
        (b"a,b\n\"1\"x,2\n", "2:4: text after a closing quote; a quote in a quoted cell is written twice"),
        (b"a,b\n1,\"say \"hi\"\"\n", "2:9: text after a closing quote; a quote in a quoted cell is written twice"),
        (b"a\n1\n\n2\n", "3:1: a blank line in a file of one column; write `\"\"` for an empty cell"),
        (b"a\r\n\r\n\"2\"\r\n", "2:2: a blank line in a file of one column; write `\"\"` for an empty cell"),
        (b"\xff\xfea\0,\0", "1:1: the file is UTF-16; convert it to UTF-8"),
    ];
    for (bytes, wanted) in cases {
        refuse("csv", bytes, wanted);
    }
}

#[test]
fn edge_config() {
    let cases: &[(&str, &str)] = &[
        ("7", "1:1: neither an array of items nor an object of keys and values, so no export of an Edge Config"),
        ("", "1:1: neither an array of items nor an object of keys and values, so no export of an Edge Config"),
        (
            r#"{"error":{"code":"forbidden","message":"Not authorized"}}"#,
            "1:1: this is an error of the service, saved as if it were an export: Not authorized (forbidden)",
        ),
        (
            r#"[{"key":"a","value":1,"owner":2}]"#,
            "1:23: the member `owner` belongs to no item of an Edge Config; export the items again",
        ),
        (r#"[{"value":1}]"#, "1:2: this item has no `key` that is a text, so this is no export of an Edge Config"),
        (
            r#"[{"key":1,"value":1}]"#,
            "1:2: this item has no `key` that is a text, so this is no export of an Edge Config",
        ),
        (r#"[{"key":"a"}]"#, "1:2: this item has no `value`, so this is no export of an Edge Config"),
        (r#"[{"key":"\ud800","value":1}]"#, "1:2: the key of this item holds half of a surrogate pair"),
        (r#"[1]"#, "1:2: expected an object `{...}`, a row, found `1`"),
        (r#"{"a":1,"a":2}"#, "1:8: the member `a` comes twice in one object"),
        ("[{\"key\":\"é\",\n\"value\":{\"a\":{\"b\":1,\"b\":2}}}]", "2:21: duplicate key"),
        (r#"{"é":{"a":["\udc00"]}}"#, "1:13: half a surrogate pair"),
        (r#"{"a":1}}"#, "1:8: expected the end of the document, found `}`"),
    ];
    for (text, wanted) in cases {
        refuse("edge-config-export", text.as_bytes(), wanted);
    }
}

#[test]
fn a_million_levels_are_refused() {
    let levels = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = open.repeat(levels) + "1" + &close.repeat(levels);
        let files = Files::new(&[("t", text.as_bytes())]);
        let error = read("json", &files, "t", &FileOptions::default()).unwrap_err();
        assert!(error.ends_with(": nested deeper than the limit of 10000 levels"), "{error}");
        assert!(error.starts_with("t:1:"), "{error}");
    }
    let files = Files::new(&[("t", "[".repeat(levels).as_bytes())]);
    let error = read("json", &files, "t", &FileOptions::default()).unwrap_err();
    assert_eq!(error, "t:1:10002: nested deeper than the limit of 10000 levels");
    let deep = format!("[{{\"a\":{}1{}}}]", "[".repeat(9_999), "]".repeat(9_999));
    check("json", &deep, &format!("users(a)\njson {}\n", &deep[6..deep.len() - 2]));
}

#[test]
fn surrogate_halves_in_a_cell_are_for_the_cast_to_flag() {
    check("json", r#"[{"a":"\ud800"},{"a":"\ud83d\ude00"}]"#, "users(a)\n\"\\\"\\\\ud800\\\"\" ?\n\"😀\"\n");
}

#[test]
fn many_names_are_refused_and_named_as_the_limit() {
    let row: Vec<_> = (0..=10_000).map(|it| format!("\"m{it}\":1")).collect();
    let text = format!("[{{{}}}]", row.join(","));
    let files = Files::new(&[("t", text.as_bytes())]);
    let error = read("json", &files, "t", &FileOptions::default()).unwrap_err();
    assert!(error.ends_with("than the limit of 10000, or names of more than 16 MiB"), "{error}");
    let text = format!("{{{}}}", (0..=10_000).map(|it| format!("\"m{it}\":[]")).collect::<Vec<_>>().join(","));
    let files = Files::new(&[("t", text.as_bytes())]);
    let error = read("json", &files, "t", &FileOptions::default()).unwrap_err();
    assert!(error.ends_with(": more tables than the limit of 10000, or names of more than 16 MiB"), "{error}");
}

#[test]
fn a_value_beyond_the_limit_is_refused() {
    let files = Files::new(&[("t", format!("[\n\"{}\"]", "x".repeat(5000)).as_bytes())]);
    let mut input = input::Input::open(&files.path("t"), 4096).unwrap();
    input.more().unwrap();
    input.pass(2);
    let error = input.scan(|text| text.string(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
    assert_eq!(files.plain(&error), "t:2:1: a single row or value is larger than the limit of 4096 bytes");
    let endless = format!("a,b\n1,\"{}", "x\n".repeat(33 << 20));
    let files = Files::new(&[("t", endless.as_bytes())]);
    let error = read("csv", &files, "t", &FileOptions::default()).unwrap_err();
    assert!(error.contains("a record is larger than the limit of 64 MiB; is a quote open?"), "{error}");
    let files = Files::new(&[("t", format!("{{\"a\":\"{}", "x".repeat(65 << 20)).as_bytes())]);
    let error = read("ndjson", &files, "t", &FileOptions::default()).unwrap_err();
    assert_eq!(error, "t:1:1: a single row or value is larger than the limit of 67108864 bytes");
}

/// No cut of a good file and no change of one of its bytes makes a reader panic or hang.
#[test]
fn every_cut_and_every_byte() {
    let good: [(&str, &str); 6] = [
        ("json", "[{\"id\":1,\"v\":{\"a\":[true,null,-1.5e+3],\"\\u00e9\":\"x\\n\"}}, {\"v\":\"é\",\"id\":2}]"),
        ("json", "{\"a\":[{\"x\":1}],\"b\":[{\"y\":\"z\"}]}"),
        ("json", "{\"a\":1,\"b\":{\"c\":[[]]}}"),
        ("ndjson", "{\"id\":1,\"v\":\"é\"}\r\n\n{\"v\":[1,2],\"id\":2}\n"),
        ("csv", "id,v\r\n1,\"a\"\"b\r\n\"\n2,é\n"),
        ("edge-config-export", "[{\"key\":\"a\",\"value\":[1],\"edgeConfigId\":\"e\"}]"),
    ];
    for (kind, text) in good {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let files = Files::new(&[("t", &bytes[..at])]);
            let _ = read(kind, &files, "t", &FileOptions::default());
            for byte in [0, b'"', b'\\', b'{', b']', b',', b'\n', 0xff] {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                fs::write(files.path("t"), changed).unwrap();
                let _ = read(kind, &files, "t", &FileOptions::default());
            }
        }
    }
}
