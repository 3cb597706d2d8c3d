//! What a run cost: time, bytes and memory. It is kept apart from what was found, as no two runs take the same time.

use super::{escape, layout};
use serde::Serialize;

/// What a run cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// Seconds from its beginning to its end.
    pub seconds: f64,
    /// Bytes that the process held at once at most, where the system says so.
    pub peak_memory: Option<u64>,
    /// Seconds until both stores could be read, where that was measured apart.
    pub connect: Option<f64>,
    /// What each table cost, in the order of the report.
    pub tables: Vec<TableTiming>,
}

/// What one table cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableTiming {
    /// The target's name for it.
    pub name: String,
    /// Its items: source rows where they are compared, rows to write where they are written.
    pub items: u64,
    /// Of them, those that did not arrive as they should: missing, changed, refused by the mapping or by the target.
    pub failed: u64,
    /// Rows that were measured, and the bytes of their cells.
    pub measured: (u64, u64),
    /// Seconds from its first row to its last. Tables that are read side by side take theirs at the same time.
    pub seconds: f64,
    /// Seconds of work by part, such as `read_source`, in which parts that work side by side take theirs at the same time.
    pub parts: Vec<(&'static str, f64)>,
}

impl TableTiming {
    /// Items in a second; nothing, where no time went by.
    pub fn per_second(&self, seconds: f64) -> Option<f64> {
        (seconds > 0.0).then(|| self.items as f64 / seconds)
    }

    /// Bytes of a row; nothing, where there was none.
    pub fn average(&self) -> Option<u64> {
        self.measured.1.checked_div(self.measured.0)
    }

    /// The share of items that failed.
    pub fn failure_rate(&self) -> f64 {
        if self.items == 0 { 0.0 } else { self.failed as f64 / self.items as f64 }
    }

    fn view(&self, seconds: f64) -> View {
        View {
            items: self.items,
            items_per_second: self.per_second(seconds),
            average_item_bytes: self.average(),
            failed: self.failed,
            failure_rate: self.failure_rate(),
        }
    }
}

impl Timing {
    /// All tables together.
    pub fn total(&self) -> TableTiming {
        let parts = self.connect.iter().map(|it| ("connect", *it)).collect();
        let mut total = TableTiming { parts, ..TableTiming::default() };
        for it in &self.tables {
            total.items += it.items;
            total.failed += it.failed;
            total.measured.0 += it.measured.0;
            total.measured.1 += it.measured.1;
            for (name, seconds) in &it.parts {
                match total.parts.iter_mut().find(|part| part.0 == *name) {
                    Some(part) => part.1 += seconds,
                    None => total.parts.push((name, *seconds)),
                }
            }
        }
        total
    }

    fn view(&self) -> AllView {
        let table = |it: &TableTiming| TableView {
            name: it.name.clone(),
            seconds: it.seconds,
            counts: it.view(it.seconds),
            parts: it.parts.iter().map(|(name, seconds)| ((*name).to_owned(), (*seconds).into())).collect(),
        };
        AllView {
            seconds: self.seconds,
            counts: self.total().view(self.seconds),
            peak_memory_bytes: self.peak_memory,
            connect: self.connect,
            tables: self.tables.iter().map(table).collect(),
        }
    }
}

/// As it stands in JSON.
pub fn json(timing: &Timing) -> serde_json::Value {
    serde_json::to_value(timing.view()).unwrap_or_default()
}

