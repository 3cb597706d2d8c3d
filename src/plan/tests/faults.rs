//! Plans that are wrong, and what is said about them.

use super::{HEAD, bad, bad_rule, check, read};

#[test]
fn what_is_not_toml() {
    check("version = ", &["1:11: this is not TOML: string values must be quoted, expected literal string"]);
    check("version = 1\nversion = 1", &["2:1: this is not TOML: duplicate key"]);
    check("a = [", &["1:6: this is not TOML: unclosed array, expected `]`"]);
    check("ä = 1\nö = 'x", &["1:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"]);
}

#[test]
fn what_is_missing() {
    check(
        "",
        &[
            "1:1: `source` is missing (The store that rows come from.)",
            "1:1: `target` is missing (The store where rows shall be.)",
            "1:1: `version` is missing (Version of the plan format: 1.)",
        ],
    );
    check(
        "version = 2\n[source]\n[target]\nkind = 'csv'\n",
        &[
            "1:11: this version of the plan format is not known (this program reads version 1)",
            "2:1: `kind` is missing (What kind of store this is.)",
            "3:1: `path` is missing (a store of the kind `csv` needs it)",
        ],
    );
    check(
        "\u{feff}version = '1'\r\nsource = 3\r\ntarget = []\r\nsorce = {}\r\n",
        &[
            "1:11: `version` must be the number 1, not a string",
            "2:10: `source` must be a table, not a whole number",
            "3:10: `target` must be a table, not a list",
            "4:1: unknown key `sorce` (did you mean `source`?)",
        ],
    );
    check(
        "version = 1\nsource.kind = 'sqlit'\ntarget.kind = 'oracle'\n",
        &[
            "2:15: `kind` cannot be `sqlit` (did you mean `sqlite`? It is one of sqlite, d1-export, d1, \
             d1-local, kv, kv-local, postgres, edge-config, edge-config-export, local-storage, json, ndjson, csv, http, \
             snapshot)",
            "3:15: `kind` cannot be `oracle` (one of sqlite, d1-export, d1, d1-local, kv, kv-local, postgres, edge-config, \
             edge-config-export, local-storage, json, ndjson, csv, http, snapshot)",
        ],
    );
    check(
        "version = 1\n[source]\nkind='http'\nnull=''\n[target]\nkind='kv'\nviews=true\n",
        &[
            "2:1: `url` is missing (a store of the kind `http` needs it)",
            "4:1: `null` means nothing to a store of this kind (it belongs to: csv)",
            "7:1: `views` means nothing to a store of this kind (it belongs to: sqlite, d1-export, d1, d1-local, \
             postgres)",
        ],
    );
}

#[test]
fn what_is_unknown() {
    bad(
        "gate = { mising = 1 }\ntabel = []",
        &["4:10: unknown key `mising` (did you mean `missing`?)", "5:1: unknown key `tabel` (did you mean `table`?)"],
    );
    bad("[table]\ninto = 't'", &["4:1: `table` must be a list of tables, not a table (write `[[table]]`)"]);
    bad(
        "[[table]]\nfrom = 't'\nflter = '.x'\n",
        &[
            "4:1: `into` is missing (The target table.)",
            "6:1: unknown key `flter` (known keys: into, from, prefix, where, each, key, conflict, on_clash, newest_by, \
             dated, columns, unique, references, index, expect, inverse, command)",
        ],
    );
    bad(
        "zone = 'Mars/Olympus'\ninstant = 'yesterday'\nseed = 1",
        &[
            "4:8: `zone` cannot be `Mars/Olympus` (an IANA name such as \"Europe/Berlin\", an offset such as \
             \"+02:00\", or \"UTC\")",
            "5:11: `instant` must be an instant as RFC 3339 writes it (such as \"2026-01-31T12:00:00Z\")",
            "6:8: `seed` must be a string, not a whole number",
        ],
    );
    bad(
        "\"\\u001b[31m\" = 1",
        &["4:1: unknown key `\\u{1b}[31m` (known keys: version, zone, seed, instant, source, target, table, \
             check, gate, migrate, hooks, warm, query, log)"],
    );
}

