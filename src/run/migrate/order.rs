//! Parents before their children.

use std::collections::BTreeSet;

/// The places of `names` so that whatever a table refers to comes before it, and else in the given order. Tables that refer to
/// each other in a circle come last, in the given order.
pub(super) fn parents_first(names: &[&str], refers: &dyn Fn(usize) -> Vec<String>) -> Vec<usize> {
    let place = |name: &String| names.iter().position(|it| it == name || it.rsplit('.').next() == Some(name));
    let parents: Vec<BTreeSet<usize>> =
        (0..names.len()).map(|at| refers(at).iter().filter_map(place).filter(|it| *it != at).collect()).collect();
    let mut order: Vec<usize> = Vec::new();
    loop {
        let ready = |at: &usize| !order.contains(at) && parents[*at].iter().all(|it| order.contains(it));
        match (0..names.len()).find(ready) {
            Some(at) => order.push(at),
            None => break,
        }
    }
    order.extend((0..names.len()).filter(|it| !order.contains(it)).collect::<Vec<_>>());
    order
}

/// Of tables in an order, those that must wait for all before them: some that was not waited for yet is one that they refer to.
pub(super) fn waits(names: &[&str], refers: &dyn Fn(usize) -> Vec<String>) -> Vec<bool> {
    let mut start = 0;
    let mut waits = Vec::new();
    for at in 0..names.len() {
        let parents = refers(at);
        let is_parent = |it: &&str| parents.iter().any(|name| name == it || it.rsplit('.').next() == Some(name));
        let wait = names[start..at].iter().any(is_parent);
        start = if wait { at } else { start };
        waits.push(wait);
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits() {
        let tables: [(&str, &[&str]); 5] =
            [("a", &[]), ("s.b", &["b"]), ("c", &["a", "b"]), ("d", &["a"]), ("e", &["d", "nowhere"])];
        let names = tables.map(|it| it.0);
        let refers = |at: usize| tables[at].1.iter().map(|&it| it.to_owned()).collect();
        assert_eq!(waits(&names, &refers), [false, false, true, false, true]);
    }

    /// Each table with what it refers to.
    fn check(tables: &[(&str, &[&str])], expect: &[&str]) {
        let names: Vec<&str> = tables.iter().map(|it| it.0).collect();
        let refers = |at: usize| tables[at].1.iter().map(|&it| it.to_owned()).collect();
        let order = parents_first(&names, &refers);
        assert_eq!(order.into_iter().map(|it| names[it]).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn orders() {
        check(&[], &[]);
        check(&[("b", &["a"]), ("a", &[])], &["a", "b"]);
        check(&[("c", &["b"]), ("b", &["a"]), ("a", &["a"])], &["a", "b", "c"]);
        check(&[("x", &["y"]), ("y", &["x"]), ("a", &[])], &["a", "x", "y"]);
        check(&[("z", &["nowhere"]), ("a", &[])], &["z", "a"]);
        check(&[("child", &["parent"]), ("public.parent", &[])], &["public.parent", "child"]);
    }
}
