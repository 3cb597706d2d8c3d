use super::*;
use crate::schema::{Column, ForeignKey, Origin, Unique as Declared};

fn table(name: &str, columns: &[(&str, Type)], key: &[usize]) -> Table {
    let columns = columns.iter().map(|&(name, ty)| Column::new(name, ty)).collect();
    Table { columns, key: key.to_vec(), key_origin: Origin::Enforced, ..Table::new(name) }
}

#[track_caller]
fn check_names(source: &[&str], target: &[&str], expect: &[(&str, &str)]) {
    let own = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let pairs = by_name(&own(source), &own(target), &BTreeMap::new());
    let pairs: Vec<_> = pairs.into_iter().map(|(left, right)| (source[left], target[right])).collect();
    assert_eq!(pairs, expect);
}

#[test]
fn names_pair_as_people_would() {
    check_names(
        &["InvoiceLine", "Album"],
        &["album", "invoice_line"],
        &[("Album", "album"), ("InvoiceLine", "invoice_line")],
    );
    check_names(&["public.users"], &["user"], &[("public.users", "user")]);
    check_names(&["category", "boxes"], &["categories", "box"], &[("category", "categories"), ("boxes", "box")]);
    check_names(&["address"], &["addres"], &[]);
    check_names(&["a"], &["b"], &[]);
    check_names(&[], &["b"], &[]);
}

#[test]
fn the_same_name_wins_and_a_doubtful_one_does_not_pair() {
    check_names(&["users", "Users"], &["users"], &[("users", "users")]);
    check_names(&["User", "USER"], &["user"], &[]);
    check_names(&["User", "USER"], &["user", "USER"], &[("User", "user"), ("USER", "USER")]);
    let map = BTreeMap::from([("old".to_owned(), "users".to_owned())]);
    let pairs = by_name(&["users".to_owned(), "old".to_owned()], &["users".to_owned()], &map);
    assert_eq!(pairs, [(1, 0)], "what was said outweighs a name");
}

#[test]
fn tables_say_which_pairs_were_made_by_name() {
    let (source, target) =
        ([Table::new("InvoiceLine"), Table::new("gone")], [Table::new("invoice_line"), Table::new("new")]);
    let paired = tables(&source, &target, &BTreeMap::new());
    assert_eq!((paired.source_only, paired.target_only), (vec!["gone".to_owned()], vec!["new".to_owned()]));
    assert_eq!(paired.notes, ["`InvoiceLine` was paired with `invoice_line` by name"]);
}

#[test]
fn types_join_to_the_one_that_says_more() {
    use Type::{Any, Bool, Bytes, Date, DateTime, Decimal, Int, Json, Real, Text, Time, Timestamp, Uuid};
    for (one, other, expect) in [
        (Int, Int, Int),
        (Any, Uuid, Uuid),
        (Bool, Int, Bool),
        (Bool, Text, Bool),
        (Int, Real, Real),
        (Int, Decimal, Decimal),
        (Real, Decimal, Decimal),
        (Text, Timestamp, Timestamp),
        (DateTime, Timestamp, Timestamp),
        (Text, Json, Json),
        (Text, Uuid, Uuid),
        (Bytes, Uuid, Uuid),
        (Text, Date, Date),
        (Text, Time, Time),
        (Int, Json, Json),
        (Text, Bytes, Any),
        (Bool, Date, Any),
    ] {
        let (left, right) = (Column::new("c", one), Column::new("c", other));
        for (source, target) in [(&left, &right), (&right, &left)] {
            let (ty, note) = join(source, target);
            let nothing_in_common = expect == Any && one != Any && other != Any;
            assert_eq!((ty, note.is_some()), (expect, nothing_in_common), "{one:?} {other:?}");
        }
    }
    let guess = Column { origin: Origin::Guessed, ..Column::new("c", Text) };
    assert_eq!(join(&Column::new("c", Any), &guess).0, Any, "a guess is no reason to read values as something else");
}

#[test]
fn the_key_comes_first_and_what_is_ignored_last() {
    let source = table("t", &[("a", Type::Int), ("note", Type::Text), ("id", Type::Int)], &[2]);
    let target = table("t", &[("note", Type::Text), ("A", Type::Int), ("id", Type::Int), ("extra", Type::Int)], &[2]);
    let mut choices = Choices::default();
    choices.columns.insert("A".to_owned(), ColumnChoice { ignore: true, ..ColumnChoice::default() });
    let paired = pair(source, target, &choices);
    let names: Vec<_> = paired.columns.iter().map(|it| (it.name.as_str(), it.place, it.shadow)).collect();
    assert_eq!(names, [("id", Some(0), None), ("note", Some(1), None), ("A", None, Some(2))]);
    assert_eq!((paired.key_names(), paired.target_only.clone()), (vec!["id".to_owned()], vec!["extra".to_owned()]));
    let shape = &paired.source_shape;
    let columns: Vec<_> = shape.fields.iter().map(|it| it.column.as_str()).collect();
    assert_eq!((columns, shape.key, shape.compared), (vec!["id", "note", "a"], 1, 2));
    let whole = paired.without_key(&choices);
    assert_eq!((whole.key, whole.source_shape.key, whole.source_shape.keyless), (0, 2, true));
}

#[test]
fn a_key_has_to_be_on_both_sides() {
    let source = table("t", &[("b", Type::Int)], &[]);
    let target = table("t", &[("id", Type::Int), ("b", Type::Int)], &[0]);
    assert_eq!(pair(source.clone(), target.clone(), &Choices::default()).key, 0);
    let choices = Choices { key: Some(vec!["b".to_owned()]), ..Choices::default() };
    assert_eq!(pair(source.clone(), target.clone(), &choices).key_names(), ["b"]);
    let choices = Choices { key: Some(vec!["id".to_owned()]), ..Choices::default() };
    let paired = pair(source, target, &choices);
    assert_eq!((paired.key, paired.notes), (0, vec!["the key (id) is not on both sides".to_owned()]));
}

#[test]
fn constraints_of_either_side_hold_for_both() {
    let mut users = table("users", &[("id", Type::Int), ("email", Type::Text)], &[0]);
    users.uniques.push(Declared { columns: vec![1], enforced: true });
    let mut people = table("Users", &[("email", Type::Text), ("id", Type::Int)], &[1]);
    let mut posts = table("posts", &[("id", Type::Int), ("user_id", Type::Int), ("gone_id", Type::Int)], &[0]);
    let to_users = ForeignKey { columns: vec![1], table: "users".to_owned(), to: vec![] };
    posts.foreign_keys = vec![to_users, ForeignKey { columns: vec![2], table: "gone".to_owned(), to: vec![] }];
    people.uniques.push(Declared { columns: vec![1], enforced: true });
    let bare = table("posts", &[("user_id", Type::Int), ("id", Type::Int), ("gone_id", Type::Int)], &[1]);
    let all = [pair(users, people, &Choices::default()), pair(posts, bare, &Choices::default())];
    let (uniques, references) = constraints(&all, 0, &Choices::default());
    assert_eq!(uniques, [Unique { columns: vec![0], source_enforced: true, target_enforced: false }]);
    assert_eq!(references, []);
    let (uniques, references) = constraints(&all, 1, &Choices::default());
    assert_eq!(uniques, []);
    let followed = Reference { columns: vec![0], parent: Parent::Compared(0, vec![1]) };
    let lost = Reference { columns: vec![2], parent: Parent::Unknown("gone".to_owned()) };
    assert_eq!(references, [followed, lost]);
}
