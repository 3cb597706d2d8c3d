use super::*;
use crate::{
    plan,
    row::Field,
    run::migrate::pile::Pile,
    store::{
        about::Fact,
        target::{Begin, Room},
    },
    value::{Type, Value, cast::Cast},
};

fn pace(retries: u32, backoff: u64) -> Pace {
    let usual = Pace::from(&Migrate::default());
    Pace { retries, backoff: Duration::from_secs(backoff), ..usual }
}

#[test]
fn pauses_double_to_a_limit_with_something_by_chance() {
    let check = |retries: u32, backoff: u64, least: &[u64]| {
        let pauses = |seed: u64| pace(retries, backoff).pauses().with_jitter_seed(seed).build().collect::<Vec<_>>();
        let seen = [1, 2].map(pauses);
        for pauses in &seen {
            assert_eq!(pauses.len(), least.len());
            let within = |(pause, least): (&Duration, &u64)| {
                (*least as f64..=2.0 * *least as f64).contains(&pause.as_secs_f64())
            };
            assert!(pauses.iter().zip(least).all(within), "{pauses:?} {least:?}");
        }
        assert_eq!(seen[0] == seen[1], least.iter().all(|it| *it == 0), "{seen:?}");
    };
    check(0, 1, &[]);
    check(3, 0, &[0, 0, 0]);
    check(3, 1, &[1, 2, 4]);
    check(9, 1, &[1, 2, 4, 8, 16, 32, 64, 120, 120]);
    check(2, 300, &[120, 120]);
}

/// A target that answers as it is told, and then writes.
struct Told {
    answers: Vec<Kind>,
    /// What it cannot say so many times, and then says.
    mark: (usize, Option<u64>),
    asked: usize,
}

impl Target for Told {
    fn room(&self, _: &Table) -> Room {
        Room { rows: 10, rows_max: 10, bytes_max: 1 << 20 }
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn begin(&mut self, _: &Begin<'_>) -> Result<Vec<Fact>> {
        Ok(Vec::new())
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        self.asked += 1;
        match self.answers.get(self.asked - 1) {
            Some(kind) => Err(Error::new(*kind, "no")),
            None => Ok(Written { inserted: changes.inserts.len() as u64, ..Written::default() }),
        }
    }

    fn mark(&mut self, _: &str, _: &str) -> Result<Option<u64>> {
        let Some(left) = self.mark.0.checked_sub(1) else { return Ok(self.mark.1) };
        self.mark.0 = left;
        Err(Error::new(Kind::Busy, "not now"))
    }
}

/// Sends one row to a target that answers so. What came of it, and how often it was sent.
fn sent(
    answers: &[Kind],
    (keyless, mark): (bool, (usize, Option<u64>)),
    retries: u32,
) -> (std::result::Result<u64, String>, usize) {
    let shape = Shape { fields: vec![Field::new("id", Cast::new(Type::Int))], key: 1, compared: 1, keyless };
    let mut load = Load::new(&Arc::new(shape));
    load.inserts.push([Value::Int(1)]);
    let mut target = Told { answers: answers.to_vec(), mark, asked: 0 };
    let text = "version = 1\nsource = { kind = 'sqlite', path = 'a' }\ntarget = { kind = 'sqlite', path = 'b' }\n";
    let plan = plan::parse(text, "cutover.toml", &|_| None).expect("a plan");
    let mut sender = Sender {
        run: &Run::new(64 << 20, std::env::temp_dir()),
        pace: &pace(retries, 0),
        target: &mut target,
        table: &Table::new("t"),
        id: "r",
        begun: &AtomicU64::new(0),
        arrived: &mut |_, _, _| Ok(()),
        may_write: &|| Ok(()),
        later: Vec::new(),
        failed: PathBuf::new(),
        plan: &plan,
        lines: Lines::default(),
        done: Applied::default(),
    };
    let done = sender.send(&mut load).map(|()| sender.done.written.inserted).map_err(|it| it.to_string());
    (done, target.asked)
}

#[test]
fn what_may_go_through_later_is_tried_again() {
    use Kind::{Busy, Store, Unsure};
    let gave_up = |count: u32| Err(format!("table `t`: given up after {count} attempts: no"));
    for (answers, mark, retries, expect) in [
        (&[][..], None, 3, (Ok(1), 1)),
        (&[Busy, Busy], None, 2, (Ok(1), 3)),
        (&[Busy; 9], None, 2, (gave_up(3), 3)),
        (&[Busy; 9], None, 0, (gave_up(1), 1)),
        // The mark says that it arrived, so it is not sent again.
        (&[Unsure], Some(1), 0, (Ok(1), 1)),
        (&[Unsure], None, 1, (Ok(1), 2)),
        (&[Unsure; 9], None, 1, (gave_up(2), 2)),
        (&[Store], None, 3, (Err("table `t`: no".to_owned()), 1)),
    ] {
        let seen = sent(answers, (false, (0, mark)), retries);
        assert_eq!(seen, expect, "{answers:?}, mark {mark:?}, {retries} retries");
    }
}

/// To send them again before it is known whether they arrived may double them.
#[test]
fn rows_without_a_key_are_sent_again_once_it_is_certain_that_they_did_not_arrive() {
    let gave_up = |why: &str| Err(format!("table `t`: given up after 3 attempts: {why}"));
    for (mark, expect) in [
        ((0, Some(1)), (Ok(1), 1)),
        ((2, Some(1)), (Ok(1), 1)),
        ((1, Some(0)), (Ok(1), 2)),
        ((3, Some(1)), (gave_up("not now"), 1)),
        ((0, None), (Err("table `t`: no".to_owned()), 1)),
        ((1, None), (Err("table `t`: no".to_owned()), 1)),
    ] {
        assert_eq!(sent(&[Kind::Unsure], (true, mark), 2), expect, "{mark:?}");
    }
    // A row with a key is sent again whatever the mark says, since it is found there.
    assert_eq!(sent(&[Kind::Unsure], (false, (1, Some(1))), 2), (Ok(1), 2));
}

#[test]
fn rows_that_are_written_already_are_not_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let [written, before] = ["written.rows", "before.rows"].map(|it| folder.path().join(it));
    let fields = vec![Field::new("id", Cast::new(Type::Int))];
    let shape = Arc::new(Shape { fields, key: 1, compared: 1, keyless: false });
    let mut rows = Batch::new(Arc::clone(&shape));
    (0..10).for_each(|it| rows.push([Value::Int(it)]));
    let mut pile = Pile::create(&written, 1).expect("a pile");
    rows.rows().for_each(|it| pile.push([it.cell(0)].into_iter()).expect("a row"));
    pile.finish().expect("it is written");
    Pile::create(&before, 1).and_then(|it| it.finish()).expect("an empty pile");
    for ahead in [0, 1, 9, 10] {
        let mut came = Vec::new();
        let enough = Enough { rows: 4, bytes: 1 << 20 };
        let done = gathered((&written, &before, ahead), &shape, enough, |loads| {
            while let Some(load) = loads.next() {
                came.extend(load?.inserts.rows().map(|it| it.bytes().to_vec()));
            }
            Ok(())
        });
        done.expect("all of them");
        let expect: Vec<_> = rows.rows().skip(ahead as usize).map(|it| it.bytes().to_vec()).collect();
        assert_eq!(came, expect, "{ahead} are there");
    }
}