/// For people: a line a table, one for all of them, and what memory it took.
///
/// ```
/// use cutover::report::timing::{TableTiming, Timing, text};
///
/// let users = TableTiming { name: "users".into(), items: 500, measured: (500, 20_000), seconds: 0.5, ..TableTiming::default() };
/// let timing = Timing { seconds: 0.5, peak_memory: Some(48 << 20), tables: vec![users], ..Timing::default() };
/// assert_eq!(text(&timing).lines().next_back(), Some("0.50 s, and 48.0 MiB of memory at most"));
/// assert!(text(&timing).contains("1,000"));
/// ```
pub fn text(timing: &Timing) -> String {
    let line = |name: &str, it: &TableTiming, seconds: f64| {
        let rate = it.per_second(seconds).map_or_else(|| "-".to_owned(), |it| layout::count(it as u64));
        let average = it.average().map_or_else(|| "-".to_owned(), layout::count);
        let failed = format!("{:.2} %", it.failure_rate() * 100.0);
        vec![name.to_owned(), layout::count(it.items), format!("{seconds:.2}"), rate, average, failed]
    };
    let head = ["table", "items", "seconds", "items/s", "bytes/item", "failed"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    rows.extend(timing.tables.iter().map(|it| line(&escape::message(&it.name), it, it.seconds)));
    if timing.tables.len() > 1 {
        rows.push(line("all", &timing.total(), timing.seconds));
    }
    let mut lines = layout::aligned(&rows, &[false, true, true, true, true, true]);
    let memory = timing.peak_memory.map(|it| format!(", and {} of memory at most", bytes(it))).unwrap_or_default();
    lines.push(format!("{:.2} s{memory}", timing.seconds));
    lines.iter().map(|it| format!("{it}\n")).collect()
}

/// Where the time went, the largest part first.
pub fn parts(timing: &Timing) -> String {
    let mut parts = timing.total().parts;
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = parts.iter().map(|it| it.1).sum();
    let share = |seconds: f64| if all > 0.0 { seconds / all * 100.0 } else { 0.0 };
    let line = |(name, seconds): &(&str, f64)| {
        vec![name.replace('_', " "), format!("{seconds:.3}"), format!("{:.0} %", share(*seconds))]
    };
    let head = ["part", "seconds", "share"].map(str::to_owned).to_vec();
    let rows: Vec<_> = [head].into_iter().chain(parts.iter().map(line)).collect();
    layout::aligned(&rows, &[false, true, true]).iter().map(|it| format!("{it}\n")).collect()
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[derive(Serialize)]
struct AllView {
    seconds: f64,
    #[serde(flatten)]
    counts: View,
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    tables: Vec<TableView>,
}

#[derive(Serialize)]
struct TableView {
    name: String,
    seconds: f64,
    #[serde(flatten)]
    counts: View,
    parts: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct View {
    items: u64,
    items_per_second: Option<f64>,
    average_item_bytes: Option<u64>,
    failed: u64,
    failure_rate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, items: u64, failed: u64) -> TableTiming {
        let parts = vec![("read_source", 0.25), ("compare", 0.75)];
        TableTiming { name: name.to_owned(), items, failed, measured: (items, items * 10), seconds: 2.0, parts }
    }

    #[test]
    fn rates_and_shares() {
        let check = |it: TableTiming, expect: (Option<f64>, Option<u64>, f64)| {
            assert_eq!((it.per_second(it.seconds), it.average(), it.failure_rate()), expect);
        };
        check(table("a", 100, 25), (Some(50.0), Some(10), 0.25));
        check(TableTiming::default(), (None, None, 0.0));
        let timing =
            Timing { seconds: 2.0, tables: vec![table("a", 100, 25), table("b", 300, 75)], ..Timing::default() };
        check(TableTiming { seconds: 2.0, ..timing.total() }, (Some(200.0), Some(10), 0.25));
        assert_eq!(timing.total().parts, [("read_source", 0.5), ("compare", 1.5)]);
    }

    #[test]
    fn where_the_time_went_comes_largest_first() {
        let timing = Timing { tables: vec![table("a", 1, 0)], ..Timing::default() };
        let shown = parts(&timing);
        let names: Vec<_> = shown.lines().skip(1).filter_map(|it| it.split("  ").next()).collect();
        assert_eq!(names, ["compare", "read source"]);
        assert!(shown.contains("75 %"), "{shown}");
    }

    #[test]
    fn bytes_for_people() {
        for (count, expect) in [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (48 << 20, "48.0 MiB")] {
            assert_eq!(bytes(count), expect);
        }
    }
}
