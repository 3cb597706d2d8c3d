//! The one type in which two columns are compared.

use crate::{
    schema::{Column, Origin},
    value::Type,
};

/// The type in which a column of the source and one of the target are compared: the one that says more. Where the types
/// have nothing in common, values compare as they are, and a note says so.
///
/// ```
/// use cutover::{pairing::join, schema::Column, value::Type};
///
/// let truth = Column::new("active", Type::Bool);
/// let number = Column::new("active", Type::Int);
/// assert_eq!(join(&truth, &number).0, Type::Bool);
/// ```
pub fn join(source: &Column, target: &Column) -> (Type, Option<String>) {
    use Type::{Any, Bool, Bytes, Date, DateTime, Decimal, Int, Json, Real, Text, Time, Timestamp, Uuid};
    let (one, other) = if source.ty <= target.ty { (source, target) } else { (target, source) };
    let ty = match (one.ty, other.ty) {
        (one, other) if one == other => one,
        // A guess is no reason to read the other side's values as something else.
        (Any, Text) if other.origin == Origin::Guessed => Any,
        (Any, other) => other,
        (Bool, Int) => Bool,
        (Int, Real) => Real,
        (Int | Real, Decimal) => Decimal,
        (Int, Timestamp) => Timestamp,
        (Bool | Int | Real | Decimal, Text) => one.ty,
        (Text, Date | Time | Timestamp | DateTime | Uuid | Json) => other.ty,
        (Timestamp, DateTime) => Timestamp,
        (Bytes, Uuid) => Uuid,
        (Bool | Int | Real | Decimal, Json) => Json,
        _ => {
            let note = format!(
                "`{}` is {} in the source and {} in the target, which have nothing in common: values are compared as they are",
                target.name,
                source.ty.name(),
                target.ty.name()
            );
            return (Any, Some(note));
        }
    };
    (ty, None)
}