#[test]
fn what_has_the_wrong_type() {
    bad(
        "[[table]]\ninto = ''\nkey = 'id'\nconflict = 'overwite'\nwhere = ' '\neach = 1",
        &[
            "5:8: `into` is empty",
            "6:7: `key` must be a list of strings, not a string",
            "7:12: `conflict` cannot be `overwite` (did you mean `overwrite`? It is one of stop, skip, overwrite, \
             merge, newest, ask)",
            "8:9: `where` is empty",
            "9:8: `each` must be an expression in a string, not a whole number",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nkey = [1, '', 'a', 'a']\nunique = ['a']\ncommand = []\ncolumns = {}",
        &[
            "6:8: `key` must be a list of strings, not of a whole number",
            "6:11: `key` is empty",
            "6:15: `key`: `a` is not among the columns (add it under `columns`)",
            "6:20: `a` stands in `key` twice",
            "6:20: `key`: `a` is not among the columns (add it under `columns`)",
            "7:11: `unique` must be a list of lists of strings, not of a string",
            "8:11: `command` is empty",
            "9:11: `columns` is empty (leave the key out for columns of the same names)",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nunique = [[]]\nreferences = [{ columns = ['a', 'b'], table = 't', to = ['a'] }, { \
         table = 3 }]",
        &[
            "6:11: `unique` is empty",
            "7:57: `to` has 1 columns where `columns` has 2",
            "7:66: `columns` is missing (Columns of this table.)",
            "7:76: `table` must be a string, not a whole number",
        ],
    );
    bad(
        "[gate]\nmissing = -1\nextra = 1.5\nchanged = { t = 'x' }\nallow_empty = false\nunpaired = true",
        &[
            "5:11: `missing` must be a whole number from 0 on, not `-1`",
            "6:9: `extra` must be a whole number from 0 on or a table, not a fraction",
            "7:17: `t` must be a whole number from 0 on, not a string",
            "8:15: `allow_empty` cannot be false (name the tables, or leave the key out)",
            "9:12: `unpaired` must be a list of strings, not a boolean",
        ],
    );
    bad(
        "[[check]]\nname = 'a'\nsource = 'length'\n[[check]]\nname = 'a'\nexpect = 1\ntarget = 'length'\n",
        &[
            "4:1: a check needs two answers to compare (give two of `source`, `target` and `expect`)",
            "8:8: `name` is `a` a second time (the first one is at 5:8)",
        ],
    );
    check(
        "version = 1\n[source]\nkind='csv'\npath='a'\ndelimiter=';;'\ntypes.t.a='strng'\ntypes.t.b='epoch-s'\n[target]\nkind='csv'\npath=''\ndelimiter='ä'",
        &[
            "5:11: `delimiter` must be one ASCII character, and no quote or line end",
            "6:11: `a` cannot be `strng` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any)",
            "7:11: `b` cannot be `epoch-s` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any)",
            "10:6: `path` is empty",
            "11:11: `delimiter` must be one ASCII character, and no quote or line end",
        ],
    );
}

#[test]
fn tables_that_contradict() {
    bad(
        "[[table]]\ninto = 't'\n[[table]]\ninto = 't'",
        &["7:8: `into` is `t` a second time (the first one is at 5:8)"],
    );
    bad(
        "[[table]]\ninto = 'users'\nkey = ['idd']\nunique = [['mail', 'zzz']]\ncolumns.id = '.id'\n[gate]\nchanged \
         = { user = 1 }\nallow_empty = ['users', 'x']\n[[check]]\nname='n'\ntable='usrs'\nsource='1'\nexpect=1",
        &[
            "6:8: `key`: `idd` is not among the columns (did you mean `id`?)",
            "7:12: `unique`: `mail` is not among the columns (add it under `columns`)",
            "7:20: `unique`: `zzz` is not among the columns (add it under `columns`)",
            "10:13: no table of this plan is called `user` (did you mean `users`?)",
            "11:25: no table of this plan is called `x` (name a table by its `into`)",
            "14:7: no table of this plan is called `usrs` (did you mean `users`?)",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nkey = ['a']\ncolumns.a = { ignore = true, because = 'x' }",
        &["7:9: `a` is in the key and cannot be ignored"],
    );
}

#[test]
fn rules_that_contradict() {
    bad_rule(
        "generated = 'ulid', from = '.a'",
        &["6:18: `generated` and `from` contradict each other: the value is made up, not read (keep one)"],
    );
    bad_rule(
        "generated = 'uid', default = 1, map = { a = 1 }",
        &[
            "6:18: `generated` and `default` contradict each other: the value is always made up (keep one)",
            "6:18: `generated` and `map` contradict each other: there is no source value to map (keep one)",
            "6:30: `generated` cannot be `uid` (did you mean `ulid`? It is one of ulid, uuid)",
        ],
    );
    bad_rule(
        "required = true, default = false",
        &["6:18: `required` and `default` contradict each other: nothing is missing once the default stands in \
             (keep one)"],
    );
    bad_rule("required = false, default = 1", &[]);
    bad_rule(
        "truncate = 'second'",
        &["6:18: `truncate` needs `because` (say why the difference does not matter; the report repeats it)"],
    );
    bad_rule(
        "truncate = 'seconds', type = 'int', because = 'x'",
        &[
            "6:18: `truncate` means nothing to the type `int` (it belongs to: any, time, timestamp, datetime)",
            "6:29: `truncate` cannot be `seconds` (did you mean `second`? It is one of year, day, hour, minute, \
             second, millisecond, microsecond)",
        ],
    );
    bad_rule(
        "round = 2, type = 'text', because = ''",
        &[
            "6:18: `round` means nothing to the type `text` (it belongs to: any, real, decimal)",
            "6:54: `because` is empty",
        ],
    );
    bad_rule(
        "ignore = true, round = 99999999999",
        &[
            "6:18: `ignore` and `round` contradict each other: the column is not compared at all (keep one)",
            "6:18: `ignore` needs `because` (say why the difference does not matter; the report repeats it)",
            "6:33: `round` needs `because` (say why the difference does not matter; the report repeats it)",
            "6:41: `round` is over 16383 decimals",
        ],
    );
}

#[test]
fn rules_that_are_wrong() {
    bad_rule("ignore = false", &[]);
    bad_rule("min = 10, max = 9.5", &["6:34: `max` is less than `min`: no value fits"]);
    bad_rule("min = 9.5, max = 10", &[]);
    bad_rule(
        "min = 'ten', max = nan, type = 'varchar'",
        &[
            "6:24: `min` must be a decimal number",
            "6:37: `max` must be a decimal number",
            "6:49: `type` cannot be `varchar` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any, epoch-s, epoch-ms, epoch-us)",
        ],
    );
    bad_rule(
        "matches = '(', from = ''",
        &["6:28: `matches` is not a regular expression: unclosed group", "6:40: `from` is empty"],
    );
    bad_rule("map = {}, one_of = []", &["6:24: `map` is empty", "6:37: `one_of` is empty"]);
    bad_rule(
        "map = { a = [1] }, one_of = [{}]",
        &[
            "6:30: `a` must be a string, a number or a boolean, not a list",
            "6:47: `one_of` must be a string, a number or a boolean, not a table",
        ],
    );
    bad_rule("default = [1, { a = inf }]", &["6:38: this number cannot be written as JSON"]);
    bad_rule(
        "requird = true, type = 1",
        &[
            "6:18: unknown key `requird` (did you mean `required`?)",
            "6:41: `type` must be a string, not a whole number",
        ],
    );
}

#[test]
fn what_is_encrypted_needs_a_key_and_is_not_read_back() {
    bad_rule(
        "encrypt = '${SET}'",
        &[
            "6:28: `encrypt` needs a variable that holds 32 bytes in hexadecimal or base64 (`openssl rand -hex 32` makes one)",
        ],
    );
    bad_rule("encrypt = '${EMPTY}'", &["6:28: `encrypt` is empty (the variable is set, but to nothing)"]);
    bad_rule(
        "encrypt = '${KEY}', generated = 'ulid'",
        &[
            "6:18: `encrypt` and `generated` contradict each other: what is made up is no secret of the source (keep one)",
        ],
    );
    let key = "0f".repeat(32);
    let faults = read(&format!("{HEAD}[[table]]\ninto = 't'\ncolumns.a = {{ encrypt = '{key}' }}"))
        .expect_err("a key in a plan");
    assert!(faults[0].to_string().contains("`encrypt` holds a secret, which a plan never does"), "{}", faults[0]);
    bad(
        "[[table]]\ninto = 't'\ninverse = { a = '.b' }\ncolumns.b = { from = '.a', encrypt = '${KEY}' }",
        &["7:9: `inverse` cannot read `b`, which is encrypted (leave one of them out)"],
    );
}

#[test]
fn new_ids_have_no_inverse() {
    bad(
        "[[table]]\ninto = 't'\non_clash = 'new-id'\ninverse = { a = '.b' }\ncolumns = { b = '.a' }",
        &["6:1: `inverse` cannot tell which row a new id stands for (leave one of them out)"],
    );
}
