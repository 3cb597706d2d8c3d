use proptest::prelude::*;

use super::*;
use crate::gate::Verdict;
use text::{Style, text};

const PLAIN: Style = Style { colour: false, width: 100, verbose: false, quiet: false };

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

fn of(class: &'static str, json: &str) -> Cell {
    Cell { class, json: json.to_owned() }
}

fn texts(text: &str) -> Cell {
    Cell { class: "text", json: serde_json::Value::from(text).to_string() }
}

fn finding(kind: FindingKind, key: &[(&str, Cell)], cells: Vec<Difference>) -> Finding {
    let key = key.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
    Finding { kind, side: None, key, cells, detail: None, seen: None }
}

fn cells(column: &str, source: Option<Cell>, target: Option<Cell>) -> Difference {
    Difference { column: column.to_owned(), source, target }
}

fn changed(id: &str, column: &str, source: Cell, target: Cell) -> Finding {
    finding(FindingKind::Changed, &[("id", texts(id))], vec![cells(column, Some(source), Some(target))])
}

fn column(name: &str, ty: &'static str, changed: u64) -> ColumnReport {
    ColumnReport { name: name.to_owned(), ty, changed, coarsened: None }
}

/// The two links that the guide's data has, one lost, and a column for each way in which a cell can differ.
fn links() -> TableReport {
    let link = |id: &str, domain: &str, url: &str| {
        let cells = vec![cells("domain", Some(texts(domain)), None), cells("url", Some(texts(url)), None)];
        finding(FindingKind::Missing, &[("id", texts(id))], cells)
    };
    let long = |middle: &str| texts(&format!("{} {middle} {}", "lorem ipsum".repeat(30), "dolor sit amet".repeat(30)));
    let doc = |json: &str| of("json", json);
    let findings = vec![
        link("biolink-x-1", "日本.example", "https://a.example/path"),
        link("biolink-x-2", "x.example", "::error::no\r\n##vso[task.complete]"),
        changed("biolink-x-3", "url", texts("https://a.example/one"), texts("https://b.example/one")),
        changed("biolink-x-4", "url", texts("\u{1b}[31mred"), texts("red")),
        changed("biolink-x-5", "title", texts("cafe\u{301}"), texts("caf\u{e9}")),
        changed("biolink-x-6", "title", texts("日本 one 語"), texts("日本 two 語")),
        changed("biolink-x-7", "title", texts("five\u{a0}apples"), texts("five apples")),
        changed("biolink-x-8", "title", long("old"), long("new words")),
        changed("biolink-x-9", "note", of("null", "null"), texts("")),
        changed("biolink-x-10", "note", texts("<null>"), of("null", "null")),
        changed("biolink-x-11", "rank", texts("5"), of("int", "5")),
        changed("biolink-x-12", "rank", of("int", "\"9007199254740993\""), of("int", "9007199254740992")),
        changed("biolink-x-13", "meta", doc(r#"{"a":1,"tags":["x","y"]}"#), doc(r#"{"a":1,"tags":["y"]}"#)),
        changed("biolink-x-14", "token", of("masked", cell::MASK), of("masked", cell::OTHER_MASK)),
    ];
    TableReport {
        facts: Default::default(),
        name: "bio_links".to_owned(),
        source_name: "items".to_owned(),
        verdict: Verdict::Fail,
        reasons: strings(&["missing 2 > 0"]),
        key: strings(&["id"]),
        tally: Tally {
            source_rows: 12_345,
            target_rows: 12_343,
            same: 12_238,
            changed: 105,
            missing: 2,
            ..Tally::default()
        },
        columns: vec![
            column("id", "text", 0),
            column("url", "text", 95),
            column("title", "text", 4),
            column("note", "text", 2),
            column("rank", "any", 2),
            column("meta", "json", 1),
            column("token", "text", 1),
        ],
        findings,
        findings_truncated: true,
        findings_all: 200,
        findings_file: Some("findings/bio_links.ndjson".to_owned()),
        witnesses: strings(&["count", "check:links per domain"]),
        recheck: None,
        canary: Canary::Caught,
        notes: Vec::new(),
    }
}

/// One finding of each kind that is not about two cells.
fn visits() -> TableReport {
    let id = |id: &str| [("id", of("int", id))];
    let at = |kind, id: &[(&str, Cell)], side, cell, detail: &str| {
        let cells = match side {
            Side::Source => vec![cells("link", Some(cell), None)],
            Side::Target => vec![cells("link", None, Some(cell))],
        };
        Finding { side: Some(side), detail: Some(detail.to_owned()), ..finding(kind, id, cells) }
    };
    let extra =
        |id: &str| finding(FindingKind::Extra, &[("id", of("int", id))], vec![cells("link", None, Some(texts("z")))]);
    let findings = vec![
        extra("7"),
        extra("1234"),
        at(FindingKind::Duplicate, &id("8"), Side::Target, texts("z"), "second row under one key"),
        at(FindingKind::Orphan, &id("9"), Side::Target, texts("gone"), "bio_links (id)"),
        at(FindingKind::Clash, &id("10"), Side::Source, texts("a"), "(link)"),
        at(FindingKind::Reject, &id("11"), Side::Source, texts("ftp://x"), "url: matches ^https?://"),
        at(FindingKind::Invalid, &id("12"), Side::Source, texts("yesterday"), "not timestamp"),
    ];
    let seen = Coarsened {
        rule: "truncate = \"second\"".to_owned(),
        because: "the old store kept seconds".to_owned(),
        rows: 12,
    };
    TableReport {
        name: "visits".to_owned(),
        source_name: "visits".to_owned(),
        verdict: Verdict::Fail,
        key: strings(&["id"]),
        tally: Tally {
            source_rows: 20,
            target_rows: 21,
            same: 18,
            extra: 2,
            target_duplicates: 1,
            orphans: 1,
            source_duplicates: 1,
            clashes: 1,
            rejects: 1,
            invalid: 1,
            ..Tally::default()
        },
        columns: vec![column("id", "int", 0), ColumnReport { coarsened: Some(seen), ..column("seen", "timestamp", 0) }],
        findings,
        canary: Canary::Missed("the changed cell in seen".to_owned()),
        ..TableReport::default()
    }
}

fn report() -> Report {
    let tables = vec![links(), visits()];
    let mut totals = Tally::default();
    tables.iter().for_each(|it| totals.add(&it.tally));
    let check = |name: &str, verdict, source: &str, target: &str| CheckReport {
        name: name.to_owned(),
        verdict,
        source: source.to_owned(),
        target: target.to_owned(),
    };
    Report {
        around: Default::default(),
        verdict: Verdict::Fail,
        reasons: strings(&[
            "bio_links: 2 rows missing in the target (limit 0)",
            "bio_links: 105 rows changed (limit 2)",
            "visits: 2 rows extra in the target (limit 0)",
            "visits: 2 duplicates (limit 0)",
            "visits: 1 orphan (limit 0)",
            "visits: 1 clash (limit 0)",
            "visits: 1 reject (limit 0)",
        ]),
        plan: Some(PlanName { path: "cutover.toml".to_owned(), hash: "0123456789abcdef0123".to_owned() }),
        source: StoreName { kind: "edge-config-export".to_owned(), name: "items.json".to_owned() },
        target: StoreName { kind: "sqlite".to_owned(), name: "site.db".to_owned() },
        totals,
        tables,
        source_only: strings(&["old_table"]),
        target_only: strings(&["bio_links.created_at"]),
        checks: vec![
            check("links per domain", Verdict::Pass, "9", "9"),
            check("sum of ranks", Verdict::Unknown, "no such selector: .ranks", "12"),
        ],
        queries: Vec::new(),
        notes: strings(&["texts without a zone are read as UTC"]),
        next: Some("cutover verify cutover.toml --output report".to_owned()),
        timing: timing::Timing { seconds: 0.01, ..timing::Timing::default() },
    }
}

fn passing() -> Report {
    let same = Tally { source_rows: 9, target_rows: 9, same: 9, ..Tally::default() };
    let table = TableReport {
        verdict: Verdict::Pass,
        tally: same,
        findings: Vec::new(),
        columns: vec![column("id", "text", 0)],
        ..links()
    };
    Report {
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        totals: same,
        tables: vec![table],
        source_only: Vec::new(),
        target_only: Vec::new(),
        next: None,
        checks: Vec::new(),
        ..report()
    }
}

fn check(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn the_text_face_looks_as_accepted() {
    check("report_text", &text(&report(), PLAIN));
    check("report_text_narrow", &text(&report(), Style { width: 60, ..PLAIN }));
    check("report_text_verbose", &text(&report(), Style { verbose: true, ..PLAIN }));
    check("report_text_quiet", &text(&report(), Style { quiet: true, ..PLAIN }));
    check("report_text_pass", &text(&passing(), PLAIN));
}

#[test]
fn the_colours_look_as_accepted() {
    check("report_text_colour", &text(&report(), Style { colour: true, ..PLAIN }).replace('\x1b', "␛"));
}

#[test]
fn what_is_unknown_says_why() {
    let mut report = passing();
    report.verdict = Verdict::Unknown;
    report.reasons = strings(&["bio_links: the source has no rows"]);
    report.tables[0].verdict = Verdict::Unknown;
    report.tables[0].canary = Canary::Absent;
    check("report_text_unknown", &text(&report, PLAIN));
}

#[test]
fn a_group_is_capped_unless_everything_is_asked_for() {
    let mut report = passing();
    report.verdict = Verdict::Fail;
    report.tables[0].verdict = Verdict::Fail;
    report.tables[0].tally.changed = 40;
    report.tables[0].findings =
        (0..30).map(|it| changed(&format!("row-{it}"), "n", of("int", "1"), of("int", "2"))).collect();
    report.tables[0].columns.push(column("n", "int", 40));
    let shown = text(&report, PLAIN);
    assert!(shown.contains("row-9  1 → 2") && !shown.contains("row-10 "), "{shown}");
    assert!(shown.contains("… and 30 more in findings/bio_links.ndjson"), "{shown}");
    let shown = text(&report, Style { verbose: true, ..PLAIN });
    assert!(shown.contains("row-29") && shown.contains("… and 10 more"), "{shown}");
    report.tables[0].verdict = Verdict::Pass;
    assert!(text(&report, PLAIN).contains("differences within the gate, --verbose shows them"));
}

#[test]
fn a_table_of_which_every_column_changed_stays_short() {
    let mut table = links();
    let names: Vec<_> = (0..2000).map(|it| format!("c{it}")).collect();
    let different = |it: &String| cells(it, Some(of("int", "1")), Some(of("int", "2")));
    let finding = finding(FindingKind::Changed, &[("id", texts("a"))], names.iter().map(different).collect());
    table.columns = names.iter().map(|it| column(it, "int", 1)).collect();
    table.findings = vec![finding; 3];
    let shown = text(&Report { tables: vec![table], ..passing() }, PLAIN);
    assert_eq!(shown.matches("id=a  1 → 2").count(), 3 * 20);
    assert!(shown.contains("c1999: 3 changed"), "{shown}");
}

fn json(report: &Report) -> String {
    let mut out = Vec::new();
    json::write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_json_face_looks_as_accepted() {
    check("report_json", &json(&report()));
}

#[test]
fn the_json_face_has_the_keys_of_the_format() {
    let value: serde_json::Value = serde_json::from_str(&json(&report())).unwrap();
    let keys = |pointer: &str| {
        let object = value.pointer(pointer).and_then(serde_json::Value::as_object);
        object.unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let counts =
        "source_rows target_rows same changed missing extra duplicates orphans clashes rejects invalid accepted";
    let top = "format verdict reasons plan source target totals tables unpaired checks notes next timing";
    assert_eq!(keys(""), top);
    assert_eq!(keys("/plan"), "path hash");
    assert_eq!(keys("/source"), "kind name");
    assert_eq!(keys("/totals"), counts);
    let (first, last) = ("name source_name verdict reasons key", "columns findings findings_truncated findings_file");
    assert_eq!(keys("/tables/0"), format!("{first} {counts} {last} witnesses canary notes"));
    assert_eq!(keys("/tables/0/columns/url"), "type changed coarsened");
    assert_eq!(keys("/tables/1/columns/seen/coarsened"), "rule because rows");
    assert_eq!(keys("/tables/0/findings/2"), "kind key cells patch");
    assert_eq!(keys("/tables/1/findings/3"), "kind side key cells patch detail");
    assert_eq!(keys("/unpaired"), "source target");
    assert_eq!(keys("/checks/0"), "name verdict source target");
    let timing = "seconds items items_per_second average_item_bytes failed failure_rate peak_memory_bytes tables";
    assert_eq!(keys("/timing"), timing);
    assert_eq!(value["tables"][0]["findings"][0]["cells"]["url"].as_object().unwrap().len(), 1);
    assert_eq!(value["checks"][1]["source"], "no such selector: .ranks");
}

#[test]
fn a_finding_is_the_same_line_in_every_file() {
    let whole = json(&report());
    for finding in report().tables.iter().flat_map(|it| &it.findings) {
        let mut out = Vec::new();
        json::finding_line(finding, &mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(whole.contains(line.trim_end()), "{line}");
    }
}

#[test]
fn a_document_is_embedded_as_it_is() {
    let long = r#"{"n":1.10,"big":12345678901234567890123,"e":1e400,"twice":1,"twice":2}"#;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for document in [long, &deep] {
        let mut out = Vec::new();
        json::finding_line(&changed("a", "doc", of("json", document), of("json", "{}")), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains(&format!("\"cells\":{{\"doc\":{{\"source\":{document},")));
    }
}

/// Every text of a report is `evil`.
fn hostile(evil: &str, other: &str) -> Report {
    let mut report = report();
    let text = || evil.to_owned();
    report.reasons = vec![text(), format!("{evil}{other}")];
    report.plan = Some(PlanName { path: text(), hash: text() });
    report.source = StoreName { kind: text(), name: text() };
    report.source_only = vec![text()];
    report.notes = vec![text()];
    report.next = Some(text());
    for check in &mut report.checks {
        (check.name, check.source) = (text(), text());
    }
    for table in &mut report.tables {
        (table.name, table.key) = (text(), vec![text(), other.to_owned()]);
        (table.notes, table.witnesses, table.findings_file) = (vec![text()], vec![text()], Some(text()));
        table.canary = Canary::Missed(text());
        table.columns.iter_mut().filter_map(|it| it.coarsened.as_mut()).for_each(|it| it.because = text());
        for finding in &mut table.findings {
            finding.detail = Some(text());
            finding.key = vec![(text(), texts(evil)), (other.to_owned(), texts(other))];
            for cell in &mut finding.cells {
                cell.column = text();
                cell.source = cell.source.as_ref().map(|_| texts(evil));
                cell.target = cell.target.as_ref().map(|_| texts(other));
            }
        }
    }
    report
}

fn is_harmless(shown: &str) -> Result<(), String> {
    if let Some(it) = shown.chars().find(|it| *it != '\n' && *it != ' ' && escape::is_invisible(*it)) {
        return Err(format!("{it:?} in {shown}"));
    }
    let command = |line: &str| {
        line.trim_start().starts_with("::") || ["##vso[", "##[", "##teamcity["].iter().any(|it| line.contains(it))
    };
    shown.lines().find(|it| command(it)).map_or(Ok(()), |it| Err(it.to_owned()))
}

#[test]
fn nothing_from_a_store_acts_on_a_terminal_or_a_pipeline() {
    let evil = [
        "\x1b]52;c;AAAA\x07",
        "\u{9b}31m",
        "::error::x",
        "  ::error::x",
        "##vso[x]",
        "##",
        "[x",
        "\r::a",
        "\u{202e}a",
        "\0",
    ];
    for (one, other) in evil.iter().flat_map(|one| evil.iter().map(move |other| (one, other))) {
        let report = hostile(one, other);
        for verbose in [false, true] {
            is_harmless(&text(&report, Style { verbose, ..PLAIN })).unwrap();
        }
        let json = json(&report);
        assert!(!json.contains("##vso[") && !json.contains(['\x1b', '\u{9b}', '\u{202e}']), "{json}");
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}

#[test]
fn no_line_with_examples_is_wider_than_the_terminal() {
    for width in [40, 60, 100, 200] {
        let shown = text(&report(), Style { width, ..PLAIN });
        let is_example = |it: &&str| it.starts_with("    ") && !it.starts_with("         ") && !it.contains("… and ");
        for line in shown.lines().filter(is_example) {
            assert!(layout::width(line) <= width, "{line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_can_be_shown(
        one in prop_oneof![any::<String>(), "[#:\\[a\u{301}\u{200b}\x1b\n ]{0,12}"],
        other in prop_oneof![any::<String>(), "[#:\\[a\u{301}\u{200b}\x1b\n ]{0,12}"],
        width in 0usize..200,
    ) {
        let report = hostile(&one, &other);
        prop_assert_eq!(is_harmless(&text(&report, Style { width, ..PLAIN })), Ok(()));
        let coloured = text(&report, Style { width, colour: true, verbose: true, quiet: false });
        let codes = ["0", "1", "2", "31", "32", "1;31", "1;32", "1;33", "1;4;31", "1;4;32"];
        let uncoloured = codes.iter().fold(coloured, |text, it| text.replace(&format!("\x1b[{it}m"), ""));
        prop_assert_eq!(is_harmless(&uncoloured), Ok(()));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json(&report)).is_ok());
    }
}
