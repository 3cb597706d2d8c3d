//! Which cells of two rows differ.

use crate::row::Row;
use std::ops::Range;

/// The places within `range` at which the cells of two rows of one shape differ.
pub fn differing<'a>(source: Row<'a>, target: Row<'a>, range: Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
    range.filter(move |&place| source.cell(place) != target.cell(place))
}
